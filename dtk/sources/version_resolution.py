"""Resolves which modules to install: the requested ones and their dependencies, in versions that suit all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from dtk.dsl.module import MODULE_FILE
from dtk.dsl.yaml.shipped import data_folder
from dtk.dsl.yaml.versions import satisfies, version_key
from dtk.errors import DtkError, InvalidError, Problem
from dtk.sources.module_store import FoundModule, Manifest, read_manifest
from dtk.sources.source_address import Address, check_address, parse_address
from dtk.sources.source_snapshot import Sources
from dtk.state.pinned import Pin
from dtk.state.workspace import Workspace

_MOST_ROUNDS = 50
"""Maximum number of restarts with a newly found constraint. Each adds one constraint, so real trees need few."""


@dataclass(frozen=True)
class ModuleRequest:
    """A module requested in dtk.yaml: its source, and its folder there."""

    address: Address
    path: str = ""


@dataclass(frozen=True)
class Request:
    """The input of a resolution.

    ``requests`` are the modules in dtk.yaml. ``templates`` are its module_sources: URLs of dependencies by namespace
    (or ``*``), with ``{name}`` and ``{namespace}`` as placeholders. ``pins`` is dtk.lock; the modules in ``unpinned``
    are looked up again even if they are pinned.
    """

    workspace: Workspace
    sources: Sources
    requests: Mapping[str, ModuleRequest]
    templates: Mapping[str, str] = field(default_factory=dict)
    pins: Mapping[str, Pin] = field(default_factory=dict)
    unpinned: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _Need:
    """A constraint, one side of a possible conflict: a module needs certain versions of another one."""

    by: str
    version: str
    module: str
    constraint: str

    def __str__(self) -> str:
        return f"{self.by} {self.version or '(no version)'} needs {self.module} {self.constraint}"


class _VersionTooEarlyError(Exception):
    """A version that was chosen does not satisfy a constraint that was found later."""

    def __init__(self, need: _Need) -> None:
        super().__init__(str(need))
        self.need = need


def resolve(request: Request) -> dict[str, FoundModule]:
    """Return all modules to install by name, dependencies before the modules that need them.

    Raises:
        InvalidError: two modules need conflicting versions of a third one (the message names both), or a dependency was
            not found.
        DtkError: a source can't be reached.
    """
    limits: dict[str, list[_Need]] = {}
    for _ in range(_MOST_ROUNDS):
        try:
            return _Resolution(request, limits).run()
        except _VersionTooEarlyError as error:
            limits.setdefault(error.need.module, []).append(error.need)
    raise DtkError("the modules' dependencies cannot be resolved: the required versions conflict")


class _Resolution:
    """One attempt: chooses modules as they are needed, under the constraints known so far."""

    def __init__(self, request: Request, limits: Mapping[str, list[_Need]]) -> None:
        self.request = request
        self.sources = request.sources
        self.limits = limits
        self.chosen: dict[str, FoundModule] = {}
        self.by_version: set[str] = set()
        self.needs: list[_Need] = []
        self.own = dict(_manifests(request.workspace.modules))
        self.built_in = dict(_manifests(data_folder("modules")))

    def run(self) -> dict[str, FoundModule]:
        """Choose all modules and return them in order."""
        for name, request in self.request.requests.items():
            self.chosen[name] = self._requested(name, request)
        for name, manifest in self.own.items():
            self._follow(name, manifest.version, manifest.dependencies, None)
        waiting = list(self.chosen.values())
        while waiting:
            found = waiting.pop(0)
            waiting += self._follow(found.name, found.version, found.dependencies, found)
        self._check()
        return self._ordered()

    def _follow(self, by: str, version: str, needed: Mapping[str, str], found: FoundModule | None) -> list[FoundModule]:
        """Choose the dependencies of a module that are not chosen yet; return the new ones."""
        new: list[FoundModule] = []
        for name, constraint in needed.items():
            # Record the need even if the module is already chosen: the final check compares all needs with the result.
            self.needs.append(_Need(by, version, name, constraint))
            if name in self.chosen or name in self.own:
                continue
            choice = self._needed(name, found)
            if choice is not None:
                self.chosen[name] = choice
                new.append(choice)
            elif found is not None and name not in self.built_in:
                raise _nowhere(self.needs[-1])
        return new

    def _requested(self, name: str, request: ModuleRequest) -> FoundModule:
        pin = self._pin(name)
        if pin and (pin.url, pin.ref, pin.path) == (request.address.url, request.address.ref, request.path):
            return self._pinned(name, pin)
        return self._named(name, request.address, "", request.path)

    def _needed(self, name: str, by: FoundModule | None) -> FoundModule | None:
        """Choose a dependency: from the same repository, else the pinned one, else by version."""
        pin = self._pin(name)
        # Modules of one repository belong together: another commit would mix two versions of the repository.
        if pin and by and (pin.url, pin.commit) == (by.pin.url, by.pin.commit):
            return self._pinned(name, pin)
        neighbour = self._neighbour(name, by) if by else None
        if neighbour:
            return neighbour
        suits = pin and all(satisfies(pin.version, need.constraint) for need in self._known_needs(name))
        if pin and (suits or not self._template(name)):
            self.by_version |= {name} if self._template(name) else set()
            return self._pinned(name, pin)
        return self._by_version(name)

    def _neighbour(self, name: str, by: FoundModule) -> FoundModule | None:
        """Return a module from the same commit; its folder usually has its name, so such folders are tried first."""
        address, commit = _address(by.pin), by.pin.commit
        snapshot = self.sources.snapshot(address, commit)
        word = name.rpartition("/")[2]
        likely = sorted(snapshot.paths, key=lambda path: path.rpartition("/")[2] != word)
        for path in likely:
            if path == by.pin.path:
                continue
            with suppress(InvalidError):  # an invalid module is reported when it is needed
                found = self.sources.modules(address, commit, path)
                if name in found:
                    return found[name]
        return None

    def _by_version(self, name: str) -> FoundModule | None:
        """Choose the newest tag that satisfies all known constraints; without version tags, the default branch."""
        template = self._template(name)
        if not template:
            return None
        namespace, _, word = name.partition("/")
        address = parse_address(template.replace("{namespace}", namespace).replace("{name}", word))
        tags = self.sources.fetched(address).tags()
        versions = {tag.removeprefix("v"): tag for tag in tags if tag.removeprefix("v")[:1].isdigit()}
        needs = self._known_needs(name)
        suiting = [v for v in versions if all(satisfies(v, need.constraint) for need in needs)]
        if not versions:
            return self._named(name, address, "", "")
        if not suiting:
            raise _conflict(name, ", ".join(sorted(versions, key=version_key)), needs)
        self.by_version.add(name)
        newest = max(suiting, key=version_key)
        return self._named(name, Address(address.url, versions[newest]), "", "")

    def _template(self, name: str) -> str:
        templates = self.request.templates
        return templates.get(name.partition("/")[0]) or templates.get("*", "")

    def _known_needs(self, name: str) -> list[_Need]:
        return [*self.limits.get(name, ()), *(need for need in self.needs if need.module == name)]

    def _pinned(self, name: str, pin: Pin) -> FoundModule:
        kept = self.sources.store.kept(name, pin)
        if kept:
            return kept
        found = self._named(name, _address(pin), pin.commit, pin.path)
        if found.pin.tree != pin.tree:
            raise InvalidError(
                f"module '{name}' does not match dtk.lock: {pin.shown} now has {found.pin.tree}, not {pin.tree}",
                hint=f"accept the new content: dtk update {name}",
            )
        return found

    def _named(self, name: str, address: Address, commit: str, path: str) -> FoundModule:
        modules = self.sources.modules(address, commit, path)
        if name not in modules:
            problem = Problem(f"{address} has no module '{name}'; it has {', '.join(modules)}")
            raise InvalidError(f"module '{name}' can't be installed", [problem])
        return modules[name]

    def _pin(self, name: str) -> Pin | None:
        return None if name in self.request.unpinned else self.request.pins.get(name)

    def _check(self) -> None:
        """Check the constraints against the chosen versions."""
        for need in self.needs:
            version = self._version(need.module)
            if version is None or satisfies(version, need.constraint):
                continue
            # Only a module chosen by version can be chosen again; one that people named stays, and is a conflict.
            if need.module in self.by_version and need not in self.limits.get(need.module, ()):
                raise _VersionTooEarlyError(need)
            raise _conflict(need.module, version, self._known_needs(need.module))

    def _version(self, name: str) -> str | None:
        # The workspace's own module is never replaced by an installed one.
        if name in self.own:
            return self.own[name].version
        if name in self.chosen:
            return self.chosen[name].version
        return self.built_in[name].version if name in self.built_in else None

    def _ordered(self) -> dict[str, FoundModule]:
        ordered: dict[str, FoundModule] = {}

        def add(name: str, above: tuple[str, ...]) -> None:
            if name in ordered or name not in self.chosen or name in above:
                return
            for needed in self.chosen[name].dependencies:
                add(needed, (*above, name))
            ordered[name] = self.chosen[name]

        for name in self.chosen:
            add(name, ())
        return ordered


def _address(pin: Pin) -> Address:
    """Return the source of a pin, after a check: anybody may have written dtk.lock."""
    address = Address(pin.url, pin.ref)
    check_address(address)
    return address


def _conflict(module: str, there: str, needs: list[_Need]) -> InvalidError:
    sides = [Problem(str(need)) for need in dict.fromkeys(needs)]
    return InvalidError(f"no version of module '{module}' satisfies all requirements; available: {there}", sides)


def _nowhere(need: _Need) -> InvalidError:
    return InvalidError(
        f"module '{need.module}' was not found",
        [Problem(str(need))],
        hint="install it first: dtk install SOURCE; or name its repository under module_sources in dtk.yaml",
    )


def _manifests(root: Path) -> Iterator[tuple[str, Manifest]]:
    """Yield the modules in ROOT/NS/NAME; skip unreadable ones, which ``dtk validate`` reports."""
    for file in sorted(root.glob(f"*/*/{MODULE_FILE}")):
        try:
            manifest = read_manifest(file, str(file.parent))
        except InvalidError:
            continue
        yield manifest.name, manifest
