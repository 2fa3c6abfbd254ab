#!/bin/sh
# Queries and changes the cluster.
#
#   etcdctl.sh healthy                  promote this member if it is a learner in sync; succeed if it is a healthy voter
#   etcdctl.sh smoke_test ENDPOINT…     write a key on this member, and read it on each member
#   etcdctl.sh forget NAME=URL…         remove all other members from the cluster
set -eu
here=$(cd "$(dirname -- "$0")" && pwd)
. "$here/environment.sh"
verb=$1
shift

ask() {
    etcdctl --command-timeout 10s --endpoints "$@"
}

# Give this member, which joined as a learner, a vote. etcd refuses until the learner has nearly all data.
promote() {
    others=$(cat "$here/learner")
    member=$(ask "$others" member list | grep -F " $peer_url,")
    case $member in
        *', true') ask "$others" member promote "${member%%,*}" ;;
    esac
    rm "$here/learner"
}

case $verb in
    healthy)
        [ ! -e "$here/learner" ] || promote
        ask "$client_url" endpoint health
        ;;
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
