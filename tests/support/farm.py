"""Simulates many SSH machines in one process: it runs no programs, gives canned answers and counts connections.

``python -m tests.support.farm PUBLIC_KEY_FILE [SECONDS]`` prints its ports as JSON, then its counts for each line that
it reads. Each command takes SECONDS (default 0). A command with ``count-run NAME`` is counted by this name; one with
``count-hold NAME``, too, and it ends only after the line ``release``.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import asyncssh

from dtk.ssh.delimited import LOGIN_COMMAND

_MARKS = re.compile(rb"printf %s '(<[0-9a-f]+\+>)'.*\nprintf %s \"(<[0-9a-f]+-)", re.DOTALL)
_OCTAL = re.compile(rb"\\0([0-7]{3})")
_MARK_OF_HOST = re.compile(rb"printf '%s\\n' '(\{\"format_version\".*\})'")
_SEARCHED = re.compile(rb"\necho (\w+ none)\n")
_SAY = re.compile(rb"farm-say (\d+) (\w+)")
_RUN = re.compile(rb"count-(run|hold) ([\w:/-]+)")
FACTS = b"home=/home/farm\nuser=farm\nos=farm-1\npython=\nhas_systemd=true\n"
FLOOD = b"no end of line " * 4096


def said(size: int, word: str) -> str:
    """Return what a machine prints for ``farm-say SIZE WORD``, ``size`` characters."""
    return (f"{word}." * (size // (len(word) + 1) + 1))[:size]


@dataclass(frozen=True)
class Counts:
    """The number of connections and channels that all machines have received so far, and of runs by name."""

    connections: int
    channels: int
    runs: Mapping[str, int]


@dataclass(frozen=True)
class Farm:
    """A running farm: ``port`` answers, ``silent`` accepts and sends nothing, ``flooding`` sends endlessly."""

    port: int
    silent: int
    flooding: int
    process: subprocess.Popen[str]

    def counts(self) -> Counts:
        """Return what the machines have received so far."""
        return self._ask("counts")

    def release(self) -> Counts:
        """End all commands that are held; later ones are not held."""
        return self._ask("release")

    def _ask(self, line: str) -> Counts:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return Counts(**json.loads(self.process.stdout.readline()))


@contextmanager
def farm(key: asyncssh.SSHKey, folder: Path) -> Iterator[Farm]:
    """Run a farm that accepts logins with a key."""
    file = folder / "farm_key.pub"
    file.write_text(key.export_public_key().decode())
    words = [sys.executable, "-m", "tests.support.farm", str(file)]
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout
        port, silent, flooding = json.loads(process.stdout.readline())
        yield Farm(port, silent, flooding, process)
        process.kill()


class _Visitor(asyncssh.SSHServer):
    connections = 0

    def connection_made(self, connection: asyncssh.SSHServerConnection) -> None:
        _Visitor.connections += 1

    def begin_auth(self, username: str) -> bool:
        return True


class _Machine:
    channels = 0
    seconds = 0.0
    runs: ClassVar[Counter[str]] = Counter()
    released = asyncio.Event()

    @classmethod
    async def answer(cls, process: asyncssh.SSHServerProcess[bytes]) -> None:
        """Answer one command as the remote shell does that dtk talks to."""
        cls.channels += 1
        if cls.seconds:
            await asyncio.sleep(cls.seconds)
        if process.command != LOGIN_COMMAND:
            # A client other than dtk, which runs a plain command.
            process.exit(0)
            return
        given = await process.stdin.read()
        line, _, rest = given.partition(b"\n")
        script = _OCTAL.sub(lambda found: bytes([int(found[1], 8)]), line)
        marks = _MARKS.search(script)
        assert marks, script
        begin, end = marks[1], marks[2]
        if run := _RUN.search(rest) or _RUN.search(script):
            cls.runs[run[2].decode()] += 1
            if run[1] == b"hold":
                await cls.released.wait()
        say = _SAY.search(rest) or _SAY.search(script)
        claimed = _MARK_OF_HOST.search(rest)
        output = said(int(say[1]), say[2].decode()).encode() if say else FACTS if b'echo "home=' in rest else b""
        mark = claimed[1] + b"\n" if claimed else b""
        output = mark + (b"claimed:\nfacts:\n" + output if b"echo facts:" in rest else output)
        searched = _SEARCHED.search(script)
        output = (searched[1] + b"\n" if searched else b"") + output
        process.stdout.write(begin + output + end + b"0>")
        process.stderr.write(begin + end + b"0>")
        process.exit(0)


async def _flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(FLOOD)
        await writer.drain()


async def _keep_silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def _serve(key_file: str) -> None:
    acceptor: Any = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=_Visitor,
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        authorized_client_keys=key_file,
        process_factory=_Machine.answer,
        encoding=None,
        line_editor=False,
        backlog=4096,
    )
    others = [await asyncio.start_server(one, "127.0.0.1", 0, backlog=4096) for one in (_keep_silent, _flood)]
    ports = [acceptor.get_port(), *(one.sockets[0].getsockname()[1] for one in others)]
    print(json.dumps(ports), flush=True)  # noqa: T201
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        if line == "release\n":
            _Machine.released.set()
        print(json.dumps(asdict(Counts(_Visitor.connections, _Machine.channels, dict(_Machine.runs)))), flush=True)  # noqa: T201


if __name__ == "__main__":
    _Machine.seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 0.0
    asyncio.run(_serve(sys.argv[1]))
