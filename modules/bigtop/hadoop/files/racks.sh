#!/bin/sh
# Prints the rack of each given datanode, for the namenode: its availability zone. Written by dtk.
for address; do
    rack=
    while read -r known zone; do
        [ "$address" != "$known" ] || rack=/$zone
    done <<'ZONES'
{% for host in datanode_hosts %}{% if datanode_zones[loop.index0] %}{{ host }} {{ datanode_zones[loop.index0] }}
{% endif %}{% endfor %}ZONES
    echo "${rack:-/default-rack}"
done
