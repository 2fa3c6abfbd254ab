"""Asks AWS what the words in a plan's requests mean now: the ids of images, and the sizes of instance types."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from dtk.errors import InvalidError
from dtk.model.target import Attributes, TargetFacts
from dtk.nodes.ec2.aws import Aws
from dtk.nodes.ec2.images import resolve_image
from dtk.nodes.ec2.preflight import describe_types, if_allowed
from dtk.nodes.ec2.settings import Ec2Settings, read_spec
from dtk.nodes.ec2.words import IMAGE_ID, TYPE_SIZES


def look_up(aws: Aws, settings: Ec2Settings, requests: Sequence[Attributes]) -> TargetFacts:
    """Return the ids of images by word, and the sizes of instance types that dtk does not know by itself.

    Args:
        aws: the AWS services.
        settings: the target's settings.
        requests: the nodes' attributes, in the target's form.

    Raises:
        DtkError: AWS can't be asked.
    """
    specs = [read_spec(settings, "", request) for request in requests]
    images = {}
    for word in sorted({spec.image for spec in specs if not spec.image.startswith(IMAGE_ID)}):
        # An image may be gone of which only existing machines are made: the others' are of interest all the same.
        with suppress(InvalidError):
            images[word] = resolve_image(aws, settings.images, word).id
    types = sorted({type_ for spec in specs for type_ in spec.instance_types} - TYPE_SIZES.keys())
    found = if_allowed(lambda: describe_types(aws, types)) or {}
    return TargetFacts(images, {name: (one.vcpus, one.memory) for name, one in found.items() if one.vcpus})
