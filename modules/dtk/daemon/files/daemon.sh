#!/bin/sh
# Keeps named programs running: as systemd units where there is systemd and root's rights, else under a supervisor of
# its own, with nothing but a POSIX shell.
#
#   daemon.sh start [OPTION]… NAME [READY] -- COMMAND…   start it and wait until it is ready
#   daemon.sh start @DESCRIPTION                         the same, as a file says it
#   daemon.sh current [-f FILE]… NAME -- COMMAND…        whether it runs just so: exit code 1 when start would do something
#   daemon.sh current @DESCRIPTION
#   daemon.sh stop NAME                                  end it, by force after 20 seconds; fine when it does not run
#   daemon.sh restart NAME [READY]                       stop it and start it as it was started last
#   daemon.sh status NAME                                say whether it runs; exit code 1 when it does not
#
#   -f FILE                     what the program reads when it starts: other contents are a reason to replace it
#   --ready-log TEXT            it is ready when its log holds this (READY says the same)
#   --ready-port [HOST:]PORT    when it listens there
#   --ready-command COMMAND     when this shell command succeeds
#   --within SECONDS            how long it may take until it is ready; 60 where nothing is said
#
# A description has a line for each of them, and empty lines and comments (#):
#
#   name store
#   command bin/store --data 'my data'      words, quoted as a shell has them
#   file etc/store.conf
#   ready-port 127.0.0.1:7000
#   within 120
#
# One that runs with another command line, or had other contents in a FILE when it started, is replaced. One that ends
# by itself is started again. What it writes is kept in run/NAME.log beside this script (run/NAME.log.1 for the time
# before), so that a program which can't start says why.
set -u

within=60          # seconds until it is ready; a cold Python or Java on a busy machine takes most of ten
stopped_within=20  # seconds before an orderly end becomes a kill
again_after=5      # seconds before a program that ended by itself is started again

here=$(cd "$(dirname -- "$0")" && pwd)
run=$here/run

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

usage() {
    fail "usage: daemon.sh start [-f FILE]… [--ready-log TEXT | --ready-port [HOST:]PORT | --ready-command COMMAND]" \
        "[--within SECONDS] NAME [READY] -- COMMAND… | start @DESCRIPTION | current [-f FILE]… NAME -- COMMAND… |" \
        "current @DESCRIPTION | stop NAME | restart NAME [READY] | status NAME"
}

pause() {
    sleep 0.1 2>/dev/null || sleep 1  # fractions are an extension that every sleep in use has
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

has_systemd() {
    [ -d /run/systemd/system ] && as_root true 2>/dev/null
}

# When the process with the pid $1 started; empty when there is none, or when it is a zombie.
birth() {
    if [ -r /proc/self/stat ]; then
        # The name, in brackets, may hold blanks; the state is the first word behind it, the start the twentieth.
        sed -e 's/.*) //' "/proc/$1/stat" 2>/dev/null | awk '$1 != "Z" { print $20 }'
    else
        ps -p "$1" -o state= -o lstart= 2>/dev/null | sed -e '/^Z/d'
    fi
}

# Whether $pid, from the file run/NAME.$1, is the process noted there: a pid alone is no proof, after a reboot it may be
# anybody's.
is_noted() {
    pid=$(cat "$run/$name.$1" 2>/dev/null) || return 1
    noted=$(cat "$run/$name.$1-birth" 2>/dev/null) || return 1
    [ -n "$noted" ] && [ "$(birth "$pid")" = "$noted" ]
}

note() {
    birth "$2" >"$run/$name.$1-birth"
    echo "$2" >"$run/$name.$1"
}

is_running() {
    if [ -e "$run/$name.unit" ]; then
        pid=$(systemctl show --property MainPID --value "dtk-$name.service")
        [ "${pid:-0}" != 0 ]
    else
        is_noted pid
    fi
}

# Takes what a description says; its command is left in $words.
read_description() {
    [ -r "$1" ] || fail "the description $1 can't be read"
    name=
    words=
    while IFS= read -r line || [ -n "$line" ]; do
        value=${line#* }
        case $line in
            '' | '#'*) ;;
            'name '*) name=$value ;;
            'command '*) words=$value ;;
            'file '*) add_file "$value" ;;
            'ready-log '* | 'ready-port '* | 'ready-command '*) ready_by "${line%% *}" "$value" ;;
            'within '*) set_within "$value" ;;
            *) fail "$1: '$line' is not a name, command, file, ready-log, ready-port, ready-command or within" ;;
        esac
    done <"$1"
    [ -n "$name" ] && [ -n "$words" ] || fail "$1 has no name or no command"
}

add_file() {
    files=$files$1'
'
}

ready_by() {
    [ -n "$2" ] || usage
    kind=${1#--}
    kind=${kind#ready-}
    ready=$2
}

set_within() {
    case $1 in '' | *[!0-9]*) fail "'$1' is not a number of seconds" ;; esac
    within=$1
}

# Whether the program is ready, as it was said that this shows.
is_ready() {
    case $kind in
        log) grep -q -F -e "$ready" "$run/$name.log" ;;
        port) listens "$ready" ;;
        command) sh -c "$ready" >/dev/null 2>&1 ;;
    esac
}

# Whether anything listens on [HOST:]PORT: of an IPv4 address just there, or on all; of any other host on the port.
listens() {
    host=
    case $1 in *:*) host=${1%:*} ;; esac
    if [ ! -r /proc/net/tcp ]; then
        nc -z "${host:-127.0.0.1}" "${1##*:}" >/dev/null 2>&1
        return
    fi
    address=
    case $host in
        '' | *[!0-9.]*) ;;
        *) address=$(IFS=. && set -- $host && printf '%02X%02X%02X%02X' "$4" "$3" "$2" "$1") ;;
    esac
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v address="$address" -v port="$(printf %04X "${1##*:}")" '
        $4 == "0A" {
            split($2, at, ":")
            if (at[2] == port && (at[1] ~ (address "$") || at[1] ~ /^0+$/)) found = 1
        }
        END { exit !found }'
}

# What start was told, and what is in the files that it depends on.
wanted() {
    for word; do printf '%s\n' "$word"; done
    [ -z "$files" ] || printf '%s' "$files" | while IFS= read -r file; do cksum "$file"; done
}

is_current() {
    is_running && [ "$(cat "$run/$name.wanted" 2>/dev/null)" = "$(wanted "$@")" ]
}

stop() {
    if [ -e "$run/$name.unit" ]; then
        as_root systemctl disable --quiet --now "dtk-$name.service" 2>/dev/null
        as_root rm -f "/etc/systemd/system/dtk-$name.service"
        as_root systemctl daemon-reload
        rm -f "$run/$name.unit"
        return
    fi
    end supervisor
    end pid
}

# Ends the process noted as $1. A supervisor passes the signal on, and ends after its program.
end() {
    is_noted "$1" || return 0
    kill "$pid" 2>/dev/null
    deadline=$(($(date +%s) + stopped_within))
    while is_noted "$1"; do
        # The clock has whole seconds: at the deadline, part of the last one is left.
        if [ "$(date +%s)" -gt "$deadline" ]; then
            kill -KILL "$pid" 2>/dev/null
        fi
        pause
    done
    rm -f "$run/$name.$1" "$run/$name.$1-birth"
}

# Prints where the log is and its end, then one line with the reason: of a chain of errors, the first.
give_up() {
    stop
    printf '%s ends with:\n' "$run/$name.log" >&2
    tail -n 4 "$run/$name.log" >&2
    reason=$(grep -E -m 1 '^[A-Za-z_.]*(Error|Exception)(:|$)' "$run/$name.log")
    fail "$name $1${reason:+: $reason}"
}

# A script that becomes the program, with its words quoted.
write_script() {
    {
        printf '#!/bin/sh\ncd %s && exec' "$(quoted "$PWD")"
        for word; do printf ' %s' "$(quoted "$word")"; done
        printf '\n'
    } >"$run/$name.start"
}

quoted() {
    printf "'%s'" "$(printf '%s' "$1" | sed -e "s/'/'\\\\''/g")"
}

start_unit() {
    as_root tee "/etc/systemd/system/dtk-$name.service" >/dev/null <<UNIT
[Unit]
Description=$name (kept running by dtk)
Wants=network-online.target
After=network-online.target
[Service]
User=$(id -un)
Environment="HOME=$HOME"
ExecStart=/bin/sh "$run/$name.start"
StandardOutput=append:$run/$name.log
StandardError=append:$run/$name.log
Restart=always
RestartSec=$again_after
# How Java's programs end when they are told to.
SuccessExitStatus=143
[Install]
WantedBy=multi-user.target
UNIT
    touch "$run/$name.unit"
    as_root systemctl daemon-reload
    as_root systemctl enable --quiet --now "dtk-$name.service"
}

start_supervisor() {
    # A session of its own: what ends the shell that started it must not end the program.
    if command -v setsid >/dev/null; then
        setsid sh "$here/daemon.sh" supervise "$name" >>"$run/$name.log" 2>&1 </dev/null &
    else
        nohup sh "$here/daemon.sh" supervise "$name" >>"$run/$name.log" 2>&1 </dev/null &
    fi
    supervisor=$!
    note supervisor "$supervisor"
}

# The supervisor: runs the program, and again when it ends by itself after it was up.
supervise() {
    stopping=
    child=
    trap 'stopping=yes; [ -z "$child" ] || kill "$child" 2>/dev/null' TERM
    while [ -z "$stopping" ]; do
        sh "$run/$name.start" &
        child=$!
        note pid "$child"
        [ -z "$stopping" ] || kill "$child"
        # A signal ends the waiting, not the program.
        while kill -0 "$child" 2>/dev/null; do
            wait "$child"
            code=$?
        done
        child=
        [ -z "$stopping" ] || break
        if [ ! -e "$run/$name.up" ]; then
            exit "$code"
        fi
        echo "$name ended with exit code $code; again in $again_after seconds"
        sleep "$again_after" &
        wait $!
    done
}

has_ended() {
    if [ -e "$run/$name.unit" ]; then
        # Asked for in one: between two questions it could end, and would have ended with 0.
        shown=$(systemctl show --property MainPID --property ExecMainStatus "dtk-$name.service")
        code=$(printf '%s\n' "$shown" | sed -n -e 's/^ExecMainStatus=//p')
        printf '%s\n' "$shown" | grep -q -x MainPID=0
    else
        [ -z "$(birth "$supervisor")" ] && { wait "$supervisor"; code=$?; }
    fi
}

start() {
    if is_current "$@"; then
        echo "$name runs already, pid $pid"
        return
    fi
    stop
    write_script "$@"
    wanted "$@" >"$run/$name.wanted"
    launch
}

# Starts what was written down, and waits until it is up.
launch() {
    if [ "$kind" = port ] && listens "$ready"; then
        fail "$name can't be started: another program listens on $ready"
    fi
    printf '%s\n%s\n%s\n' "$kind" "$within" "$ready" >"$run/$name.ready"
    [ ! -f "$run/$name.log" ] || mv -f "$run/$name.log" "$run/$name.log.1"
    rm -f "$run/$name.up"
    : >"$run/$name.log"
    if has_systemd; then start_unit; else start_supervisor; fi
    deadline=$(($(date +%s) + within))
    until is_ready; do
        if has_ended; then
            give_up "ended with exit code $code before it was up"
        fi
        if [ "$(date +%s)" -gt "$deadline" ]; then
            give_up "was not up within $within seconds ($kind $ready)"
        fi
        pause
    done
    touch "$run/$name.up"
    is_running || give_up "ended as soon as it was up"
    echo "$name is up, pid $pid"
}

verb=${1-}
[ $# -eq 0 ] || shift
files=
kind=
ready=
while :; do
    case ${1-} in
        -f | --ready-log | --ready-port | --ready-command | --within) [ $# -ge 2 ] || usage ;;
    esac
    case ${1-} in
        -f) add_file "$2" ;;
        --ready-*) ready_by "$1" "$2" ;;
        --within) set_within "$2" ;;
        *) break ;;
    esac
    shift 2
done
name=${1-}
[ -n "$name" ] || usage
shift
mkdir -p "$run"
case $name in
    @*)
        [ $# -eq 0 ] || usage
        read_description "${name#@}"
        eval "set -- -- $words"
        ;;
esac

case $verb in
    start)
        if [ -z "$kind" ]; then
            ready_by log "${1-}"
            shift
        fi
        [ "${1-}" = -- ] && [ $# -gt 1 ] || usage
        shift
        start "$@"
        ;;
    current)
        [ "${1-}" = -- ] && [ $# -gt 1 ] || usage
        shift
        is_current "$@"
        ;;
    restart)
        [ -f "$run/$name.start" ] || usage
        if [ $# -gt 0 ]; then
            ready_by log "$1"
        elif [ -f "$run/$name.ready" ]; then
            { read -r kind && read -r within && ready=$(cat); } <"$run/$name.ready"
        else
            usage
        fi
        stop
        launch
        ;;
    stop) stop && echo "$name is stopped" ;;
    status)
        is_running || fail "$name does not run"
        echo "$name runs, pid $pid"
        ;;
    supervise) supervise ;;
    *) usage ;;
esac
