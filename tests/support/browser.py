"""A headless Chromium for tests, controlled through the DevTools protocol over a pipe."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
           "--disable-background-networking", "--disable-component-update", "--hide-scrollbars")  # fmt: skip
PATIENCE = 60.0


class Browser:
    """A page in a browser. ``run`` evaluates a JavaScript expression and returns its value."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from = to_browser, from_browser
        self._rest = b""
        self._number = 0
        self._session: dict[str, str] = {}
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": attached["sessionId"]}

    def call(self, method: str, **parameters: Any) -> Any:
        """Call a method of the protocol and return its result. Events that arrive before the result are ignored."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters, **self._session}
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while (answer := self._message()).get("id") != self._number:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def _message(self) -> Any:
        while b"\0" not in self._rest:
            assert select.select([self._from], [], [], PATIENCE)[0], "the browser does not answer"
            found = os.read(self._from, 1 << 20)
            assert found, "the browser has ended"
            self._rest += found
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def open(self, address: str, *, javascript: bool = True, width: int = 1280, height: int = 1600) -> None:
        """Open an address in a window of this size in pixels and wait until it has loaded."""
        self.call("Emulation.setScriptExecutionDisabled", value=not javascript)
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Page.navigate", url=address)
        self.shows(f"document.readyState == 'complete' && location.href.startsWith({json.dumps(address)})")

    def run(self, expression: str) -> Any:
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def shows(self, expression: str) -> Any:
        """Wait until a JavaScript expression is true and return its value."""
        end = time.monotonic() + PATIENCE
        while not (found := self.run(expression)):
            assert time.monotonic() < end, f"never true: {expression}; the page: {self.run('document.body.innerText')}"
            time.sleep(0.05)
        return found

    def picture(self, file: Path, *, dark: bool = False) -> None:
        """Save a screenshot of the window as a PNG file."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """Run a browser with its own profile in a folder, and end it afterwards."""
    its_input, to_browser = os.pipe()
    from_browser, its_output = os.pipe()
    words = [CHROMIUM, *OPTIONS, "--remote-debugging-pipe", f"--user-data-dir={folder / 'profile'}"]
    # Chromium reads the protocol from descriptor 3 and writes to descriptor 4.
    program = 'exec "$@" 3<&"$IN" 4>&"$OUT"'
    process = subprocess.Popen(
        ["bash", "-c", program, "bash", *words],
        env={**os.environ, "IN": str(its_input), "OUT": str(its_output)},
        pass_fds=(its_input, its_output), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(its_input)
    os.close(its_output)
    try:
        yield Browser(to_browser, from_browser)
    finally:
        process.kill()
        process.wait()
        os.close(to_browser)
        os.close(from_browser)
