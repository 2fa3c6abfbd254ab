"""Location of the files that come with dtk: schemas and built-in modules, in a checkout and in a wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[2]


def data_folder(name: str) -> Path:
    """Return the folder ``schemas`` or ``modules`` of this dtk.

    A wheel contains it as ``dtk/data/NAME``; in a checkout it is beside the package.
    """
    packaged = _PACKAGE / "data" / name
    return packaged if packaged.is_dir() else _PACKAGE.parent / name
