"""Resolves an image word to the AMI, its root device and its login user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dtk.errors import InvalidError
from dtk.model.settings import as_mapping, text
from dtk.nodes.ec2.answers import ImageAnswer, ParameterAnswer
from dtk.nodes.ec2.aws import Aws
from dtk.nodes.ec2.problems import AwsError
from dtk.nodes.ec2.words import IMAGE_ID, IMAGE_PARAMETER

_LOGIN_USERS = (("ubuntu", "ubuntu"), ("debian", "admin"), ("al2023", "ec2-user"), ("amzn", "ec2-user"))
"""Part of an image's name → login user, for images without a configured user (docs/original.md 2.4)."""
_USUAL_USER = "ec2-user"


@dataclass(frozen=True)
class Image:
    """An AMI."""

    id: str
    root_device: str
    user: str
    architecture: str = ""
    root_size: int = 0
    """Size of the snapshot of its root device in GB, 0 if unknown: a disk can't be smaller."""


def resolve_image(aws: Aws, images: Mapping[str, object], word: str, known: str = "") -> Image:
    """Return the image that a word stands for.

    Args:
        aws: the AWS services.
        images: the target's dictionary: word → ``ami-…``, ``ssm:PARAMETER``, ``{name, owner}``, or ``{image, user}``.
        word: a word of the dictionary, ``ami-…`` or ``ssm:PARAMETER``.
        known: the AMI that the word stood for when the group's members were created, "" to resolve the word now.

    Raises:
        InvalidError: the word or the image does not exist.
    """
    given = images.get(word, word)
    entry = as_mapping(given) if isinstance(given, Mapping) else {"image": given}
    if known or "name" not in entry:
        found = _by_id(aws, known or _image_id(aws, text(entry, "image"), images), word)
    else:
        found = _newest(aws, entry)
    if found is None:
        raise InvalidError(f"no image '{entry['name']}' of owner {entry.get('owner', 'self')} for '{word}'")
    user = text(entry, "user") or user_of(found.get("Name", ""))
    root = found.get("RootDeviceName", "/dev/xvda")
    return Image(found["ImageId"], root, user, found.get("Architecture", ""), _size_of(found, root))


def _size_of(image: ImageAnswer, device: str) -> int:
    disks = (one for one in image.get("BlockDeviceMappings", []) if one.get("DeviceName") == device)
    return next((int(disk.get("Ebs", {}).get("VolumeSize", 0)) for disk in disks), 0)


def login_user(aws: Aws, images: Mapping[str, object], image: str) -> str:
    """Return the login user of machines with an AMI: as the dictionary of images says, or as is usual for its name.

    Raises:
        InvalidError: the AMI no longer exists, and the dictionary does not name it.
    """
    named = [entry for entry in images.values() if isinstance(entry, Mapping) and entry.get("image") == image]
    user = next((str(entry["user"]) for entry in named if entry.get("user")), "")
    return user or resolve_image(aws, {}, image).user


def user_of(name: str) -> str:
    """Return the login user of machines with an image of this name."""
    return next((user for part, user in _LOGIN_USERS if part in name.lower()), _USUAL_USER)


def _image_id(aws: Aws, image: str, images: Mapping[str, object]) -> str:
    if image.startswith(IMAGE_PARAMETER):
        return _parameter(aws, image.removeprefix(IMAGE_PARAMETER))
    if image.startswith(IMAGE_ID):
        return image
    hint = f"use one of {', '.join(images)}, or an AMI's id; the target's images: in dtk.yaml adds words"
    raise InvalidError(f"this target has no image '{image}'", hint=hint)


def _parameter(aws: Aws, name: str) -> str:
    try:
        return aws.ask("get_parameter", ParameterAnswer, service="ssm", Name=name)["Parameter"]["Value"]
    except AwsError as error:
        if error.code != "ParameterNotFound":
            raise
        # AWS's own error message is empty.
        hint = "check the image's word in the target's images: in dtk.yaml, and the region"
        raise InvalidError(f"this region has no SSM parameter {name}", hint=hint) from None


def _by_id(aws: Aws, image: str, word: str) -> ImageAnswer | None:
    # By filter: AWS returns an empty list for an unknown id instead of an error, so that the message can name the word.
    found = aws.pages("describe_images", "Images", ImageAnswer, Filters=[{"Name": "image-id", "Values": [image]}])
    if not found:
        raise InvalidError(f"no image {image} (for '{word}') in this region")
    return found[0]


def _newest(aws: Aws, entry: Mapping[str, object]) -> ImageAnswer | None:
    filters = [
        {"Name": "name", "Values": [str(entry["name"])]},
        {"Name": "state", "Values": ["available"]},
    ]
    found = aws.pages(
        "describe_images", "Images", ImageAnswer, Owners=[str(entry.get("owner", "self"))], Filters=filters
    )
    return max(found, key=lambda image: str(image.get("CreationDate", "")), default=None)
