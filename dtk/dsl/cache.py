"""Cache of parsed, valid documents between commands: most of a plan's time is spent on reading the same YAML.

The cache is in the user's own cache folder, never in a workspace, and only classes of documents are loaded from it:
whatever someone puts into the folder, none of their code runs. Entries are keyed by the content and the code that they
were made from, so that none can be out of date. Losing the cache only costs time.
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
"""Folders of code and schemas that determine the result of a document, besides those of the target descriptions."""
_LIBRARIES = ("pyinfra", "jinja2", "ruamel.yaml", "jsonschema")
_MOST_ENTRIES = 400
_LOADED = ("dtk.model.", "dtk.dsl.", "dtk.errors", "dtk.nodes.")
"""Modules that define the classes of documents; of ``dtk.nodes`` only the targets' descriptions."""
_DIGEST_BYTES = hashlib.sha256().digest_size

T = TypeVar("T")


def key_of(*parts: str) -> str:
    """Return the cache key of a result made from these texts by the current code."""
    text = "\0".join((_code(), *parts))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def key_of_file(kind: str, file: Path, display_root: Path | None) -> str:
    """Return the cache key of a document file, "" if it can't be read or is not text.

    The parser reports what is wrong with such a file.
    """
    with suppress(OSError, ValueError):
        if not file.is_file():
            return ""
        return key_of(kind, str(file), str(display_root), file.read_text(encoding="utf-8"))
    return ""


def recall(key: str, kind: type[T]) -> T | None:
    """Return the cached value of a key, None if there is no usable one."""
    try:
        content = (_folder() / key).read_bytes()
    except OSError:
        return None
    digest, kept = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    # A torn entry, after a crash or a full disk, must not reach pickle.
    if hashlib.sha256(kept).digest() != digest:
        return None
    with suppress(Exception):  # unpickling an older class's data may fail in any way
        found = _Unpickler(io.BytesIO(kept)).load()
        return found if isinstance(found, kind) else None
    return None


class _Unpickler(pickle.Unpickler):
    """Loads only classes of documents, because a pickle can name and call any function."""

    def find_class(self, module: str, name: str) -> object:
        """Return the class that a pickle names.

        Raises:
            UnpicklingError: it is not a class of documents. Target descriptions from other distributions are not
                either: files that use them are parsed each time.
        """
        is_path = module.partition(".")[0] == "pathlib" and name == type(Path()).__name__
        is_ours = module.startswith(_LOADED) and (
            not module.startswith("dtk.nodes.") or module.endswith(".description")
        )
        # Check before looking the name up, since that imports its module.
        if is_path or (is_ours and "." not in name):
            found: object = super().find_class(module, name)
            # Refuse names that the module itself has imported.
            if getattr(found, "__module__", None) == module:
                return found
        raise pickle.UnpicklingError(f"{module}.{name} is not part of a document")


def keep(key: str, value: object) -> None:
    """Store a value under a key. If the cache can't be written, do nothing and report nothing."""
    kept = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    with suppress(OSError):
        folder = _folder()
        descriptor, name = tempfile.mkstemp(dir=folder)
        with os.fdopen(descriptor, "wb") as file:
            file.write(hashlib.sha256(kept).digest() + kept)
        # Replace atomically: another dtk process may be reading the same key.
        Path(name).replace(folder / key)
        _forget_oldest(folder)


def _folder() -> Path:
    """Return dtk's cache folder, which is private to this user.

    Raises:
        OSError: there is no home folder, the cache folder can't be created, or others may write to it.
    """
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError as error:  # a container's user may have no home folder
        raise FileNotFoundError(str(error)) from None
    folder = base / "dtk" / "documents"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    # Loading a pickle can run code in it, so nobody else may be able to write one.
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise PermissionError(f"{folder} is not this user's alone")
    return folder


def _forget_oldest(folder: Path) -> None:
    entries = sorted(folder.iterdir(), key=lambda entry: entry.stat().st_mtime)
    for entry in entries[:-_MOST_ENTRIES]:
        entry.unlink(missing_ok=True)


@lru_cache(maxsize=1)
def _code() -> str:
    """Return the identity of the current code: Python's version, and size and time of each relevant file."""
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
