#!/bin/sh
# What a client may ask by SSH, in its own folder below the home directory; sshd runs it in place of any other command.
#
#   store.sh NODE KEEP    with SSH_ORIGINAL_COMMAND:
#       put               read an archive; print the name that it gets by this machine's clock, and its SHA-256
#       keep NAME DIGEST  make it a backup if it is whole, and delete the oldest ones: KEEP stay
#       test NAME DIGEST  make it the one archive of a smoke test, which is not listed and no backup
#       list              print the backups' names, the latest one last
#       get NAME          print an archive
set -eu
umask 077
mkdir -p "$HOME/$1"
cd "$HOME/$1"
keep=$2
# shellcheck disable=SC2086  # words, in which no pattern is replaced by names of files
set -f -- ${SSH_ORIGINAL_COMMAND-}
set +f
name=${2-}

fail() {
    echo "$*" >&2
    exit 2
}

case $name in *[!0-9TZ]*) fail "'$name' is not an archive's name" ;; esac

digest() {
    sha256sum "$1" | cut -d ' ' -f 1
}

archives() {
    ls | sed -n 's/^\([0-9TZ]*\)\.tar\.gz$/\1/p'
}

# Prints a name that no other archive has; its file is made, so that it stays so.
new_name() {
    until made=$(date -u +%Y%m%dT%H%M%SZ) && [ ! -e "$made.tar.gz" ] && (set -C && : >"$made.part") 2>/dev/null; do
        sleep 1
    done
    echo "$made"
}

# Makes what was put a file with this ending, if it is whole.
take() {
    [ ! -e "$1.tar.gz" ] || fail "there is already an archive $1"
    [ -f "$1.part" ] && [ "$(digest "$1.part")" = "$2" ] || fail "the archive $1 is not whole"
    sync "$1.part"
    mv "$1.part" "$1.$3"
    sync .
    # What interrupted clients left behind goes, too; what another one is sending stays.
    find . -maxdepth 1 -name '*.part' -mtime +0 -delete
}

case ${1-} in
    put)
        name=$(new_name)
        cat >"$name.part"
        echo "$name $(digest "$name.part")"
        ;;
    keep)
        [ "$keep" -ge 1 ] 2>/dev/null || fail "keep is $keep: expected 1 or more"
        take "$name" "${3-}" tar.gz
        archives | head -n "-$keep" | while read -r old; do rm -f "$old.tar.gz"; done
        ;;
    test)
        take "$name" "${3-}" test
        find . -maxdepth 1 -name '*.test' ! -name "$name.test" -delete
        ;;
    list) archives ;;
    get)
        [ -f "$name.tar.gz" ] || [ ! -f "$name.test" ] || exec cat "$name.test"
        cat "$name.tar.gz"
        ;;
    *) fail "expected put, keep, test, list or get, found '${1-}'" ;;
esac
