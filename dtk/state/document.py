"""state.json as a document: State to JSON data and back, refusing what this dtk can't read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from dtk.errors import DtkError
from dtk.state.model import FORMAT_VERSION, Applied, NodeState, State, Unfinished


def to_document(state: State) -> dict[str, Any]:
    """Return a state as JSON data; its shape is schemas/state.schema.json."""
    document = {"format_version": FORMAT_VERSION, **asdict(state)}
    if state.unfinished is None:
        del document["unfinished"]
    else:
        document["unfinished"] = _unfinished_document(state.unfinished)
    for applied in (found for components in document["applied"].values() for found in components.values()):
        if not applied["hidden"]:
            del applied["hidden"]
    for key in ("created_at", "in_doubt", "open_ports"):
        if not document[key]:
            del document[key]
    return document


def _unfinished_document(unfinished: Unfinished) -> dict[str, Any]:
    document = asdict(replace(unfinished, before=None))
    before = {"before": _unfinished_document(unfinished.before)} if unfinished.before else {}
    del document["before"]
    return {**document, "only": list(unfinished.only), "exclude": list(unfinished.exclude), **before}


def from_document(document: Any, source: str) -> State:
    """Return the state that a document holds.

    Args:
        document: JSON data.
        source: the file's name, for messages.

    Raises:
        DtkError: a newer dtk wrote it.
        ValueError: it is not a state.
    """
    version = document.get("format_version") if isinstance(document, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise DtkError(f"{source} was written by a newer dtk (state format {version})", hint="update dtk")
    try:
        return _state(document)
    except KeyError as error:
        raise ValueError(f"it is not a state: {error} is missing") from None
    except (TypeError, AttributeError, ValueError):
        raise ValueError("it is not a state: something in it is of the wrong kind") from None


def _state(document: Mapping[str, Any]) -> State:
    unfinished = document.get("unfinished")
    return State(
        service=document["service"],
        lineage=document["lineage"],
        serial=int(document["serial"]),
        nodes={name: NodeState(**node) for name, node in document.get("nodes", {}).items()},
        attributes=dict(document.get("attributes", {})),
        applied={
            node: {component: _applied(applied) for component, applied in components.items()}
            for node, components in document.get("applied", {}).items()
        },
        unfinished=_unfinished(unfinished) if unfinished else None,
        last_task=int(document.get("last_task", 0)),
        created_at=str(document.get("created_at", "")),
        in_doubt={node: tuple(steps) for node, steps in document.get("in_doubt", {}).items()},
        open_ports={source: tuple(ports) for source, ports in document.get("open_ports", {}).items()},
    )


def _unfinished(document: Mapping[str, Any]) -> Unfinished:
    only, exclude = (tuple(document.get(name, ())) for name in ("only", "exclude"))
    before = _unfinished(document["before"]) if "before" in document else None
    return Unfinished(**{**document, "only": only, "exclude": exclude, "before": before})


def _applied(document: Mapping[str, Any]) -> Applied:
    return Applied(**{**document, "hidden": tuple(document.get("hidden", ()))})
