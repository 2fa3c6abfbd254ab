"""Edits of service.yaml and dtk.yaml that keep everything else as written.

The text is spliced at the position that the parser reports, and is never serialized again: changing one attribute
changes one line. The result is parsed and compared with the intended data before it replaces the file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from dtk.disk.files import make_folder, sync_folder, write_new
from dtk.dsl.yaml.document import Document, parse_document, read_document
from dtk.dsl.yaml.span import DocumentPath
from dtk.errors import DtkError, UsageError
from dtk.state.edit_lock import one_at_a_time

_ATTRIBUTES = "attributes"
_READABLE = 0o644
_INDENT = "  "


def set_attribute(file: Path, path: str, value: object) -> None:
    """Set one line under ``attributes:`` of a service.yaml; see ``set_attributes``."""
    set_attributes(file, {path: value})


def set_attributes(file: Path, values: Mapping[str, object]) -> None:
    """Set lines under ``attributes:`` of a service.yaml, all or none; comments, order and quotes are kept.

    Args:
        file: the service.yaml.
        values: plain data by attribute path (``slaves/cardinality``).

    Raises:
        InvalidError: the file is not YAML.
        DtkError: the file's attributes have a form that can't be edited.
    """
    set_entries(file, _ATTRIBUTES, values)


def set_entry(file: Path, section: str, key: str, value: object) -> None:
    """Set one entry of a top-level map; see ``set_entries``."""
    set_entries(file, section, {key: value})


@one_at_a_time
def set_entries(file: Path, section: str, entries: Mapping[str, object]) -> None:
    """Set entries of a top-level map, all or none; everything else is kept as written.

    Args:
        file: the document.
        section: the map's key; added if missing.
        entries: plain data by key.

    Raises:
        InvalidError, DtkError: as for ``set_attributes``.
    """
    before = document = _opened(file, section)
    for key, value in entries.items():
        try:
            document = parse_document(_with(document, section, key, value), before.file)
        except DtkError:
            raise cannot_edit(file) from None
    known = before.data.get(section) or {}
    replace_text(file, before, document.text, {**before.data, section: {**known, **entries}})


def _with(document: Document, section: str, key: str, value: object) -> str:
    """Return a document's text with one entry of a section set."""
    path: DocumentPath = (section, key)
    if path in document.values:
        return _with_value(document, path, value)
    if document.data.get(section):
        return _with_entry(document, (section,), _entry(key, value))
    return _with_section(document, section, _entry(key, value))


def set_key(file: Path, key: str, value: str, *, after: str) -> None:
    """Add a top-level key with a text value, on its own line; everything else is kept as written.

    Args:
        file: the document.
        key: the key, which must not exist yet.
        value: its text.
        after: the key to insert it after; at the end if that does not exist.

    Raises:
        InvalidError, DtkError: as for ``set_attributes``.
    """
    document = _opened(file, key)
    text, entry = document.text, _entry(key, value)
    if text[document.values[()].start] == "{":
        # Keep JSON as JSON.
        edited = _with_entry(document, (), f"{_quoted(key)}: {_quoted(value)}")
    elif (after,) in document.values:
        end = line_end(text, max(document.keys[(after,)].end, document.values[(after,)].end))
        edited = f"{ended(text[:end])}{entry}\n{text[end:]}"
    else:
        edited = f"{ended(text)}{entry}\n"
    replace_text(file, document, edited, {**document.data, key: value})


def unset_attribute(file: Path, path: str) -> bool:
    """Remove one line under ``attributes:`` of a service.yaml.

    Returns:
        Whether the line existed.

    Raises:
        InvalidError, DtkError: as for ``set_attributes``.
    """
    return unset_entry(file, _ATTRIBUTES, path)


@one_at_a_time
def unset_entry(file: Path, section: str, key: str) -> bool:
    """Remove one entry of a top-level map; remove the map if it becomes empty.

    Returns:
        Whether the entry existed.

    Raises:
        InvalidError, DtkError: as for ``set_attributes``.
    """
    document = _opened(file, section)
    path: DocumentPath = (section, key)
    if path not in document.keys:
        return False
    entries = {name: value for name, value in document.data[section].items() if name != key}
    data = {**document.data, section: entries}
    if entries:
        text = _without_entry(document, path)
    else:
        data.pop(section)
        text = _without_entry(document, (section,))
    replace_text(file, document, text, data)
    return True


def new_service(
    file: Path,
    *,
    assembly: str,
    target: str = "",
    attributes: Mapping[str, object] | None = None,
    id_: str = "",
    modeline: str = "",
) -> None:
    """Write a new service.yaml and create its folder, which gives the service its name.

    Args:
        file: ``services/NAME/service.yaml``.
        assembly: ``namespace:module/assembly``.
        target: a target of dtk.yaml; "" for its default.
        attributes: values by path.
        id_: the service's permanent id.
        modeline: the comment that tells editors the schema.

    Raises:
        UsageError: the file exists already.
    """
    lines = [*([modeline] if modeline else []), "format_version: 1", _entry("service", file.parent.name)]
    lines += [_entry("id", id_)] if id_ else []
    lines += [_entry("assembly", assembly)]
    lines += [_entry("target", target)] if target else []
    lines += [f"{_ATTRIBUTES}:"] if attributes else []
    lines += [f"{_INDENT}{_entry(path, value)}" for path, value in (attributes or {}).items()]
    make_folder(file.parent)
    _write_first(file, "\n".join(lines) + "\n")


def new_workspace(file: Path, modeline: str = "", id_: str = "") -> None:
    """Write a new dtk.yaml with the workspace's id and only the embedded target; ``modeline`` is for editors.

    Raises:
        UsageError: the file exists already.
    """
    lines = [modeline] if modeline else []
    lines += ["# Targets are where nodes come from; local, on this machine, needs no entry here.", "format_version: 1"]
    lines += [_entry("workspace", id_)] if id_ else []
    _write_first(file, "\n".join(lines) + "\n")


def _opened(file: Path, section: str) -> Document:
    document = read_document(file)
    if not isinstance(document.data, dict) or not isinstance(document.data.get(section) or {}, dict):
        raise cannot_edit(file)
    return document


def cannot_edit(file: Path) -> DtkError:
    """Return the error for a document with a form that can't be edited."""
    return DtkError(
        f"dtk can't edit {file} because of how it is written",
        hint="edit it by hand, and write each attribute on its own line",
    )


def _with_value(document: Document, path: DocumentPath, value: object) -> str:
    text, span = document.text, document.values[path]
    if span.start == span.end:  # `key:` without a value
        colon = text.index(":", document.keys[path].end)
        return f"{text[: colon + 1]} {scalar(value)}{text[colon + 1 :]}"
    quote = text[span.start] if text[span.start] in "'\"" and isinstance(value, str) else ""
    return text[: span.start] + scalar(value, quote) + text[span.end :]


def _with_entry(document: Document, path: DocumentPath, entry: str) -> str:
    """Add an entry after the last one of a map."""
    text, span = document.text, document.values[path]
    if text[span.start] == "{":
        return f"{text[: span.end - 1].rstrip()}, {entry}{text[span.end - 1 :]}"
    line_start = text.rfind("\n", 0, span.start) + 1
    end = line_end(text, span.end)
    indent = text[line_start : span.start]
    return f"{ended(text[:end])}{indent}{entry}\n{text[end:]}"


def _with_section(document: Document, key: str, entry: str) -> str:
    """Add an entry to a section that is empty or missing."""
    text = document.text
    if (key,) not in document.keys:
        return f"{ended(text)}{key}:\n{_INDENT}{entry}\n"
    end = document.keys[(key,)].end
    colon = text.index(":", end) + 1
    span = document.values[(key,)]
    rest = text[max(colon, span.end) :]
    return f"{text[:colon]}{rest.partition(chr(10))[0].rstrip()}\n{_INDENT}{entry}\n{rest.partition(chr(10))[2]}"


def _without_entry(document: Document, path: DocumentPath) -> str:
    text, key, value = document.text, document.keys[path], document.values[path]
    if text[document.values[path[:-1]].start] == "{":
        return _without_flow_entry(document, path)
    start = text.rfind("\n", 0, key.start) + 1
    end = line_end(text, max(key.end, value.end))
    return text[:start] + text[end:]


def _without_flow_entry(document: Document, path: DocumentPath) -> str:
    text, start, end = document.text, document.keys[path].start, document.values[path].end
    behind = text[end:].lstrip()
    if behind.startswith(","):
        return text[:start] + behind[1:].lstrip()
    return text[:start].rstrip().removesuffix(",") + text[end:]


def line_end(text: str, at: int) -> int:
    """Return the offset after the line at an offset, including a comment at its end."""
    found = text.find("\n", at)
    return len(text) if found < 0 else found + 1


def ended(text: str) -> str:
    """Return a text with a line break at its end."""
    return text if not text or text.endswith("\n") else f"{text}\n"


def _entry(key: str, value: object) -> str:
    return f"{scalar(key)}: {scalar(value)}"


def scalar(value: object, quote: str = "") -> str:
    """Return plain data as one line of YAML; a text is quoted only if necessary, or if it was quoted before."""
    if not isinstance(value, str):
        return _flow(value)
    if quote != "'" and (quote or not value.isprintable()):
        return _quoted(value)
    if not quote and _is_plain(value):
        return value
    return "'" + value.replace("'", "''") + "'" if value.isprintable() else _quoted(value)


def _flow(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_flow(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_flow_key(key)}: {_flow(item)}' for key, item in value.items())}}}"
    return _quoted(value) if isinstance(value, str) else json.dumps(value)


def _flow_key(key: str) -> str:
    return key if _is_plain(key) else _quoted(key)


def _quoted(text: str) -> str:
    """Return a text in double quotes; unprintable characters have YAML escapes, which differ from JSON's."""
    return f'"{"".join(_escaped(character) for character in text)}"'


def _escaped(character: str) -> str:
    if character in '\\"':
        return f"\\{character}"
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _is_plain(text: str) -> bool:
    """Return whether a text needs no quotes: alone, as a key and in a flow map, YAML reads it as itself."""
    if (
        not text.isprintable()
        or text != text.strip()
        or text.startswith(":")
        or any(mark in text for mark in "{}[],&*#?|<>=!%@`\\\"'")
    ):
        return False
    try:
        return bool(parse_document(f"{text}: {text}\n", "").data == {text: text})
    except DtkError:
        return False


def replace_text(file: Path, before: Document, text: str, data: object) -> None:
    """Write an edited file after verifying that the edit changed only what it should.

    Raises:
        DtkError: the file has a form that can't be edited, or was changed after it was read.
    """
    try:
        done = parse_document(text, before.file).data == data
    except DtkError:
        done = False
    if not done:
        raise cannot_edit(file)
    if read_document(file).text != before.text:
        raise DtkError(f"{file} was changed by another process: nothing was written", hint="try again")
    target = file.resolve()  # edit the target of a symlink
    temporary = target.with_name(f".{target.name}.{os.getpid()}.new")
    temporary.unlink(missing_ok=True)
    write_new(temporary, text)
    temporary.chmod(target.stat().st_mode & 0o777)
    temporary.replace(target)
    sync_folder(target.parent)


def _write_first(file: Path, text: str) -> None:
    try:
        write_new(file, text)
    except FileExistsError:
        raise UsageError(f"{file} already exists") from None
    file.chmod(_READABLE)
    sync_folder(file.parent)
