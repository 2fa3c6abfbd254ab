"""Documents that were read and found valid, kept between commands: most of a plan's time is reading the same YAML.

They lie in the user's own cache folder and never in a workspace, and nothing but what documents become is loaded from
there: whatever somebody puts into the folder, no code of theirs runs. What is kept is found by the content it was made
from and by the code that made it, so that nothing in it can be out of date. Losing it costs time only.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from dtk.targets import BUILT_IN

_PACKAGE = Path(__file__).resolve().parents[1]
_MAKERS = (*("", "model", "dsl", "dsl/yaml", "dsl/build", "dsl/check", "dsl/template", "data/schemas", "../schemas"),)
"""The folders whose code and schemas decide what a document becomes, besides those of the targets' descriptions."""
_LIBRARIES = ("pyinfra", "jinja2", "ruamel.yaml", "jsonschema")
_MOST_ENTRIES = 400
_LOADED = ("dtk.model.", "dtk.dsl.", "dtk.errors", "dtk.nodes.")
"""Where what documents become is defined; of ``dtk.nodes`` the descriptions of targets alone."""
_DIGEST_BYTES = hashlib.sha256().digest_size

T = TypeVar("T")


def key_of(*parts: str) -> str:
    """Return the key of what is made from these texts by this code."""
    text = "\0".join((_code(), *parts))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def key_of_file(kind: str, file: Path, display_root: Path | None) -> str:
    """Return the key of what a document's file becomes, "" for one that can't be read or is not text.

    What is wrong with such a file is for the parser to say.
    """
    with suppress(OSError, ValueError):
        if not file.is_file():
            return ""
        return key_of(kind, str(file), str(display_root), file.read_text(encoding="utf-8"))
    return ""


def recall(key: str, kind: type[T]) -> T | None:
    """Return what is kept under a key, None when there is nothing that can be used."""
    try:
        content = (_folder() / key).read_bytes()
    except OSError:
        return None
    digest, kept = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    # A torn entry, after a crash or on a full disk, must not reach pickle.
    if hashlib.sha256(kept).digest() != digest:
        return None
    with suppress(Exception):  # unpickling what an older class left may fail in any way
        found = _Unpickler(io.BytesIO(kept)).load()
        return found if isinstance(found, kind) else None
    return None


class _Unpickler(pickle.Unpickler):
    """Loads what documents become: a pickle may name any function there is, and have it called."""

    def find_class(self, module: str, name: str) -> object:
        """Return what a pickle names.

        Raises:
            UnpicklingError: it is no part of a document. Those of a target's description from elsewhere are not,
                either: such a file is read each time.
        """
        is_path = module.partition(".")[0] == "pathlib" and name == type(Path()).__name__
        is_ours = module.startswith(_LOADED) and (
            not module.startswith("dtk.nodes.") or module.endswith(".description")
        )
        # Before it is found: finding it imports its module.
        if is_path or (is_ours and "." not in name):
            found: object = super().find_class(module, name)
            # Not what the module itself got from elsewhere.
            if getattr(found, "__module__", None) == module:
                return found
        raise pickle.UnpicklingError(f"{module}.{name} is not part of a document")


def keep(key: str, value: object) -> None:
    """Keep a value under a key. A cache that can't be written is none: nothing is said."""
    kept = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    with suppress(OSError):
        folder = _folder()
        descriptor, name = tempfile.mkstemp(dir=folder)
        with os.fdopen(descriptor, "wb") as file:
            file.write(hashlib.sha256(kept).digest() + kept)
        # In one step: another dtk may read the same key at this moment.
        Path(name).replace(folder / key)
        _forget_oldest(folder)


def _folder() -> Path:
    """Return the user's cache folder of dtk, private to this user.

    Raises:
        OSError: it can't be made, or others may write to it.
    """
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(base) / "dtk" / "documents"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    # Loading a pickle runs what is in it: nobody else may have been able to write one.
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise PermissionError(f"{folder} is not this user's alone")
    return folder


def _forget_oldest(folder: Path) -> None:
    entries = sorted(folder.iterdir(), key=lambda entry: entry.stat().st_mtime)
    for entry in entries[:-_MOST_ENTRIES]:
        entry.unlink(missing_ok=True)


@lru_cache(maxsize=1)
def _code() -> str:
    """Return what tells this code from any other: Python, and size and time of each file that takes part."""
    return repr((sys.version_info[:3], list(_stamps(_files()))))


def _files() -> Iterator[Path]:
    descriptions = (one.settings_schema.parent for one in BUILT_IN.values())
    for folder in (*(_PACKAGE / name for name in _MAKERS), *descriptions):
        yield from sorted(folder.glob("*.py")) + sorted(folder.glob("*.json"))
    for name in _LIBRARIES:
        with suppress(ImportError):
            found = find_spec(name.partition(".")[0])
            for package in found.submodule_search_locations or () if found else ():
                yield Path(package) / "__init__.py"
                yield Path(package)


def _stamps(files: Iterable[Path]) -> Iterator[tuple[str, int, int]]:
    for file in files:
        with suppress(OSError):
            found = file.stat()
            yield str(file), found.st_size, found.st_mtime_ns
