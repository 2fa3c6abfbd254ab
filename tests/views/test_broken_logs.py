"""Every command shows a torn, truncated, incomplete or newer log with a note, and never crashes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.recorded_tasks import failed
from tests.support.waiting import limited


def torn(content: bytes) -> bytes:
    return content[:-20]


def truncated(content: bytes) -> bytes:
    return b"".join(content.splitlines(keepends=True)[:8])


def gapped(content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    return b"".join(lines[:5] + lines[9:])


def unknown(content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    event = {**json.loads(lines[-1]), "type": "node.sang", "v": 7, "song": [1]}
    return b"".join([*lines[:-1], json.dumps(event).encode() + b"\n"])


def garbage(content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    return b"".join([*lines[:6], b"\xff\x00{]\n", b"[" * 5000 + b"\n", *lines[6:]])


def headless(content: bytes) -> bytes:
    return b"".join(content.splitlines(keepends=True)[1:])


NOTES: dict[Callable[[bytes], bytes], str] = {
    torn: "torn: the writer stopped in the middle of it",
    truncated: "the worker has ended",
    gapped: "a gap: event 6 expected, event 10 found",
    unknown: "event type 'node.sang' is not known to this dtk",
    garbage: "line 7: not JSON; skipped",
    headless: "is not in the log's plan",
}
COMMANDS = (
    ("task-status", "--eta"),
    ("task-status", "--summarize"),
    ("task-status", "--wait"),
    ("task-status", "-m", "stream", "--output"),
    ("task-status", "--json"),
    ("task-report", "-o", "-"),
)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "events.jsonl"
    failed(path)
    return path


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("damage", NOTES, ids=lambda damage: damage.__name__)
def test_a_damaged_log_is_shown_with_a_note(
    log: Path, damage: Callable[[bytes], bytes], command: tuple[str, ...]
) -> None:
    log.write_bytes(damage(log.read_bytes()))
    old(log)
    program = "from dtk.__main__ import run; import sys; sys.exit(run(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", program, *command, "--log", str(log)], capture_output=True, text=True, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    assert done.stderr == ""
    assert NOTES[damage] in done.stdout.replace("&#x27;", "'")


def old(log: Path) -> None:
    """Make a log look as if it had not been written for years."""
    os.utime(log, (0, 0))


def test_a_log_that_vanishes_while_it_is_watched_ends_the_watching(log: Path) -> None:
    log.write_bytes(truncated(log.read_bytes()))
    command = [sys.executable, "-m", "dtk", "task-status", "--wait", "--log", str(log)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, **pipes) as watching, limited(watching):  # type: ignore[call-overload]
        assert watching.stdout
        assert any("rows in set" in line for line in iter(watching.stdout.readline, ""))
        log.unlink()
        output, errors = watching.communicate(timeout=60)
    assert watching.returncode == 1
    assert errors == ""
    assert "the worker has ended" in output
