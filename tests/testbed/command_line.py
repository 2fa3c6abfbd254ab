"""Runs the real command line in a workspace whose nodes are hosts of a test bed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from dtk.state.store import load_state
from dtk.state.workspace import Workspace
from tests.support.command_line import Dtk
from tests.testbed.bed import Bed
from tests.testbed.host import Host


@dataclass(frozen=True, kw_only=True)
class BedDtk(Dtk):
    """Runs dtk, and reaches the hosts of its nodes without it."""

    bed: Bed

    def host(self, service: str, node: str) -> Host:
        """Return the host of a node, by the service's state."""
        state = load_state(Workspace(self.root).state_file(service))
        assert state is not None, service
        return self.bed.hosts[state.nodes[node].id]

    def on(self, service: str, node: str, command: str) -> str:
        """Run a shell command on a node without a login, as ``Host.shell``: for what is asked again and again."""
        return self.host(service, node).shell(command)


def bed_workspace(root: Path, bed: Bed) -> BedDtk:
    """Make a workspace whose one target is a test bed."""
    made = BedDtk(root, bed=bed)
    made.run("init")
    (root / "dtk.yaml").write_text(json.dumps({"format_version": 1, "targets": {"bed": bed.target()}}))
    return made
