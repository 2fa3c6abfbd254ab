"""OpenSSH's command lines for nodes, and their runs: one in the terminal, or the same command on many nodes at once."""

from __future__ import annotations

import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from threading import Lock, Thread
from typing import IO, Self

import typer

from dtk.errors import DtkError
from dtk.model.ssh_address import SshAddress, parse_jumps
from dtk.nodes.provider import Connection
from dtk.views.formatting import CYAN, GREEN, YELLOW, colored, harmless

CONNECT_SECONDS = 20
MOST_AT_ONCE = 32
"""Nodes that a command runs on at the same time."""
_SIGNALLED = 128
_NODE_COLORS = (CYAN, GREEN, YELLOW)
_USUAL_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")


def ssh_arguments(connection: Connection, known_hosts: Path, user: str = "") -> list[str]:
    """Return OpenSSH's command line for a node: its key, its pinned host key, its jump host."""
    options = _options(connection.key, known_hosts)
    proxy = _literal(connection.proxy_command)
    for jump in parse_jumps(connection.jump):
        proxy = _way_through(jump, connection.jump_key or connection.key, known_hosts, proxy)
    options += ["-o", f"ProxyCommand={proxy}"] if proxy else []
    login = user or connection.user
    where = f"{login}@{connection.hostname}" if login else connection.hostname
    return ["ssh", *options, "-p", str(connection.port), where]


def _way_through(jump: SshAddress, key: str, known_hosts: Path, before: str) -> str:
    """Return the command whose streams lead through a jump host, which is itself reached by the one ``before``.

    Not -J: jump hosts are reached with keys of their own, and the same pinned host keys.
    """
    own = ["-o", f"ProxyCommand={before}"] if before else []
    login = ["-l", jump.user] if jump.user else []
    options = [*_options("", known_hosts), *own, *_offered(key), *login, "-p", str(jump.port)]
    # Its own tokens are for the ssh that runs it to fill in; what else has a % in it passes through unharmed.
    return shlex.join(["ssh", *map(_literal, options), "-W", "[%h]:%p", _literal(jump.host)])


def _options(key: str, known_hosts: Path) -> list[str]:
    settings = [
        f"UserKnownHostsFile={_written(str(known_hosts))}",
        "GlobalKnownHostsFile=/dev/null",
        # Pinned at first contact and checked from then on, as tasks do; readable, as they expect it.
        "StrictHostKeyChecking=accept-new",
        "HashKnownHosts=no",
        f"ConnectTimeout={CONNECT_SECONDS}",
    ]
    settings += ["IdentitiesOnly=yes"] if key else []
    options = [word for setting in settings for word in ("-o", setting)]
    return [*options, *_identity(Path(key).expanduser())] if key else options


def _identity(key: Path) -> list[str]:
    # Not -i: it takes a path with % in it for another one.
    return ["-o", f"IdentityFile={_written(str(key))}"]


def _literal(path: str) -> str:
    """Return a path as ssh takes it on its command line, where % begins a token."""
    return path.replace("%", "%%")


def _written(path: str) -> str:
    """Return a path as ssh takes it in a setting, where blanks part words and quotes keep them together."""
    escaped = _literal(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _offered(key: str) -> list[str]:
    """Offer a key and then the user's own: those of the agent, and the usual ones, which one that is named replaces."""
    if not key:
        return []
    usual = (Path("~/.ssh").expanduser() / name for name in _USUAL_KEYS)
    return [word for file in (Path(key).expanduser(), *usual) if file.exists() for word in _identity(file)]


def run_in_terminal(arguments: Sequence[str], command: Sequence[str]) -> int:
    """Run a command on one node, or a terminal there without one; return its exit code."""
    _require_openssh()
    where = arguments[-1]
    is_terminal = not command and sys.stdin.isatty()
    if is_terminal:
        typer.echo(f"You are entering SSH terminal ({where}) ...")
    # ^C belongs to what runs over there.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        defaults = _default_interrupt_and_hangup if _has_proxy(arguments) else _default_interrupt
        done = subprocess.run([*arguments, *command], check=False, preexec_fn=defaults)
    finally:
        signal.signal(signal.SIGINT, before)
    if is_terminal:
        typer.echo("You are leaving SSH terminal ...")
    return _exit_code(done.returncode)


def run_on_each(
    nodes: Mapping[str, Sequence[str]],
    command: Sequence[str],
    *,
    look: Prefixes | None = None,
    holds_input: bool = False,
) -> dict[str, int]:
    """Run a command on several nodes at once, and print what it prints line by line; return the exit codes.

    Lines are written as ``task-status --output`` writes them: ``NODE | line``, and ``NODE ! line`` for errors.

    Args:
        nodes: OpenSSH's command line by node.
        command: what to run; it reads nothing from standard input.
        look: what stands before the lines, and which of them are printed; each node's name before all by default.
        holds_input: run on all nodes at once, however many, and keep standard input open until the node's command
            ends: one that waits for its end there knows that nobody reads it any more.
    """
    _require_openssh()
    look, lock = look or Prefixes(max(map(len, nodes))), Lock()
    # Where nohup has SIGHUP ignored, OpenSSH would wait for ever for its way through a jump host, which it ends so:
    # a signal that has a handler here is at its default there.
    signal.signal(signal.SIGHUP, lambda *_: None)
    running: list[subprocess.Popen[bytes]] = []

    def run(node: str) -> int:
        stdin = subprocess.PIPE if holds_input else subprocess.DEVNULL
        with subprocess.Popen(
            [*nodes[node], *command], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            running.append(process)
            copies = ((process.stdout, False), (process.stderr, True))
            readers = [Thread(target=_copy, args=(lines, look, node, err, lock)) for lines, err in copies]
            for reader in readers:
                reader.start()
            for reader in readers:
                reader.join()
        return _exit_code(process.returncode)

    with ThreadPoolExecutor(len(nodes) if holds_input else MOST_AT_ONCE) as pool:
        try:
            return dict(zip(nodes, pool.map(run, nodes), strict=True))
        except KeyboardInterrupt:
            # A terminal tells them all; who sends the signal to dtk alone means them, too.
            for process in running:
                process.terminate()
            raise


@dataclass(frozen=True)
class Prefixes:
    """What stands before the lines of nodes: their names, padded to one width; in colours where that is wanted."""

    width: int
    colors: Mapping[str, str] = field(default_factory=dict)
    is_kept: Callable[[str], bool] = lambda _: True

    @classmethod
    def of(cls, nodes: Iterable[str], *, color: bool = False, is_kept: Callable[[str], bool] = lambda _: True) -> Self:
        """Return the prefixes of some nodes; of a single one, none. ``is_kept`` says which of its lines are printed."""
        names = list(nodes)
        colors = dict(zip(names, cycle(_NODE_COLORS), strict=False)) if color else {}
        return cls(max(map(len, names)) if len(names) > 1 else 0, colors, is_kept)

    def line(self, node: str, sign: str, line: str) -> str:
        """Return a line as it is printed."""
        if not self.width:
            return line
        name = f"{node:<{self.width}}"
        return f"{colored(name, self.colors[node]) if node in self.colors else name} {sign} {line}"


def _copy(lines: IO[bytes], look: Prefixes, node: str, is_error: bool, lock: Lock) -> None:
    for raw in lines:
        line = harmless(raw.decode(errors="replace").rstrip("\r\n"))
        if not is_error and not look.is_kept(line):
            continue
        with lock:
            typer.echo(look.line(node, "!" if is_error else "|", line), err=is_error)


def _exit_code(returned: int) -> int:
    """Return an exit code; ended by a signal, it counts as in a shell."""
    return returned if returned >= 0 else _SIGNALLED - returned


def _require_openssh() -> None:
    if shutil.which("ssh") is None:
        raise DtkError("the program ssh is not installed", hint="Debian, Ubuntu: apt-get install openssh-client")


def _has_proxy(arguments: Sequence[str]) -> bool:
    return any(argument.startswith("ProxyCommand=") for argument in arguments)


def _default_interrupt_and_hangup() -> None:
    """OpenSSH ends its way through a jump host with SIGHUP and waits for it: where nohup has it ignored, for ever."""
    _default_interrupt()
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def _default_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
