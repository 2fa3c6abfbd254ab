"""Changes of volumes as EC2 makes them, in front of moto, which makes them at once and allows the next one."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends

_FIELDS = {"size": "size", "volumeType": "volume_type", "iops": "iops", "throughput": "throughput"}
"""An element of a described volume → the part of the name of moto's attributes."""


@dataclass
class VolumeChanges:
    """The changes under way. Until a change is made, its volume is described as it was and refuses another one."""

    _until: dict[str, float] = field(default_factory=dict)

    def refusal(self, action: str, parameters: Mapping[str, str]) -> str:
        """Return the error code for a change of a volume that is being changed, "" otherwise."""
        is_refused = action == "ModifyVolume" and self._is_under_way(parameters["VolumeId"])
        return "IncorrectModificationState" if is_refused else ""

    def note(self, action: str, parameters: Mapping[str, str], seconds: float) -> None:
        """Remember a change that was accepted; it takes a number of seconds."""
        if action == "ModifyVolume":
            self._until[parameters["VolumeId"]] = time.monotonic() + seconds

    def as_described(self, action: str, text: bytes) -> bytes:
        """Return moto's answer with the changes under way shown as such."""
        if action not in ("DescribeVolumes", "DescribeVolumesModifications"):
            return text
        root = ElementTree.fromstring(text)
        space = root.tag.partition("}")[0] + "}"
        ElementTree.register_namespace("", space.strip("{}"))
        for item in root.iter(f"{space}item"):
            id_ = item.findtext(f"{space}volumeId")
            if id_ and self._is_under_way(id_):
                for name, value in _as_under_way(id_).items():
                    shown = item.find(f"{space}{name}")
                    if shown is not None:
                        shown.text = value
        return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))

    @staticmethod
    def launched(parameters: Mapping[str, str], ids: Iterable[str]) -> None:
        """Give the volumes of launched instances the limits of the launch, which moto drops."""
        places = [(one, one.attachment) for one in _volumes().values()]
        found = [(one, place.device) for one, place in places if place and place.instance.id in ids]
        for name, device in parameters.items():
            if name.startswith("BlockDeviceMapping.") and name.endswith(".DeviceName"):
                ebs = name.removesuffix("DeviceName") + "Ebs."
                for volume in (one for one, at in found if at == device):
                    volume.volume_type = parameters.get(f"{ebs}VolumeType", volume.volume_type)
                    volume.iops = int(parameters.get(f"{ebs}Iops", volume.iops or 0)) or None
                    volume.throughput = int(parameters.get(f"{ebs}Throughput", volume.throughput or 0)) or None

    def _is_under_way(self, id_: str) -> bool:
        return time.monotonic() < self._until.get(id_, 0.0)


def _as_under_way(id_: str) -> dict[str, str]:
    """Return how elements of a volume and of its modification are described while it is being changed."""
    change = _volumes()[id_].modifications[-1]
    before = {element: getattr(change, f"original_{name}") for element, name in _FIELDS.items()}
    return {"modificationState": "modifying", **{name: str(value) for name, value in before.items() if value}}


def _volumes() -> dict[str, Any]:
    """Return moto's volumes in all regions, by id."""
    return {id_: one for backend in ec2_backends[DEFAULT_ACCOUNT_ID].values() for id_, one in backend.volumes.items()}
