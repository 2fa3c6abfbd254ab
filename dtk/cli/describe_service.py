"""What ``dtk info`` prints about a service or one of its nodes."""

from __future__ import annotations

import typer

from dtk.cli.output import print_json, shown_path
from dtk.errors import UsageError
from dtk.model.json_data import Json
from dtk.model.names import CREATE, split_member
from dtk.plan.resolve.rows import attribute_rows
from dtk.plan.resolve.service import ResolvedService
from dtk.service.lookup import declared_node, read_service
from dtk.service.planning import Inputs
from dtk.service.service_status import service_status
from dtk.service.task_log import last_task
from dtk.views.yaml_text import yaml_text


def service_info(service: str | None, *, as_json: bool) -> None:
    """Print the contents and status of a service, and the location of its file."""
    inputs, found = read_service(service)
    document = _service_document(inputs, found)
    if as_json:
        print_json(document)
    else:
        typer.echo(yaml_text(document), nl=False)


def _service_document(inputs: Inputs, found: ResolvedService) -> dict[str, Json]:
    service, state = inputs.service, inputs.state
    task = last_task(inputs.workspace, service.name)
    attributes = {row.attribute: row.value for row in attribute_rows(found) if not row.node and not row.component}
    return {
        "service_instance": service.name,
        "assembly_template": f"{service.module.replace('/', ':')}/{service.assembly}",
        "target": inputs.target.name,
        "status": service_status(state),
        "last_run": task.status if task else None,
        "created_at": state.created_at or None,
        **({"attributes": attributes} if attributes else {}),
        "nodes": {name: _node_line(name, inputs) for name in found.topology.nodes},
        "workflows": list(found.topology.assembly.workflows) or [CREATE],
        "modules": {name: module.version or None for name, module in sorted(inputs.modules.items())},
        "file": shown_path(inputs.workspace.service_file(service.name)),
    }


def _node_line(name: str, inputs: Inputs) -> str | None:
    node = inputs.state.nodes.get(name)
    return f"{node.status} {node.attributes.get('host_address') or ''}".strip() if node else None


def node_info(service: str | None, node: str, *, as_json: bool) -> None:
    """Print what is known about a node.

    Source: the original's fields, docs/original.md 3.2.
    """
    inputs, found = read_service(service)
    group = declared_node(found, node)
    if node not in found.topology.nodes:
        members = [name for name in found.topology.nodes if (split_member(name) or ("", 0))[0] == group]
        raise UsageError(f"'{node}' is a node group", hint=f"name a member: {', '.join(members)}")
    document = _node_document(node, inputs, found)
    if as_json:
        print_json(document)
    else:
        typer.echo(yaml_text(document), nl=False)


def _node_document(node: str, inputs: Inputs, found: ResolvedService) -> dict[str, Json]:
    state = inputs.state.nodes.get(node)
    attributes = {**found.topology.nodes[node].attributes, **(state.attributes if state else {})}
    rest = {key: value for key, value in sorted(attributes.items()) if key not in ("os", "size", "image")}
    return {
        "node_id": node,
        "os_type": attributes.get("os"),
        "admin_op_status": state.status if state else "pending",
        "image_id": attributes.get("image"),
        "type": "instance",
        "size": attributes.get("size"),
        "instance_id": state.id if state else None,
        **({"ec2_public_address": attributes["public_address"]} if "public_address" in attributes else {}),
        "target": inputs.target.name,
        "components": [str(instance.name) for instance in found.topology.on_node(node)],
        **rest,
    }
