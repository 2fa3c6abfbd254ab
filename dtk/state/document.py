"""state.json as a document: converts State to JSON data and back; refuses what this dtk can't read."""

from __future__ import annotations

from dtk.errors import NewerFormatError
from dtk.model.codec import Codec
from dtk.model.json_data import JsonObject
from dtk.state.model import FORMAT_VERSION, MOVED_FORMAT_VERSION, Applied, NodeState, State, Unfinished

_CODEC = Codec(
    {
        State: ("serial", "nodes", "attributes", "applied", "last_task"),
        NodeState: ("connection", "attributes"),
        Applied: ("attributes", "task"),
        Unfinished: ("succeeded", "parameters", "only", "exclude"),
    }
)


def to_document(state: State) -> JsonObject:
    """Return a state as JSON data, as defined by schemas/state.schema.json."""
    version = MOVED_FORMAT_VERSION if state.moved_to else FORMAT_VERSION
    return {"format_version": version, **_CODEC.document(state)}


def from_document(document: object, source: str) -> State:
    """Return the state in a document.

    Args:
        document: JSON data.
        source: the file's name, for messages.

    Raises:
        DtkError: the document was written by a newer dtk.
        ValueError: the document is not a state.
    """
    if not isinstance(document, dict):
        raise ValueError("it is not a state: it is not an object")
    version = document.get("format_version")
    if isinstance(version, int) and version > MOVED_FORMAT_VERSION:
        raise NewerFormatError(source, "state", version)
    try:
        return _CODEC.instance(State, {key: value for key, value in document.items() if key != "format_version"})
    except ValueError as error:
        raise ValueError(f"it is not a state: {error}") from None
    except RecursionError:
        raise ValueError("it is not a state: it is nested too deeply") from None
