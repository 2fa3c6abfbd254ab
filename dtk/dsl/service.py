"""services/NAME/service.yaml, read and checked."""

from __future__ import annotations

from pathlib import Path

from dtk.model.service import Service


def load_service(file: Path, display_root: Path | None = None) -> Service:
    """Return the desired state that a service.yaml says.

    Raises:
        InvalidError: with all mistakes, in file order.
    """
    raise NotImplementedError
