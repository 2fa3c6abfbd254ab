"""GitLab CI: collapsible sections of the log, and errors as a code-quality file.

Source: "Custom collapsible sections" and "Code Quality report format" in GitLab's documentation.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from datetime import datetime

from dtk.views.ci.annotation import Annotation
from dtk.views.formatting import one_line

_ERASE = "\x1b[0K"


def section_start(name: str, title: str, moment: datetime) -> str:
    """Return the line that begins a collapsible section of the log.

    Args:
        name: a name for the section, unique in this job.
        title: the title that people read.
        moment: when the section began; GitLab shows its duration.
    """
    return f"{_ERASE}section_start:{int(moment.timestamp())}:{_name(name)}\r{_ERASE}{one_line(title)}\n"


def section_end(name: str, moment: datetime) -> str:
    """Return the line that ends a section."""
    return f"{_ERASE}section_end:{int(moment.timestamp())}:{_name(name)}\r{_ERASE}\n"


def _name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", text)


def code_quality_text(annotations: Sequence[Annotation]) -> str:
    """Return errors and warnings as the JSON that a merge request shows; those without a location are left out."""
    found = [_issue(one) for one in annotations if one.place]
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def _issue(annotation: Annotation) -> dict[str, object]:
    place = annotation.place
    assert place is not None  # noqa: S101 - the caller omits annotations without one
    # Without the line number, so that an error that only moves counts as the same one.
    mark = hashlib.sha256(f"{place.file}\n{annotation.message}".encode()).hexdigest()
    return {
        "description": annotation.message,
        "check_name": "dtk-validate",
        "fingerprint": mark,
        "severity": "minor" if annotation.is_warning else "major",
        "location": {"path": place.file, "lines": {"begin": place.line}},
    }
