"""The definition of an action: its content, its files and their digests, the same on every node that runs it."""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from dtk.dsl.check.deploy_function import deploy_files
from dtk.model.arguments import FILE_ARGUMENTS, FOLDER_OPERATION
from dtk.model.canonical import canonical, digest_of
from dtk.model.module import PUPPET_FOLDER, Action, Command, DeployCall, Item, Operation, PuppetResource
from dtk.model.planned_action import PlannedItem
from dtk.plan.resolve.topology import Instance

Signature = tuple[tuple[str, str | None], ...]
"""The variables that a text was rendered with: names, and values as text; None for those not known yet."""

_NODE_ADDRESS = re.compile(r"\bnode\.host_address\b")
IS_FIRST = "node.is_first"
PORTS = "node.ports"
_PLANNED_WORDS = (IS_FIRST, PORTS)
_NODE = re.compile(r"\bnode\b")


@dataclass(frozen=True)
class ActionDefinition:
    """An action and its module's folder, with everything derived from them alone.

    A group of a thousand members runs one definition: each property is computed once, not once per member.
    """

    action: Action
    folder: Path
    last_rendered: dict[int, tuple[Signature, tuple[PlannedItem, ...]]] = field(default_factory=dict)
    """Its items by index, as last rendered, with the variables they were rendered from."""

    @cached_property
    def content(self) -> object:
        """The definition's content, as plain data."""
        return _content(self.action)

    @cached_property
    def uses_node_address(self) -> bool:
        """Whether any of its texts uses its node's address."""
        return _NODE_ADDRESS.search(self._text) is not None

    @cached_property
    def uses_is_first(self) -> bool:
        """Whether any of its texts or files uses ``node.is_first``."""
        return self._names(IS_FIRST)

    @cached_property
    def uses_ports(self) -> bool:
        """Whether any of its texts or files uses ``node.ports``."""
        return self._names(PORTS)

    def _names(self, word: str) -> bool:
        return word in self._text or any(word in words for _, words in self._read.values())

    @cached_property
    def uses_node(self) -> tuple[bool, ...]:
        """Whether each item, in order, may use its node: a template must name it to use it."""
        return tuple(_NODE.search(canonical(_content(item))) is not None for item in self.action.items)

    @cached_property
    def files(self) -> Mapping[str, str]:
        """The module files it uses: path in the module to the hex SHA-256 of its content."""
        return {name: digest for name, (digest, _) in self._read.items()}

    @cached_property
    def digest(self) -> str:
        """The digest of the definition and its files, including file modes where these are copied."""
        executable = self._executable
        modes = {"executable": executable} if executable else {}
        return digest_of({"definition": self.content, "files": self.files, **modes})

    @cached_property
    def _executable(self) -> list[str]:
        """The executable files whose modes are copied; git stores nothing else of a mode."""
        items = [item for item in self.action.items if isinstance(item, Operation) and _keeps_modes(item)]
        names = sorted({name for item in items for name in _sources(item, self.folder)})
        return [name for name in names if (self.folder / name).stat().st_mode & stat.S_IXUSR]

    @cached_property
    def _text(self) -> str:
        return canonical(self.content)

    @cached_property
    def _read(self) -> Mapping[str, tuple[str, list[str]]]:
        """Digest of each file, and which planned words are in it; computed together so that each file is read once."""
        names = {name for item in self.action.items for name in _sources(item, self.folder)}
        contents = ((name, (self.folder / name).read_bytes()) for name in sorted(names))
        return {name: (hashlib.sha256(data).hexdigest(), _planned_words(data)) for name, data in contents}


def _planned_words(data: bytes) -> list[str]:
    return [word for word in _PLANNED_WORDS if word.encode() in data]


class _Same:
    """Makes an object hashable by identity: definitions contain unhashable values.

    The key keeps its object alive, so that its id is not reused.
    """

    def __init__(self, action: Action) -> None:
        self.action = action

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.action is self.action

    def __hash__(self) -> int:
        return id(self.action)


def definition_of(instance: Instance, action: str) -> ActionDefinition:
    """Return an action's definition; converging a component without a create action does nothing."""
    found = instance.component.actions.get(action)
    if found is None:
        return ActionDefinition(Action(action, "none", instance.component.location), instance.folder)
    return _definition(_Same(found), instance.folder)


# Safe to cache: a reloaded module has new action objects, so an earlier plan's files are never used.
@lru_cache(maxsize=1024)
def _definition(same: _Same, folder: Path) -> ActionDefinition:
    return ActionDefinition(same.action, folder)


def _content(value: object) -> object:
    """Return a definition as plain data; without locations and defaults, so that a moved line is not a change."""
    if is_dataclass(value):
        stated = ((f, getattr(value, f.name)) for f in fields(value) if f.name not in ("location", "description"))
        return {f.name: _content(item) for f, item in stated if not _is_default(item, f.default)}
    if isinstance(value, Mapping):
        return {key: _content(item) for key, item in value.items()}
    return [_content(item) for item in value] if isinstance(value, (list, tuple)) else value


def _keeps_modes(item: Operation) -> bool:
    """Return whether files keep their module file modes on the node."""
    mode = item.arguments.get("mode")
    return mode is True or (item.name == FOLDER_OPERATION and not mode)


def _is_default(value: object, default: object) -> bool:
    return value in ((), {}) if default is MISSING else bool(value == default)


def _sources(item: Item, folder: Path) -> Iterator[str]:
    if isinstance(item, DeployCall):
        yield from deploy_files(folder, item.file)
        return
    if isinstance(item, Command):
        source = item.source
    elif isinstance(item, PuppetResource):
        source = PUPPET_FOLDER if not item.on_node and (folder / PUPPET_FOLDER).is_dir() else ""
    else:
        source = str(item.arguments.get(FILE_ARGUMENTS.get(item.name, ""), ""))
    path = folder / source
    if not source or source.startswith("/"):
        return
    if path.is_dir():
        yield from (str(found.relative_to(folder)) for found in sorted(path.rglob("*")) if found.is_file())
    else:
        yield source
