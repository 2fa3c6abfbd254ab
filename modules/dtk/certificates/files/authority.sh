#!/bin/sh
# A service's certificate authority: its key, its certificate, and what it has issued.
#
#   authority.sh create NAME          make its key and its certificate, valid for ten years
#   authority.sh issue DAYS           give each line of the file requests its certificate, unless it has one
#   authority.sh current              whether each of them has one, and nobody else does
#   authority.sh renew DAYS WITHIN    issue anew what ends within so many days
#   authority.sh issued               print all of them as JSON: node to certificate
set -eu
umask 077
cd "$(dirname -- "$0")"

sign() {
    case $2$3 in
        *[!A-Za-z0-9:.,_-]*) echo "a request names what no node is called: $2 $3" >&2 && exit 1 ;;
    esac
    printf '%s' "$4" | base64 -d >new.csr
    openssl req -in new.csr -noout -verify 2>/dev/null
    printf '%s\n' "subjectAltName=$3" basicConstraints=critical,CA:FALSE keyUsage=critical,digitalSignature \
        extendedKeyUsage=serverAuth,clientAuth >new.ext
    openssl x509 -req -in new.csr -CA ca.pem -CAkey ca.key -set_serial "0x$(openssl rand -hex 16)" -sha256 \
        -days "$1" -extfile new.ext -out new.pem 2>/dev/null
    mv new.pem "issued/$2.pem"
    printf '%s\n' "$2 $3 $4" >"issued/$2.request"
    rm new.csr new.ext
    echo "issued $2 until $(openssl x509 -in "issued/$2.pem" -noout -enddate | cut -d = -f 2)"
}

is_issued() {
    [ -s "issued/$1.pem" ] && [ "$(cat "issued/$1.request")" = "$1 $2 $3" ]
}

case $1 in
    create)
        command -v openssl >/dev/null || { echo "there is no program openssl on this node" >&2 && exit 1; }
        [ -s ca.key ] || openssl ecparam -genkey -name prime256v1 -noout -out ca.key
        printf '%s\n' '[req]' distinguished_name=name prompt=no x509_extensions=ca '[name]' "CN=$2" '[ca]' \
            basicConstraints=critical,CA:TRUE keyUsage=critical,keyCertSign,cRLSign subjectKeyIdentifier=hash >ca.cnf
        openssl req -x509 -new -config ca.cnf -key ca.key -sha256 -days 3650 -out new.pem
        mv new.pem ca.pem
        ;;
    issue)
        while read -r name names request; do
            is_issued "$name" "$names" "$request" || sign "$2" "$name" "$names" "$request"
        done <requests
        for file in issued/*.request; do
            grep -qxF -f "$file" requests || rm -f "$file" "${file%.request}.pem"
        done
        ;;
    current)
        while read -r name names request; do
            is_issued "$name" "$names" "$request" || exit 1
        done <requests
        [ "$(find issued -name '*.request' | wc -l)" -eq "$(grep -c . requests)" ]
        ;;
    renew)
        while read -r name names request; do
            openssl x509 -in "issued/$name.pem" -noout -checkend "$(($3 * 86400))" >/dev/null ||
                sign "$2" "$name" "$names" "$request"
        done <requests
        ;;
    issued)
        separator=
        printf '{'
        for file in issued/*.pem; do
            [ -s "$file" ] || continue
            name=${file#issued/}
            printf '%s"%s": "%s"' "$separator" "${name%.pem}" "$(awk '{printf "%s\\n", $0}' "$file")"
            separator=', '
        done
        printf '}\n'
        ;;
esac
