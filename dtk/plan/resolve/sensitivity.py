"""Hides every attribute that is derived from a hidden one, through any number of links and expressions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from dtk.dsl.template.assembly import names_in
from dtk.model.module import AttributeTerm, TextTerm
from dtk.plan.resolve.links import Binding, Link, build_bindings, build_links
from dtk.plan.resolve.topology import Topology, gives_value, with_hidden

_AttributeKey = tuple[str, str, str]
"""Node, component, attribute."""


def hide_what_flows(topology: Topology, links: Sequence[Link]) -> tuple[Topology, Sequence[Link]]:
    """Return the topology and its links with every attribute hidden that receives a hidden attribute's value."""
    declared = {
        (*key, name)
        for key, instance in topology.instances.items()
        for name, attribute in instance.component.attributes.items()
        if attribute.hidden
    }
    found = _reached(declared, [*_linked(build_bindings(links)), *_computed(topology)]) if declared else declared
    if found == declared:
        return topology, links
    names: dict[tuple[str, str], list[str]] = {}
    for node, component, name in found:
        names.setdefault((node, component), []).append(name)
    instances = {
        key: replace(instance, component=with_hidden(instance.component, names.get(key, ())))
        for key, instance in topology.instances.items()
    }
    topology = replace(topology, instances=instances)
    # Links hold instances, which have been replaced; the problems of the links were already reported.
    return topology, build_links(topology)[0]


def _reached(hidden: set[_AttributeKey], flows: Sequence[tuple[_AttributeKey, _AttributeKey]]) -> set[_AttributeKey]:
    """Return all attributes that hidden values flow to, including the hidden ones themselves."""
    reached = set(hidden)
    while new := {destination for source, destination in flows if source in reached} - reached:
        reached |= new
    return reached


def _linked(bindings: Iterable[Binding]) -> Iterator[tuple[_AttributeKey, _AttributeKey]]:
    for binding in bindings:
        # A set value overrides a linked one, so nothing hidden arrives through this link.
        if not gives_value(binding.destination, binding.attribute):
            for source in _sources(binding):
                yield source, (*binding.destination.key, binding.attribute)


def _computed(topology: Topology) -> Iterator[tuple[_AttributeKey, _AttributeKey]]:
    """Yield the flows of values through expressions, which dtk itself computes."""
    for key, instance in topology.instances.items():
        outputs = (output for action in instance.component.actions.values() for output in action.outputs)
        for output in outputs:
            # The output of commands and facts is unpredictable; their authors must declare such outputs hidden.
            for name in names_in(output.text) if output.source == "expression" else ():
                yield (*key, name), (*key, output.attribute)


def _sources(binding: Binding) -> Iterator[_AttributeKey]:
    source = binding.source
    terms = source.parts if isinstance(source, TextTerm) else (source,)
    for term in terms:
        if isinstance(term, AttributeTerm) and not term.of_node:
            instance = binding.base if term.side == "base" else binding.dependency
            yield (*instance.key, term.attribute)
