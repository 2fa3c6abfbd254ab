"""services/NAME/service.yaml, read and checked."""

from __future__ import annotations

from pathlib import Path

from dtk.dsl.cache import keep, key_of_file, recall
from dtk.model.service import Service


def load_service(file: Path, display_root: Path | None = None) -> Service:
    """Return the desired state that a service.yaml says.

    Whether its attributes and components exist is for the compiler to say, which knows the assembly.

    Args:
        file: the service.yaml.
        display_root: messages name the file relative to this folder.

    Raises:
        InvalidError: with all mistakes, in file order.
    """
    key = key_of_file("service", file, display_root)
    if key and (kept := recall(key, Service)) is not None:
        return kept
    # A listing of services that have been read before needs neither a YAML parser nor jsonschema.
    from dtk.dsl.build.service import build_service  # noqa: PLC0415

    service = build_service(file, display_root)
    if key:
        keep(key, service)
    return service
