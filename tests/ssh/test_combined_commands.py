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
from functools import partial
from pathlib import Path

import pytest

from dtk.ssh.follow_up import FollowUp
from dtk.ssh.leftover_search import LeftoverSearch
from dtk.ssh.output import Stream
from dtk.ssh.remote_kill import Older, kill_script
from tests.support.waiting import eventually

OLDER = Older("1a2b3c4d", None)
MARK = "1a2b3c4d-8-1.1-1-"
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
    command: str, question: str, size: int = 4096, stdin: bytes = b""
) -> tuple[FollowUp, Printed, bytes | None]:
    """Run a command with a question behind it, and receive the output in pieces of a size in bytes."""
    printed = Printed()
    following = FollowUp(QUESTION, question.encode(), printed.give, 10_000)
    sent = following.input(stdin)
    assert isinstance(sent, bytes)
    done = ran(following.after(command), sent)
    for text, give in (
        (done.stdout, partial(following.feed, "stdout")),
        (done.stderr, partial(following.feed, "stderr")),
    ):
        for at in range(0, len(text), size):
            give(text[at : at + size])
    assert done.returncode in (following.code, -9)
    return following, printed, following.end()


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_what_a_command_and_the_question_behind_it_print_is_told_apart(size: int) -> None:
    question = r"printf 'it\047s \303\274 %s\n' '<|:>'; echo why >&2"
    following, printed, answer = followed("cat; printf no-end; echo problem >&2", question, size, b"in\n")
    assert (following.code, printed.text) == (0, {"stdout": b"in\nno-end", "stderr": b"problem\n"})
    assert answer == "it's ü <|:>".encode()


@pytest.mark.parametrize("command", ["echo done; exit 3", "echo done; (exit 3)"])
def test_after_a_command_that_fails_nothing_is_asked(command: str) -> None:
    following, printed, answer = followed(f"( {command} )", "echo asked")
    assert (following.code, printed.text["stdout"], printed.text["stderr"], answer) == (3, b"done\n", b"", None)


def test_an_answer_that_is_too_long_and_one_that_never_came_are_none() -> None:
    assert followed("true", "head -c 20000 /dev/zero | tr '\\0' x")[2] is None
    following, printed, answer = followed("kill -9 $$", "true")
    assert (following.code, printed.text["stdout"], answer) == (None, b"", None)


def test_what_a_process_in_the_background_prints_is_no_answer() -> None:
    noise = "( i=0; while [ $i -lt 400 ]; do echo noise $i; i=$((i + 1)); done ) &"
    answers = {followed(f"( {noise} echo begun )", "echo one; sleep 0.01; echo two")[2] for _ in range(20)}
    assert answers <= {b"one\ntwo", None}


@pytest.fixture(params=["dash", "bash", "busybox", "sudo", "a sudo that permits little"])
def way(request: pytest.FixtureRequest, tmp_path: Path) -> Way:
    """Return how a node looks."""
    if "sudo" in request.param:
        refused = "" if request.param == "sudo" else '[ "$1" != env ] || exit 1\n'
        (tmp_path / "sudo").write_text(f'#!/bin/sh\n[ "$1" = -n ] && shift\n{refused}"$@"\n')
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
    search = LeftoverSearch(OLDER, printed.give, lambda: None, as_root=way.as_root)
    given = {**os.environ, "PATH": way.path, "DTK_NODE": ""}
    words = [way.shell, "-c", search.before(command, MARK)]
    text = subprocess.run(words, input=b"", capture_output=True, check=False, env=given, timeout=60).stdout
    for at in range(0, len(text), size):
        search.feed("stdout", text[at : at + size])
    assert search.found is not None
    return search.found, printed.text["stdout"]


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
def test_a_search_that_finds_nothing_starts_one_grep(shell: str) -> None:
    """All others are only started if there is something with a mark."""
    search = LeftoverSearch(OLDER, Printed().give, lambda: None, as_root=False)
    words = ["strace", "-f", "-qq", "-e", "trace=execve", shell, "-c", search.before("true", MARK)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60, stdin=subprocess.DEVNULL)
    programs = re.findall(r'execve\("[^"]*/(\w+)".* = 0', done.stderr)
    assert sorted(programs) == sorted([shell, "sh", "cat", "env", "grep"])


def test_a_command_that_is_ended_during_the_search_never_begins(tmp_path: Path) -> None:
    (tmp_path / "sudo").write_text(f"#!/bin/sh\ntouch {tmp_path}/asked\nsleep 60\nexit 1\n")
    (tmp_path / "sudo").chmod(0o755)
    search = LeftoverSearch(OLDER, Printed().give, lambda: None, as_root=True)
    words = ["sh", "-c", search.before(f"touch {tmp_path}/begun", MARK)]
    given = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "DTK_NODE": ""}
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, env=given) as process:
        eventually((tmp_path / "asked").exists, "the search asks")
        ended = ran(kill_script([MARK], as_root=False))
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")
        assert process.wait(60) == 1
    assert not (tmp_path / "begun").exists()
