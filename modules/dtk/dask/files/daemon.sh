#!/bin/sh
# Keeps one named process running in the background, with nothing but a POSIX shell: for nodes without an init system.
#
#   daemon.sh start NAME READY -- COMMAND…   start it and wait until its log says READY; no-op when it runs already
#   daemon.sh stop NAME                      end it, by force after 20 seconds; fine when it does not run
#   daemon.sh status NAME                    say whether it runs; exit code 1 when it does not
#
# A running process with another command line is replaced. What it writes is kept in run/NAME.log beside this script
# (and run/NAME.log.1 for the time before), so that a process which can't start says why.
set -u

started_within=60  # seconds; a cold Python on a busy machine takes most of ten
stopped_within=20  # seconds before an orderly end becomes a kill

run=$(dirname -- "$0")/run

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

pause() {
    sleep 0.1 2>/dev/null || sleep 1  # fractions are an extension that every sleep in use has
}

# Whether the process with the pid $1 is there. One that nobody has reaped yet is not: all it held is free.
is_alive() {
    kill -0 "$1" 2>/dev/null || return 1
    if [ -r "/proc/$1/stat" ]; then
        state=$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null)
    else
        state=$(ps -p "$1" -o stat= 2>/dev/null)
    fi
    case $state in
        Z* | X* | '') return 1 ;;
    esac
}

# The command line of the process with the pid $1; empty when there is none.
command_line() {
    if [ -r "/proc/$1/cmdline" ]; then
        tr '\0' ' ' <"/proc/$1/cmdline" 2>/dev/null
    else
        ps -ww -p "$1" -o command= 2>/dev/null
    fi
}

# Whether $pid is our process. A pid alone is no proof: after a reboot it may be anybody's.
is_running() {
    pid=$(cat "$run/$name.pid" 2>/dev/null) || return 1
    started=$(cat "$run/$name.command" 2>/dev/null) || return 1
    case $(command_line "$pid") in
        *"$started"*) return 0 ;;
        *) return 1 ;;
    esac
}

stop() {
    is_running || return 0
    kill "$pid" 2>/dev/null
    deadline=$(($(date +%s) + stopped_within))
    # Its command line is gone a moment before its ports are.
    while is_alive "$pid"; do
        [ "$(date +%s)" -lt "$deadline" ] || kill -KILL "$pid" 2>/dev/null
        pause
    done
    rm -f "$run/$name.pid"
}

# Prints where the log is and its end, then one line with the reason: of a chain of Python errors, the first.
give_up() {
    printf '%s ends with:\n' "$run/$name.log" >&2
    tail -n 4 "$run/$name.log" >&2
    reason=$(grep -E -m 1 '^[A-Za-z_.]*(Error|Exception)(:|$)' "$run/$name.log")
    fail "$name $1${reason:+: $reason}"
}

start() {
    if is_running && [ "$started" = "$*" ]; then
        echo "$name runs already, pid $pid"
        return
    fi
    stop
    [ ! -f "$run/$name.log" ] || mv -f "$run/$name.log" "$run/$name.log.1"
    printf '%s' "$*" >"$run/$name.command"
    : >"$run/$name.log"
    # A session of its own: what ends the shell that started it must not end the process.
    if command -v setsid >/dev/null; then
        setsid "$@" >>"$run/$name.log" 2>&1 </dev/null &
    else
        nohup "$@" >>"$run/$name.log" 2>&1 </dev/null &
    fi
    child=$!
    echo "$child" >"$run/$name.pid"
    deadline=$(($(date +%s) + started_within))
    while :; do
        if ! is_alive "$child"; then
            wait "$child"
            give_up "ended with exit code $? before it was up"
        fi
        ! grep -q -F -e "$ready" "$run/$name.log" || break
        if [ "$(date +%s)" -ge "$deadline" ]; then
            stop
            give_up "was not up within $started_within seconds"
        fi
        pause
    done
    echo "$name is up, pid $child"
}

verb=${1-}
name=${2-}
[ -n "$name" ] || fail "usage: daemon.sh start NAME READY -- COMMAND… | stop NAME | status NAME"
mkdir -p "$run"

case $verb in
    start)
        ready=${3-}
        [ "${4-}" = -- ] && [ $# -gt 4 ] || fail "usage: daemon.sh start NAME READY -- COMMAND…"
        shift 4
        start "$@"
        ;;
    stop) stop && echo "$name is stopped" ;;
    status)
        is_running || fail "$name does not run"
        echo "$name runs, pid $pid"
        ;;
    *) fail "daemon.sh: unknown verb '$verb'" ;;
esac
