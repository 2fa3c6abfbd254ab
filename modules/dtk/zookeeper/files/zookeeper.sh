#!/bin/sh
# What a server is, and what is asked of it.
#
#   zookeeper.sh prepare                     unpack ZooKeeper, and Java where the machine has none
#   zookeeper.sh prepared                    whether that was done
#   zookeeper.sh serve                       become the server
#   zookeeper.sh ready                       whether it takes part in a majority
#   zookeeper.sh cli COMMAND…                ask this server with ZooKeeper's own command line
#   zookeeper.sh smoke_test HOST:PORT…       write a value here, and read it on each server
set -eu
here=$(cd "$(dirname -- "$0")" && pwd)
. "$here/environment.sh"
jars=$here/packages/usr/share/java

find_java() {
    [ -n "$java" ] || java=$(command -v java || ls "$here"/packages/usr/lib/jvm/*/bin/java 2>/dev/null | head -n 1)
    [ -n "$java" ]
}

run() {
    find_java
    classes=$here
    for jar in zookeeper zookeeper-jute slf4j-api slf4j-log4j12 log4j-1.2 netty-all netty-buffer netty-codec netty-common \
        netty-handler netty-resolver netty-transport netty-transport-native-epoll netty-transport-native-unix-common \
        metrics-core snappy-java commons-cli commons-io jackson-core jackson-databind jackson-annotations; do
        classes=$classes:$jars/$jar.jar
    done
    exec "$java" -cp "$classes" "$@"
}

# Whether the server at HOST:PORT takes part in a majority.
serves() {
    timeout 5 bash -c 'exec 3<>"/dev/tcp/$1/$2" && echo srvr >&3 && cat <&3' bash "${1%:*}" "${1##*:}" 2>/dev/null |
        grep -q '^Mode:'
}

ask() {
    server=$1
    shift
    (run -XX:TieredStopAtLevel=1 -Ddtk.level=ERROR org.apache.zookeeper.ZooKeeperMain -server "$server" "$@")
}

case $1 in
    prepare)
        "$here/unpack.sh" zookeeper libzookeeper-java libslf4j-java liblog4j1.2-java libdropwizard-metrics-java libcommons-cli-java \
            libcommons-io-java libnetty-java libsnappy-java libjackson2-core-java libjackson2-databind-java libjackson2-annotations-java
        if ! find_java; then
            "$here/unpack.sh" "$(apt-cache depends default-jre-headless | sed -n 's/.*Depends: \(openjdk-[0-9]*-jre-headless\)/\1/p')"
            # Its settings are links to /etc, where nothing was installed.
            find "$here/packages/usr/lib/jvm" -type l -lname '/etc/*' | while IFS= read -r link; do
                ln -sfn "$here/packages$(readlink "$link")" "$link"
            done
            find_java
        fi
        ;;
    prepared) [ -e "$jars/zookeeper.jar" ] && find_java ;;
    serve)
        cd "$here"
        run "-Xmx$memory" -Ddtk.level=INFO -Dlog4j.configuration=file:log4j.properties org.apache.zookeeper.server.quorum.QuorumPeerMain zoo.cfg
        ;;
    ready) serves "$client" ;;
    cli)
        shift
        ask "$client" "$@"
        ;;
    smoke_test)
        shift
        value=$$-$(date +%s)
        ask "$client" create /dtk_smoke_test "$value" >/dev/null 2>&1 || true
        ask "$client" set /dtk_smoke_test "$value" >/dev/null
        for endpoint; do
            tries=0
            # A follower may be a moment behind.
            until ask "$endpoint" get /dtk_smoke_test 2>/dev/null | grep -q -x "$value"; do
                tries=$((tries + 1))
                [ "$tries" -lt 10 ] || {
                    echo "$endpoint does not have '$value'" >&2
                    exit 1
                }
                sleep 0.5
            done
            echo "read on $endpoint"
        done
        ;;
esac
