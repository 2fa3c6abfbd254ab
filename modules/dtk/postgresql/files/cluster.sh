#!/bin/sh
# Makes and runs this machine's PostgreSQL, Debian's cluster "main". Needs root.
#
#   cluster.sh make                make it where there is none
#   cluster.sh copy HOST PORT      make it a copy of the primary at HOST where it is none
#   cluster.sh start               start it; restart it when its settings have changed since; read who may come in
#   cluster.sh current             whether nothing of that is to be done: exit code 1 otherwise
#   cluster.sh ACTION              what pg_ctlcluster has: stop, restart, promote, status
set -eu

version=$(find /usr/lib/postgresql -mindepth 1 -maxdepth 1 -printf '%f\n' | sort -V | tail -n 1)
settings=/etc/postgresql/$version/main
data=/var/lib/postgresql/$version/main

as_postgres() {
    (cd / && runuser -u postgres -- "$@")
}

control() {
    pg_ctlcluster "$version" main "$@"
}

runs() {
    control status >/dev/null 2>&1
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

# A copy takes the place of what pg_createcluster made, and of nothing that has ever run as something else.
copy() {
    [ -d "$settings" ] || pg_createcluster --locale C.UTF-8 "$version" main
    [ ! -e "$data/standby.signal" ] || return 0
    ! runs || control stop
    rm -rf "$data"
    as_postgres pg_basebackup -d "host=$1 port=$2 user=replicator" -D "$data" --write-recovery-conf --wal-method=stream
    chmod 700 "$data"
}

case ${1-} in
    make) [ -d "$settings" ] || pg_createcluster --locale C.UTF-8 "$version" main ;;
    copy) copy "$2" "$3" ;;
    start) start ;;
    current) has_read_settings && has_read_hosts ;;
    stop | restart | promote | status) control "$1" ;;
    *)
        echo "usage: postgresql.sh make | copy HOST PORT | start | current | stop | restart | promote | status" >&2
        exit 2
        ;;
esac
