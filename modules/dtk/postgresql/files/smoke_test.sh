#!/bin/sh
# Writes a row on the primary, and reads it on each replica. Run by postgres.
#
#   smoke_test.sh PORT REPLICA…
set -eu

port=$1
shift
within=15 # seconds for a row to get to a replica
row=$(date +%s)-$$

export PGOPTIONS=--client-min-messages=warning
psql -q -p "$port" -d postgres -v ON_ERROR_STOP=1 -v row="$row" <<'SQL'
CREATE TABLE IF NOT EXISTS dtk_smoke_test (row text PRIMARY KEY, written timestamptz DEFAULT now());
GRANT SELECT ON dtk_smoke_test TO replicator;
DELETE FROM dtk_smoke_test WHERE written < now() - interval '1 day';
INSERT INTO dtk_smoke_test VALUES (:'row');
SQL
echo "wrote row $row on the primary"

for replica; do
    deadline=$(($(date +%s) + within))
    until [ "$(psql -At -h "$replica" -p "$port" -U replicator -d postgres -c "SELECT count(*) FROM dtk_smoke_test WHERE row = '$row'")" = 1 ]; do
        [ "$(date +%s)" -lt "$deadline" ] || {
            echo "row $row is not on $replica within $within seconds" >&2
            exit 1
        }
        sleep 0.2
    done
    echo "read it on $replica"
done
