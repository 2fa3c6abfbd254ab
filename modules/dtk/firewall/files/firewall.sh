#!/bin/sh
# The firewall's rules, in a table of their own; run as root.
#
#   firewall.sh apply [PORT]        load firewall.nft; restore the previous rules if SSH does not answer. PORT: of the login
#   firewall.sh load                load the rules that were applied last, after a boot
#   firewall.sh current [PORT]      whether firewall.nft was applied, with the ports that sshd has now, and is loaded
#   firewall.sh smoke_test [PORT]   check SSH, and list the open ports
#   firewall.sh remove              remove table and unit
set -eu
here=$(cd "$(dirname -- "$0")" && pwd)
PATH=$PATH:/usr/sbin:/sbin
applied=$here/firewall.applied.nft
space=dtk-firewall-check

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

# The ports of sshd, and that of the login, which a socket of systemd's may have chosen.
ssh_ports() {
    { sshd -T 2>/dev/null | sed -n 's/^port //p'; echo "$1"; } | grep -x '[0-9][0-9]*' | sort -u -n | paste -s -d , -
}

# The line that tells the rules where SSH is.
definition() {
    printf 'define ssh = { %s }\n' "$1"
}

# Whether sshd answers a new connection that comes in by a network card, as from another machine.
ssh_answers() {
    cleanup
    trap cleanup EXIT
    ip netns add "$space"
    ip link add dtk-fw-out type veth peer name dtk-fw-in netns "$space"
    ip addr add 169.254.253.1/30 dev dtk-fw-out
    ip link set dtk-fw-out up
    ip -n "$space" addr add 169.254.253.2/30 dev dtk-fw-in
    ip -n "$space" link set dtk-fw-in up
    for port in $(echo "$1" | tr , ' '); do
        # Any one of sshd's ports is enough: a line of its configuration may name another one for later.
        ! timeout 5 ip netns exec "$space" bash -c "read -r line </dev/tcp/169.254.253.1/$port && [ \"\${line#SSH-}\" != \"\$line\" ]" \
            2>/dev/null || return 0
    done
    return 1
}

cleanup() {
    ip link del dtk-fw-out 2>/dev/null || true
    ip netns del "$space" 2>/dev/null || true
}

load() {
    nft -f "$1"
}

drop() {
    nft list table inet dtk_firewall >/dev/null 2>&1 && nft delete table inet dtk_firewall || true
}

case $1 in
    apply)
        # The caller's connection may be cut off: whatever happens to it, the check below is carried out.
        trap '' HUP PIPE
        ports=$(ssh_ports "${2-}")
        [ -n "$ports" ] || fail "no port of sshd is known: nothing was changed"
        new=$here/firewall.new.nft
        { definition "$ports"; cat "$here/firewall.nft"; } >"$new"
        nft -c -f "$new" || fail "nft does not accept these rules: nothing was changed"
        load "$new"
        if ! ssh_answers "$ports"; then
            if [ -e "$applied" ]; then load "$applied"; else drop; fi
            fail "with these rules, SSH does not answer on port $ports: the previous ones were restored"
        fi
        cp "$here/firewall.nft" "$here/firewall.source.nft"
        mv -f "$new" "$applied"
        systemctl daemon-reload
        systemctl enable --quiet dtk-firewall.service
        ;;
    load) load "$applied" ;;
    current)
        cmp -s "$here/firewall.nft" "$here/firewall.source.nft" &&
            [ "$(head -n 1 "$applied")" = "$(definition "$(ssh_ports "${2-}")")" ] &&
            nft list table inet dtk_firewall >/dev/null 2>&1 && systemctl is-enabled --quiet dtk-firewall.service
        ;;
    smoke_test)
        nft list table inet dtk_firewall | grep -E 'policy|dport' | sed 's/^[[:space:]]*//'
        ssh_answers "$(ssh_ports "${2-}")" || fail "SSH does not answer through the firewall"
        echo "SSH answers"
        ;;
    remove)
        systemctl disable --quiet dtk-firewall.service 2>/dev/null || true
        drop
        rm -f /etc/systemd/system/dtk-firewall.service "$here"/firewall.*
        systemctl daemon-reload
        ;;
esac
