# How this member is called and reached, for the scripts beside it, which say where they are in $here.
name={{ node.name | quote }}
bin={{ bin | quote }}
PATH=${bin:-$here/packages/usr/bin}:$PATH
client_url={{ scheme }}://{{ node.host_address }}:{{ client_port + node.port_offset | default(0) }}
peer_url={{ scheme }}://{{ node.host_address }}:{{ peer_port + node.port_offset | default(0) }}
token={{ token | quote }}
metrics_url=http://{{ node.host_address }}:{{ metrics_port + node.port_offset | default(0) }}
certificates={{ (certificates if scheme == 'https' else '') | quote }}
export ETCDCTL_API=3
if [ -n "$certificates" ]; then
    export ETCDCTL_CACERT="$certificates/ca.pem" ETCDCTL_CERT="$certificates/certificate.pem" ETCDCTL_KEY="$certificates/key.pem"
fi
