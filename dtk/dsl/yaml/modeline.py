"""How editors find a document's schema: a line at its top, and the schemas in the workspace's .dtk/schemas."""

from __future__ import annotations

import os
from pathlib import Path

from dtk.dsl.yaml.shipped import data_folder
from dtk.state.files import make_private_folder
from dtk.state.workspace import Workspace


def modeline(schema: str, file: Path, workspace: Workspace) -> str:
    """Return the comment that yaml-language-server reads.

    The path in it is relative, so that it holds in every clone; ``provide_schemas`` puts there what it names.

    Args:
        schema: its name: ``module``, ``assembly``, ``service``, ``workspace``, ``case``.
        file: the document that the line is for.
        workspace: the workspace the document is in.
    """
    path = os.path.relpath(_folder(workspace) / f"{schema}.schema.json", file.parent)
    return f"# yaml-language-server: $schema={Path(path).as_posix()}"


def provide_schemas(workspace: Workspace) -> None:
    """Write this dtk's schemas into the workspace, where those there are others or none."""
    make_private_folder(_folder(workspace))
    for source in data_folder("schemas").glob("*.schema.json"):
        target = _folder(workspace) / source.name
        content = source.read_bytes()
        if not target.is_file() or target.read_bytes() != content:
            target.write_bytes(content)


def _folder(workspace: Workspace) -> Path:
    return workspace.local / "schemas"
