#!/bin/sh
# Becomes the member, as bootstrap.sh said that it comes in.
set -eu
here=$(cd "$(dirname -- "$0")" && pwd)
. "$here/environment.sh"
{ read -r state && read -r peers; } <"$here/bootstrap"
set --
if [ -n "$certificates" ]; then
    # etcd reads them again at each handshake: renewed ones need no restart.
    set -- --client-cert-auth --trusted-ca-file "$certificates/ca.pem" \
        --cert-file "$certificates/certificate.pem" --key-file "$certificates/key.pem" \
        --peer-client-cert-auth --peer-trusted-ca-file "$certificates/ca.pem" \
        --peer-cert-file "$certificates/certificate.pem" --peer-key-file "$certificates/key.pem"
fi
exec etcd "$@" --listen-metrics-urls "$metrics_url" --name "$name" --data-dir "$here/data" \
    --listen-client-urls "$client_url" --advertise-client-urls "$client_url" \
    --listen-peer-urls "$peer_url" --initial-advertise-peer-urls "$peer_url" \
    --initial-cluster "$peers" --initial-cluster-state "$state" --initial-cluster-token "$token"
