#!/bin/sh
# Says how this member comes in, once: to a new cluster with its peers, or as one more to a cluster that is there.
#
#   bootstrap.sh PEERS ENDPOINT…    PEERS is NAME=URL,NAME=URL…; the others are where the members answer clients
set -eu
here=$(cd "$(dirname -- "$0")" && pwd)
. "$here/environment.sh"
peers=$1
shift

others=
for endpoint; do
    [ "$endpoint" = "$client_url" ] || others="$others${others:+,}$endpoint"
done
state=new
if [ -n "$others" ] && etcdctl --endpoints "$others" --command-timeout 5s member list >"$here/members" 2>/dev/null; then
    if ! grep -q -F "$peer_url," "$here/members"; then
        etcdctl --endpoints "$others" member add "$name" --peer-urls "$peer_url" >/dev/null
        etcdctl --endpoints "$others" member list >"$here/members"
    fi
    # Those that are in by now, and this one: a member that is yet to come is no part of it.
    peers=$(awk -F ', ' -v own="$peer_url" -v name="$name" '{ print ($4 == own ? name : $3) "=" $4 }' "$here/members" |
        paste -s -d , -)
    state=existing
fi
printf '%s\n%s\n' "$state" "$peers" >"$here/bootstrap"
