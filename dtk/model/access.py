"""People's access to a service's nodes, beyond what the target grants: their public keys by name."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace

from dtk.model.settings import texts
from dtk.model.target import Target

SETTING = "authorized_keys"
PUBLIC_KEY = re.compile(r"((?:ssh|ecdsa|sk)-[a-z0-9@.-]+) ([A-Za-z0-9+/]{40,}={0,3})(?: ([^\r\n]*))?")


def with_access(target: Target, access: Mapping[str, str]) -> Target:
    """Return a copy of the target that also grants SSH access to a service's users.

    Args:
        target: the service's target.
        access: public keys by user name; "" for a user whose access was revoked. Such an entry keeps dtk managing
            the authorized keys on the nodes.
    """
    if not access:
        return target
    keys = [*texts(target.settings, SETTING), *(key for key in access.values() if key)]
    return replace(target, settings={**target.settings, SETTING: keys})


def fingerprint(key: str) -> str:
    """Return a public key's fingerprint as OpenSSH shows it, ``SHA256:…``; "" if the text is not a public key."""
    found = PUBLIC_KEY.fullmatch(key.strip())
    if found is None:
        return ""
    try:
        digest = hashlib.sha256(base64.b64decode(found[2])).digest()
    except ValueError:
        return ""
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"
