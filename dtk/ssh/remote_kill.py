"""Ends processes on a node by a mark in their environment: those of a step, a command or earlier tasks."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MARK = "DTK_STEP"
SEARCH_MARK = "DTK_SEARCH"
"""The variable with the same marks in the environment of a search that precedes a command."""

_FIND = r"""
root=
if [ -n "$as_root" ] && sudo -n true 2>/dev/null; then root='sudo -n'; fi
# Busybox's grep sees no further than a line's first NUL, which is an environment's first variable.
whole=
if printf 'a\0b\n' | grep -qF b 2>/dev/null; then whole=yes; fi
# A process's environment, one variable a line.
environment_of() {
  if [ -d /proc/self ]; then
    $root cat "/proc/$1/environ" 2>/dev/null | tr '\0' '\n'
  else
    $root ps -E -ww -p "$1" -o command= 2>/dev/null | tr ' ' '\n'
  fi
}
# Local nodes share a machine, and each process names its node in DTK_NODE. What another node runs may be this task's.
of_this_node() {
  if [ -z "${DTK_NODE-}" ]; then cat; return; fi
  while read -r pid; do
    if environment_of "$pid" | grep -qxF "DTK_NODE=$DTK_NODE"; then echo "$pid"; fi
  done
}
found() {
  if [ -d /proc/self ] && [ -z "$whole" ]; then
    for file in /proc/[0-9]*/environ; do
      if $root cat "$file" 2>/dev/null | tr '\0' '\n' | grep -qF -e "DTK_STEP=$mark" -e "DTK_SEARCH=$mark"; then
        file=${file#/proc/}
        echo "${file%/environ}"
      fi
    done
  elif [ -d /proc/self ]; then
    $root grep -lsF -e "DTK_STEP=$mark" -e "DTK_SEARCH=$mark" /proc/[0-9]*/environ 2>/dev/null |
      sed 's|^/proc/||; s|/environ$||'
  else
    $root ps -A -E -ww -o pid=,command= 2>/dev/null |
      OF="$mark" awk 'index($0, "DTK_" "STEP=" ENVIRON["OF"]) || index($0, "DTK_" "SEARCH=" ENVIRON["OF"]) { print $1 }'
  fi | of_this_node
}
# The marks of the processes found, one a line with the process in front: 123 1a2b3c4d-7-3.1.1-2-123
marked() {
  for pid in $(found); do
    environment_of "$pid" | sed -n "s/^DTK_STEP=/$pid /p" | head -n 1
  done
}
# The marks of the earlier tasks' unfinished commands.
unfinished() {
  mark=$lineage-
  marked | while read -r pid mark; do
    rest=${mark#"$lineage-"}
    # The first process of a command carries its own number: while it lives, the command has not ended.
    if [ "${rest%%-*}" $of_tasks ] 2>/dev/null && [ "${mark##*-}" = "$pid" ]; then echo "${mark%-*}-"; fi
  done
}
"""
_END = r"""
end() {
  pids=$(found)
  [ -z "$pids" ] && return 0
  $root kill -TERM $pids 2>/dev/null
  tries=0
  while [ $tries -lt $most_tries ]; do
    sleep 0.2 2>/dev/null || sleep 1
    pids=$(found)
    [ -z "$pids" ] && return 0
    tries=$((tries + 1))
  done
  # A process that makes others while it is being ended is caught by the second round.
  $root kill -KILL $pids 2>/dev/null
  sleep 0.2 2>/dev/null || sleep 1
  pids=$(found)
  [ -z "$pids" ] && return 0
  $root kill -KILL $pids 2>/dev/null
  return 1
}
[ -z "$lineage" ] || marks="$marks $(unfinished)"
code=0
for mark in $marks; do
  end || { code=1; echo "$mark"; }
done
exit $code
"""
_SEARCH = r"""
# The nonce comes second in the environment: a grep that sees no further than the first variable does not find itself.
look() {
  "$@" env -i PATH="$PATH" DTK_NONCE="$nonce" \
    grep -lsF -e "DTK_STEP=$lineage-" -e "$nonce" /proc/self/environ /proc/[0-9]*/environ
}
looked=
[ -z "$as_root" ] || looked=$(look sudo -n)
by_root=$looked
# Where sudo permits some programs only, the search below uses those.
[ -n "$looked" ] || { [ -n "$as_root" ] && sudo -n true; } || looked=$(look)
others=unknown
case $looked in
/proc/self/environ*)
  # A grep that works found itself. As a rule, there is nothing else.
  others=
  for file in ${looked#/proc/self/environ}; do
    # Without sudo between, the list of files may have the number of grep's own process, which is gone.
    if [ -n "$by_root" ] || [ -e "$file" ]; then others=$file; fi
  done
esac
if [ -n "$others" ]; then
"""
_GRACE_TRIES = 20


@dataclass(frozen=True)
class Older:
    """The commands of a service's earlier tasks: those whose marks begin with ``lineage``.

    ``before``: only tasks with a lower number. None means all tasks, because other clones number their own.
    """

    lineage: str
    before: int | None


def marking_shell(mark: str, shell: str) -> str:
    """Return the shell words, to precede ``-c COMMAND``, that start a shell whose processes carry a mark.

    The mark ends with the process id of the command's first process. A process that a command leaves running on
    purpose, such as a daemon, inherits the mark; the id distinguishes it from a command that has not ended.

    Args:
        mark: ``LINEAGE-TASK-STEP-COMMAND-``.
        shell: the shell.
    """
    return f"sh -c 'export {MARK}={mark}$$; exec \"$@\"' - {shell}"


def kill_script(marks: Sequence[str], *, as_root: bool, older: Older | None = None) -> str:
    """Return a POSIX shell script for the standard input of ``sh -s`` that ends all processes with any of the marks.

    They get TERM, and about four seconds later KILL. On the standard input, the marks appear in no command line, which
    ``ps -E`` would show next to the environments. The script prints the marks whose processes it could not end, and
    exits with 1 if there are any.

    Args:
        marks: prefixes of the marks, e.g. ``1a2b3c4d-7-3.1.1-`` for all commands of a step.
        as_root: also end processes of other users, with ``sudo -n`` where it is allowed.
        older: also end every unfinished command of these tasks.
    """
    given = {"marks": " ".join(marks), "most_tries": str(_GRACE_TRIES)}
    return _assigned(older, given, as_root=as_root) + _FIND + _END


def search_script(nonce: str, *, as_root: bool, older: Older) -> str:
    """Return a POSIX shell script that prints the marks of all unfinished commands of these tasks.

    As a rule there are none, which a single process finds out.

    Args:
        nonce: a text that is in no environment.
        as_root: also look for processes of other users, with ``sudo -n`` where it is allowed.
        older: the tasks.
    """
    return f"{_assigned(older, {'nonce': nonce}, as_root=as_root)}{_SEARCH}{_FIND}unfinished\nfi\nexit 0\n"


def _assigned(older: Older | None, more: Mapping[str, str], *, as_root: bool) -> str:
    """Return the assignments of the variables that the scripts use."""
    before = older.before if older else None
    variables = {
        "as_root": "yes" if as_root else "",
        "lineage": older.lineage if older else "",
        "of_tasks": "-ge 0" if before is None else f"-lt {before}",
        **more,
    }
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items())
