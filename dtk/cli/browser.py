"""Opens pages in the user's browser."""

from __future__ import annotations

import tempfile
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from dtk.disk.files import replace_file
from dtk.views.markup import tag


def open_file(page: Path) -> None:
    """Open a page from a file; print a message if there is no browser."""
    _open(page.resolve().as_uri())


@contextmanager
def opened(address: str) -> Iterator[None]:
    """Open an address that contains a token.

    The command line of a browser is visible to every user of the machine. So the browser opens a file that only its
    owner can read and that redirects to the address.
    """
    with tempfile.TemporaryDirectory(prefix="dtk-watch-") as folder:
        file = Path(folder) / "open.html"
        refresh = tag("meta", http_equiv="refresh", content=f"0; url={address}")
        referrer = tag("meta", name="referrer", content="no-referrer")
        replace_file(file, f"<!DOCTYPE html>\n{tag('html', tag('head', referrer, refresh))}\n")
        _open(file.as_uri())
        yield


def _open(address: str) -> None:
    if not webbrowser.open(address):
        typer.echo("No browser found; open the page yourself.", err=True)
