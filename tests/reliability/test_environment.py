"""dtk in a broken environment: disks, logs, clocks, file descriptors, terminals, locales, folder names.

The long form also fills the disk at every size: ``tests/reliability/run --long environment``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from tests.reliability.forms import IS_LONG, long_form, shown
from tests.reliability.small import APPLY, SERVICE, Small
from tests.support.waiting import eventually

Make = Callable[..., Small]
UNDISTURBED = ({"master": "running"}, {"master": {"small::mark": {"wait": "true", "word": "made"}}}, None, None)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Small] = []

    def small(root: Path | None = None) -> Small:
        made.append(Small(root or tmp_path / "workspace"))
        return made[-1]

    yield small
    for one in made:
        one.remove()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a filesystem whose size ``resize`` sets."""
    if os.geteuid() != 0 or sys.platform != "linux":
        pytest.skip("a small filesystem can only be made by root on Linux")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m,mode=755", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def resize(disk: Path, kilobytes: int | None) -> None:
    """Leave this many kilobytes free on a disk; None means enough."""
    found = os.statvfs(disk)
    used = (found.f_blocks - found.f_bfree) * found.f_frsize // 1024
    size = 65536 if kilobytes is None else used + kilobytes
    subprocess.run(["mount", "-o", f"remount,rw,size={size}k", disk], check=True)


def users(disk: Path) -> list[str]:
    """Return the files below a disk that processes have open, including deleted ones."""
    found = []
    for opened in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):  # the process or its file is gone
            found.append(str(opened.readlink()))
    return [file for file in found if file.startswith(f"{disk}/")]


# Free kilobytes: too few for a log, for the state, for a whole task; the long form adds one page at a time.
ROOM = range(4, 400, 4) if IS_LONG else (8, 80)


@pytest.mark.parametrize("kilobytes", ROOM)
def test_a_disk_that_fills_up_ends_the_task_cleanly_and_the_advice_works(
    disk: Path, make: Make, kilobytes: int
) -> None:
    small = make(disk / "workspace")
    resize(disk, kilobytes)
    done = small.dtk.run(*APPLY, code=None)
    small.check_words(done)
    small.check_records()
    if done.returncode != 0:
        assert "space" in done.stdout + done.stderr, done
    resize(disk, None)
    small.follow_advice()
    assert small.state() == UNDISTURBED


@pytest.mark.parametrize(("name", "number"), [("events.jsonl", 2), ("events.jsonl", 4), ("state.journal", 1)])
def test_a_sync_that_fails_ends_the_task_and_loses_no_line(make: Make, outside: Path, name: str, number: int) -> None:
    small = make()
    shutil.copy(Path(__file__).with_name("failing_disk.py"), outside / "sitecustomize.py")
    failing = f'PYTHONPATH={outside}:$PYTHONPATH FAILING_FILE={name} FAILING_SYNC={number} exec "$@"'
    done = small.shell(failing, *APPLY, code=1)
    small.check_records()
    assert "Input/output error" in done.stdout + done.stderr
    assert small.last()["status"] == "failed"
    small.follow_advice()
    assert small.state() == UNDISTURBED


def test_a_read_only_disk_can_be_looked_at_and_is_named(disk: Path, make: Make) -> None:
    small = make(disk / "workspace")
    small.dtk.run(*APPLY)
    small.dtk.run("stop", SERVICE)
    # The command ends with its task; the worker closes log and lock a moment later, and until then the disk cannot be
    # remounted read-only.
    eventually(lambda: users(disk) == [], "the worker closes its files")
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    try:
        for verb in ("plan", "info", "task-status", "list-tasks", "list-nodes"):
            small.check_words(small.dtk.run(verb, SERVICE))
        for words in (("set-attribute", SERVICE, "master/small::mark/word", "x"), APPLY, ("start", SERVICE)):
            done = small.dtk.run(*words, code=1)
            small.check_words(done)
            assert "Read-only file system" in done.stdout + done.stderr, done
    finally:
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)


def with_a_task_that_waits(small: Small, outside: Path) -> tuple[subprocess.Popen[str], Path, Path]:
    """Start a task whose command waits for a file; return the command line's process, that file and the log."""
    go = outside / "go"
    small.dtk.run("set-attribute", SERVICE, "master/small::mark/wait", f"until test -e {go}; do sleep 0.1; done")
    running = small.dtk.start(*APPLY)
    log = small.workspace.event_log(SERVICE, 1)
    eventually(
        lambda: log.exists() and '"operation' not in log.read_text() and "configure_node on" in log.read_text(),
        "the step begins",
    )
    return running, go, log


def removed(log: Path) -> None:
    log.unlink()


def truncated(log: Path) -> None:
    os.truncate(log, 0)


def rotated(log: Path) -> None:
    log.rename(log.with_name("events.jsonl.1"))
    log.touch()


@pytest.mark.parametrize("damage", shown(removed, truncated, rotated, short=1))
def test_a_log_that_is_taken_away_while_a_task_runs_is_said_and_no_work_is_lost(
    make: Make, outside: Path, damage: Callable[[Path], None]
) -> None:
    small = make()
    running, go, log = with_a_task_that_waits(small, outside)
    damage(log)
    go.touch()
    said, _ = running.communicate(timeout=120)
    small.check_words(subprocess.CompletedProcess([], running.returncode, said, ""))
    assert running.returncode == 0, said
    assert "STATUS: failed" not in said
    small.check_words(small.dtk.run("task-status", SERVICE, code=None))
    small.check_words(small.dtk.run("list-tasks", SERVICE))
    small.dtk.run(*APPLY)
    assert small.state()[0] == {"master": "running"}
    assert "Nothing to do" in small.dtk.run("plan", SERVICE).stdout


@pytest.fixture
def clock(tmp_path: Path) -> tuple[Path, str]:
    """Return a file with the error of a command's clock in seconds, and the script that applies this clock."""
    folder = tmp_path / "clock"
    folder.mkdir()
    shutil.copy(Path(__file__).with_name("clock.py"), folder / "sitecustomize.py")
    file = folder / "seconds"
    file.write_text("0")
    return file, f'PYTHONPATH={folder}:$PYTHONPATH CLOCK={file} exec "$@"'


DAY = 86_400


def test_a_clock_that_goes_back_disturbs_neither_tasks_nor_views(make: Make, clock: tuple[Path, str]) -> None:
    small, (file, past) = make(), clock
    small.dtk.run(*APPLY)
    small.dtk.run("set-attribute", SERVICE, "master/small::mark/word", "earlier")
    file.write_text(str(-3 * DAY))
    small.shell(past, *APPLY)
    assert small.last()["task"] == 2
    for words in (("list-tasks", SERVICE), ("task-status", SERVICE), ("ls",), ("task-report", SERVICE)):
        small.shell(past, *words)
        small.check_words(small.dtk.run(*words))
    assert "Nothing to do" in small.dtk.run("plan", SERVICE).stdout


def has_heartbeats(log: Path, count: int) -> bool:
    return len(log.read_text().split("step.heartbeat")) >= count


@long_form
def test_a_clock_that_jumps_while_a_task_runs_ends_no_step(make: Make, outside: Path, clock: tuple[Path, str]) -> None:
    small, (file, moving) = make(), clock
    wait = f"until test -e {outside / 'go'}; do sleep 0.1; done"
    small.dtk.run("set-attribute", SERVICE, "master/small::mark/wait", wait)
    small.shell(moving, *APPLY, "--detach")
    log = small.workspace.event_log(SERVICE, 1)
    eventually(lambda: "configure_node on" in log.read_text(), "the step begins")
    for jump in (-2 * DAY, 2 * DAY, -3600):
        file.write_text(str(jump))
        small.check_words(small.dtk.run("task-status", SERVICE))
        heartbeat = len(log.read_text().split("step.heartbeat")) + 1
        eventually(partial(has_heartbeats, log, heartbeat), "the step goes on")
    (outside / "go").touch()
    small.dtk.run("task-status", SERVICE, "--wait")
    assert small.last()["status"] == "succeeded"


@pytest.mark.parametrize("descriptors", shown(16, 8, 12, 20, 24, 32, short=1))
def test_too_few_descriptors_are_an_error_with_a_name(make: Make, descriptors: int) -> None:
    small = make()
    done = small.shell(f'ulimit -n {descriptors}; exec "$@"', *APPLY, code=None)
    small.check_records()
    if done.returncode != 0:
        assert "open files" in done.stdout + done.stderr, done
    small.follow_advice()
    assert small.state() == UNDISTURBED


# The first combines many of them and is the only one in the short form.
SURROUNDINGS = shown(
    'HOME= TERM=nonsense LC_ALL=C TZ=Nowhere/There COLUMNS=1 TMPDIR=/nowhere exec setsid env -u PATH -u USER "$@" >&-',
    'exec env -u HOME "$@"',
    'HOME=/nowhere exec "$@"',
    'HOME= exec "$@"',
    'exec setsid "$@"',
    'exec env -u TERM -u PATH -u USER -u LOGNAME "$@"',
    'TERM=nonsense exec "$@"',
    'LC_ALL=C exec "$@"',
    'LANG= LC_ALL=POSIX PYTHONCOERCECLOCALE=0 PYTHONUTF8=0 exec "$@"',
    'TZ=Nowhere/There exec "$@"',
    'COLUMNS=1 exec "$@"',
    'TMPDIR=/nowhere exec "$@"',
    'exec "$@" >&-',
    'exec "$@" >&- 2>&- <&-',
    short=1,
)


@pytest.mark.parametrize("script", SURROUNDINGS)
def test_a_life_goes_on_whatever_surrounds_the_command(make: Make, script: str) -> None:
    small = make()
    small.shell(script, *APPLY)
    assert small.state() == UNDISTURBED
    small.shell(script, "task-status", SERVICE)
    small.shell(script, "delete-and-destroy", SERVICE, "--yes")
    assert not small.workspace.service_file(SERVICE).exists()


FULL = 'exec "$@" >/dev/full'


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux only")
def test_a_standard_output_that_is_full_is_named_and_ends_no_task(make: Make) -> None:
    small = make()
    # The plan can't be shown, so nothing begins.
    assert "error: standard output: No space left on device" in small.shell(FULL, *APPLY, code=1).stderr
    assert small.state() == ({}, {}, None, None)
    small.dtk.run(*APPLY)
    followed = small.shell(FULL, "stop", SERVICE)
    assert "the output can't be written: No space left on device; the task continues" in followed.stderr
    assert small.state()[0] == {"master": "stopped"}


@pytest.fixture(scope="module")
def turkish(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a folder of locales with the Turkish one, whose i and I are different letters."""
    folder = tmp_path_factory.mktemp("locales")
    made = ["localedef", "-i", "tr_TR", "-f", "UTF-8", str(folder / "tr_TR.UTF-8")]
    if sys.platform != "linux":
        pytest.skip("Linux only")
    if shutil.which("localedef") is None or subprocess.run(made, check=False, capture_output=True).returncode > 1:
        pytest.skip("localedef can't make a locale: the package locales is not installed")
    return folder


@long_form
def test_a_life_goes_on_in_turkish(make: Make, turkish: Path) -> None:
    small = make()
    script = f'LOCPATH={turkish} LC_ALL=tr_TR.UTF-8 exec "$@"'
    small.shell(script, *APPLY)
    assert small.state() == UNDISTURBED
    small.shell(script, "plan", SERVICE)
    small.shell(script, "delete-and-destroy", SERVICE, "--yes")


NAMES = shown(
    '-rf it\'s "quoted" 50%s\n{{ word }} 日本 $HOME `x` a:b;c&d|e #?[a]* back\\slash',
    "a folder with blanks",
    "two\nlines",
    "50%s %d{x}",
    "-rf",
    "日本 ü",
    "$HOME `x` $(x)",
    "{{ word }}",
    "a:b;c&d|e",
    "#no*glob?[a]",
    "back\\slash",
    short=1,
)


@pytest.mark.parametrize("name", NAMES)
def test_a_life_goes_on_in_a_folder_of_any_name(make: Make, tmp_path: Path, name: str) -> None:
    small = make(tmp_path / name)
    small.check_words(small.dtk.run(*APPLY))
    assert small.state() == UNDISTURBED
    for words in (("plan", SERVICE), ("list-nodes", SERVICE), ("task-report", SERVICE), ("validate",)):
        small.check_words(small.dtk.run(*words))
    assert small.dtk.run("ssh", SERVICE, "master", "--", "echo", "in").stdout == "in\n"
    small.dtk.run("delete-and-destroy", SERVICE, "--yes")


TWICE = shown(
    (APPLY, ("delete-and-destroy", SERVICE, "--yes")),
    (("delete-and-destroy", SERVICE, "--yes"), ("delete-and-destroy", SERVICE, "--yes")),
    (("stop", SERVICE), ("start", SERVICE)),
    (("stop", SERVICE), APPLY),
    (APPLY, APPLY),
    short=1,
)


@pytest.mark.parametrize("commands", TWICE, ids=lambda commands: " and ".join(words[0] for words in commands))
def test_two_at_once_end_one_after_the_other_or_one_is_refused(
    make: Make, commands: tuple[tuple[str, ...], tuple[str, ...]]
) -> None:
    small = make()
    small.dtk.run(*APPLY)
    small.dtk.run("set-attribute", SERVICE, "master/small::mark/word", "other")
    both = [small.dtk.start(*words) for words in commands]
    said = [one.communicate(timeout=120)[0] for one in both]
    codes = [one.returncode for one in both]
    for text, code in zip(said, codes, strict=True):
        small.check_words(subprocess.CompletedProcess([], code, text, ""))
    assert 0 in codes, said
    # Refused because the service is locked, the plan is stale, or the service no longer exists.
    assert set(codes) <= {0, 1, 2, 4, 5}, said
    small.check_records()
