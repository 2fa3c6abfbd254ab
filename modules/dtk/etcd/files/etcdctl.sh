#!/bin/sh
# What is asked of the cluster and done to it.
#
#   etcdctl.sh healthy                  whether this member takes part
#   etcdctl.sh smoke_test ENDPOINT…     write a key here, and read it on each member
#   etcdctl.sh forget NAME=URL…         take out of the cluster what is not among these members
set -eu
here=$(cd "$(dirname -- "$0")" && pwd)
. "$here/environment.sh"
verb=$1
shift

ask() {
    etcdctl --command-timeout 10s --endpoints "$@"
}

case $verb in
    healthy) ask "$client_url" endpoint health ;;
    smoke_test)
        value="written by $name $$ $(date +%s)"
        ask "$client_url" put dtk/smoke_test "$value" >/dev/null
        for endpoint; do
            read_there=$(ask "$endpoint" get dtk/smoke_test --print-value-only)
            [ "$read_there" = "$value" ] || {
                echo "$endpoint has '$read_there', and not '$value'" >&2
                exit 1
            }
            echo "read on $endpoint"
        done
        ask "$client_url" member list | awk -F ', ' '{ print $3, $2 }'
        ;;
    forget)
        ask "$client_url" member list | while IFS= read -r member; do
            url=$(printf '%s' "$member" | awk -F ', ' '{ print $4 }')
            for peer; do
                [ "${peer#*=}" != "$url" ] || continue 2
            done
            ask "$client_url" member remove "${member%%,*}" </dev/null
        done
        ;;
esac
