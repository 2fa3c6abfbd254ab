#!/bin/sh
# Unpacks packages of Debian or Ubuntu into the folder packages beside this script: without root, and nothing is started.
#
#   unpack.sh PACKAGE…
set -eu
cd "$(dirname -- "$0")/packages"

get() {
    apt-get -q -o Dir::State::Lists="$PWD/lists" -o Dir::Cache="$PWD/cache" "$@"
}

if apt-cache show "$@" >/dev/null 2>&1; then
    apt-get -q download "$@"
else
    # A machine whose lists of packages were never fetched, as an image of a container: fetched here, for this alone.
    mkdir -p lists/partial cache/archives/partial
    get -o APT::Update::Error-Mode=any update
    get download "$@"
    rm -rf lists cache
fi
for package in ./*.deb; do
    dpkg-deb -x "$package" .
    rm -f "$package"
done
