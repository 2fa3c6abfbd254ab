"""Settings and fixtures for all tests: no time limit for property tests, working ^C, strict skips, the order's seed.

Where every skip must be expected, a test that is skipped for a reason not in ``tests.support.skips`` fails.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest
from hypothesis import HealthCheck, settings

from tests.support.skips import every_skip_is_expected, is_permitted

if TYPE_CHECKING:
    from tests.apply.lab import Lab

settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# On a CI system, dtk adapts its output to the system. Tests set these variables themselves if they need them.
for variable in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITLAB_CI"):
    os.environ.pop(variable, None)

# A shell ignores ^C in background processes, and every program that tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Yield a workspace with real SSH servers as nodes."""
    from tests.apply.lab import Lab  # noqa: PLC0415 - with the executor, which most tests do without

    made = Lab(tmp_path / "workspace")
    yield made
    made.close()


# Folders whose files take minutes, and those whose files take up to one.
LONG = {"testbed": 0, "modules": 0, "end_to_end": 1, "reliability": 1}
# Files that take several minutes each.
LONGEST = {
    *("test_flagship.py", "test_postgresql_ha.py", "test_postgresql.py"),
    *("test_spark_cluster.py", "test_bigtop_packages.py"),
}


# Folders and files that start hundreds of processes of dtk, kill them at every point, or deploy what their subject is:
# what these run of dtk, others run as well.
UNMEASURED = (
    *("reliability", "test_crash.py", "test_takeover.py", "test_power.py", "test_clones.py", "test_edits.py"),
    *("modules", "test_bigtop_packages.py"),
)


@pytest.fixture(scope="module", autouse=True)
def processes_without_coverage(request: pytest.FixtureRequest) -> Iterator[None]:
    """Start the processes of some files without coverage, which doubles the CPU time that a process of dtk needs."""
    with pytest.MonkeyPatch.context() as patch:
        if not {request.path.name, request.path.parent.name}.isdisjoint(UNMEASURED):
            patch.delenv("COVERAGE_PROCESS_START", raising=False)
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put long files first: one that starts last would run alone, and leave the other processes idle.

    The order is random otherwise. xdist's own order, the files with the most tests first, would put long files last.
    """
    items.sort(key=lambda item: -1 if item.path.name in LONGEST else LONG.get(item.path.parent.name, 2))


_Report = TypeVar("_Report", pytest.TestReport, pytest.CollectReport)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Check the skip of a test."""
    return _refuse_unexpected_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Check the skip of a whole file."""
    return _refuse_unexpected_skip((yield))


def _refuse_unexpected_skip(report: _Report) -> _Report:
    """Turn a skip without a permitted reason into a failure if every skip must be expected."""
    if report.skipped and isinstance(report.longrepr, tuple) and every_skip_is_expected(os.environ):
        path, line, reason = report.longrepr
        if not is_permitted(reason):
            report.outcome = "failed"
            report.longrepr = f"{path}:{line}: unexpected skip: {reason.removeprefix('Skipped: ')}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how to repeat the test order at the end as well, where people look for failures."""
    seed = terminalreporter.config.getoption("randomly_seed", None)
    if seed is not None:
        terminalreporter.write_line(f"the order of the tests can be repeated with --randomly-seed={seed}")


@pytest.fixture
def outside() -> Iterator[Path]:
    """Yield a folder that every user can read, because root's local nodes run as another user."""
    folder = Path(tempfile.mkdtemp(prefix="dtk-outside-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)
