#!/bin/sh
# What a client may ask by SSH, in its own folder below the home directory; sshd runs it in place of any other command.
#
#   store.sh NODE KEEP    with SSH_ORIGINAL_COMMAND:
#       put NAME          read an archive; print its SHA-256. It is no backup yet
#       keep NAME DIGEST  make it one if it is whole, and delete the oldest ones: KEEP stay
#       list              print the names, the latest one last
#       get NAME          print an archive
set -eu
umask 077
mkdir -p "$HOME/$1"
cd "$HOME/$1"
keep=$2
# shellcheck disable=SC2086  # words
set -f -- ${SSH_ORIGINAL_COMMAND-}
name=${2-}
case $name in *[!0-9TZ]*) echo "'$name' is not an archive's name" >&2; exit 2 ;; esac

digest() {
    sha256sum "$1" | cut -d ' ' -f 1
}

archives() {
    ls | sed -n 's/^\([0-9TZ]*\)\.tar\.gz$/\1/p'
}

case ${1-} in
    put)
        cat >"$name.part"
        digest "$name.part"
        ;;
    keep)
        [ "$(digest "$name.part")" = "$3" ] || { echo "the archive $name is not whole" >&2; exit 1; }
        sync "$name.part"
        mv "$name.part" "$name.tar.gz"
        sync .
        # What interrupted clients left behind goes, too.
        rm -f ./*.part
        archives | head -n "-$keep" | while read -r old; do rm -f "$old.tar.gz"; done
        ;;
    list) archives ;;
    get) cat "$name.tar.gz" ;;
    *) echo "expected put, keep, list or get, found '${1-}'" >&2; exit 2 ;;
esac
