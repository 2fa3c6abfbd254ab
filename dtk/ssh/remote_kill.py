"""Ends processes on a node by the mark that their environment carries: a step's, or one command's."""

from __future__ import annotations

MARK = "DTK_STEP"

_SCRIPT = r"""
mark={mark}
as_root={as_root}
root=
if [ -n "$as_root" ] && sudo -n true 2>/dev/null; then root='sudo -n'; fi
found() {{
  if [ -d /proc/self ]; then
    $root grep -lsF "DTK_STEP=$mark" /proc/[0-9]*/environ 2>/dev/null | sed 's|^/proc/||; s|/environ$||'
  else
    $root ps -A -E -ww -o pid=,command= 2>/dev/null |
      OF="$mark" awk 'index($0, "DTK_" "STEP=" ENVIRON["OF"]) {{ print $1 }}'
  fi
}}
pids=$(found)
[ -z "$pids" ] && exit 0
$root kill -TERM $pids 2>/dev/null
tries=0
while [ $tries -lt {tries} ]; do
  sleep 0.2 2>/dev/null || sleep 1
  pids=$(found)
  [ -z "$pids" ] && exit 0
  tries=$((tries + 1))
done
# A process that makes others while it is being ended is caught by the second round.
$root kill -KILL $pids 2>/dev/null
sleep 0.2 2>/dev/null || sleep 1
pids=$(found)
[ -z "$pids" ] && exit 0
$root kill -KILL $pids 2>/dev/null
exit 1
"""
_GRACE_TRIES = 20


def kill_script(mark: str, *, as_root: bool) -> str:
    """Return a POSIX shell script for the standard input of ``sh -s`` that ends all processes with a mark.

    They get TERM, and about four seconds later KILL. Given on the standard input, the mark is in no command line,
    which ``ps -E`` would show beside environments.

    Args:
        mark: the beginning of the mark's value, e.g. ``1a2b3c4d-7-3.1.1-`` for all commands of a step.
        as_root: also look, with ``sudo -n`` where it is allowed, at processes of other users.
    """
    return _SCRIPT.format(mark=mark, as_root="yes" if as_root else "", tries=_GRACE_TRIES)
