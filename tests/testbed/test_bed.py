"""What the test bed itself guarantees."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.testbed.bed import Bed, missing, skip_where_missing
from tests.testbed.host import run


def test_a_host_that_comes_or_goes_does_not_change_where_the_others_send_to(bed: Bed) -> None:
    bridge = f"/sys/class/net/{bed.network.bridge}/address"
    before = run("cat", bridge)
    run("ip", "link", "add", "bedtrial", "address", "02:00:00:00:00:01", "type", "veth", "peer", "name", "bedtrial0")
    try:
        run("ip", "link", "set", "bedtrial", "master", bed.network.bridge, "up")
        assert run("cat", bridge) == before
    finally:
        run("ip", "link", "del", "bedtrial")


def test_several_runs_may_look_at_once_whether_there_can_be_one(bed: Bed) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: missing(), range(20))) == {""}


def test_without_its_programs_tests_are_skipped_with_the_reason_or_fail_where_it_is_required(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.delenv("DTK_TESTBED", raising=False)
    with pytest.raises(pytest.skip.Exception, match="the test bed can't be made here: "):
        skip_where_missing()
    monkeypatch.setenv("DTK_TESTBED", "required")
    with pytest.raises(pytest.fail.Exception, match="the test bed can't be made here: "):
        skip_where_missing()
