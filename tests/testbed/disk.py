"""A disk: a file behind a loop device, which outlives the host that it is plugged into."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.testbed.host import run


@dataclass(frozen=True)
class Disk:
    """A file, and the block device of this machine that shows it."""

    file: Path
    device: str

    def remove(self) -> None:
        """Delete it; where a host that ends still has it open, the kernel frees the device afterwards."""
        run("losetup", "--detach", self.device, check=False)
        self.file.unlink(missing_ok=True)


def make_disk(file: Path, gigabytes: int) -> Disk:
    """Create an empty disk; its file is sparse and takes only what is written."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as made:
        made.truncate(gigabytes << 30)
    return Disk(file, run("losetup", "--find", "--show", str(file)).strip())
