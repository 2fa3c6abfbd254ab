"""Creates docs/pictures from a real run: deploys the quickstart's cluster and records its screens.

    python tools/make_pictures.py

dtk's own code draws the live screen from the task's event log, at several moments of the run, and rich exports it. The
plan is the command's output, the topology is the output of `dtk graph`, and the report is a screenshot by chromium.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from datetime import datetime
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from dtk.events.event import Event, moment_of
from dtk.events.fold import Fold
from dtk.events.log_reader import read_log
from dtk.views.live_frame import frame

PICTURES = Path(__file__).resolve().parent.parent / "docs" / "pictures"
SERVICE = "dask1"
COLUMNS, LINES = 84, 20
FRAMES = 14
FRAME_SECONDS = 0.9
REPORT_SIZE = (1100, 900)  # in pixels
WEB_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
"""The web font that rich loads from another host; it is removed, because dtk's pages load nothing from other hosts."""


def dtk(workspace: Path, *words: str) -> str:
    """Run a command in the workspace; return its output in colour."""
    environment = {**os.environ, "COLUMNS": str(COLUMNS), "FORCE_COLOR": "1"}
    command = [sys.executable, "-m", "dtk", *words]
    return subprocess.run(
        command, cwd=workspace, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    ).stdout


def drawn(lines: list[Text], title: str, identity: str) -> str:
    """Return lines of a terminal as an SVG picture; ``identity`` makes its style names unique on a page."""
    console = Console(width=COLUMNS, record=True, file=StringIO(), force_terminal=True, legacy_windows=False)
    for line in lines:
        console.print(line, no_wrap=True, crop=True)
    svg = console.export_svg(title=title, theme=MONOKAI, unique_id=identity)
    return WEB_FONT.sub("", svg).replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, monospace")


def moments(events: list[Event]) -> list[datetime]:
    """Return the times of the frames: evenly spaced by number of events, and the end."""
    times = [moment for event in events if (moment := moment_of(event.get("ts")))]
    return [times[len(times) * number // FRAMES] for number in range(1, FRAMES)] + [times[-1]]


def screen(events: list[Event], now: datetime) -> list[Text]:
    """Return the live screen at a time, padded to its full height."""
    fold = Fold()
    for event in events:
        if (moment := moment_of(event.get("ts"))) and moment <= now:
            fold.feed(event)
    lines = [Text(line.text, style=line.style) for line in frame(fold.task(), now, COLUMNS, LINES)]
    return lines + [Text("")] * (LINES - len(lines))


def recording(log: Path) -> str:
    """Return the live screen of a finished task as an animated SVG."""
    events = list(read_log(log).events)
    title = f"dtk task-status {SERVICE} --wait"
    frames = [drawn(screen(events, now), title, f"frame{number}") for number, now in enumerate(moments(events))]
    box = frames[0].partition('viewBox="')[2].partition('"')[0]
    share, length = 100 / len(frames), len(frames) * FRAME_SECONDS
    style = (
        f".screen {{ visibility: hidden; animation: screen {length:.1f}s step-end infinite }}\n"
        f"@keyframes screen {{ 0% {{ visibility: visible }} {share:.3f}% {{ visibility: hidden }} }}\n"
        # Readers who prefer reduced motion see only the last screen.
        "@media (prefers-reduced-motion) { .screen { animation: none } .screen:last-child { visibility: visible } }"
    )
    shown = "\n".join(
        f'<g class="screen" style="animation-delay: {number * FRAME_SECONDS:.1f}s">{svg}</g>'
        for number, svg in enumerate(frames)
    )
    return f'<svg viewBox="{box}" xmlns="http://www.w3.org/2000/svg">\n<style>{style}</style>\n{shown}\n</svg>\n'


def photograph(page: Path, picture: Path) -> None:
    """Write a browser's screenshot of a page."""
    size = "--window-size={},{}".format(*REPORT_SIZE)
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", size]
    subprocess.run([*command, f"--screenshot={picture}", page.as_uri()], check=True, capture_output=True)


def make(workspace: Path) -> None:
    """Deploy the cluster in the workspace and write every picture."""
    dtk(workspace, "init")
    dtk(workspace, "stage", "dtk:dask/cluster", SERVICE)
    plan = [Text.from_ansi(line) for line in dtk(workspace, "plan", SERVICE).splitlines()]
    (PICTURES / "plan.svg").write_text(drawn(plan, f"dtk plan {SERVICE}", "plan"))
    try:
        dtk(workspace, "apply", SERVICE, "--yes")
        log = workspace / f".dtk/services/{SERVICE}/tasks/1/events.jsonl"
        (PICTURES / "task-status.svg").write_text(recording(log))
        dtk(workspace, "graph", SERVICE, "--format", "svg", "--out", str(PICTURES / "topology.svg"))
        dtk(workspace, "task-report", SERVICE, "--out", "report.html")
        photograph(workspace / "report.html", PICTURES / "report.png")
    finally:
        dtk(workspace, "delete-and-destroy", SERVICE, "--yes")


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder))
    for picture in PICTURES.iterdir():
        picture.chmod(0o644)
