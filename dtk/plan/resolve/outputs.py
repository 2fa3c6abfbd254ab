"""The current outputs of a service: the assembly's texts with the values of the attributes they name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from dtk.model.json_data import Json
from dtk.model.names import ASSEMBLY_WIDE, group_of, node_order
from dtk.model.output import AssemblyOutput
from dtk.model.value import UNSET, Reference, Value, holds_secret, is_known, plain
from dtk.plan.resolve.assembly_values import assembly_values
from dtk.plan.resolve.service import ResolvedService

OutputStatus = Literal["known", "known_after_apply", "hidden", "unset"]


@dataclass(frozen=True)
class OutputRow:
    """One output: ``value`` is None unless it is known and may be shown."""

    name: str
    status: OutputStatus
    value: Json = None


def output_rows(service: ResolvedService) -> list[OutputRow]:
    """Return a service's outputs, in the order of its assembly."""
    return [_row(service, output) for output in service.topology.assembly.outputs.values()]


def _row(service: ResolvedService, output: AssemblyOutput) -> OutputRow:
    found = {path: list(_found(service, path)) for path in output.paths}
    values = [value for all_of_path in found.values() for value, _ in all_of_path]
    if any(is_private or holds_secret(value) for all_of_path in found.values() for value, is_private in all_of_path):
        return OutputRow(output.name, "hidden")
    if not all(is_known(value) for value in values):
        return OutputRow(output.name, "known_after_apply")
    if UNSET in values or not all(found.values()):
        return OutputRow(output.name, "unset")
    # A group's attribute is the list of its members' values.
    of_group = {path: "/" in path and _is_group(service, path) for path in found}
    data = {
        path: [plain(value) for value, _ in all_of_path] if of_group[path] else plain(all_of_path[0][0])
        for path, all_of_path in found.items()
    }
    pieces = list(output.pieces)
    if len(pieces) == 1 and not pieces[0][0]:
        return OutputRow(output.name, "known", data[pieces[0][1]])
    return OutputRow(
        output.name, "known", "".join(piece if is_text else _text(data[piece]) for is_text, piece in pieces)
    )


def _text(value: Json) -> str:
    if isinstance(value, list):
        return ",".join(map(_text, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _is_group(service: ResolvedService, path: str) -> bool:
    node = service.topology.assembly.nodes.get(path.partition("/")[0])
    return node is not None and node.is_group


def _found(service: ResolvedService, path: str) -> Iterator[tuple[Value, bool]]:
    """Yield the values at a path, one per group member, and whether each must be hidden."""
    topology = service.topology
    if path in topology.assembly.attributes:
        attribute = topology.assembly.attributes[path]
        value = assembly_values(service.service, topology.assembly).values[path]
        yield value, attribute.hidden or attribute.secret
        return
    where, _, name = path.rpartition("/")
    node, _, component = where.partition("/")
    members = sorted((one for one in topology.nodes if group_of(one) == node), key=node_order)
    if not members:
        members, component = [ASSEMBLY_WIDE], where
    for member in members:
        if not component:
            yield service.values.node_attribute(member, name), False
        elif instance := topology.instances.get((member, component)):
            attribute = instance.component.attributes[name]
            value = service.values.of(instance, name)
            # A dynamic attribute that no action has set yet is not unset: the next apply sets it.
            is_open = attribute.dynamic and value == UNSET
            yield Reference(path, attribute.type) if is_open else value, attribute.hidden or attribute.secret
