"""Adopts instances that dtk did not create: examines them, and tags them for their nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from dtk.errors import DtkError
from dtk.nodes.ec2.aws import Aws
from dtk.nodes.ec2.images import login_user
from dtk.nodes.ec2.instances import Ec2Instance, find_by_ids
from dtk.nodes.ec2.made import find_of_service
from dtk.nodes.ec2.records import described, node_record
from dtk.nodes.ec2.settings import Ec2Settings
from dtk.nodes.ec2.tags import (
    ADOPTED,
    LINEAGE,
    NAME,
    NODE,
    NODES,
    SERVICE,
    WORKSPACE,
    as_list,
    is_adopted,
    service_tags,
)
from dtk.nodes.provider import NodeRecord, ServiceIdentity


class OwnedError(DtkError):
    """An instance is a node's already, of this service or of another one."""

    exit_code = 5


def find_machine(aws: Aws, settings: Ec2Settings, identity: ServiceIdentity, node: str, id_: str) -> NodeRecord:
    """Return an instance that dtk did not create as the record of a node; change nothing.

    Raises:
        OwnedError: the tags of dtk on it name another node.
        DtkError: it does not exist here, or does not run, or the node has another instance.
    """
    instance = find_by_ids(aws, [id_]).get(id_)
    if instance is None:
        where = f"in region {aws.region}" + (f" of account {aws.account}" if aws.account else "")
        hint = f"check its id, and the region and the profile of target '{settings.name}' in dtk.yaml"
        raise DtkError(f"there is no instance {id_} {where}", hint=hint)
    _refuse_owned(identity, node, instance)
    if instance.state != "running":
        hint = f"start it first: aws ec2 start-instances --instance-ids {id_}" if instance.exists else ""
        raise DtkError(f"instance {id_} is {instance.state}: only a running instance can be adopted", hint=hint)
    other = find_of_service(aws, identity.lineage).get(node)
    if other is not None and other.id != id_:
        hint = "dtk list-nodes --orphans --adopt adds it to the state"
        raise OwnedError(f"{node} of '{identity.service}' has instance {other.id} already", hint=hint)
    user = settings.user or login_user(aws, settings.images, str(instance.data.get("ImageId", "")))
    attributes = {"size": instance.data.get("InstanceType", ""), "keypair": instance.data.get("KeyName", "")}
    blank = node_record(node, id_, user, settings.key, attributes)
    return described(blank, _with_tags(instance, {ADOPTED: "true"}), settings, aws.region)


def _refuse_owned(identity: ServiceIdentity, node: str, instance: Ec2Instance) -> None:
    tags = instance.tags
    if LINEAGE not in tags and SERVICE not in tags:
        return
    owner = f"'{tags.get(SERVICE, '?')}'"
    if tags.get(LINEAGE) != identity.lineage:
        ids = f"service id {tags.get(LINEAGE, '?')}, workspace id {tags.get(WORKSPACE, '?')}"
        hint = "remove the node from that service first; if that service is gone, remove the tags dtk:* of the instance"
        raise OwnedError(f"instance {instance.id} is {instance.node or 'a node'} of service {owner} ({ids})", hint=hint)
    if not is_adopted(tags):
        hint = "dtk list-nodes --orphans --adopt adds it to the state"
        raise OwnedError(f"dtk created instance {instance.id} for {instance.node} of {owner}", hint=hint)
    if instance.node != node:
        hint = f"dtk list-nodes {identity.service}"
        raise OwnedError(f"instance {instance.id} is {instance.node} of {owner} already", hint=hint)


def mark_machine(aws: Aws, settings: Ec2Settings, identity: ServiceIdentity, record: NodeRecord) -> NodeRecord:
    """Tag an instance as adopted for its node; its own name stays. Return its record.

    Raises:
        DtkError: it ended in the meantime, or may not be tagged.
    """
    tags = {**service_tags(identity), NODES: record.node, NODE: record.node, ADOPTED: "true"}
    del tags[NAME]
    aws.call("create_tags", Resources=[record.id], Tags=as_list(tags))
    instance = find_by_ids(aws, [record.id]).get(record.id)
    if instance is None or not instance.exists:
        raise DtkError(f"instance {record.id} ended while it was adopted")
    # EC2 may show new tags some seconds later.
    return described(record, _with_tags(instance, tags), settings, aws.region)


def _with_tags(instance: Ec2Instance, tags: Mapping[str, str]) -> Ec2Instance:
    return replace(instance, tags={**instance.tags, **tags})


def refuse_unfinished(identity: ServiceIdentity, instances: Iterable[Ec2Instance]) -> None:
    """Refuse to create nodes for which an instance was tagged as adopted, but not recorded with all of its facts.

    Raises:
        DtkError: names the first one, and the command that finishes its adoption.
    """
    for instance in instances:
        if is_adopted(instance.tags):
            raise DtkError(
                f"the adoption of instance {instance.id} as {instance.node} is not finished",
                hint=f"finish it: dtk adopt {identity.service} {instance.node} {instance.id}",
            )
