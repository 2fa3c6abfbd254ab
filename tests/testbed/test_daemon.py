"""dtk:daemon on a host with systemd, where a program is a unit; each test leaves the host as it found it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.waiting import eventually
from tests.testbed.bed import Bed
from tests.testbed.site import SERVICE, Site, site_in

UNIT = "dtk-sleeper.service"
# A systemctl whose answers are one second old.
SLOW_SYSTEMCTL = r"#!/bin/sh\n/usr/bin/systemctl \"$@\"\nsleep 1\n"


# What a unit may leave behind: its file, its processes, its failed state.
LEFT = (
    "find /etc/systemd/system -name 'dtk-*'",
    "pgrep -f '[s]leeper.py' || true",
    "systemctl --failed --plain --no-legend",
)


@pytest.fixture(scope="module")
def site(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Create a host with one program to keep running."""
    with site_in(tmp_path_factory.mktemp("daemon") / "workspace", bed) as made:
        shutil.copytree(Path(__file__).parent / "kept", made.dtk.root / "modules" / "acme" / "kept")
        made.dtk.run("deploy", "acme:kept/one", SERVICE)
        yield made


def set_and_apply(site: Site, attribute: str, value: str, code: int = 0) -> str:
    site.dtk.run("set-attribute", SERVICE, f"node/kept::sleeper/{attribute}", value)
    return site.dtk.run("apply", SERVICE, "--yes", code=code).stdout


@contextmanager
def changed(site: Site, attribute: str, value: str, code: int = 0) -> Iterator[str]:
    """Yield the output of apply with a changed value; restore the module's own value afterwards."""
    try:
        yield set_and_apply(site, attribute, value, code)
    finally:
        site.dtk.run("set-attribute", SERVICE, f"node/kept::sleeper/{attribute}", attribute)
        site.dtk.run("converge", SERVICE, "--yes")


def shown(site: Site, *properties: str) -> list[str]:
    """Return these properties of the unit, in systemd's order."""
    return site.on("node", f"systemctl show --value -p {','.join(properties)} {UNIT}").split()


def log(site: Site) -> list[str]:
    return site.on("node", "cat daemon/run/sleeper.log").splitlines()


def test_a_program_is_a_unit_of_the_logins_user_that_runs_now_and_after_a_boot(site: Site) -> None:
    assert shown(site, "User", "ActiveState", "UnitFileState") == ["admin", "active", "enabled"]
    (pid,) = shown(site, "MainPID")
    assert site.on("node", "daemon/daemon.sh status sleeper") == f"sleeper runs, pid {pid}"
    assert log(site)[-1] == "ready with word and text"


def test_a_converge_leaves_a_unit_alone_that_runs_as_it_should(site: Site) -> None:
    before = shown(site, "MainPID")
    assert "Nothing had to be changed." in site.dtk.run("converge", SERVICE, "--yes").stdout
    assert shown(site, "MainPID") == before


@pytest.mark.parametrize("attribute", ["word", "text"])
def test_another_command_line_or_another_file_replaces_what_the_unit_runs(site: Site, attribute: str) -> None:
    before = shown(site, "MainPID")
    with changed(site, attribute, f"another-{attribute}"):
        assert shown(site, "MainPID") != before
        assert len(log(site)) == 1
        assert f"another-{attribute}" in log(site)[0]


@pytest.mark.parametrize("signal", ["KILL", "TERM", "INT"])
def test_a_program_that_ends_by_itself_is_started_again_by_systemd(site: Site, signal: str) -> None:
    (before,) = shown(site, "MainPID")
    site.on("node", f"kill -{signal} {before}")
    eventually(lambda: shown(site, "MainPID") not in (["0"], [before]), "systemd has started it again")
    assert shown(site, "ActiveState") == ["active"]


def test_restart_runs_the_same_anew(site: Site) -> None:
    before, output = shown(site, "MainPID"), log(site)[:1]
    assert "sleeper is up" in site.on("node", "daemon/daemon.sh restart sleeper 'ready with'")
    assert shown(site, "MainPID") != before
    assert log(site) == output
    assert shown(site, "UnitFileState") == ["enabled"]


def test_a_program_that_can_not_start_says_why_and_leaves_no_unit_until_it_can(site: Site) -> None:
    with changed(site, "word", "fail", code=1) as failed:
        assert "sleeper ended with exit code 1 before it was up: OSError: no room for it" in failed
        assert shown(site, "LoadState") == ["not-found"]
    assert shown(site, "ActiveState", "UnitFileState") == ["active", "enabled"]


def test_a_program_that_ends_while_it_is_looked_at_is_said_to_have_ended_with_its_own_code(site: Site) -> None:
    site.on("node", f"mkdir slow && printf '{SLOW_SYSTEMCTL}' >slow/systemctl && chmod +x slow/systemctl")
    start = "daemon/daemon.sh start short never -- sh -c 'sleep 0.5; exit 3'"
    failed = site.dtk.run("ssh", SERVICE, "node", "--", f"PATH=$PWD/slow:$PATH; {start}", code=None)
    site.on("node", "rm -r slow")
    assert failed.returncode == 1
    assert "short ended with exit code 3 before it was up" in failed.stdout + failed.stderr


def test_a_deleted_component_takes_its_unit_along_and_nothing_counts_as_failed(site: Site) -> None:
    site.dtk.run("delete-component", SERVICE, "node/kept::sleeper")
    site.dtk.run("apply", SERVICE, "--yes")
    gone = [site.on("node", command) for command in LEFT]
    site.dtk.run("add-component", SERVICE, "node/kept::sleeper")
    site.dtk.run("apply", SERVICE, "--yes")
    assert gone == ["", "", ""]
    assert shown(site, "ActiveState", "UnitFileState") == ["active", "enabled"]
