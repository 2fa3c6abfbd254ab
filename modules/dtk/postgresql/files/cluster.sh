#!/bin/sh
# Makes and runs this machine's PostgreSQL, Debian's cluster "main". Needs root.
#
#   cluster.sh make                  make it where there is none
#   cluster.sh copy PORT HOST…       make it a copy of the primary among the hosts where it is none; never over other data
#   cluster.sh start                 start it; restart it when its settings have changed since; read who may come in
#   cluster.sh current               whether nothing of that is to be done: exit code 1 otherwise
#   cluster.sh alone PORT HOST…      whether this may be the primary beside them: exit code 1, and what to do, otherwise
#   cluster.sh promote PORT HOST…    make it a primary, unless one of the hosts is further
#   cluster.sh follow PORT HOST…     follow whichever of the hosts is the primary, and wait until it does
#   cluster.sh rejoin PORT HOST…     copy that one anew, and follow it; what was here is kept aside
#   cluster.sh step-down PORT HOST   follow the replica at HOST, which has everything by then and is to be promoted
#   cluster.sh ACTION                what pg_ctlcluster has: stop, restart, status
#
# HOST… may hold this machine itself, which is passed over.
set -eu

version=$(find /usr/lib/postgresql -mindepth 1 -maxdepth 1 -printf '%f\n' | sort -V | tail -n 1)
settings=/etc/postgresql/$version/main
data=/var/lib/postgresql/$version/main
answers_within=5 # seconds for another server
follows_within=60
# What a server says about itself: its timeline, which grows with each promotion, 0 for a replica; how much it has.
timeline="SELECT CASE WHEN pg_is_in_recovery() THEN 0
    ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END"
received="coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())"

fail() {
    echo "$*" >&2
    exit 1
}

as_postgres() {
    (cd / && runuser -u postgres -- "$@")
}

control() {
    pg_ctlcluster "$version" main "$@"
}

runs() {
    control status >/dev/null 2>&1
}

here() {
    as_postgres psql -At -p "$port" -v ON_ERROR_STOP=1 -c "$1"
}

there() {
    PGCONNECT_TIMEOUT=$answers_within as_postgres psql -At -h "$1" -p "$port" -U replicator -d postgres -c "$2"
}

is_this_machine() {
    ip -o addr show | grep -q -F " $1/"
}

follows() {
    [ "$(here "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming' AND sender_host = '$1'")" = 1 ]
}

wait_until_following() {
    tries=$((follows_within * 2))
    until follows "$1"; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || fail "this server does not follow $1 within $follows_within seconds; its log says why:" \
            "$(tail -n 3 "/var/log/postgresql/postgresql-$version-main.log")"
        sleep 0.5
    done
    echo "follows $1"
}

# Of the hosts the one that is a primary; where an old one came back, the one that was promoted last.
primary_of() {
    found=
    highest=0
    for host; do
        ! is_this_machine "$host" || continue
        number=$(there "$host" "$timeline" 2>/dev/null) || number=
        if [ "${number:-0}" -gt "$highest" ]; then
            found=$host
            highest=$number
        fi
    done
    echo "$found"
}

primary_of_all() {
    primary=$(primary_of "$@")
    [ -n "$primary" ] || fail "none of $* is a primary that answers"
    echo "$primary"
}

conninfo() {
    echo "host=$1 port=$port user=replicator"
}

# The server makes postmaster.pid when it starts.
has_read_settings() {
    runs && [ ! "$settings/conf.d/dtk.conf" -nt "$data/postmaster.pid" ]
}

has_read_hosts() {
    [ "$settings/pg_hba.conf.read" -nt "$settings/pg_hba.conf" ]
}

start() {
    if ! runs; then
        control start
    elif ! has_read_settings; then
        control restart
    else
        control reload
    fi
    touch "$settings/pg_hba.conf.read"
}

make_settings() {
    [ -d "$settings" ] || pg_createcluster --locale C.UTF-8 "$version" main
}

# First to another place, so that a copy which was broken off is never taken for data of this machine's own.
base_backup() {
    install -d -o postgres -g postgres "${data%/*}"
    rm -rf "$data.copying"
    as_postgres pg_basebackup -d "$(conninfo "$1")" -D "$data.copying" --write-recovery-conf --wal-method=stream
    chmod 700 "$data.copying"
}

# postmaster.opts is there from a server's first start on.
copy() {
    if [ ! -e "$data/standby.signal" ]; then
        [ ! -e "$data/postmaster.opts" ] || fail "this server has data of its own in $data: it was promoted, or dtk did" \
            "not make it. Nothing is copied over it. After a promotion: dtk exec SERVICE take_back, then converge again."
        primary=$(primary_of_all "$@")
        base_backup "$primary"
        make_settings
        rm -rf "$data"
        mv "$data.copying" "$data"
    fi
    make_settings
}

# A server that has never run must not become an empty primary beside others that have the data.
alone() {
    if [ ! -e "$data/postmaster.opts" ]; then
        for host; do
            ! is_this_machine "$host" && pg_isready -q -h "$host" -p "$port" -t "$answers_within" || continue
            fail "$host has the data of a primary that was lost, and this server has none. Unless one was promoted already:" \
                "dtk exec SERVICE promote member=REPLICA. Then: dtk exec SERVICE take_back, and converge again."
        done
    fi
    other=$(primary_of "$@")
    [ -z "$other" ] || fail "$other is the primary: it was promoted while this server was lost, and what was written" \
        "since is only there. To bring it back to this server: dtk exec SERVICE take_back. Then converge again."
}

promote() {
    [ "$(here 'SELECT pg_is_in_recovery()')" = t ] || { echo "is a primary already" && return; }
    other=$(primary_of "$@")
    [ -z "$other" ] || fail "$other is a primary still, and answers: stop it first, so that nobody writes there any more:" \
        "dtk ssh SERVICE NODE -- sudo /usr/local/lib/dtk/postgresql.sh stop"
    own=$(here "SELECT $received")
    for host; do
        ! is_this_machine "$host" || continue
        ahead=$(there "$host" "SELECT $received > '$own'" 2>/dev/null) || ahead=f
        [ "$ahead" != t ] || fail "the replica $host has received more than this one: promote that one"
    done
    control promote
}

follow() {
    [ "$(here 'SELECT pg_is_in_recovery()')" = t ] || { echo "is the primary" && return; }
    primary=$(primary_of_all "$@")
    # A reload is enough: what it received from the one before it keeps.
    here "ALTER SYSTEM SET primary_conninfo = '$(conninfo "$primary")'"
    control reload
    wait_until_following "$primary"
}

rejoin() {
    primary=$(primary_of_all "$@")
    ! runs || ! follows "$primary" || { echo "follows $primary already" && return; }
    [ -d "$settings" ] || fail "this server was not made yet: dtk converge does the packages first"
    base_backup "$primary"
    ! runs || control stop
    rm -rf "$data.before"
    [ ! -e "$data" ] || mv "$data" "$data.before"
    mv "$data.copying" "$data"
    control start
    wait_until_following "$primary"
}

step_down() {
    [ "$(here 'SELECT pg_is_in_recovery()')" = f ] || { echo "is a replica" && return; }
    streams="SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND host(client_addr) = '$1'"
    [ "$(here "$streams")" = 1 ] || fail "$1 does not follow this server, so it cannot take over"
    here "ALTER SYSTEM SET primary_conninfo = '$(conninfo "$1")'"
    # Before it ends, a server sends to those who follow it whatever they lack.
    control stop
    as_postgres touch "$data/standby.signal"
    control start
}

verb=${1-}
[ $# = 0 ] || shift
case $verb in
    make) make_settings ;;
    start) start ;;
    current) has_read_settings && has_read_hosts ;;
    copy | alone | promote | follow | rejoin) port=$1 && shift && "$verb" "$@" ;;
    step-down) port=$1 && step_down "$2" ;;
    stop | restart | status) control "$verb" ;;
    *)
        sed -n 's/^#   cluster.sh/usage: postgresql.sh/p' "$0" >&2
        exit 2
        ;;
esac
