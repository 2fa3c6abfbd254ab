#!/bin/sh
# What a server is, and what is asked of it.
#
#   redis.sh serve                     become the server
#   redis.sh ready                     whether it answers, and follows the primary where it is a replica
#   redis.sh smoke_test HOST:PORT…     write a key here, and read it on every server
set -eu
here=$(cd "$(dirname -- "$0")" && pwd)
. "$here/environment.sh"

ask() {
    "$bin/redis-cli" --no-auth-warning -h "${1%:*}" -p "${1##*:}" "$2" ${3+"$3"} ${4+"$4"} ${5+"$5"}
}

case $1 in
    serve)
        cd "$here/data"
        exec "$bin/redis-server" "$here/redis.conf"
        ;;
    ready)
        [ "$(ask "$host:$port" PING)" = PONG ]
        [ "$role" = primary ] || ask "$host:$port" INFO replication | grep -q master_link_status:up
        ;;
    smoke_test)
        shift
        value="written on $host:$port $$ $(date +%s)"
        ask "$host:$port" SET dtk:smoke_test "$value" >/dev/null
        for server; do
            tries=0
            while [ "$(ask "$server" GET dtk:smoke_test)" != "$value" ]; do
                tries=$((tries + 1))
                [ "$tries" -lt 50 ] || {
                    echo "$server has '$(ask "$server" GET dtk:smoke_test)', and not '$value'" >&2
                    exit 1
                }
                sleep 0.1
            done
            echo "read on $server"
        done
        ;;
esac
