#!/bin/sh
# A service of Bigtop's packages, which are scripts of init.d: restarts it when a file that it reads has changed, or when
# it does not run.
#
#   service.sh start NAME FILE…      do it
#   service.sh current NAME FILE…    whether nothing is to be done: exit code 1 otherwise
set -eu

verb=$1
name=$2
shift 2
stamp=$(dirname -- "$0")/$name.read

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

is_current() {
    as_root service "$name" status >/dev/null 2>&1 && [ "$(as_root cksum "$@")" = "$(cat "$stamp" 2>/dev/null)" ]
}

case $verb in
    current) is_current "$@" ;;
    start)
        as_root service "$name" restart
        as_root cksum "$@" >"$stamp"
        ;;
    *)
        echo "usage: service.sh start|current NAME FILE..." >&2
        exit 2
        ;;
esac
