# How this server is reached, for the script beside it, which says where it is in $here.
host={{ node.host_address }}
port={{ port + node.port_offset | default(0) }}
bin={{ bin | quote }}
role={{ 'primary' if primary_host == node.host_address and primary_port == port + node.port_offset | default(0) else 'replica' }}
if [ -z "$bin" ]; then
    bin=$here/packages/usr/bin
    LD_LIBRARY_PATH=$(echo "$here"/packages/usr/lib/*-linux-gnu*)
    export LD_LIBRARY_PATH
fi
{% if password %}REDISCLI_AUTH={{ password | quote }}
export REDISCLI_AUTH
{% endif %}
