#!/bin/sh
# Writes a row through a proxy, and reads it on each replica. Needs root, for the password.
#
#   smoke_test.sh ADDRESS WRITE-PORT READ-PORT NAME USER DATABASE REPLICAS
set -eu
address=$1 write_port=$2 read_port=$3 name=$4 user=$5 database=$6 replicas=$7
within=60 # seconds for the row to be on all replicas, and for the proxy to know them
row=$address-$(date +%s)-$$

ask() {
    port=$1
    shift
    PGPASSFILE=/etc/haproxy/pgpass PGCONNECT_TIMEOUT=5 psql -qAt -v ON_ERROR_STOP=1 "$@" \
        "host=$name hostaddr=$address port=$port user=$user dbname=$database sslmode=verify-full sslrootcert=/etc/haproxy/ca.pem"
}

deadline=$(($(date +%s) + within))
until ask "$write_port" -v row="$row" <<'SQL'
SET client_min_messages = warning;
CREATE TABLE IF NOT EXISTS dtk_smoke_test (row text PRIMARY KEY, written timestamptz DEFAULT now());
DELETE FROM dtk_smoke_test WHERE written < now() - interval '1 day';
INSERT INTO dtk_smoke_test VALUES (:'row') ON CONFLICT DO NOTHING;
SQL
do
    [ "$(date +%s)" -lt "$deadline" ] || { echo "nothing can be written through $address:$write_port" >&2 && exit 1; }
    sleep 0.5
done
echo "wrote row $row through $address:$write_port"

seen=
count=0
while [ "$count" -lt "$replicas" ]; do
    [ "$(date +%s)" -lt "$deadline" ] || {
        echo "row $row was read on $count of $replicas replicas through $address:$read_port within $within seconds" >&2
        exit 1
    }
    at=$(ask "$read_port" -c "SELECT inet_server_addr() FROM dtk_smoke_test WHERE row = '$row' AND pg_is_in_recovery()") || at=
    case " $seen " in
        *" ${at:-none} "*) sleep 0.2 ;;
        *)
            [ -n "$at" ] || { sleep 0.5 && continue; }
            seen="$seen $at"
            count=$((count + 1))
            echo "read it on $at"
            ;;
    esac
done
