"""This machine's address as the instances see it: the address from which SSH must be allowed."""

from __future__ import annotations

import ipaddress
import socket
import urllib.request

from dtk.errors import DtkError
from dtk.model.ssh_address import SSH_PORT
from dtk.nodes.ec2.settings import Ec2Settings

OWN_ADDRESS = "https://checkip.amazonaws.com"
"""AWS's service that returns the client's address; dtk verifies its certificate."""
_OWN_ADDRESS_SECONDS = 10
_LONGEST_ANSWER = 64


def own_network(settings: Ec2Settings, towards: str) -> str:
    """Return this machine's address as the instances see it, as a range of one address: ``192.0.2.1/32``.

    Args:
        settings: with public addresses, AWS is asked; with private ones, this machine's routes decide.
        towards: a private address in the instances' network.

    Raises:
        DtkError: the address can't be determined; the target must name it.
    """
    hint = "name it in dtk.yaml: ssh_from: [ADDRESS/32]"
    if settings.jump:
        raise DtkError(
            f"the address from which the jump host {settings.jump} reaches the instances is not known", hint=hint
        )
    try:
        found = _seen_by_aws() if settings.public else _address_towards(towards)
        return str(ipaddress.ip_network(found))
    except (OSError, ValueError) as error:
        raise DtkError(f"cannot determine this machine's address: {error}", hint=hint) from None


def _seen_by_aws() -> str:
    # Bypass any HTTP proxy, because SSH bypasses it, too.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(OWN_ADDRESS, timeout=_OWN_ADDRESS_SECONDS) as answer:
        return str(answer.read(_LONGEST_ANSWER).decode().strip())


def _address_towards(address: str) -> str:
    """Return the local address of the route to an address; connecting a datagram socket sends no packet."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trial:
        trial.connect((address, SSH_PORT))
        return str(trial.getsockname()[0])
