#!/bin/sh
# What the server is, and what is asked of it.
#
#   prometheus.sh serve              become the server
#   prometheus.sh smoke_test COUNT   wait until so many targets have answered; show them
#   prometheus.sh query EXPRESSION   ask it
set -eu
here=$(cd "$(dirname -- "$0")" && pwd)
. "$here/environment.sh"

query() {
    "$bin/promtool" query instant "http://$address" "$1"
}

case $1 in
    serve)
        set -- --config.file="$here/prometheus.yml" --web.listen-address="$address" \
            --storage.tsdb.path="$here/data" --storage.tsdb.retention.time="$retention" \
            --web.console.templates="$here/consoles"
        # Debian's package has the pages beside the program; one from elsewhere has them in it.
        web=$here/packages/usr/share/prometheus/web
        if [ -d "$web" ]; then set -- "$@" --web.local-assets="$web"; fi
        exec "$bin/prometheus" "$@"
        ;;
    smoke_test)
        tries=0
        # A target that has gone is known for a moment still.
        until [ "$(query up 2>/dev/null | sed 's/.*=> \([01]\) .*/\1/' | tr -d '\n')" = "$(printf "%${2}s" | tr ' ' 1)" ]; do
            tries=$((tries + 1))
            if [ "$tries" -ge 100 ]; then
                echo "not all $2 targets have answered:" >&2
                query up >&2
                exit 1
            fi
            sleep 1
        done
        query up | sed 's/ @.*//' | sort
        ;;
    query)
        query "$2"
        ;;
esac
