"""What gets its value from a hidden attribute is hidden as well, however many links and expressions lie between."""

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
    """Return a topology, with its links, in which hidden attributes hide those that take their values."""
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
    # Links hold instances, which are other ones now; what was wrong with them has been told already.
    return topology, build_links(topology)[0]


def _reached(hidden: set[_AttributeKey], flows: Sequence[tuple[_AttributeKey, _AttributeKey]]) -> set[_AttributeKey]:
    """Return the places that values from hidden ones come to, these included."""
    reached = set(hidden)
    while new := {destination for source, destination in flows if source in reached} - reached:
        reached |= new
    return reached


def _linked(bindings: Iterable[Binding]) -> Iterator[tuple[_AttributeKey, _AttributeKey]]:
    for binding in bindings:
        # A value that is set goes over what a link brings, so nothing hidden reaches it that way.
        if not gives_value(binding.destination, binding.attribute):
            for source in _sources(binding):
                yield source, (*binding.destination.key, binding.attribute)


def _computed(topology: Topology) -> Iterator[tuple[_AttributeKey, _AttributeKey]]:
    """Yield from where to where values flow in expressions, which dtk itself works out."""
    for key, instance in topology.instances.items():
        outputs = (output for action in instance.component.actions.values() for output in action.outputs)
        for output in outputs:
            # Of commands and facts nobody can tell what they print; their authors declare such outputs hidden.
            for name in names_in(output.text) if output.source == "expression" else ():
                yield (*key, name), (*key, output.attribute)


def _sources(binding: Binding) -> Iterator[_AttributeKey]:
    source = binding.source
    terms = source.parts if isinstance(source, TextTerm) else (source,)
    for term in terms:
        if isinstance(term, AttributeTerm) and not term.of_node:
            instance = binding.base if term.side == "base" else binding.dependency
            yield (*instance.key, term.attribute)
