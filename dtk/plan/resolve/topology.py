"""Which component instances are on which nodes: an assembly as a service wants it.

Input and output are frozen data. Groups are expanded to members here, so the rest of the compiler only handles nodes.
User settings are matched to what they name; a path that matches nothing is a problem with its location.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from dtk.dsl.check.assembly import AssemblyScope, use_problems
from dtk.dsl.check.assembly_values import node_attributes, node_problems
from dtk.dsl.check.scope import Scope
from dtk.errors import Location, Problem
from dtk.model.json_data import Json
from dtk.model.module import Assembly, Component, ComponentUse, Module, Node
from dtk.model.names import ASSEMBLY_WIDE, ComponentName, component_path, group_of, node_order
from dtk.model.service import AttributeSetting, Service
from dtk.model.suggestion import nearest
from dtk.model.value import UNSET
from dtk.plan.resolve.assembly_values import (
    AssemblyValues,
    FromAssembly,
    assembly_values,
    assembly_with_values,
    service_with_values,
)
from dtk.plan.resolve.concurrency import Windows, group_windows
from dtk.plan.resolve.desired_nodes import DesiredNode, members_of
from dtk.plan.resolve.overrides import CONSTRAINT, ILLEGAL, overridden_assembly, with_chosen_links

TITLE = "name"
"""The attribute that holds the title of components that take one."""


@dataclass(frozen=True)
class Instance:
    """A component on one node. ``settings`` are explicit values: the assembly's, overridden by the service's.

    ``folder`` is the folder of the component's module; ``added`` means that the service added the component.
    """

    node: str
    name: ComponentName
    component: Component
    use: ComponentUse
    folder: Path
    settings: Mapping[str, Json | FromAssembly] = field(default_factory=dict)
    added: bool = False

    @cached_property
    def key(self) -> tuple[str, str]:
        """Node and instance name, which identify an instance in a service."""
        return self.node, str(self.name)

    @cached_property
    def own_path(self) -> str:
        """The instance's path: ``slaves:1/spark::worker``. Cached: used for each attribute, link and value of it."""
        return component_path(self.node, str(self.name))

    @cached_property
    def shared_path(self) -> str:
        """The instance's path as users write it: a group's members share one, ``slaves/spark::worker``."""
        return component_path(group_of(self.node), str(self.name))

    def path(self, attribute: str) -> str:
        """Return an attribute's path on this node."""
        return f"{self.own_path}/{attribute}"

    def declared_path(self, attribute: str) -> str:
        """Return an attribute's path as users set it: a group's members share one."""
        return f"{self.shared_path}/{attribute}"


@dataclass(frozen=True)
class Topology:
    """The expanded assembly: nodes in the assembly's order, members by number, instances in the order written."""

    assembly: Assembly
    nodes: Mapping[str, DesiredNode]
    instances: Mapping[tuple[str, str], Instance]
    components: Mapping[str, Component]
    problems: tuple[Problem, ...] = ()
    service: str = ""
    removed: frozenset[str] = frozenset()
    """Component uses, ``node/component``, that the service removed from its assembly."""
    given: Mapping[str, FromAssembly] = field(default_factory=dict)
    """Node attributes derived from the assembly's attributes, by path (``slaves/cardinality``)."""
    windows: Windows = field(default_factory=dict)
    """``max_in_flight`` by group name, for groups that limit how many members run at once in any stage."""
    absent: Mapping[tuple[str, str], Instance] = field(default_factory=dict)
    """Instances of groups without members: users may set their values before there are members."""

    @property
    def declared(self) -> Iterator[Instance]:
        """Every instance, and those of empty groups, with the group as their node."""
        yield from self.instances.values()
        yield from self.absent.values()

    def on_node(self, node: str) -> list[Instance]:
        """Return the instances on one node, in the order written."""
        return list(self._by_node.get(node, ()))

    def of_type(self, type_: str) -> list[Instance]:
        """Return the instances of a component type on all nodes."""
        return list(self._by_type.get(type_, ()))

    def is_first(self, node: str) -> bool:
        """Return whether a node is the first existing member of its group; a node without a group is."""
        return self._first_of.get(group_of(node), node) == node

    @cached_property
    def _first_of(self) -> Mapping[str, str]:
        return {group_of(node): node for node in sorted(self.nodes, key=node_order, reverse=True)}

    @cached_property
    def _by_node(self) -> Mapping[str, Sequence[Instance]]:
        return _grouped(self.instances.values(), lambda instance: instance.node)

    @cached_property
    def _by_type(self) -> Mapping[str, Sequence[Instance]]:
        return _grouped(self.instances.values(), lambda instance: instance.name.type)


def _grouped(instances: Iterable[Instance], key: Callable[[Instance], str]) -> Mapping[str, Sequence[Instance]]:
    found: dict[str, list[Instance]] = {}
    for instance in instances:
        found.setdefault(key(instance), []).append(instance)
    return found


def components_by_type(modules: Iterable[Module]) -> dict[str, Component]:
    """Return every component of the modules by its full type."""
    return {component.type: component for module in modules for component in module.components.values()}


def without_nodes(topology: Topology, nodes: Collection[str]) -> Topology:
    """Return a topology without some of its nodes, as the remaining nodes see it after these are gone."""
    if not nodes:
        return topology
    going = [instance for instance in topology.instances.values() if instance.node in nodes]
    absent = {(group_of(i.node), str(i.name)): replace(i, node=group_of(i.node)) for i in going}
    return replace(
        topology,
        nodes={name: node for name, node in topology.nodes.items() if name not in nodes},
        instances={key: instance for key, instance in topology.instances.items() if instance.node not in nodes},
        absent={**topology.absent, **absent},
    )


def build_topology(service: Service, assembly: Assembly, modules: Mapping[str, Module]) -> Topology:
    """Expand an assembly as a service wants it.

    Args:
        service: the desired state.
        assembly: the assembly that the service names.
        modules: every module the service uses, by name.

    Returns:
        The topology; its ``problems`` include settings and added components that match nothing.
    """
    template = assembly
    assembly, problems = overridden_assembly(service, assembly)
    removed = _used_in(template) - _used_in(assembly)
    components = components_by_type(modules.values())
    values = assembly_values(service, assembly)
    problems += [*values.problems, *_added_problems(service, values, components)]
    assembly, given = assembly_with_values(assembly, values, problems)
    service = service_with_values(service, values, problems)
    nodes = {
        node.name: node for declared in assembly.nodes.values() for node in members_of(declared, service, problems)
    }
    declared_nodes = {name: node.declared for name, node in nodes.items()}
    instances = _instances(service, modules, components, _uses(service, assembly, declared_nodes), problems)
    empty = {node.name: node for node in assembly.nodes.values() if node.is_group}
    empty = {name: node for name, node in empty.items() if not any(group_of(member) == name for member in nodes)}
    absent = _instances(service, modules, components, _uses_on(service, empty), problems)
    given = {path: found for path, found in given.items() if path not in service.attributes}
    topology = Topology(
        assembly, nodes, instances, components, service=service.name, removed=removed, given=given, absent=absent
    )
    problems += [*_unmatched_settings(service, topology), *_unmatched_links(service, topology)]
    windows = group_windows(service, assembly, problems)
    return replace(topology, problems=tuple(problems), windows=windows)


def _instances(
    service: Service,
    modules: Mapping[str, Module],
    components: Mapping[str, Component],
    uses: Iterable[tuple[str, ComponentUse, bool]],
    problems: list[Problem],
) -> dict[tuple[str, str], Instance]:
    """Create the instances for the uses of components on nodes, by key."""
    instances: dict[tuple[str, str], Instance] = {}
    owners = {path.rpartition("/")[0] for path in service.attributes}
    for node, use, added in uses:
        component = components.get(use.name.type)
        if component is None:
            problems.append(_unknown_component(service, node, use, components))
            continue
        if (node, str(use.name)) in instances:
            problems.append(Problem(f"On node '{group_of(node)}': component '{use.name}' already exists", use.location))
            continue
        linked = with_chosen_links(service, node, use)
        folder = modules[component.module].folder
        instance = Instance(node, use.name, component, linked, folder, _own_settings(use, component), added)
        instances[instance.key] = _with_settings(instance, service, owners)
    return instances


def _added_problems(service: Service, values: AssemblyValues, components: Mapping[str, Component]) -> Iterator[Problem]:
    """Yield the problems of a service's additions; the assembly's own content was checked with its module."""
    attributes, scope = AssemblyScope(values.attributes), Scope("", components)
    for node in service.nodes.values():
        yield from node_problems(node, values.attributes, attributes.names)
    of_nodes = {name: node.components for name, node in service.nodes.items()}
    for name, uses in [*service.components.items(), *of_nodes.items()]:
        for use in uses:
            if use.name.type in components:
                yield from use_problems(use, name, scope, attributes)


def _used_in(assembly: Assembly) -> frozenset[str]:
    """Return every use of a component in an assembly: ``node/component``, with the declared node name."""
    nodes = {ASSEMBLY_WIDE: assembly.components, **{node.name: node.components for node in assembly.nodes.values()}}
    return frozenset(f"{node}/{use.name}" for node, uses in nodes.items() for use in uses)


def _uses(
    service: Service, assembly: Assembly, declared_nodes: Mapping[str, Node]
) -> Iterator[tuple[str, ComponentUse, bool]]:
    for use in assembly.components:
        yield ASSEMBLY_WIDE, use, False
    for use in service.components.get(ASSEMBLY_WIDE, ()):
        yield ASSEMBLY_WIDE, use, True
    yield from _uses_on(service, declared_nodes)


def _uses_on(service: Service, declared_nodes: Mapping[str, Node]) -> Iterator[tuple[str, ComponentUse, bool]]:
    """Yield the component uses on nodes, given each node's declaration by name."""
    for name, declared in declared_nodes.items():
        for use in declared.components:
            yield name, use, False
        for use in service.components.get(declared.name, ()):
            yield name, use, True


def _own_settings(use: ComponentUse, component: Component) -> dict[str, Json | FromAssembly]:
    """Return a use's settings; a component with titles has its title as attribute ``name`` (docs/original.md 4.1)."""
    return dict(use.attributes) if component.singleton else {**use.attributes, TITLE: use.name.title}


def is_title(component: Component, attribute: str) -> bool:
    """Return whether an attribute holds the title of its component's instances, which can't be set otherwise."""
    return attribute == TITLE and not component.singleton


def _unknown_component(service: Service, node: str, use: ComponentUse, components: Mapping[str, Component]) -> Problem:
    return Problem(
        f"component '{use.name}' is not in any module this service uses",
        use.location,
        nearest=nearest(use.name.type, components),
        kind=CONSTRAINT,
        fix=f"dtk delete-component {service.name} {component_path(group_of(node), str(use.name))}",
    )


def _with_settings(instance: Instance, service: Service, owners: Container[str]) -> Instance:
    """Apply the service's values over the assembly's: first those of the group, then those of the member.

    ``owners`` are the paths of the instances with settings in the service: an early exit, as most members have none.
    """
    settings = dict(instance.settings)
    is_set = instance.shared_path in owners or instance.own_path in owners
    for attribute in instance.component.attributes if is_set else ():
        for path in (instance.declared_path(attribute), instance.path(attribute)):
            if path in service.attributes and not is_title(instance.component, attribute):
                settings[attribute] = service.attributes[path].value
    hidden = {name for name, value in settings.items() if isinstance(value, FromAssembly) and value.hidden}
    if not (is_set or hidden):
        return instance
    return replace(instance, settings=settings, component=with_hidden(instance.component, hidden))


def with_hidden(component: Component, names: Iterable[str]) -> Component:
    """Return a component with these attributes hidden: a value derived from a hidden one is hidden."""
    hidden = {name: replace(component.attributes[name], hidden=True) for name in names if name in component.attributes}
    return replace(component, attributes={**component.attributes, **hidden}) if hidden else component


def gives_value(instance: Instance, name: str) -> bool:
    """Return whether the service or the assembly sets an attribute; a template that yields nothing does not."""
    setting = instance.settings.get(name)
    return name in instance.settings and not (isinstance(setting, FromAssembly) and setting.value == UNSET)


def settable_paths(topology: Topology) -> dict[str, str]:
    """Return every attribute path that users may set, with its type.

    Constants and computed attributes are not included.
    """
    declared_here = topology.assembly.attributes.items()
    paths = {name: attribute.type for name, attribute in declared_here if not attribute.constant}
    for declared in topology.assembly.nodes.values():
        own = node_attributes(is_group=declared.is_group)
        paths |= {f"{declared.name}/{name}": type_ for name, type_ in own.items()}
    for instance in topology.declared:
        for name, attribute in instance.component.attributes.items():
            if not (attribute.constant or attribute.is_computed or is_title(instance.component, name)):
                paths[instance.declared_path(name)] = attribute.type
                paths[instance.path(name)] = attribute.type
    return paths


def _unmatched_settings(service: Service, topology: Topology) -> Iterator[Problem]:
    known = settable_paths(topology)
    for node in service.components:
        if node != ASSEMBLY_WIDE and node not in topology.assembly.nodes:
            location = service.components[node][0].location if service.components[node] else service.location
            near = nearest(node, topology.assembly.nodes)
            fix = f"dtk add-node {service.name} {node}"
            message = f"no node '{node}' in the assembly"
            yield Problem(message, location, nearest=near, kind=CONSTRAINT, fix=fix)
    for path, setting in service.attributes.items():
        if path not in known:
            yield _unmatched(path, setting, topology, known)


def _unmatched(path: str, setting: AttributeSetting, topology: Topology, known: Mapping[str, str]) -> Problem:
    fix = f"dtk set-attribute {topology.service} {path} --unset"
    message, near = why_not_settable(path, topology, known)
    return Problem(message, setting.location, path, nearest=near, kind=ILLEGAL, fix=fix)


def why_not_settable(path: str, topology: Topology, known: Mapping[str, str]) -> tuple[str, str]:
    """Return why a path can't be set, and the nearest path that can.

    Args:
        path: the path as written.
        topology: the service's topology.
        known: the paths that can be set (``settable_paths``).
    """
    if path in topology.assembly.attributes:
        return f"attribute '{path}' is a constant of its module and can't be set", ""
    node, _, name = path.partition("/")
    if name in node_attributes(is_group=True) and node in topology.assembly.nodes:
        return f"'{node}' is a single node, but {name} is only valid for groups", ""
    for instance in topology.declared:
        for name, attribute in instance.component.attributes.items():
            if path in (instance.path(name), instance.declared_path(name)):
                fixed = "its component's title" if is_title(instance.component, name) else "a constant of its module"
                what = "computed by its component" if attribute.is_computed else fixed
                return f"attribute '{path}' is {what} and can't be set", ""
    # A bare attribute name: the user left out its node and component.
    near = next((one for one in known if one.endswith(f"/{path}")), "") or nearest(path, known)
    return f"attribute path '{path}' matches nothing in this service", near


def _unmatched_links(service: Service, topology: Topology) -> Iterator[Problem]:
    known = {
        instance.declared_path(definition.name)
        for instance in topology.declared
        for definition in instance.component.links
    }
    for path, choice in service.links.items():
        if path not in known:
            message = f"'{path}' is not a link of this service"
            yield Problem(message, choice.location, path, nearest=nearest(path, known), kind=CONSTRAINT)


def location_of(instance: Instance) -> Location:
    """Return the location where an instance was written, for problems about it."""
    return instance.use.location
