"""Edits of a service's file: tried before they are made, and cleaned up after."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory

from dtk.dsl.service import load_service
from dtk.dsl.yaml.edit import unset_entry
from dtk.dsl.yaml.edit_list import remove_item
from dtk.service.planning import Inputs


def check_edit(inputs: Inputs, edit: Callable[[Path], object]) -> None:
    """Make an edit on a copy of a service's file, so that one which would make it invalid changes nothing.

    Raises:
        InvalidError: what would be wrong, at its place in the file as it would be.
    """
    file = inputs.workspace.service_file(inputs.service.name)
    with TemporaryDirectory() as folder:
        copy = Path(folder) / file.relative_to(inputs.workspace.root)
        copy.parent.mkdir(parents=True)
        copyfile(file, copy)
        edit(copy)
        load_service(copy, Path(folder))


def remove_settings(inputs: Inputs, belongs: Callable[[str], bool]) -> None:
    """Take away the values and links that were set for something that is no longer there.

    Args:
        inputs: the service.
        belongs: says of a path (``node/component/attribute``) whether it goes.
    """
    file = inputs.workspace.service_file(inputs.service.name)
    for section, paths in (("attributes", inputs.service.attributes), ("links", inputs.service.links)):
        for path in paths:
            if belongs(path):
                unset_entry(file, section, path)
    for text in inputs.service.removed:
        if belongs(text):
            remove_item(file, ("removed",), text)
