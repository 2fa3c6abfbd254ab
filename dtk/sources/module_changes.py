"""The differences between two versions of a module: commits, components, attributes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dtk.model.module import Attribute, Module
from dtk.sources.module_store import Store
from dtk.sources.repository import repository
from dtk.sources.source_address import Address
from dtk.state.pinned import Pin
from dtk.state.workspace import Workspace

_MOST_COMMITS = 30
"""Maximum number of commits shown for a module; the rest is counted."""


@dataclass(frozen=True)
class ModuleChange:
    """A module that an update changes; ``old`` or ``new`` is None if it is added or removed."""

    name: str
    old: Pin | None
    new: Pin | None
    commits: tuple[str, ...] = ()
    moved_tag: bool = False
    differences: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """Yield the lines that describe the change to people."""
        yield f"{self.name.replace('/', ':')}: {_shown(self.old)} -> {_shown(self.new)}"
        if self.moved_tag and self.new:
            yield f"  warning: tag '{self.new.ref}' was moved"
        yield from (f"  commit {commit}" for commit in self.commits[:_MOST_COMMITS])
        if len(self.commits) > _MOST_COMMITS:
            yield f"  … and {len(self.commits) - _MOST_COMMITS} more commits"
        yield from (f"  {difference}" for difference in self.differences)

    def document(self) -> dict[str, object]:
        """Return the change as JSON data."""
        return {
            "module": self.name,
            "from": _document(self.old),
            "to": _document(self.new),
            "moved_tag": self.moved_tag,
            "commits": list(self.commits),
            "differences": list(self.differences),
        }


def _shown(pin: Pin | None) -> str:
    if pin is None:
        return "not installed"
    return " ".join(filter(None, [pin.version, f"({pin.ref}, {(pin.commit or pin.tree)[:12]})"]))


def _document(pin: Pin | None) -> dict[str, str] | None:
    return {"version": pin.version, "ref": pin.ref, "commit": pin.commit, "tree": pin.tree} if pin else None


def history(workspace: Workspace, old: Pin, new: Pin) -> tuple[tuple[str, ...], bool]:
    """Return the commits between two versions of a module, and whether a tag, which should not move, was moved."""
    if not (old.commit and new.commit and old.url == new.url):
        return (), False
    copy = repository(Store(workspace.installed).repositories, Address(new.url, new.ref), workspace.root)
    moved = old.ref == new.ref and old.commit != new.commit and not copy.is_moving(new.ref)
    return tuple(copy.subjects(old.commit, new.commit)), moved


def differences(old: Module | None, new: Module | None) -> Iterator[str]:
    """Yield the differences that users notice: assemblies, components and attributes added, removed or retyped."""
    before, after = old.components if old else {}, new.components if new else {}
    yield from _names("component", before, after)
    for name in sorted(before.keys() & after.keys()):
        yield from _attributes(f"{after[name].type}/", before[name].attributes, after[name].attributes)
    old_assemblies, new_assemblies = old.assemblies if old else {}, new.assemblies if new else {}
    yield from _names("assembly", old_assemblies, new_assemblies)
    for name in sorted(old_assemblies.keys() & new_assemblies.keys()):
        yield from _attributes(f"{name}/", old_assemblies[name].attributes, new_assemblies[name].attributes)


def _names(what: str, old: Mapping[str, object], new: Mapping[str, object]) -> Iterator[str]:
    yield from (f"- {what} {name} removed" for name in sorted(old.keys() - new.keys()))
    yield from (f"+ {what} {name} added" for name in sorted(new.keys() - old.keys()))


def _attributes(where: str, old: Mapping[str, Attribute], new: Mapping[str, Attribute]) -> Iterator[str]:
    yield from (f"- attribute {where}{name} removed" for name in sorted(old.keys() - new.keys()))
    for name in sorted(new.keys() - old.keys()):
        needed = ", required" if new[name].required and not new[name].has_default else ""
        yield f"+ attribute {where}{name} added ({new[name].type}{needed})"
    for name in sorted(old.keys() & new.keys()):
        yield from _attribute(f"{where}{name}", old[name], new[name])


def _attribute(where: str, old: Attribute, new: Attribute) -> Iterator[str]:
    if old.type != new.type:
        yield f"~ attribute {where} type changed: {old.type} -> {new.type}"
    if new.required and not old.required:
        yield f"~ attribute {where} is now required"
    if old.default != new.default and not (old.hidden or new.hidden or old.secret or new.secret):
        yield f"~ attribute {where} default changed: {old.default} -> {new.default}"
