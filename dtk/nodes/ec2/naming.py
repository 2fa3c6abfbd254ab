"""Tags for people who read AWS's console: they show each instance's node. dtk itself uses the tags of the launch."""

from __future__ import annotations

import time
from collections.abc import Mapping

from dtk.errors import DtkError
from dtk.nodes.ec2.aws import Aws
from dtk.nodes.ec2.instances import Ec2Instance
from dtk.nodes.ec2.tags import NAME, NODE, as_list, node_tags, service_label
from dtk.nodes.provider import ServiceIdentity

NAMING_SECONDS = 60.0
"""Time limit for naming a service's instances, in seconds; the rest stays unnamed."""
_JUST_MADE = ("InvalidInstanceID.NotFound",)


def name_instances(aws: Aws, identity: ServiceIdentity, instances: Mapping[str, Ec2Instance]) -> None:
    """Give each instance the missing tags of its node; a name that people chose stays.

    A single call created several of them and could not give each its own tags. An error here fails no node.
    """
    until = time.monotonic() + NAMING_SECONDS
    for node, instance in instances.items():
        missing = _missing(identity, node, instance)
        left = until - time.monotonic()
        if not missing or left <= 0:
            continue
        try:
            aws.call("create_tags", settling=_JUST_MADE, patience=left, Resources=[instance.id], Tags=as_list(missing))
        except DtkError:
            return


def _missing(identity: ServiceIdentity, node: str, instance: Ec2Instance) -> dict[str, str]:
    tags = node_tags(identity, node)
    if instance.tags.get(NAME, "") not in ("", service_label(identity)):
        del tags[NAME]
    return {} if instance.tags.get(NODE) == node and NAME not in tags else tags
