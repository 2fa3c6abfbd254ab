#!/bin/sh
# Puts the key that signs Bigtop's packages, and no other of its authors' keys, where apt looks for it. Needs root.
set -eu

key=36243EECE206BB0D
export GNUPGHOME
GNUPGHOME=$(mktemp -d)
trap 'rm -rf "$GNUPGHOME"' EXIT
curl -fsSL https://dlcdn.apache.org/bigtop/KEYS | gpg --batch --quiet --import
gpg --batch --export "$key" >/etc/apt/keyrings/bigtop.gpg.new
[ -s /etc/apt/keyrings/bigtop.gpg.new ]
mv /etc/apt/keyrings/bigtop.gpg.new /etc/apt/keyrings/bigtop.gpg
