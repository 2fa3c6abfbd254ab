#!/bin/sh
# What is done to this node's PostgreSQL and Patroni. Needs root.
#
#   patroni.sh take DIRECTORY    use the key and the certificate there
#   patroni.sh has DIRECTORY     whether it does
#   patroni.sh reload            have both read settings and certificates anew
#   patroni.sh rejoin            start Patroni anew beside a PostgreSQL that goes on: a reload does not read where etcd is
#   patroni.sh roles             on the primary, do what roles.sql says
#   patroni.sh restart           if this is a replica: restart PostgreSQL, wait until it follows, and forget the mark
set -eu
tls=/etc/patroni/tls
here=/usr/local/lib/dtk

as_postgres() {
    (cd / && runuser -u postgres -- "$@")
}

case $1 in
    take)
        for file in ca.pem certificate.pem key.pem; do
            install -o postgres -g postgres -m 600 "$2/$file" "$tls/$file.new"
        done
        for file in ca.pem certificate.pem key.pem; do mv "$tls/$file.new" "$tls/$file"; done
        ;;
    has)
        for file in ca.pem certificate.pem key.pem; do cmp -s "$2/$file" "$tls/$file"; done
        ;;
    reload)
        systemctl reload patroni
        # Patroni has PostgreSQL read its settings, but not a certificate that has changed alone.
        as_postgres psql -qAt -c 'SELECT pg_reload_conf()' >/dev/null 2>&1 || echo "PostgreSQL does not run yet"
        ;;
    rejoin)
        # Stopped in any other way, Patroni stops PostgreSQL. As primary it has its lock for ttl seconds.
        systemctl kill --signal=KILL --kill-who=main patroni
        systemctl start patroni
        ;;
    roles)
        [ "$(python3 "$here/members.py" role)" = leader ] || { echo "not the primary" && exit 0; }
        as_postgres psql -q -v ON_ERROR_STOP=1 -d postgres -f /etc/patroni/roles.sql
        echo "users and passwords are as they should be"
        ;;
    restart)
        [ "$(python3 "$here/members.py" role)" != leader ] || { echo "this is the primary, which comes last" && exit 0; }
        python3 "$here/members.py" restart
        rm /etc/patroni/restart
        ;;
esac
