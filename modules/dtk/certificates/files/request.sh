#!/bin/sh
# A node's key, and what it asks the authority for.
#
#   request.sh create NAME                      make the key and the request
#   request.sh show NAME ADDRESS [DNS-NAME…]    print the request in one line: name, names and addresses, request
#   request.sh verify ADDRESS                   whether the certificate is the authority's, of this key and address
set -eu
umask 077
cd "$(dirname -- "$0")"

case $1 in
    create)
        command -v openssl >/dev/null || { echo "there is no program openssl on this node" >&2 && exit 1; }
        [ -s key.pem ] || openssl ecparam -genkey -name prime256v1 -noout -out key.pem
        openssl req -new -key key.pem -sha256 -subj "/CN=$2" -out new.pem
        mv new.pem request.pem
        ;;
    show)
        name=$2
        address=$3
        shift 3
        case $address in
            *[!0-9.:]*) names=DNS:$address ;;
            *) names=IP:$address ;;
        esac
        for more; do names=$names,DNS:$more; done
        echo "$name $names $(base64 <request.pem | tr -d '\n')"
        ;;
    verify)
        openssl verify -CAfile ca.pem -x509_strict certificate.pem
        [ "$(openssl x509 -in certificate.pem -noout -pubkey)" = "$(openssl pkey -in key.pem -pubout)" ] ||
            { echo "the certificate is of another key" >&2 && exit 1; }
        openssl x509 -in certificate.pem -noout -ext subjectAltName | grep -F "$2"
        openssl x509 -in certificate.pem -noout -enddate
        ;;
esac
