"""Concurrent edits of the same file: no edit is lost, and no command overwrites another's change."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

from tests.support.command_line import Dtk

MANY = """
dsl_version: 1.0.0
module: acme/many
version: 1.0.0
components:
  thing:
    attributes:
ATTRIBUTES
assemblies:
  one:
    nodes:
      master: {components: [many::thing]}
"""


def test_twenty_edits_at_once_are_all_in_the_file(dtk: Dtk) -> None:
    names = [f"a{number}" for number in range(20)]
    folder = dtk.root / "modules/acme/many"
    folder.mkdir(parents=True)
    attributes = "\n".join(f"      {name}: {{type: string, default: x}}" for name in names)
    (folder / "dtk.module.yaml").write_text(MANY.replace("ATTRIBUTES", attributes))
    dtk.run("stage", "acme:many/one", "many1")
    edits = [dtk.start("set-attribute", "many1", f"master/many::thing/{name}", f"v-{name}") for name in names]
    failed = [output for edit in edits for output in [edit.communicate(timeout=120)[0]] if edit.returncode]
    assert failed == []
    written = (dtk.root / "services/many1/service.yaml").read_text()
    assert [name for name in names if f"master/many::thing/{name}: v-{name}" not in written] == []


def open_to_others(folder: Path, bits: int) -> list[str]:
    """Return the files and folders whose mode has any of ``bits`` set."""
    found = [path for path in folder.rglob("*") if not path.is_symlink()]
    return [str(path.relative_to(folder)) for path in found if stat.S_IMODE(path.stat().st_mode) & bits]


def test_state_logs_plans_and_keys_are_private_whatever_the_umask(dtk: Dtk, module: Path) -> None:
    linked = dtk.root / "linked.json"
    linked.write_text("")
    linked.chmod(0o644)
    (dtk.root / "plan.json").symlink_to(linked)
    for words in (
        "stage acme:ring/cluster ring1",
        "set-attribute ring1 slaves/cardinality 1",
        "plan ring1 --out plan.json",
        "apply plan.json --yes",
    ):
        command = f'umask 000; exec "$0" -m dtk {words}'
        subprocess.run(["/bin/sh", "-c", command, sys.executable], cwd=dtk.root, check=True, timeout=120)
    private = dtk.root / ".dtk"
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert open_to_others(private / "services", 0o077) == []
    assert open_to_others(dtk.root / "services", 0o022) == []
    assert (dtk.root / "plan.json").is_symlink()
    assert stat.S_IMODE(linked.stat().st_mode) == 0o600
