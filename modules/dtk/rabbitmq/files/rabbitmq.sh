#!/bin/sh
# Manages this node's broker. Needs root.
#
#   rabbitmq.sh take DIRECTORY     use the key and the certificates in DIRECTORY
#   rabbitmq.sh has DIRECTORY      whether they are in use
#   rabbitmq.sh start              start the broker, and wait until it serves clients
#   rabbitmq.sh restart            the same, after stopping it when no queue loses its majority
#   rabbitmq.sh users NAME         create the user, set its password from /etc/rabbitmq/password, remove guest
#   rabbitmq.sh grow               give each quorum queue a copy on each broker
#   rabbitmq.sh forget HOST=ADDRESS…    remove brokers from the cluster that are not among these
set -eu
tls=/etc/rabbitmq/tls
verb=$1
shift

start() {
    systemctl unmask rabbitmq-server
    systemctl enable --quiet rabbitmq-server
    systemctl restart rabbitmq-server
    rabbitmqctl -q await_startup --timeout 300
}

# nodes all|all_running: the names of the cluster's brokers
nodes() {
    rabbitmqctl -q eval "string:join([atom_to_list(Node) || Node <- rabbit_nodes:$1()], \" \")." | tr -d '"'
}

case $verb in
    take)
        for file in ca.pem certificate.pem key.pem; do
            install -o rabbitmq -g rabbitmq -m 600 "$1/$file" "$tls/$file.new"
        done
        for file in ca.pem certificate.pem key.pem; do mv "$tls/$file.new" "$tls/$file"; done
        ;;
    has)
        for file in ca.pem certificate.pem key.pem; do cmp -s "$1/$file" "$tls/$file"; done
        ;;
    start) start ;;
    restart)
        if systemctl is-active --quiet rabbitmq-server; then
            # Fails, and says so, while a queue has too few copies in sync without this broker.
            rabbitmq-upgrade -q await_online_quorum_plus_one --timeout 300
        fi
        start
        ;;
    users)
        users=$(rabbitmqctl -q list_users --no-table-headers | cut -f 1)
        if printf '%s\n' "$users" | grep -qxF -- "$1"; then
            rabbitmqctl -q change_password "$1" </etc/rabbitmq/password
        else
            rabbitmqctl -q add_user "$1" </etc/rabbitmq/password
            rabbitmqctl -q set_permissions "$1" '.*' '.*' '.*'
        fi
        if [ "$1" != guest ] && printf '%s\n' "$users" | grep -qx guest; then
            rabbitmqctl -q delete_user guest
        fi
        echo "user $1 has its password"
        ;;
    grow)
        for node in $(nodes all_running); do
            rabbitmq-queues -q grow "$node" all
        done
        ;;
    forget)
        for node in $(nodes all); do
            for broker; do
                [ "rabbit@${broker%%=*}" != "$node" ] || continue 2
            done
            rabbitmq-queues -q shrink "$node"
            rabbitmqctl -q -n "$node" stop_app || echo "$node does not answer"
            rabbitmqctl -q forget_cluster_node "$node"
            echo "removed $node"
        done
        ;;
esac
