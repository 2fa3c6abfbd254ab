"""GitHub Actions: groups of the log and annotations, as workflow commands.

Source: "Workflow commands for GitHub Actions" in GitHub's documentation.
"""

from __future__ import annotations

import re

from dtk.views.ci.annotation import Annotation
from dtk.views.formatting import harmless, one_line

SUMMARY_BYTES = 1024 * 1024
"""Maximum size of a step's summary in bytes; a longer one is rejected completely."""

_COMMAND = re.compile(r"^(\s*):(?=:)", re.MULTILINE)
_OLD_COMMAND = re.compile(r"##(?=\[)")
_JOINER = "\u2060"
"""The word joiner, an invisible character: inserted into a command, it turns the command into plain text."""


def without_commands(text: str) -> str:
    """Return output with workflow commands disabled: what modules and hosts print must not control the job."""
    if "::" not in text and "##[" not in text:
        return text
    return _OLD_COMMAND.sub(f"##{_JOINER}", _COMMAND.sub(rf"\1:{_JOINER}", text))


def group_start(title: str) -> str:
    """Return the line that begins a collapsible group of the log."""
    return f"::group::{_data(one_line(title))}\n"


def group_end() -> str:
    """Return the line that ends a group."""
    return "::endgroup::\n"


def annotation_line(annotation: Annotation) -> str:
    """Return the command that shows a message beside the code, or on the job's page if it has no location."""
    fields = []
    if annotation.place:
        place = annotation.place
        fields += [f"file={_property(place.file)}", f"line={place.line}", f"col={place.column}"]
    if annotation.title:
        fields.append(f"title={_property(one_line(annotation.title))}")
    command = "warning" if annotation.is_warning else "error"
    head = f"{command} {','.join(fields)}" if fields else command
    return f"::{head}::{_data(harmless(annotation.message))}\n"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
