"""A builder of container images without a daemon: buildah, with the test bed's Debian as base image.

It contacts no registry. Every image that a Dockerfile names in ``FROM`` is the test bed's image with Python's virtual
environments added, cached between runs.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.testbed.bed import skip_where_missing
from tests.testbed.image import MACHINE_FILES, apt_settings, cache_folder, image_root

BASE_SCRIPT = """
userdel admin
apt-get update -q
apt-get install -q -y --no-install-recommends python3-venv
ln -s python3 /usr/bin/python
"""
ENVIRONMENT = {**os.environ, "BUILDAH_ISOLATION": "chroot"}


def skip_without_builder() -> None:
    """Skip the calling test if there is no builder or no test bed; fail it if the test bed is required."""
    skip_where_missing()
    if shutil.which("buildah"):
        return
    reason = "no image can be built here: buildah is not installed"
    if os.environ.get("DTK_TESTBED") == "required":
        pytest.fail(reason)
    pytest.skip(reason)


@dataclass(frozen=True)
class Builder:
    """Builds images in a storage folder of its own."""

    storage: Path

    def __call__(self, *words: str) -> str:
        """Run buildah; return its output."""
        assert self.storage.is_absolute(), self.storage
        own = ("--root", f"{self.storage}/root", "--runroot", f"{self.storage}/run", "--storage-driver", "overlay")
        done = subprocess.run(
            ["buildah", *own, *words], env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=600
        )
        assert done.returncode == 0, f"buildah {words[0]}: {done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout.strip()

    def build(self, context: Path) -> str:
        """Build a folder's Dockerfile; return the image's name."""
        for name in sorted(set(re.findall(r"^FROM (\S+)", (context / "Dockerfile").read_text(), re.MULTILINE))):
            self._make_base(f"docker.io/library/{name}")
        made = f"localhost/dtk-{uuid.uuid4().hex[:8]}"
        # Stages that do not depend on each other are built in parallel.
        self("build", "--pull-never", "--jobs", "2", *_machine_files(), "--tag", made, str(context))
        return made

    def _make_base(self, name: str) -> None:
        recipe = hashlib.sha256(f"{image_root().name} {BASE_SCRIPT}".encode()).hexdigest()
        label = "dtk.recipe"
        found = self("images", "--filter", f"label={label}", "--format", "{{.Name}}:{{.Tag}}").split()
        if name in found and recipe in self("inspect", "--type", "image", name):
            return
        container = self("from", "scratch")
        root = self("mount", container)
        assert root.startswith(f"{self.storage}/"), root
        subprocess.run(["cp", "-a", f"{image_root()}/.", f"{root}/"], check=True)
        self("umount", container)
        self("config", "--label", f"{label}={recipe}", container)
        prepared = self("from", "--pull-never", self("commit", "--rm", container))
        self("run", *_machine_files(), prepared, "--", "sh", "-ec", BASE_SCRIPT)
        self("commit", "--rm", prepared, name)

    @contextmanager
    def mounted(self, image: str) -> Iterator[Path]:
        """Mount an image and yield the folder with its files."""
        container = self("from", "--pull-never", image)
        root = Path(self("mount", container))
        assert root.is_relative_to(self.storage), root
        yield root
        self("rm", container)


def _machine_files() -> list[str]:
    """Return the options that pass this machine's files for reaching package mirrors to a build."""
    files = [path for path in (*map(Path, MACHINE_FILES), *apt_settings()) if path.is_file()]
    return [f"--volume={path}:{path}:ro" for path in files]


@contextmanager
def builder() -> Iterator[Builder]:
    """Yield the builder to one test run at a time; remove all images but the base images afterwards."""
    skip_without_builder()
    storage = cache_folder() / "containers"
    storage.mkdir(parents=True, exist_ok=True)
    with (storage / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = Builder(storage)
        try:
            yield made
        finally:
            made("rm", "--all")
            own = [name for name in made("images", "--format", "{{.Name}}").split() if name.startswith("localhost/")]
            if own:
                made("rmi", "--force", *own)
            made("rmi", "--prune")  # base images of earlier recipes
