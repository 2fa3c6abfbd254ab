#!/bin/sh
# What is done to this node's PostgreSQL and Patroni. Needs root.
#
#   patroni.sh take DIRECTORY    use the key and the certificate in this directory
#   patroni.sh has DIRECTORY     succeed if they are in use
#   patroni.sh reload            make both reload their settings and certificates
#   patroni.sh rejoin            restart Patroni but not PostgreSQL, because a reload does not read etcd's addresses
#   patroni.sh roles             run roles.sql if this is the primary
#   patroni.sh restart           if this is a replica: restart PostgreSQL, wait until it follows, and remove the mark
#   patroni.sh upgrade           if this is a replica: upgrade the packages, restart with them, wait until it follows
#   patroni.sh hand_over         if this is the primary and has upgrades: make a replica the primary
set -eu
tls=/etc/patroni/tls
here=/usr/local/lib/dtk
unfinished=/etc/patroni/upgrade # exists from the start of an upgrade until this server follows the primary again

as_postgres() {
    (cd / && runuser -u postgres -- "$@")
}

# List this server's packages: never another major version, which would need pg_upgrade.
packages() {
    major=$(basename "$(dirname "$(readlink "$here/postgresql")")")
    dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' patroni libpq5 "postgresql-$major*" "postgresql-client-$major" \
        2>/dev/null | sed -n 's/^ii *//p'
}

# List the packages that an upgrade would install.
upgrades() {
    apt-get -q update -o APT::Update::Error-Mode=any >/dev/null
    # shellcheck disable=SC2046 # one word for each package
    simulated=$(apt-get -q -s install --only-upgrade $(packages))
    printf '%s\n' "$simulated" | sed -n 's/^Inst \([^ ]*\).*/\1/p'
}

# Succeed if this is the primary.
is_primary() {
    [ "$(python3 "$here/members.py" role)" = leader ]
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
        # Patroni makes PostgreSQL reload changed settings, but not a changed certificate.
        as_postgres psql -qAt -c 'SELECT pg_reload_conf()' >/dev/null 2>&1 || echo "PostgreSQL does not run yet"
        ;;
    rejoin)
        # Any other signal would make Patroni stop PostgreSQL, too. A primary keeps its lock for ttl seconds.
        systemctl kill --signal=KILL --kill-who=main patroni
        systemctl start patroni
        ;;
    roles)
        is_primary || { echo "not the primary" && exit 0; }
        as_postgres psql -q -v ON_ERROR_STOP=1 -d postgres -f /etc/patroni/roles.sql
        echo "users and passwords are set"
        ;;
    restart)
        if is_primary; then echo "this is the primary, which comes last" && exit 0; fi
        python3 "$here/members.py" restart
        rm /etc/patroni/restart
        ;;
    upgrade)
        found=$(upgrades)
        [ -n "$found" ] || [ -e "$unfinished" ] || { echo "nothing newer than what is installed" && exit 0; }
        if is_primary; then echo "this is the primary, which comes last" && exit 0; fi
        touch "$unfinished"
        # shellcheck disable=SC2046 # one word for each package
        DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold \
            install --only-upgrade $(packages)
        # Stops PostgreSQL and starts it again, each with the new programs.
        systemctl restart patroni
        python3 "$here/members.py" wait
        rm "$unfinished"
        echo "upgraded:" $found
        ;;
    hand_over)
        is_primary || { echo "not the primary" && exit 0; }
        [ -n "$(upgrades)" ] || [ -e "$unfinished" ] || { echo "nothing newer than what is installed" && exit 0; }
        python3 "$here/members.py" switchover
        ;;
esac
