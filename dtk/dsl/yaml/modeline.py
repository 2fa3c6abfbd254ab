"""How editors find a document's schema: a comment at its top, and the schemas in the workspace's .dtk/schemas."""

from __future__ import annotations

import json
import os
from pathlib import Path

from dtk.disk.files import make_private_folder
from dtk.dsl.yaml.shipped import data_folder
from dtk.dsl.yaml.target_schema import editor_schemas
from dtk.state.workspace import Workspace
from dtk.targets import descriptions


def modeline(schema: str, file: Path, workspace: Workspace) -> str:
    """Return the schema comment for yaml-language-server.

    Its path is relative, so that it is valid in every clone; ``provide_schemas`` writes the file that it names.

    Args:
        schema: the schema's name: ``module``, ``assembly``, ``service``, ``workspace``, ``case``.
        file: the document that the comment is for.
        workspace: the document's workspace.
    """
    path = os.path.relpath(_folder(workspace) / f"{schema}.schema.json", file.parent)
    return f"# yaml-language-server: $schema={Path(path).as_posix()}"


def provide_schemas(workspace: Workspace) -> None:
    """Write the schemas of this dtk and of all installed target types into the workspace, if missing or outdated."""
    make_private_folder(_folder(workspace))
    schemas = {source.name: source.read_bytes() for source in data_folder("schemas").glob("*.schema.json")}
    for name, schema in editor_schemas(descriptions()).items():
        schemas[name] = (json.dumps(schema, indent=2, ensure_ascii=False) + "\n").encode()
    for name, content in schemas.items():
        file = _folder(workspace) / name
        if not file.is_file() or file.read_bytes() != content:
            file.write_bytes(content)


def _folder(workspace: Workspace) -> Path:
    return workspace.local / "schemas"
