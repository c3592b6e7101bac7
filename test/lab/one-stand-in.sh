#!/bin/sh
# Stands in for onevm, oneimage and onehost on the lab's frontend: `show` prints the document that a test prepared as
# /var/lib/one/<command>/<id or name>.xml, or that the stand-in for oned keeps in /var/lib/one/oned, and fails as the
# real command does when there is none. `list` prints what the stand-in for oned keeps. Anything else is noted in
# /var/lib/one/one-calls.txt and succeeds.
command=$(basename "$0")
case ${1:-} in
  --version)
    echo 'OpenNebula 7.4.0'
    exit 0
    ;;
  list) [ -f "/var/lib/one/oned/${command#one}s.xml" ] && exec cat "/var/lib/one/oned/${command#one}s.xml" ;;
esac
if [ "${1:-}" != show ]; then
  echo "$command $*" >>/var/lib/one/one-calls.txt
  exit 0
fi
shift
object=
for argument in "$@"; do
  case $argument in
    -*) ;;
    *) object=$argument ;;
  esac
done
case $object in
  '' | . | .. | */*) ;;
  *)
    for document in "$command/$object.xml" "oned/${command#one}-$object.xml"; do
      [ -f "/var/lib/one/$document" ] && exec cat "/var/lib/one/$document"
    done
    ;;
esac
case $command in
  onevm) echo "[one.vm.info] Error getting virtual machine [$object]." >&2 ;;
  oneimage) echo "[one.image.info] Error getting image [$object]." >&2 ;;
  *) echo "[one.host.info] Error getting host [$object]." >&2 ;;
esac
exit 255
