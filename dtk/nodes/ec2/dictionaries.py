"""The words for images and sizes that every ec2 target knows; a target's own images: and sizes: go over them.

Images are SSM public parameters, which their makers keep at the newest image of each region.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DEFAULT_IMAGE = "ubuntu_24_04"
DEFAULT_SIZE = "small"

_UBUNTU = "ssm:/aws/service/canonical/ubuntu/server/24.04/stable/current/{}/hvm/ebs-gp3/ami-id"
_DEBIAN = "ssm:/aws/service/debian/release/12/latest/{}"
_AMAZON = "ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{}"

IMAGES: Mapping[str, Any] = {
    "ubuntu_24_04": {"image": _UBUNTU.format("amd64"), "user": "ubuntu"},
    "ubuntu_24_04_arm64": {"image": _UBUNTU.format("arm64"), "user": "ubuntu"},
    "debian_12": {"image": _DEBIAN.format("amd64"), "user": "admin"},
    "debian_12_arm64": {"image": _DEBIAN.format("arm64"), "user": "admin"},
    "amazon_linux_2023": {"image": _AMAZON.format("x86_64"), "user": "ec2-user"},
    "amazon_linux_2023_arm64": {"image": _AMAZON.format("arm64"), "user": "ec2-user"},
}

SIZES: Mapping[str, Any] = {
    "micro": "t3.micro",
    "small": "t3.small",
    "medium": "t3.medium",
    "large": "t3.large",
    "xlarge": "t3.xlarge",
    "2xlarge": "t3.2xlarge",
}

LOGIN_USERS = (("ubuntu", "ubuntu"), ("debian", "admin"), ("al2023", "ec2-user"), ("amzn", "ec2-user"))
"""Part of an image's name → who may log in, for images that nobody named a user for (original-dtk.md 1.2, ssh)."""
USUAL_USER = "ec2-user"
