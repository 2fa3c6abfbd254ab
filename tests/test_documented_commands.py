"""Tests that every dtk command on a documentation page exists and accepts the options shown."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from dtk.cli.app import GLOBAL_OPTIONS, LazyCommand
from dtk.cli.habits import ALIASES
from dtk.cli.registry import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    *(path for path in sorted(ROOT.glob("*.md")) if path.name != "CHANGELOG.md"),
    *(path for path in sorted((ROOT / "docs").glob("*.md")) if path.name not in ("commands.md", "original.md")),
    *sorted(ROOT.glob("modules/*/*/README.md")),
    *sorted(ROOT.glob("examples/*/README.md")),
]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(dtk [^`]+)`")
COMMAND = re.compile(r"(?:^|&& |; |\| |\$ |exec )(dtk [a-z-][^|;&\n]*)", re.MULTILINE)


def lines(text: str) -> Iterator[str]:
    """Yield the command lines of a page, from its code blocks and its inline code."""
    for language, block in FENCE.findall(text):
        if language in ("", "console", "sh", "yaml"):
            yield from COMMAND.findall(block.replace("\\\n", " "))
    for span in INLINE.findall(FENCE.sub("", text)):
        yield from COMMAND.findall(" ".join(span.split()))


@cache
def options(name: str) -> frozenset[str]:
    parameters = LazyCommand(COMMANDS[name]).real().params
    known = {option for one in parameters for option in (*one.opts, *one.secondary_opts) if option.startswith("-")}
    return frozenset(known | GLOBAL_OPTIONS.keys() | {"--help", "-h"})


def mistakes(line: str) -> Iterator[str]:
    words = shlex.split(line.replace("…", "").replace("'", ""), comments=True)[1:]
    name = ALIASES.get(words[0], words[0])
    if name in ("help", "--version", "--help", "--install-completion", "--ci", "--offline"):
        return
    if name not in COMMANDS:
        yield f"{line}: no command {name}"
        return
    if COMMANDS[name].words_before_command:
        words = words[: 1 + COMMANDS[name].words_before_command]
    for word in words[1 : words.index("--") if "--" in words else None]:
        option = word.partition("=")[0]
        if option.startswith("-") and option not in options(name) and not option.lstrip("-").isdigit():
            yield f"{line}: no option {option}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_command_that_a_page_shows_is_one_that_dtk_has(page: Path) -> None:
    assert [mistake for line in lines(page.read_text()) for mistake in mistakes(line)] == []


def test_a_command_that_dtk_does_not_have_is_found() -> None:
    text = "Run `dtk frobnicate x`.\n\n```console\n$ dtk plan s1 --outt p\n$ dtk ssh s1 n -- ls --all\n```\n"
    assert [mistake for line in lines(text) for mistake in mistakes(line)] == [
        "dtk plan s1 --outt p: no option --outt",
        "dtk frobnicate x: no command frobnicate",
    ]
