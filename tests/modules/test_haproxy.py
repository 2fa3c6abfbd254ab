"""dtk:haproxy on real local nodes: requests reach every backend, and none is lost while backends are added.

One test with one deployment: the steps build on each other.
"""

from __future__ import annotations

import threading
import urllib.request

import pytest

from tests.modules.changed import changed_by_create
from tests.support.command_line import Dtk

SERVICE = "ha1"


def page(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return str(answer.read().decode())


def test_requests_reach_every_backend_and_none_is_lost_while_more_come(dtk: Dtk) -> None:
    dtk.run("stage", "dtk:haproxy/balanced", SERVICE)
    shown = dtk.run("apply", SERVICE, "--yes").stdout
    assert "  pages:1 is UP\n  pages:2 is UP\n" in shown
    (url,) = [a["value"] for a in dtk.json("list-attributes", SERVICE) if a["path"] == "proxy/haproxy::proxy/url"]
    assert {page(url) for _ in range(4)} == {f"This page is from pages:{number}.\n" for number in (1, 2)}
    dtk.run("converge", SERVICE, "--yes")
    assert changed_by_create(dtk, SERVICE, 2) == []

    lost: list[str] = []
    over = threading.Event()

    def ask() -> None:
        while not over.wait(0.02):
            try:
                page(url)
            except OSError as error:
                lost.append(str(error))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        dtk.run("set-attribute", SERVICE, "pages/cardinality", "3")
        assert "pages:3 is UP" in dtk.run("apply", SERVICE, "--yes").stdout
    finally:
        over.set()
        asking.join()
    assert lost == []
    assert {page(url) for _ in range(6)} == {f"This page is from pages:{number}.\n" for number in (1, 2, 3)}

    dtk.run("delete-component", SERVICE, "proxy/haproxy::proxy")
    assert "haproxy::proxy.delete" in dtk.run("apply", SERVICE, "--yes").stdout
    with pytest.raises(OSError, match="refused"):
        page(url)
