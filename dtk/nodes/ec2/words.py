"""The built-in words for images and sizes of ec2 targets; a target's own ``images:`` and ``sizes:`` override them.

Images are SSM public parameters, which their publishers keep at the newest image of each region.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from dtk.model.settings import mapping, text, texts
from dtk.model.target import WrongValue

DEFAULT_IMAGE = "ubuntu_24_04"
DEFAULT_SIZE = "small"
ROOT_DEVICE_GIGABYTES = 20
IMAGE_PARAMETER = "ssm:"
IMAGE_ID = "ami-"

_UBUNTU = "ssm:/aws/service/canonical/ubuntu/server/24.04/stable/current/{}/hvm/ebs-gp3/ami-id"
_DEBIAN = "ssm:/aws/service/debian/release/12/latest/{}"
_AMAZON = "ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{}"

IMAGES: Mapping[str, object] = {
    "ubuntu_24_04": {"image": _UBUNTU.format("amd64"), "user": "ubuntu"},
    "ubuntu_24_04_arm64": {"image": _UBUNTU.format("arm64"), "user": "ubuntu"},
    "debian_12": {"image": _DEBIAN.format("amd64"), "user": "admin"},
    "debian_12_arm64": {"image": _DEBIAN.format("arm64"), "user": "admin"},
    "amazon_linux_2023": {"image": _AMAZON.format("x86_64"), "user": "ec2-user"},
    "amazon_linux_2023_arm64": {"image": _AMAZON.format("arm64"), "user": "ec2-user"},
}

SIZES: Mapping[str, object] = {
    "micro": "t3.micro",
    "small": "t3.small",
    "medium": "t3.medium",
    "large": "t3.large",
    "xlarge": "t3.xlarge",
    "2xlarge": "t3.2xlarge",
}

TYPE_SIZES: Mapping[str, tuple[int, int]] = {
    "t3.nano": (2, 512),
    "t3.micro": (2, 1024),
    "t3.small": (2, 2048),
    "t3.medium": (2, 4096),
    "t3.large": (2, 8192),
    "t3.xlarge": (4, 16384),
    "t3.2xlarge": (8, 32768),
}
"""vCPUs and memory in MiB of the types that the size words stand for: a plan can add these up without asking AWS."""

_INSTANCE_TYPE = re.compile(r"^[a-z0-9-]+\.[a-z0-9-]+$")


def images_of(settings: Mapping[str, object]) -> Mapping[str, object]:
    """Return the image words of a target with these settings, and what each stands for."""
    return {**IMAGES, **mapping(settings, "images")}


def sizes_of(settings: Mapping[str, object]) -> Mapping[str, object]:
    """Return the size words of a target with these settings, and what each stands for."""
    return {**SIZES, **mapping(settings, "sizes")}


def words_for(attributes: Mapping[str, object], defaults: Mapping[str, object]) -> dict[str, object]:
    """Return the requested image and the size, or instance type, of a machine.

    Args:
        attributes: the node's own; its instance type overrides its size, and either overrides both defaults.
        defaults: the target's defaults.
    """
    image = attributes.get("image") or defaults.get("image") or DEFAULT_IMAGE
    for given in (attributes, defaults):
        for name in ("instance_type", "size"):
            if given.get(name):
                return {"image": image, name: given[name]}
    return {"image": image, "size": DEFAULT_SIZE}


def is_image(word: str) -> bool:
    """Return whether a word names an image directly: an AMI's id, or an SSM parameter that contains one."""
    return word.startswith((IMAGE_ID, IMAGE_PARAMETER))


def is_instance_type(word: str) -> bool:
    """Return whether a word has the form of an EC2 instance type: ``t3.large``, ``u-6tb1.metal``."""
    return bool(_INSTANCE_TYPE.match(word))


def unknown_words(attributes: Mapping[str, object], settings: Mapping[str, object]) -> Iterator[WrongValue]:
    """Yield the words for image, size and instance type in a node's attributes that an ec2 target does not know."""
    images, sizes = tuple(images_of(settings)), tuple(sizes_of(settings))
    image, size = text(attributes, "image"), text(attributes, "size")
    if image and image not in images and not is_image(image):
        yield WrongValue("image", image, images, f"{', '.join(images)}, ami-… or ssm:PARAMETER")
    if size and size not in sizes and not is_instance_type(size):
        yield WrongValue("size", size, sizes, f"{', '.join(sizes)} or an instance type such as t3.large")
    for type_ in texts(attributes, "instance_type"):
        if not is_instance_type(type_):
            yield WrongValue("instance_type", type_, (), "an instance type such as t3.large")
