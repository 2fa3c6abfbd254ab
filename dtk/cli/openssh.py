"""OpenSSH command lines for nodes, and how to run them: one in the terminal, or the same command on many nodes."""

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
from dtk.model.ssh_address import SshAddress
from dtk.nodes.provider import Connection
from dtk.views.formatting import CYAN, GREEN, YELLOW, colored, harmless

CONNECT_SECONDS = 20
MOST_AT_ONCE = 32
"""Maximum number of nodes on which a command runs at the same time."""
_SIGNALLED = 128
_NODE_COLORS = (CYAN, GREEN, YELLOW)
_USUAL_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")


def ssh_arguments(connection: Connection, known_hosts: Path, user: str = "") -> list[str]:
    """Return OpenSSH's command line for a node, with its key, pinned host key and jump hosts."""
    options = _options(connection.key, known_hosts)
    proxy = _literal(connection.proxy_command)
    for jump, key in connection.jumps:
        proxy = _way_through(jump, key, known_hosts, proxy)
    options += ["-o", f"ProxyCommand={proxy}"] if proxy else []
    login = user or connection.user
    where = f"{login}@{connection.hostname}" if login else connection.hostname
    return ["ssh", *options, "-p", str(connection.port), where]


def _way_through(jump: SshAddress, key: str, known_hosts: Path, before: str) -> str:
    """Return the proxy command that connects through a jump host, which is itself reached through ``before``.

    -J is not used: jump hosts need their own keys and the same pinned host keys.
    """
    own = ["-o", f"ProxyCommand={before}"] if before else []
    login = ["-l", jump.user] if jump.user else []
    options = [*_options("", known_hosts), *own, *_offered(key), *login, "-p", str(jump.port)]
    # The ssh that runs the command expands its own tokens; any other % is escaped.
    return shlex.join(["ssh", *map(_literal, options), "-W", "[%h]:%p", _literal(jump.host)])


def _options(key: str, known_hosts: Path) -> list[str]:
    settings = [
        f"UserKnownHostsFile={_written(str(known_hosts))}",
        "GlobalKnownHostsFile=/dev/null",
        # The host key is pinned at first contact and checked from then on, as in tasks, which expect the file unhashed.
        "StrictHostKeyChecking=accept-new",
        "HashKnownHosts=no",
        f"ConnectTimeout={CONNECT_SECONDS}",
    ]
    settings += ["IdentitiesOnly=yes"] if key else []
    options = [word for setting in settings for word in ("-o", setting)]
    return [*options, *_identity(Path(key).expanduser())] if key else options


def _identity(key: Path) -> list[str]:
    # Not -i, which would expand % in the path.
    return ["-o", f"IdentityFile={_written(str(key))}"]


def _literal(path: str) -> str:
    """Return a path escaped for ssh's command line, where % begins a token."""
    return path.replace("%", "%%")


def _written(path: str) -> str:
    """Return a path quoted for an ssh setting, where blanks separate words."""
    escaped = _literal(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _offered(key: str) -> list[str]:
    """Return options that offer a key and then the user's usual ones, which a named key would otherwise replace."""
    if not key:
        return []
    usual = (Path("~/.ssh").expanduser() / name for name in _USUAL_KEYS)
    return [word for file in (Path(key).expanduser(), *usual) if file.exists() for word in _identity(file)]


def run_in_terminal(arguments: Sequence[str], command: Sequence[str]) -> int:
    """Run a command on a node, or open a terminal if there is no command; return the exit code."""
    _require_openssh()
    where = arguments[-1]
    is_terminal = not command and sys.stdin.isatty()
    if is_terminal:
        typer.echo(f"You are entering SSH terminal ({where}) ...")
    # ^C is for the program on the node.
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
    """Run a command on several nodes at once and print its output line by line; return the exit codes by node.

    The lines are formatted like those of ``task-status --output``: ``NODE | line``, and ``NODE ! line`` for errors.

    Args:
        nodes: OpenSSH's command line by node.
        command: the command; its standard input is empty.
        look: the prefixes of lines, and which lines are printed; by default, each line has its node's name as prefix.
        holds_input: run on all nodes at once, however many, and keep standard input open until the command ends: a
            command that waits for its end notices that the reader has gone.
    """
    _require_openssh()
    look, lock = look or Prefixes(max(map(len, nodes))), Lock()
    # If nohup made dtk ignore SIGHUP, OpenSSH would wait forever for its proxy process, which it ends with SIGHUP. A
    # signal with a handler here has its default action in child processes.
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
            # A terminal sends ^C to all of them, but a signal sent to dtk alone is meant for them, too.
            for process in running:
                process.terminate()
            raise


@dataclass(frozen=True)
class Prefixes:
    """The prefixes of output lines: the node names, padded to the same width, and colored if requested."""

    width: int
    colors: Mapping[str, str] = field(default_factory=dict)
    is_kept: Callable[[str], bool] = lambda _: True

    @classmethod
    def of(cls, nodes: Iterable[str], *, color: bool = False, is_kept: Callable[[str], bool] = lambda _: True) -> Self:
        """Return the prefixes for some nodes, none for a single node. ``is_kept`` selects the lines to print."""
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
    """Return the exit code; a command ended by a signal has the same code as in a shell."""
    return returned if returned >= 0 else _SIGNALLED - returned


def _require_openssh() -> None:
    if shutil.which("ssh") is None:
        raise DtkError("the program ssh is not installed", hint="Debian, Ubuntu: apt-get install openssh-client")


def _has_proxy(arguments: Sequence[str]) -> bool:
    return any(argument.startswith("ProxyCommand=") for argument in arguments)


def _default_interrupt_and_hangup() -> None:
    """Reset SIGHUP: OpenSSH ends its proxy with it and waits, forever if nohup made it ignored."""
    _default_interrupt()
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def _default_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
