#!/bin/sh
# Unpacks packages of Debian or Ubuntu into the folder packages beside this script: without root, and nothing is started.
#
#   unpack.sh PACKAGE…
set -eu
cd "$(dirname -- "$0")/packages"
apt-get -q download "$@"
for package in ./*.deb; do
    dpkg-deb -x "$package" .
    rm -f "$package"
done
