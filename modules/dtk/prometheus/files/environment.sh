# How this server is reached, for the script beside it, which says where it is in $here.
bin={{ bin | quote }}
bin=${bin:-$here/packages/usr/bin}
address={{ node.host_address }}:{{ metrics_port + node.port_offset | default(0) }}
retention={{ retention | quote }}
