"""Writes for the forge that a CI job runs on: annotations and the job's summary, with paths inside the repository."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dtk.errors import DtkError, Location
from dtk.service.global_options import settings
from dtk.views.ci.forge import Forge, ForgeText, detected
from dtk.views.harmless_stream import HarmlessStream, drawing_stream

if TYPE_CHECKING:
    from dtk.service.planning import Inputs
    from dtk.views.ci.annotation import Annotation, PlaceOf

# Every command detects its forge; the code for a forge is imported only there.
# ruff: noqa: PLC0415

_ROOTS = {Forge.GITHUB: "GITHUB_WORKSPACE", Forge.GITLAB: "CI_PROJECT_DIR"}


def forge() -> Forge:
    """Return the forge to write for: the one given with --ci, or the one detected from the environment."""
    return Forge(settings().ci) if settings().ci else detected(os.environ)


def shield_streams() -> None:
    """Prevent output of modules and hosts from being executed as commands of the forge."""
    if forge() is not Forge.GITHUB:
        return
    from dtk.views.ci import github

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, HarmlessStream):
            stream.shield(github.without_commands)


def write_for_forge(text: ForgeText, *, to_stderr: bool = False) -> None:
    """Write text that the forge interprets."""
    stream = sys.stderr if to_stderr else sys.stdout
    stream.flush()
    drawing = drawing_stream(stream)
    drawing.write(text)
    drawing.flush()


def annotate(find: Callable[[], Sequence[Annotation]], noun: str) -> None:
    """Write annotations beside the code, as many as the forge keeps; only on GitHub.

    Args:
        find: returns the errors or warnings.
        noun: what they are, in the plural.
    """
    if forge() is not Forge.GITHUB:
        return
    from dtk.views.ci import github
    from dtk.views.ci.annotation import fitting

    # Use standard error, because standard output may be a document.
    for one in fitting(find(), noun):
        write_for_forge(ForgeText(github.annotation_line(in_repository(one))), to_stderr=True)


def in_repository(annotation: Annotation) -> Annotation:
    """Return an annotation with its file relative to the root of the repository, as the forge expects it."""
    place = annotation.place
    if place is None:
        return annotation
    return replace(annotation, place=replace(place, file=_from_repository(place.file)))


def _from_repository(name: str) -> str:
    root = Path(os.environ.get(_ROOTS.get(forge(), ""), "") or Path.cwd())
    for folder in _folders():
        if (folder / name).exists():
            found = (folder / name).resolve()
            return str(found.relative_to(root.resolve())) if found.is_relative_to(root.resolve()) else name
    return name


def _folders() -> list[Path]:
    """Return the folders that the file names of errors may be relative to."""
    from dtk.state.workspace import find_workspace

    try:
        return [settings().workspace or find_workspace(Path.cwd()).root, Path.cwd()]
    except DtkError:
        return [Path.cwd()]


def summarize(page: Callable[[], str]) -> None:
    """Append a page in Markdown to the job's summary, if the forge has one; cut off what does not fit."""
    name = os.environ.get("GITHUB_STEP_SUMMARY", "")
    if forge() is not Forge.GITHUB or not name:
        return
    from dtk.views.ci import github

    file, markdown = Path(name), page()
    try:
        room = github.SUMMARY_BYTES - (file.stat().st_size if file.exists() else 0)
        with file.open("ab") as summary:
            summary.write(_within(f"{markdown}\n".encode("utf-8", "replace"), room))
    except OSError as error:
        sys.stderr.write(f"warning: the job's summary can't be written: {error.strerror}\n")


_CUT = b"\n\n... cut: the job's summary is full\n"


def _within(text: bytes, room: int) -> bytes:
    if len(text) <= room:
        return text
    if room < len(_CUT):
        return b""
    return text[: room - len(_CUT)].decode("utf-8", "ignore").encode() + _CUT


def places_of(inputs: Inputs) -> PlaceOf:
    """Return a function that returns where an action of a component is defined, in modules of this workspace only."""
    own = [module for module in inputs.modules.values() if module.folder.is_relative_to(inputs.workspace.modules)]
    components = {component.type: component for module in own for component in module.components.values()}

    def place_of(component: str, action: str) -> Location | None:
        found = components.get(component.partition("[")[0])
        if found is None:
            return None
        return found.actions[action].location if action in found.actions else found.location

    return place_of
