#!/bin/sh
# Counts on the disk, each number durable before the next: what must never go backwards, nor stand still.
number=$(sed 's/^0*//' /www/counter 2>/dev/null)
while :; do
  number=$((${number:-0} + 1))
  printf '%08d\n' "$number" | dd of=/www/counter conv=notrunc,fsync 2>/dev/null
  sleep 0.5
done
