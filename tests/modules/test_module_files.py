"""Tests of single files and commands of modules, without nodes."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

MODULES = Path(__file__).resolve().parents[2] / "modules" / "dtk"


def test_no_setting_of_the_server_logs_the_passwords_of_roles() -> None:
    statements = (MODULES / "postgresql-ha" / "files" / "roles.sql").read_text()
    silenced = re.findall(r"^SET (\w+) = (\S+);$", statements.partition("PASSWORD")[0], re.MULTILINE)
    assert dict(silenced) == {
        "log_statement": "'none'",
        "log_min_error_statement": "'panic'",
        "log_min_duration_statement": "-1",
    }


def alertmanager(action: str, here: Path, directory: str) -> None:
    """Run what an action of the alertmanager does to its link, in a folder that is the machine's /usr."""
    described: Any = YAML(typ="safe").load(MODULES / "prometheus" / "dtk.module.yaml")["components"]["alertmanager"]
    described = described["actions"][action]
    steps = [step["server.shell"] | step for step in described.get("operations", []) if "server.shell" in step]
    links = [f"{step['unless']} || {{ {step['commands'][0]}; }}" for step in steps if "_sudo" in str(step)]
    links += [command.removeprefix("RUN ") for command in described.get("commands", []) if "/usr/share" in command]
    for link in links:
        script = link.replace("sudo ", "").replace("{{ directory }}", directory).replace(" /usr/", f" {here}/usr/")
        subprocess.run(["sh", "-c", script], cwd=here, check=True, timeout=60)


def test_the_alertmanager_replaces_a_dangling_link_and_removes_its_own_only(tmp_path: Path) -> None:
    link = tmp_path / "usr" / "share" / "prometheus" / "alertmanager"
    for directory in ("one", "two"):
        texts = tmp_path / directory / "packages" / "usr" / "share" / "prometheus" / "alertmanager"
        texts.mkdir(parents=True)
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "gone")
    alertmanager("create", tmp_path, "one")
    assert link.resolve().is_relative_to(tmp_path / "one")
    alertmanager("create", tmp_path, "two")
    alertmanager("delete", tmp_path, "two")
    assert link.resolve().is_relative_to(tmp_path / "one")
    alertmanager("delete", tmp_path, "one")
    assert not link.is_symlink()
