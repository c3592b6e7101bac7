#!/bin/sh
sync
umount -a -r
