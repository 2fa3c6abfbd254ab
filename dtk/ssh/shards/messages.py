"""The messages between a task's process and its shards, in both directions."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Literal

from dtk.nodes.provider import Connection
from dtk.ssh.connect import Patience
from dtk.ssh.output import Stream


@dataclass(frozen=True)
class Begin:
    """The first message to a shard: the passphrases of private keys, by file."""

    passphrases: dict[str, str] = field(repr=False)


@dataclass(frozen=True)
class GivenKey:
    """A private key's file, and its certificate or "", for a shard on another machine."""

    path: str
    content: str = field(repr=False)
    certificate: str


@dataclass(frozen=True)
class Open:
    """Connect to a node. The number of the call names the connection afterwards.

    ``pinned`` are the lines of known_hosts for the node and its jump hosts; ``unsettled`` are entries whose keys must
    not be pinned yet.
    """

    call: int
    node: str
    connection: Connection
    patience: Patience
    is_new: bool
    known_hosts: str
    pinned: list[str]
    unsettled: list[str]


@dataclass(frozen=True)
class Run:
    """Run a command on a connection; its input is the payload, or follows in pieces as the shard wants them."""

    call: int
    connection: int
    command: str = field(repr=False)
    is_streamed: bool


@dataclass(frozen=True)
class Piece:
    """The next piece of a command's input, as the payload; an empty one is its end."""

    call: int


@dataclass(frozen=True)
class End:
    """Stop a call that has not ended, or close the connection that it opened."""

    call: int


@dataclass(frozen=True)
class Pinned:
    """The answer to ``PinRequest``; ``error`` says why the key was not pinned, "" if it was."""

    pin: int
    error: str


@dataclass(frozen=True)
class Waiting:
    """Why a connection attempt failed; another one follows."""

    call: int
    reason: str


@dataclass(frozen=True)
class Opened:
    """A connection is open; ``host_key`` is ``ssh-ed25519 AAAA…``, "" if the machine presented none."""

    call: int
    host_key: str


@dataclass(frozen=True)
class CommandOutput:
    """Output of a running command, as the payload."""

    call: int
    stream: Stream


@dataclass(frozen=True)
class Wants:
    """The shard has sent all input of a command so far and wants the next piece."""

    call: int


@dataclass(frozen=True)
class CommandEnded:
    """A command has ended, as ``dtk.ssh.channels.Ended``."""

    call: int
    code: int
    output_is_held: bool


ErrorKind = Literal["lost", "no_session", "no_shell", "unreachable", "host_key", "other", "bug"]


@dataclass(frozen=True)
class Failed:
    """A call has failed; ``details`` is the traceback of an error that dtk did not expect."""

    call: int
    kind: ErrorKind
    message: str
    hint: str = ""
    details: str = field(default="", repr=False)


@dataclass(frozen=True)
class Lost:
    """An open connection no longer works."""

    call: int


@dataclass(frozen=True)
class PinRequest:
    """Pin a machine's key at first contact; the shard waits for the answer."""

    pin: int
    call: int
    entry: str
    key: str


Message = (
    Begin
    | GivenKey
    | Open
    | Run
    | Piece
    | End
    | Pinned
    | Waiting
    | Opened
    | CommandOutput
    | Wants
    | CommandEnded
    | Failed
    | Lost
    | PinRequest
)
_KINDS: dict[str, type[Message]] = {
    kind.__name__: kind
    for kind in (
        Begin,
        GivenKey,
        Open,
        Run,
        Piece,
        End,
        Pinned,
        Waiting,
        Opened,
        CommandOutput,
        Wants,
        CommandEnded,
        Failed,
        Lost,
        PinRequest,
    )
}


def to_frame(message: Message, payload: bytes) -> bytes:
    """Return a message as a line of JSON (kind, size of the payload, fields), followed by its payload."""
    head = [type(message).__name__, len(payload), vars(message)]
    return json.dumps(head, separators=(",", ":"), default=vars).encode() + b"\n" + payload


def from_head(line: bytes) -> tuple[Message, int]:
    """Return the message of a frame's first line, and the size in bytes of the payload that follows."""
    kind, size, fields = json.loads(line)
    if kind == Open.__name__:
        of_node = {"connection": Connection(**fields["connection"]), "patience": Patience(**fields["patience"])}
        fields |= of_node
    return _KINDS[kind](**fields), size
