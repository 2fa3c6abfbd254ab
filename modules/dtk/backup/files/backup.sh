#!/bin/sh
# Backs up this node and restores it, as root.
#
#   backup.sh backup                make an archive and store it; print its name
#   backup.sh list                  print the archives' names, the latest one last
#   backup.sh restore ARCHIVE TO    extract an archive (or latest) below TO; load its databases if TO is /
#   backup.sh smoke_test            back up, restore below a temporary directory, and compare
#
# One at a time: they share the directory of dumps.
set -eu
umask 077
base=/var/lib/dtk-backup-client
# shellcheck disable=SC1091  # written by dtk
. "$base/settings.sh"
# Below it are dumps; in an archive they have this path, too.
dumps=$base/databases

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

store() {
    ssh -q -i "$base/key" -o IdentitiesOnly=yes -o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval=15 \
        -o StrictHostKeyChecking=yes -o HostKeyAlias=dtk-backup-store -o "UserKnownHostsFile=$base/known_hosts" \
        -o GlobalKnownHostsFile=/dev/null -p "$store_port" "dtk-backup@$store_host" "$@"
}

# Waits for its turn, such as for the timer's backup. What a database's command leaves running must not keep the lock.
lock() {
    exec 9>"$base/lock"
    flock 9
}

# Writes an archive to standard output.
archive() {
    rm -rf "$dumps"
    mkdir "$dumps"
    for database in $databases; do
        dump "$database" >"$dumps/$database" 9>&- || fail "the command of the database '$database' failed"
    done
    # shellcheck disable=SC2086  # settings.sh quotes each path
    eval "set -- $paths"
    for path; do
        [ -e "$path" ] || [ -L "$path" ] || fail "$path does not exist: it can't be backed up"
    done
    code=0
    tar -C / -cz --warning=no-file-changed --numeric-owner --transform 's,^/,,S' -P -- "$dumps" "$@" || code=$?
    # 1: a file changed while it was read, as files in use do.
    [ "$code" -le 1 ] || fail "tar failed with exit code $code"
    for database in $databases; do
        [ -e "$dumps/$database" ] || fail "the dump of the database '$database' has disappeared: $dumps is dtk's own"
    done
}

# Stores an archive, to "keep" it or for a "test", and prints its name.
backup() {
    work=$(mktemp -d "$base/work.XXXXXX")
    trap 'rm -rf "$work" "$dumps"' EXIT
    archive >"$work/archive"
    digest=$(sha256sum "$work/archive" | cut -d ' ' -f 1)
    stored=$(store put <"$work/archive") || fail "the store $store_host does not take the archive"
    name=${stored% *}
    [ "${stored#* }" = "$digest" ] || fail "the store $store_host has received another archive than was sent"
    store "$1" "$name" "$digest" </dev/null || fail "the store $store_host does not keep the archive"
    echo "$name"
}

restore() {
    name=$1
    [ "$name" != latest ] || name=$(store list </dev/null | tail -n 1)
    [ -n "$name" ] || fail "the store $store_host has no archive of this node"
    mkdir -p "$2"
    work=$(mktemp -d "$base/work.XXXXXX")
    trap 'rm -rf "$work" "$dumps"' EXIT
    store get "$name" </dev/null >"$work/archive" || fail "the store $store_host has no archive $name"
    # Whole before anything is changed.
    gzip -t "$work/archive" || fail "the archive $name is not whole"
    tar -C "$2" -xpz --numeric-owner -f "$work/archive"
    echo "restored $name below $2"
    [ "$2" = / ] || return 0
    for database in $restore_databases; do
        [ -e "$dumps/$database" ] || fail "the archive $name has no database '$database'"
        load "$database" <"$dumps/$database" 9>&- || fail "the command that loads the database '$database' failed"
        echo "loaded $database"
    done
}

case $1 in
    backup)
        lock
        (backup keep)
        ;;
    list) store list </dev/null ;;
    restore)
        lock
        (restore "$2" "$3")
        ;;
    smoke_test)
        lock
        name=$(backup test)
        folder=$(mktemp -d "$base/test.XXXXXX")
        trap 'rm -rf "$folder"' EXIT
        (restore "$name" "$folder")
        [ -d "$folder$dumps" ] || fail "the restored archive has no $dumps"
        for database in $databases; do
            [ -s "$folder$dumps/$database" ] || fail "the dump of the database '$database' is empty"
            echo "dumped $database"
        done
        eval "set -- $paths"
        for path; do
            # What was written to since the archive was made may differ.
            find "$path" -type f ! -newer "$folder$dumps" | while IFS= read -r file; do
                cmp -s "$file" "$folder$file" || fail "$file was not restored as it is"
            done
            echo "restored $path"
        done
        ;;
esac
