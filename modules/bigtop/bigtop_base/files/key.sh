#!/bin/sh
# Puts the key that signs Bigtop's packages, and no other of its authors' keys, where apt looks for it. Needs root.
#
#   key.sh ADDRESS KEY    where all keys are; which one
set -eu

GNUPGHOME=$(mktemp -d)
export GNUPGHOME
trap 'rm -rf "$GNUPGHOME"' EXIT
curl -fsSL --retry 3 "$1" | gpg --batch --quiet --import
install -d /etc/apt/keyrings
gpg --batch --export "$2" >/etc/apt/keyrings/bigtop.gpg.new
[ -s /etc/apt/keyrings/bigtop.gpg.new ] || { echo "$1 has no key $2" >&2 && exit 1; }
mv /etc/apt/keyrings/bigtop.gpg.new /etc/apt/keyrings/bigtop.gpg
