#!/bin/sh
# Bigtop's packages and their services, which are scripts of init.d.
#
#   service.sh update                      read what the repository has; updated: exit code 1 where that was not done yet
#   service.sh install PACKAGE…            install them, and start none of their services: those are to be configured first
#   service.sh installed PACKAGE…          whether all are: exit code 1 otherwise
#   service.sh start NAME PORT FILE…       restart it, wait until it listens, and keep in mind what it has read
#   service.sh current NAME PORT FILE…     whether it runs and has read its files as they are: exit code 1 otherwise
#   service.sh restart NAME PORT           restart it, and wait until it listens
set -eu

here=$(cd "$(dirname -- "$0")" && pwd)
listens_within=60 # seconds
source=/etc/apt/sources.list.d/bigtop.list
policy=/usr/sbin/policy-rc.d
# shellcheck disable=SC2016  # for the shell that finds them, with the service's name as its first argument
logs='/var/log/hadoop-hdfs/*"${1#hadoop-hdfs-}"*.log /var/log/spark/"$1".out'

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

install_packages() {
    # What packages' scripts ask before they start a service; a machine that has an answer of its own keeps it.
    if [ ! -e "$policy" ]; then
        trap 'as_root rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Options::=--force-confold -o DPkg::Lock::Timeout=300 install "$@"
}

are_installed() {
    for package; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || return 1
    done
}

listens() {
    [ -n "$(ss -H -l -t -n "sport = :$1")" ]
}

restart() {
    name=$1
    port=$2
    as_root service "$name" restart || fail "$name"
    waited=0
    until listens "$port"; do
        [ "$waited" -lt "$listens_within" ] || fail "$name"
        sleep 1
        waited=$((waited + 1))
    done
    link_log
}

# Packages name their logs by the machine; NAME.log beside this script is the one that dtk logs shows.
link_log() {
    log=$(as_root sh -c "ls -t $logs 2>/dev/null" sh "$name" | head -n 1)
    [ -z "$log" ] || ln -sfn "$log" "$here/$name.log"
}

fail() {
    echo "$1 does not listen on port $port; the end of its log:" >&2
    as_root sh -c "tail -q -n 15 $logs" sh "$1" >&2 2>/dev/null || true
    exit 1
}

is_current() {
    as_root service "$name" status >/dev/null 2>&1 && listens "$port" &&
        [ "$(as_root cksum "$@")" = "$(cat "$here/$name.read" 2>/dev/null)" ]
}

verb=${1-}
[ $# = 0 ] || shift
case $verb in
    update) as_root apt-get -q update -o APT::Update::Error-Mode=any && cp "$source" "$here/packages.read" ;;
    updated) cmp -s "$source" "$here/packages.read" ;;
    install) install_packages "$@" ;;
    installed) are_installed "$@" ;;
    restart) restart "$1" "$2" ;;
    start | current)
        name=$1
        port=$2
        shift 2
        [ "$verb" = start ] || { is_current "$@" && exit || exit 1; }
        restart "$name" "$port"
        as_root cksum "$@" >"$here/$name.read"
        ;;
    *)
        sed -n 's/^#   service.sh/usage: service.sh/p' "$0" >&2
        exit 2
        ;;
esac
