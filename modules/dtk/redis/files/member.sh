#!/bin/sh
# Runs a server and the Sentinel beside it, and asks both.
#
#   member.sh serve                     become the server
#   member.sh ready                     whether it answers, and follows the primary unless it is the primary
#   member.sh watch                     become the Sentinel
#   member.sh watches                   whether the Sentinel knows the primary
#   member.sh primary                   HOST:PORT of the primary, as the Sentinels say
#   member.sh fail_over                 make another server the primary; waits until the Sentinels agree
#   member.sh move_from HOST:PORT…      the same if the primary is none of these servers
#   member.sh smoke_test                write a key on the primary, and read it on every server
set -eu
here=$(cd "$(dirname -- "$0")" && pwd)
. "$here/environment.sh"

# ask HOST:PORT WORD…
ask() {
    at=$1
    shift
    timeout 5 "$bin/redis-cli" --no-auth-warning -h "${at%:*}" -p "${at##*:}" "$@"
}

# The primary, as the first Sentinel says that answers.
told() {
    for sentinel in $sentinels; do
        answer=$(ask "$sentinel" SENTINEL get-master-addr-by-name "$name" 2>/dev/null | tr -d '\r' | paste -sd :) || continue
        case $answer in *:[0-9]*) echo "$answer" && return ;; esac
    done
    return 1
}

# A server that says it is the primary and has replicas, or else any that says so.
found() {
    for replicas in '[1-9]' '[0-9]'; do
        for server in $servers; do
            info=$(ask "$server" INFO replication 2>/dev/null) || continue
            case $info in *role:master*connected_slaves:$replicas*) echo "$server" && return ;; esac
        done
    done
    return 1
}

# What this Sentinel knew when it ended.
remembered() {
    sed -n "s/^sentinel monitor $name \([^ ]*\) \([0-9]*\) .*/\1:\2/p" "$here/data/sentinel.conf" 2>/dev/null | grep .
}

current() {
    told || found || remembered || echo "${servers%% *}"
}

wait_until() {
    tries=0
    until "$@"; do
        tries=$((tries + 1))
        [ "$tries" -lt 300 ] || return 1
        sleep 0.2
    done
}

moved() {
    [ "$(told)" != "$before" ]
}

fail_over() {
    before=$(told)
    # A Sentinel gives up a failover that takes too long, and starts none while its machine was stopped or too busy.
    for _ in 1 2 3; do
        for sentinel in $sentinels; do
            ask "$sentinel" SENTINEL failover "$name" && break
        done
        if wait_until moved; then
            echo "$before was the primary; now it is $(told)"
            return
        fi
    done
    echo "the primary is still $before" >&2
    exit 1
}

case $1 in
    serve)
        cd "$here/data"
        # Sentinels have the server write into this file whom it follows; the settings are in the included one.
        if [ ! -e server.conf ]; then
            primary=$(told || found || echo "${servers%% *}")
            (
                umask 077
                echo "include $here/member.conf" >server.conf
                [ "$primary" = "$host:$port" ] || echo "replicaof ${primary%:*} ${primary##*:}" >>server.conf
            )
        fi
        exec "$bin/redis-server" "$here/data/server.conf"
        ;;
    ready)
        info=$(ask "$host:$port" INFO replication)
        case $info in *role:master* | *master_link_status:up*) ;; *) exit 1 ;; esac
        ;;
    watch)
        cd "$here/data"
        primary=$(current)
        identity=$(grep '^sentinel myid ' sentinel.conf 2>/dev/null || true)
        (
            umask 077
            {
                cat "$here/sentinel.conf"
                echo "sentinel monitor $name ${primary%:*} ${primary##*:} $quorum"
                cat "$here/monitor.conf"
                echo "$identity"
            } >sentinel.conf.new
        )
        mv sentinel.conf.new sentinel.conf
        exec "$bin/redis-sentinel" "$here/data/sentinel.conf"
        ;;
    watches) [ -n "$(sentinels=$host:$sentinel_port told)" ] ;;
    primary) told ;;
    fail_over) fail_over ;;
    move_from)
        shift
        for server; do [ "$(told)" != "$server" ] || exit 0; done
        fail_over
        ;;
    smoke_test)
        value="written on $host:$port $$ $(date +%s)"
        primary=$(told)
        ask "$primary" SET dtk:smoke_test "$value" >/dev/null
        is_there() { [ "$(ask "$server" GET dtk:smoke_test)" = "$value" ]; }
        for server in $servers; do
            wait_until is_there || { echo "$server does not have '$value'" >&2 && exit 1; }
            echo "read on $server"
        done
        echo "the primary is $primary"
        ;;
esac
