"""Installs the target plugin that docs/targets.md shows, as pip would: package and metadata in one folder."""

from __future__ import annotations

import tomllib
from pathlib import Path

from tests.support.documented import files_of

PAGE = "targets.md"


def install(site: Path) -> str:
    """Write the distribution to a folder and return the dtk.yaml that the page shows."""
    files = files_of(PAGE)
    project = tomllib.loads(files.pop("pyproject.toml"))["project"]
    workspace = files.pop("dtk.yaml")
    information = f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    files[f"{information}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    files[f"{information}/entry_points.txt"] = "".join(
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
        for group, points in project["entry-points"].items()
    )
    for name, text in files.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text)
    return workspace
