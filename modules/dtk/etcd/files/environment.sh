# How this member is called and reached, for the scripts beside it, which say where they are in $here.
name={{ node.name | quote }}
bin={{ bin | quote }}
PATH=${bin:-$here/packages/usr/bin}:$PATH
client_url=http://{{ node.host_address }}:{{ client_port + node.port_offset | default(0) }}
peer_url=http://{{ node.host_address }}:{{ peer_port + node.port_offset | default(0) }}
token={{ token | quote }}
export ETCDCTL_API=3
