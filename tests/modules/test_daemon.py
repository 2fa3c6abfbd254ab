"""The daemon module's script: starts, replaces and stops real processes, and says why one cannot start."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "modules" / "dtk" / "daemon" / "files" / "daemon.sh"
SLEEPER = "import time; print('ready now', flush=True); time.sleep(600)"


class Daemon:
    """daemon.sh in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.run_folder = folder / "run"
        self.script = shutil.copy(SCRIPT, folder / "daemon.sh")

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["sh", self.script, *arguments], capture_output=True, text=True, timeout=90, check=False)

    def start(self, program: str, *arguments: str, ready: str = "ready now") -> subprocess.CompletedProcess[str]:
        return self.call("start", "sleeper", ready, "--", sys.executable, "-c", program, *arguments)

    @property
    def pid(self) -> int:
        return int((self.run_folder / "sleeper.pid").read_text())


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path)
    yield daemon
    daemon.call("stop", "sleeper")


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_start_returns_when_the_process_says_that_it_is_ready(daemon: Daemon) -> None:
    done = daemon.start(f"import time; time.sleep(0.5); {SLEEPER}")
    assert (done.returncode, done.stdout) == (0, f"sleeper is up, pid {daemon.pid}\n")
    assert daemon.call("status", "sleeper").returncode == 0


def test_starting_what_runs_already_changes_nothing(daemon: Daemon) -> None:
    daemon.start(SLEEPER)
    before = daemon.pid
    done = daemon.start(SLEEPER)
    assert (done.returncode, done.stdout, daemon.pid) == (0, f"sleeper runs already, pid {before}\n", before)


def test_another_command_line_replaces_the_process(daemon: Daemon) -> None:
    daemon.start(SLEEPER, "--port", "1")
    before = daemon.pid
    assert daemon.start(SLEEPER, "--port", "2").returncode == 0
    assert daemon.pid != before
    assert not runs(before)


def test_a_replaced_process_has_freed_its_port(daemon: Daemon) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    server = f"import socket; server = socket.create_server(('127.0.0.1', {port})); {SLEEPER}"
    for attempt in "1234":
        done = daemon.start(server, attempt)
        assert done.returncode == 0, done.stderr


def test_arguments_reach_the_process_as_they_are(daemon: Daemon) -> None:
    daemon.start(SLEEPER, "two words", "$HOME", "it's")
    assert psutil.Process(daemon.pid).cmdline()[-3:] == ["two words", "$HOME", "it's"]


def test_a_process_that_dies_is_reported_with_its_log_and_the_first_error(daemon: Daemon) -> None:
    program = (
        "import socket\n"
        "try:\n"
        "    raise OSError(98, 'Address already in use')\n"
        "except OSError as error:\n"
        "    raise RuntimeError('Worker failed to start.') from error\n"
    )
    done = daemon.start(program)
    assert done.returncode == 1
    assert "RuntimeError: Worker failed to start." in done.stderr
    assert done.stderr.splitlines()[-1] == (
        "sleeper ended with exit code 1 before it was up: OSError: [Errno 98] Address already in use"
    )
    assert daemon.call("status", "sleeper").returncode == 1


def test_a_process_that_can_not_be_run_at_all_is_reported(daemon: Daemon) -> None:
    done = daemon.call("start", "sleeper", "ready", "--", "/no/such/program")
    assert done.returncode == 1
    assert "/no/such/program" in done.stderr


def test_stop_ends_the_process_and_is_fine_when_there_is_none(daemon: Daemon) -> None:
    assert daemon.call("stop", "sleeper").returncode == 0
    daemon.start(SLEEPER)
    pid = daemon.pid
    assert daemon.call("stop", "sleeper").returncode == 0
    assert not runs(pid)
    assert daemon.call("stop", "sleeper").returncode == 0


@pytest.mark.skipif(shutil.which("setsid") is None, reason="without setsid it is nohup that protects the process")
def test_the_process_outlives_the_session_that_started_it(daemon: Daemon) -> None:
    done = daemon.start(SLEEPER)
    assert done.returncode == 0
    assert os.getsid(daemon.pid) != os.getsid(0)


def test_a_process_that_only_has_the_same_pid_is_left_alone(daemon: Daemon) -> None:
    daemon.start(SLEEPER)
    os.kill(daemon.pid, signal.SIGKILL)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as stranger:
        (daemon.run_folder / "sleeper.pid").write_text(str(stranger.pid))
        assert daemon.call("status", "sleeper").returncode == 1
        assert daemon.call("stop", "sleeper").returncode == 0
        assert stranger.poll() is None
        stranger.kill()


def test_a_process_that_was_killed_is_started_again(daemon: Daemon) -> None:
    daemon.start(SLEEPER)
    before = daemon.pid
    os.kill(before, signal.SIGKILL)
    while runs(before):
        time.sleep(0.01)
    assert daemon.start(SLEEPER).returncode == 0
    assert daemon.pid != before


def test_the_log_of_the_time_before_is_kept(daemon: Daemon) -> None:
    daemon.start("print('first', flush=True); " + SLEEPER)
    daemon.start("print('second', flush=True); " + SLEEPER)
    assert "first" in (daemon.run_folder / "sleeper.log.1").read_text()
    assert "second" in (daemon.run_folder / "sleeper.log").read_text()


@pytest.mark.parametrize("arguments", [(), ("start",), ("start", "x", "ready"), ("dance", "x")])
def test_a_wrong_call_says_how_it_is_called(daemon: Daemon, arguments: tuple[str, ...]) -> None:
    done = daemon.call(*arguments)
    assert done.returncode == 1
    assert "daemon.sh" in done.stderr


def test_a_program_that_ends_by_itself_is_started_again(daemon: Daemon) -> None:
    daemon.start(SLEEPER)
    before = daemon.pid
    os.kill(before, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while daemon.pid == before or not runs(daemon.pid):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert daemon.call("status", "sleeper").returncode == 0


def test_a_stopped_program_stays_stopped(daemon: Daemon) -> None:
    daemon.start(SLEEPER)
    supervisor = int((daemon.run_folder / "sleeper.supervisor").read_text())
    daemon.call("stop", "sleeper")
    assert not runs(supervisor)
    assert daemon.call("status", "sleeper").returncode == 1


def test_what_is_in_a_file_that_a_program_reads_counts_as_how_it_runs(daemon: Daemon, tmp_path: Path) -> None:
    settings = tmp_path / "settings"
    settings.write_text("one")
    words = ["sleeper", "--", sys.executable, "-c", SLEEPER]
    started = [words[0], "ready now", *words[1:]]
    assert daemon.call("current", "-f", str(settings), *words).returncode == 1
    assert daemon.call("start", "-f", str(settings), *started).returncode == 0
    before = daemon.pid
    assert daemon.call("current", "-f", str(settings), *words).returncode == 0
    settings.write_text("two")
    assert daemon.call("current", "-f", str(settings), *words).returncode == 1
    assert daemon.call("start", "-f", str(settings), *started).returncode == 0
    assert daemon.pid != before


def test_restart_starts_what_was_started_last(daemon: Daemon) -> None:
    daemon.start(SLEEPER, "--port", "1")
    before = daemon.pid
    assert daemon.call("restart", "sleeper", "ready now").returncode == 0
    assert daemon.pid != before
    assert psutil.Process(daemon.pid).cmdline()[-2:] == ["--port", "1"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


LISTENER = "import socket, sys, time; time.sleep(0.5); s = socket.create_server(('127.0.0.1', int(sys.argv[1])))"


def test_a_program_is_ready_when_it_listens_on_its_port(daemon: Daemon) -> None:
    port = free_port()
    listener = [sys.executable, "-c", f"{LISTENER}; time.sleep(600)", str(port)]
    done = daemon.call("start", "--ready-port", f"127.0.0.1:{port}", "sleeper", "--", *listener)
    assert (done.returncode, done.stdout) == (0, f"sleeper is up, pid {daemon.pid}\n")
    socket.create_connection(("127.0.0.1", port), timeout=10).close()
    again = daemon.call("start", "--ready-port", str(port), "other", "--", sys.executable, "-c", SLEEPER)
    assert again.returncode == 1
    assert f"other can't be started: another program listens on {port}" in again.stderr


def test_a_program_is_ready_when_a_command_says_so_within_the_time_that_is_set(daemon: Daemon, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    ready, words = ["--ready-command", f"test -e '{mark}'"], ["sleeper", "--", sys.executable, "-c"]
    late = daemon.call("start", *ready, "--within", "1", *words, SLEEPER)
    assert late.returncode == 1
    assert late.stderr.splitlines()[-1] == f"sleeper was not up within 1 seconds (command test -e '{mark}')"
    assert daemon.call("status", "sleeper").returncode == 1
    assert daemon.call("start", *ready, *words, f"open({str(mark)!r}, 'w'); {SLEEPER}").returncode == 0


def test_one_description_says_how_a_program_runs_and_when_it_is_ready(daemon: Daemon, tmp_path: Path) -> None:
    settings, description = tmp_path / "settings", tmp_path / "sleeper.daemon"
    settings.write_text("one")
    command = shlex.join([sys.executable, "-c", SLEEPER, "it's", "two words"])
    lines = ["# a comment", "", "name sleeper", f"command {command}", f"file {settings}", "ready-log ready now"]
    description.write_text("\n".join([*lines, "within 30"]))
    named = f"@{description}"
    assert daemon.call("current", named).returncode == 1
    assert daemon.call("start", named).returncode == 0
    assert psutil.Process(daemon.pid).cmdline()[-2:] == ["it's", "two words"]
    assert daemon.call("current", named).returncode == 0
    before = daemon.pid
    assert daemon.call("restart", "sleeper").returncode == 0
    assert daemon.pid != before
    settings.write_text("two")
    assert daemon.call("current", named).returncode == 1
    description.write_text("name sleeper\ncomand x\n")
    refused = daemon.call("start", named)
    assert refused.returncode == 1
    assert "'comand x' is not a name, command, file" in refused.stderr
