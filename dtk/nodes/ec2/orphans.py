"""Orphans, instances with dtk's tags that are in no state: finds, adopts and terminates them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

from dtk.errors import DtkError
from dtk.nodes.ec2.access import key_file
from dtk.nodes.ec2.aws import Aws
from dtk.nodes.ec2.ending import end_instances
from dtk.nodes.ec2.images import login_user
from dtk.nodes.ec2.instances import Ec2Instance, find_by_ids, find_by_tags
from dtk.nodes.ec2.kept_volumes import adopt_kept
from dtk.nodes.ec2.made import assigned
from dtk.nodes.ec2.records import described, node_record
from dtk.nodes.ec2.settings import Ec2Settings
from dtk.nodes.ec2.tags import LINEAGE, ORIGIN, SERVICE, VERSION, WORKSPACE, as_list, is_adopted
from dtk.nodes.ec2.wish import KEPT_VOLUMES
from dtk.nodes.provider import MarkedMachine, MarkSearch, NodeRecord, ServiceIdentity


def find_orphans(aws: Aws, search: MarkSearch, known: Collection[str]) -> list[MarkedMachine]:
    """Return the instances that a search finds and whose ids are not among those known.

    Instances without dtk's own tags are nobody's nodes, whatever other tags they have.
    """
    own = {WORKSPACE: search.workspace, LINEAGE: search.lineage}
    found = find_by_tags(aws, **{**search.tags, **{name: value for name, value in own.items() if value}})
    marked = [_marked(instance) for instance in assigned(found) if instance.id not in known]
    return [machine for machine in marked if machine.service and machine.node]


def find_marked(aws: Aws, identity: ServiceIdentity) -> list[MarkedMachine]:
    """Return a service's instances: those with its id, or else those with its name in its workspace.

    By id alone, instances from before the service's folder was lost and staged again would not be found.
    """
    found = find_by_tags(aws, **{LINEAGE: identity.lineage})
    if not found:
        own = {WORKSPACE: identity.workspace} if identity.workspace else {}
        found = find_by_tags(aws, **{SERVICE: identity.service}, **own)
    return [_marked(instance) for instance in assigned(found)]


def _marked(instance: Ec2Instance) -> MarkedMachine:
    service, lineage = instance.tags.get(SERVICE, ""), instance.tags.get(LINEAGE, "")
    workspace, version = instance.tags.get(WORKSPACE, ""), instance.tags.get(VERSION, "")
    origin, made = instance.tags.get(ORIGIN, ""), instance.data.get("LaunchTime")
    since = made.isoformat(timespec="seconds") if isinstance(made, datetime) else ""
    return MarkedMachine(
        instance.id,
        instance.state,
        service,
        lineage,
        instance.node,
        workspace,
        version,
        since,
        origin,
        is_adopted=is_adopted(instance.tags),
    )


def adopt(aws: Aws, settings: Ec2Settings, identity: ServiceIdentity, orphan: MarkedMachine) -> NodeRecord:
    """Return an orphan as the record of its node; tag it and its volumes as the service's if they had other tags.

    Raises:
        DtkError: it has been terminated in the meantime.
    """
    instance = find_by_ids(aws, [orphan.id]).get(orphan.id)
    if instance is None or not instance.exists:
        raise DtkError(f"instance {orphan.id} no longer exists", hint="dtk list-nodes --orphans")
    ids = {LINEAGE: identity.lineage, ORIGIN: identity.origin, WORKSPACE: identity.workspace}
    own = {name: id_ for name, id_ in ids.items() if id_}
    # Before the instance: after an interruption, its old tag still says whose volumes these were.
    kept, missing = adopt_kept(aws, instance, own)
    if any(instance.tags.get(name) != value for name, value in own.items()):
        aws.call("create_tags", Resources=[instance.id], Tags=as_list(own))
    image = str(instance.data.get("ImageId", ""))
    user = login_user(aws, settings.images, image)
    key = settings.key if settings.key_pair or orphan.is_adopted else str(key_file(identity))
    attributes: dict[str, object] = {
        "size": instance.data.get("InstanceType", ""),
        "keypair": instance.data.get("KeyName", ""),
        **({KEPT_VOLUMES: kept} if kept else {}),
    }
    blank = node_record(instance.node, instance.id, user, key, attributes)
    record = described(blank, instance, settings, aws.region)
    if missing and not orphan.is_adopted:
        # A task died before it attached the volumes: the node is not finished, and a create step attaches them.
        return replace(record, status="pending")
    return replace(record, status="running") if record.status == "pending" else record


def end(aws: Aws, settings: Ec2Settings, orphans: Sequence[MarkedMachine]) -> dict[str, DtkError]:
    """Terminate orphans, release adopted ones; return the errors by instance id."""
    found = find_by_ids(aws, [orphan.id for orphan in orphans])
    adopted = {orphan.id for orphan in orphans if orphan.is_adopted}
    failed: dict[str, DtkError] = {}

    def on_outcome(id_: str, outcome: Ec2Instance | DtkError) -> None:
        if isinstance(outcome, DtkError):
            failed[id_] = outcome

    end_instances(aws, found, adopted, settings.boot_timeout, on_outcome)
    return failed
