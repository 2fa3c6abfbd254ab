# How this server and the Sentinels are reached, for the script beside it, which says where it is in $here.
name={{ name | quote }}
host={{ node.host_address }}
port={{ port + node.port_offset | default(0) }}
sentinel_port={{ sentinel_port + node.port_offset | default(0) }}
servers={{ servers | join(' ') | quote }}
sentinels={{ sentinels | join(' ') | quote }}
quorum={{ sentinels | length // 2 + 1 }}
bin={{ bin | quote }}
if [ -z "$bin" ]; then
    bin=$here/packages/usr/bin
    LD_LIBRARY_PATH=$(echo "$here"/packages/usr/lib/*-linux-gnu*)
    export LD_LIBRARY_PATH
fi
{% if password %}REDISCLI_AUTH={{ password | quote }}
export REDISCLI_AUTH
{% endif %}
