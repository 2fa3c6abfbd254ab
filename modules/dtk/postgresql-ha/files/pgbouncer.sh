#!/bin/sh
# Manages the certificates of this node's PgBouncer. Needs root.
#
#   pgbouncer.sh take DIRECTORY    use the key and the certificates in DIRECTORY
#   pgbouncer.sh has DIRECTORY     whether they are in use
set -eu
tls=/etc/pgbouncer/tls
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
esac
