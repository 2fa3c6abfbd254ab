"""Writes converted modules: the document as YAML, and the files beside it."""

from __future__ import annotations

import shutil
from pathlib import Path

from dtk.convert.module import Converted
from dtk.dsl.module import MODULE_FILE
from dtk.errors import UsageError
from dtk.model.json_data import Json
from dtk.model.written import as_written

_WIDTH = 120


def write_module(module: Converted, root: Path) -> Path:
    """Write a module to ``root/NS/NAME``; return its folder.

    Raises:
        UsageError: the folder exists already.
    """
    folder = root / module.name
    if folder.exists():
        raise UsageError(f"{folder} already exists", hint="remove it, or choose another folder with --out")
    folder.mkdir(parents=True)
    (folder / MODULE_FILE).write_text(yaml_text(module.document), encoding="utf-8")
    for target, source in module.files.items():
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / target)
    return folder


def yaml_text(document: dict[str, Json]) -> str:
    """Return a document as YAML in block style, with the line that names the schema for editors."""
    from io import StringIO  # noqa: PLC0415 - with the YAML writer

    from ruamel.yaml import YAML  # noqa: PLC0415 - takes 31 ms; most commands do not need it

    yaml = YAML()
    yaml.width = _WIDTH
    yaml.indent(mapping=2, sequence=4, offset=2)
    output = StringIO()
    yaml.dump(as_written(document), output)
    return output.getvalue()
