"""The environment variables of a local node: those of a plain machine, plus network settings, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Mapping

from dtk.nodes.local.answers import ANSWERS

MARKER = "DTK_NODE"
"""Contains ``LINEAGE/NODE`` in every process of a node; dtk finds and ends processes by it."""

PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def network_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that the machine needs to reach the network, including pip's settings, never credentials."""
    return {name: value for name, value in environment.items() if _is_network_setting(name)}


def _is_network_setting(name: str) -> bool:
    return name.lower() in _PROXIES or name in _CERTIFICATES or name.startswith("PIP_")


def server_environment(marker: str, packages: str) -> dict[str, str]:
    """Return the environment for a node's SSH server.

    Args:
        marker: ``LINEAGE/NODE``.
        packages: the folder that contains the package dtk.
    """
    kept = {name: os.environ[name] for name in ("HOME", "LANG", ANSWERS) if name in os.environ}
    return {"PATH": PATH, **kept, **network_settings(os.environ), "PYTHONPATH": packages, MARKER: marker}


def node_environment(marker: str, home: str, user: str, shell: str) -> dict[str, str]:
    """Return the environment of the commands on a node; called in the node's server."""
    return {
        **network_settings(os.environ),
        "HOME": home,
        "USER": user,
        "LOGNAME": user,
        "SHELL": shell,
        "PATH": f"{home}/bin:{PATH}",
        "TMPDIR": f"{home}/tmp",  # noqa: S108 - not the shared one
        "LANG": os.environ.get("LANG", "C.UTF-8"),
        MARKER: marker,
    }
