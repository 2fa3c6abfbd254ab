"""Edits a service's file: tries an edit before it is made, and removes settings that it makes obsolete."""

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
    """Try an edit on a copy of a service's file, so that an edit which would make it invalid changes nothing.

    Raises:
        InvalidError: the edited file would be invalid; the locations are those in the edited file.
    """
    file = inputs.workspace.service_file(inputs.service.name)
    with TemporaryDirectory() as folder:
        copy = Path(folder) / file.relative_to(inputs.workspace.root)
        copy.parent.mkdir(parents=True)
        copyfile(file, copy)
        edit(copy)
        load_service(copy, Path(folder))


def remove_settings(inputs: Inputs, belongs: Callable[[str], bool]) -> None:
    """Remove the values and links of something that no longer exists.

    Args:
        inputs: the service.
        belongs: returns whether to remove a path (``node/component/attribute``).
    """
    file = inputs.workspace.service_file(inputs.service.name)
    for section, paths in (("attributes", inputs.service.attributes), ("links", inputs.service.links)):
        for path in paths:
            if belongs(path):
                unset_entry(file, section, path)
    for text in inputs.service.removed:
        if belongs(text):
            remove_item(file, ("removed",), text)
