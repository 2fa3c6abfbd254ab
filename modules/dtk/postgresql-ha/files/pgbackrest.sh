#!/bin/sh
# Backups with pgBackRest: on the servers, and on the repository's node. Needs root, except for restore.
#
#   pgbackrest.sh take DIRECTORY    use the key and the certificate in this directory
#   pgbackrest.sh has DIRECTORY     succeed if they are in use
#   pgbackrest.sh timers            start the timers that have a schedule, and stop the others
#   pgbackrest.sh prepare           make the stanza, and the first backup if there is none
#   pgbackrest.sh backup TYPE       make a backup: full, diff or incr
#   pgbackrest.sh check             archive the latest WAL, and wait until it has arrived
#   pgbackrest.sh info              list the backups
#   pgbackrest.sh invite DAYS       write the file with which another service can restore from here
#   pgbackrest.sh revoke            end the access that it gives
#   pgbackrest.sh restore           restore this server's data; Patroni runs it, as the user postgres
#   pgbackrest.sh delete            stop everything, and keep the backups
set -eu
settings=/etc/pgbackrest
tls=$settings/tls
guest=$tls/guest.pem # certificate of the last invitation
data=/var/lib/postgresql/data
started=/var/lib/postgresql/restore.started # from the start of a restore until the server follows a primary
failed=/var/lib/postgresql/restore.failed   # why it failed; members.py shows it
. "$settings/dtk.env"

as_postgres() {
    (cd / && runuser -u postgres -- "$@")
}

has_work() {
    [ "$place" = repository ] && return
    [ -n "$bucket" ] || { echo "the repository makes the backups" && return 1; }
    is_primary || { echo "not the primary" && return 1; }
}

is_primary() {
    role=$(python3 /usr/local/lib/dtk/members.py role) || exit 1
    [ "$role" = leader ]
}

# Print when the latest backup ended, in seconds since 1970; 0 if there is none.
last_backup() {
    as_postgres pgbackrest --stanza="$stanza" --output=json info | grep -o '"stop":[0-9][0-9]*' | cut -d : -f 2 |
        sort -n | tail -n 1 | grep . || echo 0
}

# Tell the node exporter when the latest backup ended.
publish() {
    metric=pgbackrest_last_backup_timestamp_seconds
    {
        echo "# HELP $metric When the latest backup ended."
        echo "# TYPE $metric gauge"
        echo "$metric{stanza=\"$stanza\"} $1"
    } >/var/lib/dtk-pgbackrest/backup.new
    chmod 644 /var/lib/dtk-pgbackrest/backup.new
    mv /var/lib/dtk-pgbackrest/backup.new /var/lib/dtk-pgbackrest/backup.prom
}

# Make a backup, after any that another process is making.
backup() {
    exec 9>/run/dtk-pgbackrest.lock
    flock 9
    as_postgres pgbackrest --stanza="$stanza" --type="$1" backup
    publish "$(last_backup)"
}

# Accept this service's nodes, and the guest if there is an invitation.
trust() {
    cat "$tls/ca.pem" >"$tls/clients.new"
    [ ! -e "$guest" ] || cat "$guest" >>"$tls/clients.new"
    chown postgres:postgres "$tls/clients.new"
    chmod 600 "$tls/clients.new"
    mv "$tls/clients.new" "$tls/clients.pem"
}

# Disable and stop a unit. systemd does not load a timer without a schedule, and stops only what it has loaded.
disable() {
    systemctl disable --quiet "$1"
    if systemctl is-active --quiet "$1"; then systemctl stop "$1"; fi
}

case $1 in
    take)
        for file in ca.pem certificate.pem key.pem; do
            install -o postgres -g postgres -m 600 "$2/$file" "$tls/$file.new"
        done
        for file in ca.pem certificate.pem key.pem; do mv "$tls/$file.new" "$tls/$file"; done
        trust
        ;;
    has)
        for file in ca.pem certificate.pem key.pem; do cmp -s "$2/$file" "$tls/$file"; done
        ;;
    timers)
        systemctl daemon-reload
        for kind in full diff; do
            timer=dtk-pgbackrest-$kind.timer
            if grep -q '^OnCalendar=' "/etc/systemd/system/$timer"; then
                systemctl enable --quiet "$timer"
                systemctl restart "$timer"
            else
                disable "$timer"
            fi
        done
        ;;
    prepare)
        has_work || exit 0
        as_postgres pgbackrest --stanza="$stanza" stanza-create
        if [ "$(last_backup)" = 0 ]; then backup full; else publish "$(last_backup)"; fi
        ;;
    backup)
        has_work || exit 0
        backup "$2"
        ;;
    check)
        is_primary || { echo "not the primary" && exit 0; }
        as_postgres pgbackrest --stanza="$stanza" check
        ;;
    info)
        as_postgres pgbackrest --stanza="$stanza" info
        ;;
    invite)
        umask 077
        work=$(mktemp -d)
        trap 'rm -rf "$work"' EXIT
        printf '%s\n' '[req]' distinguished_name=name prompt=no x509_extensions=guest '[name]' CN=guest '[guest]' \
            basicConstraints=critical,CA:FALSE keyUsage=critical,digitalSignature extendedKeyUsage=clientAuth >"$work/cnf"
        openssl ecparam -genkey -name prime256v1 -noout -out "$work/key.pem"
        openssl req -x509 -new -config "$work/cnf" -key "$work/key.pem" -sha256 -days "$2" -out "$work/certificate.pem"
        cat "$work/key.pem" "$work/certificate.pem" "$tls/ca.pem" >"$settings/guest.pem"
        mv "$work/certificate.pem" "$guest"
        trust
        systemctl reload pgbackrest
        echo "$settings/guest.pem gives access for $2 days; an earlier invitation is no longer valid"
        ;;
    revoke)
        rm -f "$guest" "$settings/guest.pem"
        trust
        systemctl reload pgbackrest
        echo "only this service's nodes have access"
        ;;
    restore)
        if [ -e "$failed" ]; then exit 1; fi
        if [ -e "$started" ]; then
            # Patroni would try again for ever, and keep the data of each attempt.
            echo "PostgreSQL did not recover with the restored data; sudo journalctl -u patroni shows why." \
                "It cannot if the archive ends before restore_to." >"$failed"
            exit 1
        fi
        touch "$started"
        config=$settings/pgbackrest.conf
        if [ -n "$restore_host" ]; then config=$settings/restore.conf; fi
        set --
        if [ -n "$restore_to" ]; then set -- --type=time --target="$restore_to" --target-action=promote; fi
        pgbackrest --config="$config" --stanza="$restore_from" --pg1-path="$data" "$@" restore >"$started" 2>&1 || {
            tail -n 20 "$started" >"$failed.new"
            mv "$failed.new" "$failed"
            exit 1
        }
        ;;
    delete)
        for unit in dtk-pgbackrest-full.timer dtk-pgbackrest-diff.timer pgbackrest.service; do disable "$unit"; done
        rm -f "$settings/pgbackrest.conf" "$settings/restore.pem" "$settings/guest.pem" "$guest"
        rm -f /etc/systemd/system/dtk-pgbackrest* /var/lib/dtk-pgbackrest/backup.prom
        systemctl daemon-reload
        ;;
esac
