"""Tests of several commands in one exchange: what each of them printed is told apart, however it arrives."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from dtk.ssh.follow_up import FollowUp
from dtk.ssh.leftover_search import LeftoverSearch
from dtk.ssh.output import Stream
from dtk.ssh.remote_kill import Older

OLDER = Older("1a2b3c4d", None)
QUESTION = "sh -c 'eval \"$(cat)\"'"


@dataclass(frozen=True)
class Way:
    """The programs and the shell with which a node looks, and whether it looks with sudo."""

    path: str
    shell: str = "sh"
    as_root: bool = False


class Printed:
    """What a command printed."""

    def __init__(self) -> None:
        self.text: dict[Stream, bytes] = {"stdout": b"", "stderr": b""}

    def give(self, stream: Stream, chunk: bytes) -> None:
        self.text[stream] += chunk


def ran(script: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["sh", "-c", script], input=stdin, capture_output=True, check=False, timeout=60)


def followed(
    command: str, question: str, size: int, stdin: bytes = b""
) -> tuple[int, Printed, dict[Stream, bytes] | None]:
    """Run a command with a question behind it, and receive the output in pieces of a size in bytes."""
    printed = Printed()
    following = FollowUp(QUESTION, question.encode(), printed.give, 100)
    sent = following.input(stdin)
    assert isinstance(sent, bytes)
    done = ran(following.after(command), sent)
    for stream, text in (("stdout", done.stdout), ("stderr", done.stderr)):
        for at in range(0, len(text), size):
            following.feed("stdout" if stream == "stdout" else "stderr", text[at : at + size])
    return done.returncode, printed, following.end()


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_what_a_command_and_the_question_behind_it_print_is_told_apart(size: int) -> None:
    code, printed, answer = followed(
        "cat; printf no-end; echo problem >&2", "echo 'it\\0s'; echo why >&2", size, b"in\n"
    )
    assert (code, printed.text) == (0, {"stdout": b"in\nno-end", "stderr": b"problem\n"})
    assert answer is not None
    assert answer["stderr"] == b"why\n"
    assert answer["stdout"].startswith(b"it")


@pytest.mark.parametrize("command", ["echo done; exit 3", "echo done; (exit 3)"])
def test_after_a_command_that_fails_nothing_is_asked(command: str) -> None:
    code, printed, answer = followed(f"( {command} )", "echo asked", 4096)
    assert (code, printed.text["stdout"], printed.text["stderr"]) == (3, b"done\n", b"")
    assert answer is not None
    assert answer["stdout"] == b""


def test_an_answer_that_is_too_long_and_one_that_never_came_are_none() -> None:
    assert followed("true", "head -c 101 /dev/zero", 4096)[2] is None
    code, printed, answer = followed("kill -9 $$", "true", 4096)
    assert (code, printed.text["stdout"], answer) == (-9, b"", None)


@pytest.fixture(params=["dash", "bash", "busybox", "sudo"])
def way(request: pytest.FixtureRequest, tmp_path: Path) -> Way:
    """Return how a node looks."""
    if request.param == "sudo":
        (tmp_path / "sudo").write_text('#!/bin/sh\n[ "$1" = -n ] && shift\n"$@"\n')
        (tmp_path / "sudo").chmod(0o755)
        return Way(f"{tmp_path}:{os.environ['PATH']}", as_root=True)
    if request.param != "busybox":
        return Way(os.environ["PATH"], shutil.which(request.param) or "sh")
    if not Path("/bin/busybox").exists():
        pytest.skip("this machine has no /bin/busybox")
    subprocess.run(["/bin/busybox", "--install", "-s", str(tmp_path)], check=True)
    return Way(str(tmp_path), str(tmp_path / "sh"))


def searched(way: Way, command: str, size: int = 4096) -> tuple[bool, bytes]:
    """Run a command behind a search; return whether something was found, and what the command printed."""
    printed = Printed()
    search = LeftoverSearch(OLDER, printed.give, as_root=way.as_root)
    given = {**os.environ, "PATH": way.path, "DTK_NODE": ""}
    words = [way.shell, "-c", search.before(command)]
    text = subprocess.run(words, input=b"", capture_output=True, check=False, env=given, timeout=60).stdout
    for at in range(0, len(text), size):
        search.feed("stdout", text[at : at + size])
    return search.end(), printed.text["stdout"]


@contextmanager
def unfinished(mark: str, *, own_number: bool = True) -> Iterator[None]:
    """Run a process with a mark, as the first one of a command or as one that a command left behind."""
    number = "$$" if own_number else "1"
    script = f'export DTK_STEP={mark}{number}; exec "$0" -c "print(flush=True); import time; time.sleep(60)"'
    with subprocess.Popen(["sh", "-c", script, sys.executable], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


@pytest.mark.parametrize("size", [1, 4096])
def test_a_command_runs_behind_a_search_that_finds_nothing(way: Way, size: int) -> None:
    assert searched(way, "cat; printf 1; printf 2", size) == (False, b"12")
    assert searched(way, "true", size) == (False, b"")


def test_a_command_does_not_run_while_an_earlier_one_does(way: Way) -> None:
    with unfinished("1a2b3c4d-7-3.1.1-2-"):
        assert searched(way, "echo ran") == (True, b"")


def test_daemons_and_other_services_commands_hold_nothing_up(way: Way) -> None:
    with unfinished("1a2b3c4d-7-3.1.1-2-", own_number=False), unfinished("11111111-7-3.1.1-2-"):
        assert searched(way, "echo ran") == (False, b"ran\n")


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_a_search_that_finds_nothing_is_one_process(shell: str) -> None:
    """All others are only started if there is something with a mark."""
    search = LeftoverSearch(OLDER, Printed().give, as_root=False)
    words = ["strace", "-f", "-qq", "-e", "trace=execve", shell, "-c", search.before("true")]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60, stdin=subprocess.DEVNULL)
    programs = re.findall(r'execve\("[^"]*/(\w+)".* = 0', done.stderr)
    assert programs == [shell, "env", "grep"]
