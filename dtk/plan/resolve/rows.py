"""The rows of a service's listings: attributes, components and links.

A group is shown once, as users set it; if its members have different values, each member has a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from dtk.model.json_data import Json
from dtk.model.module import Attribute, AttributeTerm, ConstantTerm, LinkDef, TextTerm
from dtk.model.names import ASSEMBLY_WIDE, component_path, group_of
from dtk.model.value import Value, is_known, shown
from dtk.plan.resolve.assembly_values import FromAssembly, assembly_values
from dtk.plan.resolve.cardinality import CARDINALITY
from dtk.plan.resolve.concurrency import MAX_IN_FLIGHT
from dtk.plan.resolve.links import Binding, Link
from dtk.plan.resolve.service import ResolvedService
from dtk.plan.resolve.topology import Instance, Topology, gives_value


@dataclass(frozen=True)
class AttributeRow:
    """One attribute: ``value`` is plain data, None if it is unset or not known yet.

    ``node`` and ``component`` are as users set them ("" for none). ``linked_to`` are the paths it gets its value from.
    ``made_from`` are the assembly attributes in its template; users may override its value.
    """

    path: str
    node: str
    component: str
    attribute: str
    type: str
    value: Json
    required: bool = False
    dynamic: bool = False
    constant: bool = False
    secret: bool = False
    hidden: bool = False
    linked_to: tuple[str, ...] = ()
    made_from: tuple[str, ...] = ()
    is_computed: bool = False
    internal: bool = False

    @property
    def is_editable(self) -> bool:
        """Whether users may set it: not computed, not constant, not linked (docs/original.md 3.3)."""
        return not (self.is_computed or self.constant or self.linked_to)

    @property
    def is_missing(self) -> bool:
        """Whether it must be set before anything can run."""
        has_source = self.linked_to or self.made_from or self.dynamic
        return self.required and self.value is None and not has_source


@dataclass(frozen=True)
class ComponentRow:
    """A component on a node or a group, with each dependency and what satisfies it ("" for nothing)."""

    path: str
    node: str
    name: str
    type: str
    module: str
    added: bool
    dependencies: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class LinkRow:
    """A link that a component may have: ``satisfied_by`` is empty if it is not linked."""

    base: str
    name: str
    type: str
    required: bool
    satisfied_by: tuple[str, ...]


def attribute_rows(service: ResolvedService) -> list[AttributeRow]:
    """Return every attribute that is not hidden, sorted by path; of node attributes, only those of groups.

    Source: docs/original.md 3.3.
    """
    return [row for row in all_attribute_rows(service) if not row.hidden]


def all_attribute_rows(service: ResolvedService) -> list[AttributeRow]:
    """Return every attribute, including hidden ones, sorted by path."""
    sources = _sources(service.bindings)
    groups: dict[tuple[str, str], list[Instance]] = {}
    for instance in service.topology.instances.values():
        groups.setdefault((group_of(instance.node), str(instance.name)), []).append(instance)
    rows = [*_group_rows(service.topology), *_assembly_rows(service)]
    for members in groups.values():
        for attribute in members[0].component.attributes.values():
            rows += _component_rows(service, members, attribute, sources)
    return sorted(rows, key=lambda row: row.path)


def _sources(bindings: Iterable[Binding]) -> Mapping[str, tuple[str, ...]]:
    """Return the paths that each attribute's linked values come from, by its declared path."""
    # The members of a group have the same ones.
    flows = {
        (
            *(one.destination.shared_path, one.attribute, id(one.source)),
            *(one.base.shared_path, one.dependency.shared_path),
        ): one
        for one in bindings
    }
    found: dict[str, dict[str, None]] = {}
    for binding in flows.values():
        path = binding.destination.declared_path(binding.attribute)
        found.setdefault(path, {}).update(dict.fromkeys(_source_paths(binding)))
    return {path: tuple(paths) for path, paths in found.items()}


def _source_paths(binding: Binding) -> Iterator[str]:
    source = binding.source
    if isinstance(source, ConstantTerm):
        return
    terms = source.parts if isinstance(source, TextTerm) else (source,)
    for term in terms:
        if isinstance(term, AttributeTerm):
            instance = binding.base if term.side == "base" else binding.dependency
            node = group_of(instance.node)
            yield f"{node}/{term.attribute}" if term.of_node else instance.declared_path(term.attribute)


def _group_rows(topology: Topology) -> Iterator[AttributeRow]:
    for node in topology.assembly.nodes.values():
        if node.is_group:
            members = [member for member in topology.nodes.values() if member.group == node.name]
            path = f"{node.name}/{CARDINALITY}"
            given = topology.given.get(path)
            made_from = given.names if given else ()
            yield AttributeRow(path, node.name, "", CARDINALITY, "integer", len(members), made_from=made_from)
        if node.name in topology.windows:
            window = topology.windows[node.name]
            yield AttributeRow(f"{node.name}/{MAX_IN_FLIGHT}", node.name, "", MAX_IN_FLIGHT, "string", window)


def _assembly_rows(service: ResolvedService) -> Iterator[AttributeRow]:
    values = assembly_values(service.service, service.topology.assembly).values
    for attribute in service.topology.assembly.attributes.values():
        yield AttributeRow(
            attribute.name,
            "",
            "",
            attribute.name,
            attribute.type,
            _known(values[attribute.name]),
            attribute.required,
            constant=attribute.constant,
            secret=attribute.secret,
            hidden=attribute.hidden,
            internal=attribute.internal,
        )


def _component_rows(
    service: ResolvedService,
    members: list[Instance],
    attribute: Attribute,
    sources: Mapping[str, tuple[str, ...]],
) -> Iterator[AttributeRow]:
    first = members[0]
    node = "" if first.node == ASSEMBLY_WIDE else group_of(first.node)
    values = [_known(service.values.of(member, attribute.name)) for member in members]
    common = all(value == values[0] for value in values)
    made_from = _made_from(first, attribute.name)
    declared = first.declared_path(attribute.name)
    linked_to = sources.get(declared, ())
    named = [(declared, values[0])] if common else []
    for path, value in named or [(m.path(attribute.name), v) for m, v in zip(members, values, strict=True)]:
        yield AttributeRow(
            path=path,
            node=node,
            component=str(first.name),
            attribute=attribute.name,
            type=attribute.type,
            value=value,
            required=attribute.required,
            dynamic=attribute.dynamic,
            constant=attribute.constant,
            secret=attribute.secret,
            hidden=attribute.hidden,
            linked_to=() if made_from and gives_value(first, attribute.name) else linked_to,
            made_from=made_from,
            is_computed=attribute.is_computed,
            internal=attribute.internal,
        )


def _made_from(instance: Instance, name: str) -> tuple[str, ...]:
    setting = instance.settings.get(name)
    return setting.names if isinstance(setting, FromAssembly) else ()


def _known(value: Value) -> Json:
    """Return plain data for display; a secret is masked, a value known only later is None."""
    return shown(value) if is_known(value) else None


def component_rows(service: ResolvedService) -> list[ComponentRow]:
    """Return every component once per node or group, sorted by path, with its dependencies."""
    linked = {(link.base.key, link.definition.name): link for link in service.links}
    rows: dict[str, ComponentRow] = {}
    for instance in service.topology.declared:
        path = component_path(group_of(instance.node), str(instance.name))
        if path not in rows:
            node = "" if instance.node == ASSEMBLY_WIDE else group_of(instance.node)
            component = instance.component
            depends = tuple(_dependencies(service, instance, linked))
            rows[path] = ComponentRow(
                path, node, str(instance.name), component.type, component.module, instance.added, depends
            )
    return [rows[path] for path in sorted(rows)]


def _dependencies(
    service: ResolvedService, instance: Instance, linked: Mapping[tuple[tuple[str, str], str], Link]
) -> Iterator[tuple[str, str]]:
    for dependency in instance.component.dependencies:
        found = [o for o in service.topology.on_node(instance.node) if o.name.type == dependency.component]
        yield dependency.component, ", ".join(_declared(found))
    for definition in instance.component.links:
        link = linked.get((instance.key, definition.name))
        yield definition.name, ", ".join(_declared(link.targets)) if link else ""


def _declared(instances: Iterable[Instance]) -> list[str]:
    return list(dict.fromkeys(component_path(group_of(i.node), str(i.name)) for i in instances))


def link_rows(service: ResolvedService) -> list[LinkRow]:
    """Return every link that the service's components have or may have, sorted by component."""
    rows: dict[tuple[str, str], LinkRow] = {}
    linked = {(link.base.key, link.definition.name): link for link in service.links}
    for instance in service.topology.instances.values():
        base = component_path(group_of(instance.node), str(instance.name))
        for definition in instance.component.links:
            link = linked.get((instance.key, definition.name))
            targets = tuple(_declared(link.targets)) if link else ()
            rows.setdefault((base, definition.name), _link_row(base, definition, targets))
    return [rows[key] for key in sorted(rows)]


def _link_row(base: str, definition: LinkDef, targets: tuple[str, ...]) -> LinkRow:
    return LinkRow(base, definition.name, definition.component, definition.required, targets)
