"""The settings of a local node's SSH server: written by the provider, read by the server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ServerSettings:
    """The content of a node's server.json.

    ``marker`` is ``LINEAGE/NODE``, ``user`` the node's user, ``python`` the path of its Python, ``client_key`` the only
    public key that may log in. Other folders of this machine read in which ``workspace``, for which first state of its
    service (``origin``) and by which dtk ``version`` it was created.
    """

    marker: str
    home: str
    user: str
    python: str
    host_key_file: str
    client_key: str
    workspace: str = ""
    origin: str = ""
    version: str = ""
