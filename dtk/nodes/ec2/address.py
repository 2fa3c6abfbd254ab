"""The address that this machine's connections to instances come from: whom SSH is opened to."""

from __future__ import annotations

import ipaddress
import socket
import urllib.request

from dtk.errors import DtkError
from dtk.model.ssh_address import SSH_PORT
from dtk.nodes.ec2.settings import Ec2Settings

OWN_ADDRESS = "https://checkip.amazonaws.com"
"""AWS's own service that answers with the address it was asked from; its certificate is checked."""
_OWN_ADDRESS_SECONDS = 10
_LONGEST_ANSWER = 64


def own_network(settings: Ec2Settings, towards: str) -> str:
    """Return this machine's address as the instances see it, as a range of one: ``192.0.2.1/32``.

    Args:
        settings: reached by public addresses, AWS says what it sees; by private ones, this machine's routes do.
        towards: a private address of where the instances are.

    Raises:
        DtkError: it is not known; the target has to name it.
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
    # Past any HTTP proxy: SSH goes past it as well.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(OWN_ADDRESS, timeout=_OWN_ADDRESS_SECONDS) as answer:
        return str(answer.read(_LONGEST_ANSWER).decode().strip())


def _address_towards(address: str) -> str:
    """Connecting a datagram socket sends nothing; it only chooses the route."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trial:
        trial.connect((address, SSH_PORT))
        return str(trial.getsockname()[0])
