"""A module's folder, read and checked: every mistake in it at once, or the module."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dtk.model.module import Module

FindModule = Callable[[str], Module]


def load_module(folder: Path, display_root: Path | None = None, find: FindModule | None = None) -> Module:
    """Return the module that stands in a folder.

    Args:
        folder: holds ``dtk.module.yaml``, and may hold ``assemblies/NAME.dtk.assembly.yaml``.
        display_root: messages name files relative to this folder.
        find: gives a module by its full name, for references to the modules this one depends on; without it those
            references are not followed.

    Raises:
        InvalidError: with all mistakes, in file order.
    """
    raise NotImplementedError
