"""The target types: those built into dtk, and those of other installed packages.

A package adds one with an entry point in the group ``dtk.targets``: its name is the type, its value a
``TargetDescription``. Entry points are read only for types that are not built in, because reading them takes longer
than most commands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from dtk import __version__
from dtk.errors import InvalidError
from dtk.model.suggestion import did_you_mean
from dtk.model.target import Target, TargetDescription
from dtk.nodes.ec2.description import EC2
from dtk.nodes.hosts.description import HOSTS
from dtk.nodes.local.description import LOCAL

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ENTRY_POINTS = "dtk.targets"
BUILT_IN: Mapping[str, TargetDescription] = {one.type: one for one in (LOCAL, HOSTS, EC2)}
EMBEDDED = Target(LOCAL.type, LOCAL)
"""The target that every workspace has, independent of dtk.yaml."""


class UnknownTypeError(InvalidError):
    """There is no target type with this name; ``known`` are the existing ones."""

    def __init__(self, type_: str) -> None:
        self.known = (*BUILT_IN, *sorted(point.name for point in _entry_points() if point.name not in BUILT_IN))
        hint = did_you_mean(type_, self.known, "install the package that provides it beside dtk")
        super().__init__(f"unknown target type '{type_}': this dtk has {', '.join(self.known)}", hint=hint)


def describe(type_: str) -> TargetDescription:
    """Return the description of a target type.

    Raises:
        UnknownTypeError: neither dtk nor an installed package has it.
        InvalidError: the package that has it can't be loaded.
    """
    if type_ in BUILT_IN:
        return BUILT_IN[type_]
    for point in _entry_points():
        if point.name == type_:
            return _loaded(point)
    raise UnknownTypeError(type_)


def descriptions() -> Iterator[TargetDescription]:
    """Yield all target types: those of dtk, then those of other packages; skip any that can't be loaded."""
    yield from BUILT_IN.values()
    for point in _entry_points():
        # A command that uses the type reports the reason; the schemas of other types do not depend on it.
        with suppress(InvalidError):
            if point.name not in BUILT_IN:
                yield _loaded(point)


def planned_target(document: Mapping[str, object]) -> Target:
    """Return the target in a plan; its name and type are stored among its settings.

    Raises:
        InvalidError: its type is not installed, or can't be loaded.
    """
    settings = {key: value for key, value in document.items() if key not in ("name", "type")}
    return Target(str(document["name"]), describe(str(document["type"])), settings)


def _entry_points() -> Iterator[EntryPoint]:
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow to import

    yield from sorted(entry_points(group=ENTRY_POINTS), key=lambda point: (point.name, point.value))


def _loaded(point: EntryPoint) -> TargetDescription:
    package = point.dist.name if point.dist else point.module
    try:
        found = point.load()
    # Other packages run their own code here: treat any exception as an error in the package.
    except Exception as error:
        raise InvalidError(
            f"target type '{point.name}' of package {package} can't be loaded: {type(error).__name__}: {error}",
            hint=f"install a version of {package} that works with dtk {__version__}",
        ) from error
    if isinstance(found, TargetDescription) and found.type == point.name:
        return found
    raise InvalidError(
        f"target type '{point.name}' of package {package} is not a TargetDescription of that type ({point.value})",
        hint="its documentation is docs/targets.md of dtk",
    )
