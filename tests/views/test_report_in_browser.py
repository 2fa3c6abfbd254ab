"""The report in a real browser: its layout at any width, with 3 and 300 nodes, without JavaScript."""

from __future__ import annotations

import json
import re
import struct
import subprocess
from collections.abc import Callable
from functools import cache
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from dtk.events.fold import fold
from dtk.views.picture import Arrow
from dtk.views.report.page import report_page
from tests.support.browser import CHROMIUM, OPTIONS, PATIENCE
from tests.support.recorded_tasks import NOW, RECORDINGS

MEASURE = """<script>
const box = (e) => { const r = e.getBoundingClientRect(); return [r.left, r.right, r.width, r.height]; };
const seen = (e) => e.checkVisibility({contentVisibilityAuto: false, opacityProperty: true});
document.title = JSON.stringify({
  page: document.documentElement.scrollWidth, window: innerWidth,
  bars: [...document.querySelectorAll('.lane.stages .bar')].map(box),
  track: box(document.querySelector('.lane.stages .track')),
  outside: [...document.querySelectorAll('.bar')].filter(b => seen(b) && b.getBoundingClientRect().width).filter(b => {
    const t = b.parentElement.getBoundingClientRect(), r = b.getBoundingClientRect();
    return r.left < t.left - 1 || r.right > t.right + 4; }).length,
  open: document.querySelectorAll('details[open]').length,
  folded: document.querySelectorAll('details:not([open])').length,
  seen: [...document.querySelectorAll('#steps pre')].filter(seen).map(e => e.textContent),
  problem: box(document.querySelector('#errors .problem') || document.body),
});
</script>"""

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium here: install the package chromium")


def chromium(folder: Path, *words: str, javascript: bool = True) -> str:
    settings = folder / "profile" / "Default" / "Preferences"
    settings.parent.mkdir(parents=True, exist_ok=True)
    if not javascript:
        settings.write_text('{"profile": {"default_content_setting_values": {"javascript": 2}}}')
    return subprocess.run(
        [CHROMIUM, *OPTIONS, f"--user-data-dir={folder / 'profile'}", *words],
        capture_output=True, text=True, check=True, timeout=PATIENCE,
    ).stdout  # fmt: skip


def page_of(name: str, folder: Path) -> str:
    task = fold(RECORDINGS[name](folder / f"{name}.jsonl").events)
    arrows = [Arrow(("slaves", "ring::member"), ("master", "ring::hub"))]
    return report_page(task, NOW, before=task, arrows=arrows)


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], Any]:
    """Return a function that measures a page in a window of a given width in pixels; results are cached."""

    @cache
    def measured(name: str, width: int) -> Any:
        folder = tmp_path_factory.mktemp("page")
        page = page_of(name, folder)
        # The page's own policy would block the script that measures it.
        policy = re.search(r'<meta http-equiv="Content-Security-Policy"[^>]*>', page)
        assert policy
        file = folder / "measured.html"
        file.write_text(page.replace(policy[0], "").replace("</body>", f"{MEASURE}</body>"))
        shown = chromium(folder, f"--window-size={width},900", "--dump-dom", file.as_uri())
        title = re.search(r"<title>(\{.*?\})</title>", shown, re.DOTALL)
        assert title, shown[:400]
        return json.loads(unescape(title[1]))

    return measured


@pytest.mark.parametrize(("name", "width"), [("failed", 1280), ("failed", 500), ("large", 1280)])
def test_the_page_fits_and_its_bars_are_to_scale(layout: Callable[[str, int], Any], name: str, width: int) -> None:
    found = layout(name, width)
    assert found["page"] <= found["window"]
    assert found["outside"] == 0
    track = found["track"][2]
    # Stage 1 took 22 s of 45.1 s in all (failed) or of one minute so far (large).
    assert found["bars"][0][2] / track == pytest.approx(22 / (45.1 if name == "failed" else 60), abs=0.01)
    assert found["problem"][2] > width / 2


def test_what_failed_is_open_and_the_rest_is_folded(layout: Callable[[str, int], Any]) -> None:
    found = layout("failed", 1280)
    assert any("bind: address in use" in text for text in found["seen"])
    assert not any(text == "joined" for text in found["seen"])
    assert found["folded"] > found["open"] > 0


@pytest.mark.parametrize("name", ["failed", "large"])
def test_the_page_is_drawn_with_javascript_off(name: str, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(page_of(name, tmp_path))
    picture = tmp_path / "page.png"
    words = ("--window-size=1280,1600", f"--screenshot={picture}", (tmp_path / "page.html").as_uri())
    chromium(tmp_path, *words, javascript=False)
    content = picture.read_bytes()
    assert struct.unpack(">II", content[16:24]) == (1280, 1600)
    # An empty page of this size compresses to about 10 kB.
    assert len(content) > 60_000
