"""Opens documents for building: parsed, of a known version, validated against their schemas."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from dtk.dsl.yaml.cursor import Cursor
from dtk.dsl.yaml.document import Document, read_document, shown_path
from dtk.dsl.yaml.schema import violations
from dtk.dsl.yaml.span import DocumentPath
from dtk.dsl.yaml.versions import is_newer
from dtk.errors import InvalidError, Location, Problem

DSL_VERSION = "1.0.0"
"""The version of the module language that this dtk reads."""

FORMAT_VERSION = "1"
"""The version of service.yaml and dtk.yaml that this dtk reads."""

_VERSION_KEYS = {"module": "dsl_version", "assembly": "dsl_version"}


@dataclass(frozen=True)
class Checked:
    """A document with a cursor at its root; the cursor hides everything that the schema refused."""

    document: Document
    cursor: Cursor


def open_document(file: Path, schema: str, display_root: Path | None, problems: list[Problem]) -> Checked | None:
    """Read a document and validate its structure.

    Args:
        file: the YAML file.
        schema: the schema's name: ``module``, ``assembly``, ``service``, ``workspace``.
        display_root: messages name the file relative to this folder.
        problems: the list to append problems to.

    Returns:
        The document, None if it can't be used at all.
    """
    try:
        document = read_document(file, display_root)
    except InvalidError as error:
        problems += error.problems
        return None
    newer = _newer_version(document, schema)
    if newer:
        problems.append(newer)
        return None
    found = violations(document.data, schema)
    problems += [violation.problem(document) for violation in found]
    # A map that lacks a key is unusable; the whole document is not.
    broken = frozenset(violation.path for violation in found if violation.path or not violation.missing)
    return Checked(document, Cursor(document, broken))


def _newer_version(document: Document, schema: str) -> Problem | None:
    key = _VERSION_KEYS.get(schema, "format_version")
    known = DSL_VERSION if schema in _VERSION_KEYS else FORMAT_VERSION
    version = str(document.data.get(key, "")) if isinstance(document.data, dict) else ""
    if not is_newer(version, known):
        return None
    message = f"{key} {version} is newer than this dtk, which reads {known}"
    return Problem(message, document.locate((key,)), key, expected=f"{known}, or a newer dtk")


def report(message: str, problems: Iterable[Problem], checked: Iterable[Checked]) -> InvalidError:
    """Return all problems as one error: without duplicates, in file order, each with its path in the document."""
    documents = {document.document.file: document.document for document in checked}
    order = {file: number for number, file in enumerate(documents)}
    paths = {file: _paths_by_location(document) for file, document in documents.items()}

    def key(problem: Problem) -> tuple[int, Location]:
        location = problem.location or Location("", 0, 0)
        return order.get(location.file, len(order)), location

    located = [_with_path(problem, paths) for problem in dict.fromkeys(problems)]
    return InvalidError(message, sorted(located, key=key))


def _paths_by_location(document: Document) -> dict[Location, DocumentPath]:
    values = {span.location: path for path, span in document.values.items()}
    return values | {span.location: path for path, span in document.keys.items()}


def _with_path(problem: Problem, paths: dict[str, dict[Location, DocumentPath]]) -> Problem:
    if problem.path or problem.location is None:
        return problem
    path = paths.get(problem.location.file, {}).get(problem.location, ())
    return replace(problem, path=shown_path(path))
