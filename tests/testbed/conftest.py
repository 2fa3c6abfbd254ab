"""Fixtures of this folder: one test bed for all tests, and for each test a workspace with it as default target."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.testbed.bed import Bed, running_bed
from tests.testbed.site import MODULE, Site, site_in

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


@pytest.fixture(scope="session")
def bed() -> Iterator[Bed]:
    """Start an EC2 whose instances boot; if it cannot run, skip its tests, or fail them if it is required."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        with running_bed() as made:
            yield made
    prefix = f"bed{made.network.number}x"
    left = [name for name in subprocess.check_output(["ip", "netns"], text=True).split() if name.startswith(prefix)]
    assert not left, f"network namespaces are left: {left}"
    assert str(made.folder) not in Path("/proc/mounts").read_text()
    assert not made.folder.exists()
    assert not [one for one in psutil.process_iter(["cmdline"]) if str(made.folder) in str(one.info["cmdline"])]


@pytest.fixture
def site(bed: Bed, tmp_path: Path) -> Iterator[Site]:
    """Create a workspace whose nodes are instances of the test bed."""
    with site_in(tmp_path / "workspace", bed) as made:
        shutil.copytree(MODULE, made.dtk.root / "modules" / "acme" / "site")
        yield made
