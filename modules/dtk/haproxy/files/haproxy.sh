#!/bin/sh
# What the proxy is, and what is done with it.
#
#   haproxy.sh packages    name the packages that it is in, with the libraries that a system may lack
#   haproxy.sh serve       become the proxy
#   haproxy.sh check       say what is wrong with its settings
#   haproxy.sh reload      let a new process take over with the settings of now
set -eu
here=$(cd "$(dirname -- "$0")" && pwd)
. "$here/environment.sh"

case $1 in
    packages)
        found=$(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
            --no-enhances haproxy 2>/dev/null | grep -E '^lib(lua|opentracing)[^ ]*$' | sort -u)
        # Where no lists of packages were fetched yet, the names are Debian 12's.
        echo haproxy ${found:-liblua5.3-0 libopentracing-c-wrapper0 libopentracing1}
        ;;
    serve)
        exec "$bin/haproxy" -W -f "$here/haproxy.cfg" -p "$here/haproxy.pid"
        ;;
    check)
        "$bin/haproxy" -c -q -f "$here/haproxy.cfg"
        ;;
    reload)
        kill -USR2 "$(cat "$here/haproxy.pid")"
        ;;
esac
