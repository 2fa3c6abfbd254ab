# How this server runs and is reached, for the script beside it, which says where it is in $here.
java={{ java | quote }}
memory={{ memory | quote }}
client={{ node.host_address }}:{{ client_port + node.port_offset | default(0) }}
