"""Loads services/NAME/service.yaml: reads and checks it."""

from __future__ import annotations

from pathlib import Path

from dtk.dsl.cache import keep, key_of_file, recall
from dtk.model.service import Service


def load_service(file: Path, display_root: Path | None = None) -> Service:
    """Load the desired state in a service.yaml.

    The compiler checks whether its attributes and components exist, because it knows the assembly.

    Args:
        file: the service.yaml.
        display_root: messages name the file relative to this folder.

    Raises:
        InvalidError: the file is invalid; the error lists all problems in file order.
    """
    key = key_of_file("service", file, display_root)
    if key and (kept := recall(key, Service)) is not None:
        return kept
    # Imported late: a listing of cached services needs neither a YAML parser nor jsonschema.
    from dtk.dsl.build.service import build_service  # noqa: PLC0415

    service = build_service(file, display_root)
    if key:
        keep(key, service)
    return service
