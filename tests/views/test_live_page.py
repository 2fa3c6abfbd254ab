"""``dtk watch``: a running task's page in a real browser, and that nobody else can read it."""

from __future__ import annotations

import http.client
import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from dtk.events.event import utc_now
from dtk.events.fold import Fold
from dtk.views.report.live import LiveParts, live_page
from dtk.views.report.page import Surroundings
from tests.support.browser import CHROMIUM, Browser, browser
from tests.support.command_line import Dtk
from tests.support.recorded_tasks import NOW, begin, many, ring_plan, running
from tests.support.recorder import Recorder
from tests.support.waiting import eventually

EVIL = "</pre><script>evil = 1</script><img src=x onerror='evil = 2'>"
in_browser = pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium here: install the package chromium")


class Watch:
    """A ``dtk watch`` process on a log that is still being written."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdout
        line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+/[\w-]{32}/", line)
        assert found, line + process.stdout.read()
        self.address = found[0]

    def ask(self, path: str | None = None, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
        """Request ``path`` (None: the page itself); return status, headers and body."""
        parts = urlsplit(self.address)
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=60)
        connection.request(method, parts.path if path is None else path, headers=headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()

    def end(self) -> tuple[int, str]:
        """Wait for the command's end; return its exit code and the last line of its output."""
        out, _ = self._process.communicate(timeout=120)
        return self._process.returncode, out.splitlines()[-1]


@contextmanager
def watching(recorder: Recorder, folder: Path, *words: str) -> Iterator[Watch]:
    process = Dtk(folder).start("watch", "--log", str(recorder.path), *words)
    try:
        yield Watch(process)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser")) as started:
        yield started


def text_of(place: str) -> str:
    return f"(document.getElementById('{place}')?.innerText ?? '')"


@in_browser
def test_the_page_follows_the_task_to_its_end(page: Browser, tmp_path: Path) -> None:
    recorder = running(tmp_path / "events.jsonl")
    with watching(recorder, tmp_path) as watch:
        page.open(watch.address)
        page.shows(f"{text_of('live')}.startsWith('Live')")
        assert page.run("document.title") == "ring1 task 1: executing"
        assert page.run("getComputedStyle(document.getElementById('errors')).display") == "none"
        # What the user opened stays open, and what the user closed stays closed, whatever updates arrive.
        page.run("document.querySelector('#stage-3 > summary').click()")
        page.run("document.querySelector('[id=\"row-3.1\"] > summary').click()")
        page.run("document.querySelector('[id=\"row-3.1.2\"] > summary').click()")
        page.run("document.querySelector('[id=\"did-3.1.2-0\"] > summary').click()")
        page.shows(f"{text_of('row-3.1.2')}.includes('joined')")
        recorder.at("10:00:50.0").ran("3.1.1", "join hub", f"{EVIL}\n", 7, stderr="in use\n")
        error = {"message": f"in use {EVIL}", "type": "USER", "command": "join hub", "exit_code": 7, "output": EVIL}
        recorder.finished("3.1.1", "failed", error=error)
        page.shows(f"{text_of('errors')}.includes('in use </pre><script>')")
        assert "joined" in page.run(text_of("row-3.1.2"))
        # The step's row arrives in a separate message, after the one with the errors.
        page.shows("document.getElementById('row-3.1.1').open")
        page.run("document.querySelector('[id=\"row-3.1.1\"] > summary').click()")
        # Each square is a node; its colour is the node's status, and it links to the node's steps.
        squares = "[...document.querySelectorAll('.picture a rect')].map(e => e.className.baseVal).join(' ')"
        page.shows(f"{squares} == 'failed succeeded executing'")
        recorder.finished("3.1.3").event("stage.finished", stage="3", status="failed", seconds=20.0)
        page.shows("document.querySelectorAll('.pill.failed').length == 1")
        assert not page.run("document.getElementById('row-3.1.1').open")
        page.run("document.querySelectorAll('.picture a')[2].dispatchEvent(new MouseEvent('click', {bubbles: true}))")
        page.shows("location.hash == '#step-3.1.2' || document.getElementById('row-3.1.3').open")
        recorder.end("failed", next_command="dtk apply ring1 --resume")
        page.shows(f"{text_of('live')} == 'The task has finished: failed.'")
        assert page.run("document.title") == "ring1 task 1: failed"
        assert "dtk apply ring1 --resume" in page.run(text_of("errors"))
        assert page.run("typeof evil") == "undefined"
        assert watch.end() == (1, "task 1 of 'ring1': failed")


@in_browser
def test_a_thousand_nodes_are_followed_and_only_what_changed_is_sent(
    page: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Skip fsync: thousands of events would each wait for the disk, and no power cut is tested here.
    monkeypatch.setattr("os.fsync", lambda _: None)
    recorder = many(tmp_path / "events.jsonl", 1000, 900)
    with watching(recorder, tmp_path) as watch:
        page.open(watch.address)
        page.shows(f"{text_of('live')}.startsWith('Live')")
        assert page.run("document.querySelectorAll('.picture a rect').length") == 1000
        page.run("document.getElementById('row-3.1.1').marked = 1")
        count = "document.querySelectorAll('.picture rect.{}').length"
        assert [page.run(count.format(status)) for status in ("succeeded", "failed", "executing")] == [890, 9, 101]
        for member in range(900, 1000):
            recorder.ran(f"3.1.{member}", "join hub", "joined\n").finished(f"3.1.{member}")
        page.shows(f"{count.format('executing')} == 1")
        page.shows("document.getElementById('others-3.1').firstChild.textContent == '990 succeeded'")
        # The element of an unchanged step has not been replaced.
        assert page.run("document.getElementById('row-3.1.1').marked") == 1
        assert page.run("document.documentElement.scrollWidth <= innerWidth")
        recorder.finished("3.1.1000").end()
        page.shows(f"{text_of('live')}.startsWith('The task has finished')")


@in_browser
def test_without_javascript_it_is_the_static_page(page: Browser, tmp_path: Path) -> None:
    with watching(running(tmp_path / "events.jsonl"), tmp_path) as watch:
        page.open(watch.address, javascript=False)
        # A query would run a script as well, so look at the rendered picture.
        page.picture(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 60_000


@in_browser
def test_a_page_that_is_no_longer_served_says_so(page: Browser, tmp_path: Path) -> None:
    with watching(running(tmp_path / "events.jsonl"), tmp_path) as watch:
        page.open(watch.address)
        page.shows(f"{text_of('live')}.startsWith('Live')")
    page.shows(f"{text_of('live')}.startsWith('dtk watch does not answer')")


def test_nobody_gets_anything_without_the_token_or_by_another_name(tmp_path: Path) -> None:
    with watching(running(tmp_path / "events.jsonl"), tmp_path) as watch:
        port = urlsplit(watch.address).port
        path = urlsplit(watch.address).path
        status, headers, body = watch.ask()
        assert (status, body[:15]) == (200, "<!DOCTYPE html>")
        assert watch.ask(Host=f"localhost:{port}")[0] == 200
        policy = headers["Content-Security-Policy"]
        nonce = re.search(r"script-src 'nonce-([\w-]+)'; connect-src 'self';", policy)
        assert nonce
        assert policy.startswith("default-src 'none';")
        assert policy.endswith("frame-ancestors 'none'")
        assert re.findall("<script[^>]*>", body) == [f'<script nonce="{nonce[1]}">']
        assert (headers["Cache-Control"], headers["Referrer-Policy"]) == ("no-store", "no-referrer")
        for refused, asked in {
            403: [{"Host": "evil.example"}, {"Host": f"evil.example:{port}"}, {"Host": ""}, {"Host": "127.0.0.1"},
                  {"Origin": "http://evil.example"}, {"Origin": "null"}],
        }.items():  # fmt: skip
            assert [watch.ask(**given)[0] for given in asked] == [refused] * len(asked)
        other = ("/", "/events", f"{path}x", f"{path}events/", f"{path}../", f"{path[:-2]}/", f"{path}?x")
        assert [watch.ask(asked)[0] for asked in other] == [404] * len(other)
        assert [watch.ask(method=asked)[0] for asked in ("POST", "PUT", "OPTIONS")] == [501] * 3


def test_the_token_is_in_no_process_list_and_the_file_that_leads_to_it_is_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "browser"
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/given\ncp "${{1#file://}}" {tmp_path}/copy\n'
                       f'stat -c %a "${{1#file://}}" "$(dirname "${{1#file://}}")" > {tmp_path}/modes\n')  # fmt: skip
    program.chmod(0o755)
    monkeypatch.setenv("BROWSER", str(program))
    with watching(running(tmp_path / "events.jsonl"), tmp_path, "--open") as watch:
        modes = eventually(lambda: (tmp_path / "modes").exists() and (tmp_path / "modes").read_text(), "it is opened")
        token = urlsplit(watch.address).path.strip("/")
        running_now = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
        assert any("watch --log" in line for line in running_now)
        assert [line for line in running_now if token in line] == []
        assert token not in (tmp_path / "given").read_text()
        assert str(modes).split() == ["600", "700"]
        assert f'content="0; url={watch.address}"' in (tmp_path / "copy").read_text()


def test_a_task_that_is_over_has_a_report_and_no_live_page(tmp_path: Path) -> None:
    recorder = running(tmp_path / "events.jsonl").end("cancelled")
    done = Dtk(tmp_path).run("watch", "--log", str(recorder.path), code=2)
    assert done.stderr == f"error: task 1 of 'ring1' has finished\nnext: dtk task-report --log {recorder.path} --open\n"


def test_a_task_whose_writer_is_gone_ends_the_page(tmp_path: Path) -> None:
    recorder = running(tmp_path / "events.jsonl")
    with watching(recorder, tmp_path) as watch:
        long_ago = time.time() - 3600
        os.utime(recorder.path, (long_ago, long_ago))
        assert watch.end() == (1, "task 1 of 'ring1': failed")


def test_a_step_is_sent_again_only_when_it_has_changed(tmp_path: Path) -> None:
    recorder = begin(tmp_path / "events.jsonl", ring_plan(40), 40)
    fold, sent = Fold(), LiveParts(Surroundings())

    def parts() -> dict[str, str]:
        known = [*recorder.events]
        for event in known[len(seen) :]:
            fold.feed(event)
        seen[:] = known
        return {part.place: part.markup for part in sent.changed(fold.task(), NOW)}

    seen: list[object] = []
    first = parts()
    assert set(first) == {"head", "errors", "timeline", "topology", "comparison", *(f"stage-{n}" for n in "1234")}
    assert parts() == {}
    recorder.at("10:00:40.0").finished("3.1.7")
    changed = parts()
    assert set(changed) == {"head", "timeline", "topology", "stage-3"}
    assert changed["stage-3"].count("data-keep") == 39
    assert changed["stage-3"].count('class="leaf"') == 1
    page = live_page(fold.task(), utc_now(), Surroundings(), "n")
    assert all(f'id="{place}"' in page for place in first)
