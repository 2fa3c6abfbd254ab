#!/bin/sh
# Becomes the member, as bootstrap.sh said that it comes in.
set -eu
here=$(cd "$(dirname -- "$0")" && pwd)
. "$here/environment.sh"
{ read -r state && read -r peers; } <"$here/bootstrap"
exec etcd --name "$name" --data-dir "$here/data" \
    --listen-client-urls "$client_url" --advertise-client-urls "$client_url" \
    --listen-peer-urls "$peer_url" --initial-advertise-peer-urls "$peer_url" \
    --initial-cluster "$peers" --initial-cluster-state "$state" --initial-cluster-token "$token"
