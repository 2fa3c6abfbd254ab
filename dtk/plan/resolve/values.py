"""The value of every attribute: set, linked or default; known, or a typed reference to the step that sets it.

Precedence: values set by the service or the assembly, then linked values, then the default (docs/original.md 4.2,
except that a default does not hide a link: it applies only if the link yields nothing).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dtk.dsl.check.assembly_values import check_typed, kind_of
from dtk.errors import Problem
from dtk.model import types
from dtk.model.json_data import Json, JsonObject
from dtk.model.module import Attribute, AttributeTerm, ConstantTerm, TextTerm
from dtk.model.names import ASSEMBLY_WIDE, node_order
from dtk.model.value import (
    UNSET,
    Element,
    JoinedText,
    Known,
    Reference,
    Sum,
    Typed,
    Value,
    element,
    holds_secret,
    joined,
    list_of,
    map_of,
)
from dtk.model.value_document import value_document
from dtk.plan.resolve.assembly_values import FromAssembly, as_secret, unfit
from dtk.plan.resolve.links import Binding
from dtk.plan.resolve.overrides import ILLEGAL
from dtk.plan.resolve.topology import Instance, Topology, gives_value, location_of
from dtk.state.model import State

_UNRECORDED = {"availability_zone": ""}
"""Node attributes that an older dtk did not record in the state."""
_ONE_VALUE = "an attribute of type array, or groups of the same cardinality"


class Values:
    """Computes and caches attribute values on demand, for one topology, state and set of changes.

    ``pending_nodes`` get their addresses in this plan; ``pending_paths`` are dynamic attributes that this plan
    recomputes: values of both are references. Problems found on the way are collected in ``problems``.
    """

    def __init__(
        self,
        topology: Topology,
        bindings: Iterable[Binding],
        state: State,
        pending_nodes: frozenset[str],
        pending_paths: frozenset[str],
    ) -> None:
        self.topology = topology
        self.state = state
        self.pending_nodes = pending_nodes
        self.pending_paths = pending_paths
        self.problems: dict[str, Problem] = {}
        self._bindings: dict[tuple[str, str, str], list[Binding]] = {}
        for binding in bindings:
            self._bindings.setdefault((*binding.destination.key, binding.attribute), []).append(binding)
        self._known: dict[str, Value] = {}
        self._open: list[str] = []

    def of(self, instance: Instance, name: str) -> Value:
        """Return an attribute's value, ``UNSET`` if it has none."""
        path = instance.path(name)
        if path in self._known:
            return self._known[path]
        if path in self._open:
            chain = " -> ".join([*self._open[self._open.index(path) :], path])
            self._problem(path, Problem(f"linked attributes form a cycle: {chain}", location_of(instance)))
            return UNSET
        self._open.append(path)
        try:
            self._known[path] = self._worked_out(instance, instance.component.attributes[name])
        finally:
            self._open.pop()
        return self._known[path]

    def given(self, instance: Instance, name: str) -> Value:
        """Return an attribute's value as set, linked or by default, ignoring the outputs of actions."""
        attribute = instance.component.attributes[name]
        return self._given(instance, attribute) if attribute.input else self.of(instance, name)

    def origin(self, instance: Instance, name: str) -> tuple[Instance, str]:
        """Return the attribute to set in order to change this one: follow links back while there is a single source."""
        seen = {instance.path(name)}
        while not gives_value(instance, name):
            sources = list(self._settable_sources(instance, name))
            if len(sources) != 1 or sources[0][0].path(sources[0][1]) in seen:
                break
            ((instance, name),) = sources
            seen.add(instance.path(name))
        return instance, name

    def _settable_sources(self, instance: Instance, name: str) -> Iterator[tuple[Instance, str]]:
        for binding in self._bindings.get((*instance.key, name), []):
            source = binding.source
            if isinstance(source, AttributeTerm) and not source.of_node and not source.key:
                giver = binding.base if source.side == "base" else binding.dependency
                declared = giver.component.attributes.get(source.attribute)
                if declared and not (declared.constant or declared.is_computed):
                    yield giver, source.attribute

    def node_attribute(self, node: str, name: str) -> Value:
        """Return a node's own attribute: static ones from the topology, the others from the state or a later step."""
        if name == "is_first":
            return Known(self.topology.is_first(node))
        static = static_node_variables(self.topology, node)
        if name in static:
            return Known(static[name])
        if node in self.pending_nodes or node not in self.state.nodes:
            return Reference(f"{node}/{name}", "json")
        return Known(self.state.nodes[node].attributes.get(name, _UNRECORDED.get(name)))

    def _worked_out(self, instance: Instance, attribute: Attribute) -> Value:
        is_set = attribute.input and gives_value(instance, attribute.name)
        if attribute.dynamic and not is_set:
            return self._dynamic(instance, attribute)
        return self._given(instance, attribute)

    def _given(self, instance: Instance, attribute: Attribute) -> Value:
        if gives_value(instance, attribute.name):
            return self._asserted(instance, attribute, instance.settings[attribute.name])
        derived = self._derived(instance, attribute)
        return default_of(attribute) if derived == UNSET else derived

    def _dynamic(self, instance: Instance, attribute: Attribute) -> Value:
        path = instance.path(attribute.name)
        if path in self.pending_paths:
            return Reference(path, attribute.type)
        if attribute.input and path not in self.state.attributes:
            return self._given(instance, attribute)
        return Known(self.state.attributes.get(path, attribute.default if attribute.has_default else None))

    def _asserted(self, instance: Instance, attribute: Attribute, value: Json | FromAssembly) -> Value:
        if isinstance(value, FromAssembly):
            return self._from_assembly(instance, attribute, value)
        if attribute.secret:
            return self._secret(instance, attribute, value)
        return self._typed(instance, attribute, value)

    def _secret(self, instance: Instance, attribute: Attribute, value: Json) -> Value:
        try:
            typed = check_typed(attribute, Known(value))
        except ValueError:
            path = instance.declared_path(attribute.name)
            message = f"The provided value for '{path}' is not {kind_of(attribute)}: its value"
            problem = Problem(message, location_of(instance), path, kind=ILLEGAL, private=True)
            self._problem(instance.path(attribute.name), problem)
            return UNSET
        return as_secret(typed)

    def _from_assembly(self, instance: Instance, attribute: Attribute, found: FromAssembly) -> Value:
        try:
            typed = check_typed(attribute, found.value)
        except ValueError as error:
            reason = "its value" if attribute.hidden or attribute.secret else str(error)
            path = instance.declared_path(attribute.name)
            self._problem(instance.path(attribute.name), unfit(path, attribute, found, reason))
            return UNSET
        return as_secret(typed) if attribute.secret else typed

    def _typed(self, instance: Instance, attribute: Attribute, value: Json) -> Value:
        path = instance.path(attribute.name)
        try:
            return Known(types.coerce(attribute.type, value)) if value is not None else UNSET
        except ValueError as error:
            reason = "its value" if attribute.hidden else str(error)
            self._problem(
                path,
                Problem(
                    f"The provided value for '{instance.declared_path(attribute.name)}' is not of type"
                    f" {attribute.type}: {reason}",
                    location_of(instance),
                    private=attribute.hidden,
                ),
            )
            return UNSET

    def _derived(self, instance: Instance, attribute: Attribute) -> Value:
        bindings = self._bindings.get((*instance.key, attribute.name), [])
        sources = [(binding, self._source(binding)) for binding in bindings]
        given = [(binding, value) for binding, value in sources if value != UNSET]
        if not given:
            return UNSET
        value = self._combined(instance, attribute, given)
        if isinstance(value, Known):
            return self._typed(instance, attribute, value.data)
        return value if holds_secret(value) or _is_of(attribute.type, value) else Typed(attribute.type, value)

    def _combined(self, instance: Instance, attribute: Attribute, given: list[tuple[Binding, Value]]) -> Value:
        """Combine several sources: keys to a hash, all to a list; otherwise there must be only one."""
        if any(binding.key for binding, _ in given):
            return self._as_hash(instance, attribute, given)
        if types.is_list_type(attribute.type):
            return self._as_list(given)
        binding, value = given[0]
        if binding.fan_in or (len(given) > 1 and len({str(value_document(other)) for _, other in given}) > 1):
            self._several(instance, attribute, binding, "")
        return value

    def _as_hash(self, instance: Instance, attribute: Attribute, given: list[tuple[Binding, Value]]) -> Value:
        """Merge the keys from several components over the default or a whole linked hash."""
        base: JsonObject = dict(attribute.default) if isinstance(attribute.default, dict) else {}
        keys: dict[str, Value] = {}
        for binding, value in given:
            if not binding.key and isinstance(value, Known) and isinstance(value.data, dict):
                base |= value.data
            elif not binding.key or keys.get(binding.key, value) != value:
                what = f"key '{binding.key}' of " if binding.key else ""
                self._several(instance, attribute, binding, what)
            else:
                keys[binding.key] = value
        return map_of({**{key: Known(data) for key, data in base.items()}, **keys})

    def _as_list(self, given: list[tuple[Binding, Value]]) -> Value:
        """Append single values and concatenate lists, ordered by node, member and component of their sources.

        Source: docs/original.md 4.3, type table; the original took one list only, and none from a group (5.7).
        """
        ordered = sorted(given, key=lambda entry: _giver(entry[0]))
        return joined(value if self._gives_list(binding) else list_of([value]) for binding, value in ordered)

    def _several(self, instance: Instance, attribute: Attribute, binding: Binding, what: str) -> None:
        path = instance.path(attribute.name)
        clash = f"passes several values to {what}'{instance.declared_path(attribute.name)}', which is {attribute.type}"
        message = f"attribute mapping ({binding.mapping.text}) {clash}"
        self._problem(path, Problem(message, binding.mapping.location, expected=_ONE_VALUE))

    def _gives_list(self, binding: Binding) -> bool:
        source = binding.source
        if isinstance(source, ConstantTerm):
            return isinstance(source.value, list)
        if isinstance(source, TextTerm) or source.of_node or source.key:
            return False
        side = binding.base if source.side == "base" else binding.dependency
        attribute = side.component.attributes.get(source.attribute)
        return attribute is not None and types.is_list_type(attribute.type) and not attribute.secret

    def _source(self, binding: Binding) -> Value:
        source = binding.source
        if isinstance(source, ConstantTerm):
            return Known(source.value)
        if isinstance(source, TextTerm):
            return self._text(binding, source)
        return self._term(binding, source)

    def _text(self, binding: Binding, source: TextTerm) -> Value:
        pieces = [Known(part) if isinstance(part, str) else self._term(binding, part) for part in source.parts]
        if UNSET in pieces:
            return UNSET
        known = [piece.data for piece in pieces if isinstance(piece, Known)]
        return Known("".join(map(str, known))) if len(known) == len(pieces) else JoinedText(tuple(pieces))

    def _term(self, binding: Binding, term: AttributeTerm) -> Value:
        instance = binding.base if term.side == "base" else binding.dependency
        if term.of_node:
            return UNSET if instance.node == ASSEMBLY_WIDE else self.node_attribute(instance.node, term.attribute)
        if term.attribute not in instance.component.attributes:
            return UNSET
        value = self.of(instance, term.attribute)
        if term.with_offset and value != UNSET:
            return self._moved(instance, value)
        if not term.key or value == UNSET:
            return value
        return Known(element(value.data, term.key)) if isinstance(value, Known) else Element(value, term.key)

    def _moved(self, instance: Instance, port: Value) -> Value:
        """Return the effective port if several nodes share an address: shifted by the node's ``port_offset``."""
        offset = Known(0) if instance.node == ASSEMBLY_WIDE else self.node_attribute(instance.node, "port_offset")
        if isinstance(port, Known) and isinstance(offset, Known):
            return Known(int(str(port.data)) + int(str(offset.data or 0)))
        return Sum((port, offset))

    def _problem(self, path: str, problem: Problem) -> None:
        self.problems.setdefault(path, problem)


def default_of(attribute: Attribute) -> Value:
    """Return an attribute's default value; a secret's default is a reference."""
    return as_secret(Known(attribute.default)) if attribute.secret else Known(attribute.default)


def _giver(binding: Binding) -> tuple[tuple[str, int], str]:
    instance = binding.dependency if binding.destination is binding.base else binding.base
    return node_order(instance.node), str(instance.name)


def static_node_variables(topology: Topology, node: str) -> JsonObject:
    """Return the variables of a node that are known before it exists: name, group, index, cardinality."""
    if node == ASSEMBLY_WIDE:
        return {"name": ASSEMBLY_WIDE}
    desired = topology.nodes.get(node)
    if desired is None:
        return {"name": node}
    return {"name": node, "group": desired.group, "index": desired.index, "cardinality": desired.cardinality}


def _is_of(type_: str, value: Value) -> bool:
    """Return whether a value known only later will have a type without conversion."""
    if isinstance(value, Reference):
        return value.type == type_
    return isinstance(value, JoinedText) and type_ == "string"
