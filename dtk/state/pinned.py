"""dtk.lock: the source, commit and file digest of each installed module."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from dtk.disk.files import replace_file
from dtk.errors import InvalidError, Location, NewerFormatError, Problem
from dtk.model.json_data import ReadOnlyObject, as_object, parse_json
from dtk.model.names import module_name

FORMAT_VERSION = 1
_READABLE = 0o644
_COMMIT = re.compile(r"([0-9a-f]{40}|[0-9a-f]{64})?")
_TREE = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Pin:
    """One installed module: its source and its exact content.

    ``url`` is as written (folders relative to the workspace); ``path`` is the module's folder in its source;
    ``commit`` is "" for a folder outside of a repository; ``tree`` is ``sha256:…`` over the module's files.
    """

    url: str
    ref: str
    path: str
    commit: str
    tree: str
    version: str = ""

    @property
    def key(self) -> str:
        """The folder below .dtk/modules that contains the module as NS/NAME."""
        return self.commit or self.tree.replace(":", "-")[:40]

    @property
    def shown(self) -> str:
        """The source for people: ``URL@REF``, and the path in it."""
        at = "" if self.ref == "HEAD" else f"@{self.ref}"
        return f"{self.url}{at}" + (f" ({self.path})" if self.path else "")


def load_pins(file: Path) -> dict[str, Pin]:
    """Return the pinned modules by full name; none if there is no dtk.lock.

    Raises:
        InvalidError: the file is malformed.
        NewerFormatError: the file was written by a newer dtk.
    """
    try:
        document = parse_json(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise _broken(file, f"not JSON: {error}") from None
    version = document.get("format_version") if isinstance(document, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise NewerFormatError(file.name, "lock file", version)
    try:
        modules = as_object(document)["modules"]
        if not isinstance(modules, dict):
            raise _broken(file, "modules is missing or has the wrong type")
        pins = {name: _pin(as_object(entry)) for name, entry in modules.items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise _broken(file, f"{error} is missing or has the wrong type") from None
    # Validate strictly: names, commits and digests become paths below .dtk/modules.
    wrong = [name for name, pin in pins.items() if not _is_sound(name, pin)]
    if wrong:
        raise _broken(file, f"its entry '{wrong[0]}' is invalid")
    return pins


def _is_sound(name: str, pin: Pin) -> bool:
    named = _COMMIT.fullmatch(pin.commit) and _TREE.fullmatch(pin.tree)
    return module_name(name) == name and "/" in name and bool(named)


def _pin(entry: ReadOnlyObject) -> Pin:
    names = ("url", "ref", "path", "commit", "tree")
    return Pin(**{name: str(entry[name]) for name in names}, version=str(entry.get("version", "")))


def _broken(file: Path, message: str) -> InvalidError:
    problem = Problem(message, Location(file.name, 1, 1))
    return InvalidError(
        f"{file.name} is broken", [problem], hint="restore it from git, or delete it and run: dtk install"
    )


def pins_text(pins: Mapping[str, Pin]) -> str:
    """Return dtk.lock's text, sorted by name to keep diffs small."""
    modules = {name: asdict(pins[name]) for name in sorted(pins)}
    return json.dumps({"format_version": FORMAT_VERSION, "modules": modules}, indent=2, ensure_ascii=False) + "\n"


def save_pins(file: Path, pins: Mapping[str, Pin]) -> None:
    """Write dtk.lock atomically."""
    replace_file(file, pins_text(pins))
    file.chmod(_READABLE)
