#!/bin/sh
# Decides once whether this member creates a new cluster with its peers, or joins an existing one as a learner.
#
#   bootstrap.sh PEERS ENDPOINT…    PEERS is NAME=URL,NAME=URL…; the endpoints are for clients
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
deadline=$(($(date +%s) + 200))
if [ -n "$others" ] && etcdctl --endpoints "$others" --command-timeout 5s member list >"$here/members" 2>/dev/null; then
    if ! grep -q -F "$peer_url," "$here/members"; then
        # A learner has no vote: the quorum stays as it is until the learner has all data and etcdctl.sh promotes it.
        # A cluster has one learner at a time.
        until etcdctl --endpoints "$others" member add "$name" --learner --peer-urls "$peer_url" >/dev/null; do
            [ "$(date +%s)" -lt "$deadline" ] || exit 1
            sleep 1
        done
        etcdctl --endpoints "$others" member list >"$here/members"
    fi
    printf '%s\n' "$others" >"$here/learner"
    # Only the members that the cluster has by now, and this one: others may still join later.
    peers=$(awk -F ', ' -v own="$peer_url" -v name="$name" '{ print ($4 == own ? name : $3) "=" $4 }' "$here/members" |
        paste -s -d , -)
    state=existing
fi
printf '%s\n%s\n' "$state" "$peers" >"$here/bootstrap"
