"""The key pair of a service: an ed25519 key created on this machine; only its public key is sent to AWS."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dtk.errors import DtkError
from dtk.nodes.ec2.answers import KeyPairAnswer, KeyPairs
from dtk.nodes.ec2.aws import Aws
from dtk.nodes.ec2.problems import AwsError
from dtk.nodes.ec2.settings import Ec2Settings
from dtk.nodes.ec2.tags import ORIGIN, as_list, service_name
from dtk.nodes.keys import ensure_key
from dtk.nodes.provider import ServiceIdentity
from dtk.state.portable import own_key

BEGINNING_SECONDS = 900.0
"""While a key pair of another clone is younger than this, that clone may still create its instances."""


@dataclass(frozen=True)
class Access:
    """How to log in to instances: the key pair's name in EC2, the local private key file ("" to use the SSH agent)."""

    key_pair: str
    key_file: str


def ensure_access(
    aws: Aws, settings: Ec2Settings, identity: ServiceIdentity, tags: Mapping[str, str], *, is_first: bool
) -> Access:
    """Return the key pair that the target names, or else the service's own; create it if it is missing.

    Args:
        aws: the AWS services.
        settings: the target's settings.
        identity: the service.
        tags: tags for a new key pair.
        is_first: whether this state knows of no instances yet.

    Raises:
        DtkError: another clone is about to create the first instances.
    """
    if settings.key_pair:
        return Access(settings.key_pair, settings.key)
    name, file = service_name(identity), key_file(identity)
    public = ensure_key(file)
    found = _own_pairs(aws, name)
    if found and found[0].get("PublicKey", "").split()[:2] != public.split()[:2]:
        if is_first:
            _refuse_beginning(identity, found[0])
        # The private key was lost with the workspace's folder: instances created from now on get the new one.
        aws.call("delete_key_pair", KeyName=name)
        found = []
    if not found:
        _import(aws, name, public, tags)
    return Access(name, str(file))


def _refuse_beginning(identity: ServiceIdentity, pair: KeyPairAnswer) -> None:
    """Refuse if another clone may be about to create instances with its key.

    Raises:
        DtkError: the other clone created the key pair a short time ago.
    """
    origin = {tag["Key"]: tag["Value"] for tag in pair.get("Tags", [])}.get(ORIGIN, "")
    made = pair.get("CreateTime")
    if not identity.is_rival(origin) or not isinstance(made, datetime):
        return
    age = (datetime.now(UTC) - made).total_seconds()
    if age < BEGINNING_SECONDS:
        raise DtkError(
            f"another clone began to create the machines of service '{identity.service}' {max(age, 0):.0f} s ago"
            f" (key pair {service_name(identity)})",
            hint="wait until it has finished, then adopt them: dtk list-nodes --orphans --adopt;"
            f" if that clone no longer runs, try again in {BEGINNING_SECONDS - max(age, 0):.0f} s",
        )


def _import(aws: Aws, name: str, public: str, tags: Mapping[str, str]) -> None:
    try:
        aws.call(
            "import_key_pair",
            KeyName=name,
            PublicKeyMaterial=public.encode(),
            TagSpecifications=[{"ResourceType": "key-pair", "Tags": as_list(tags)}],
        )
    except AwsError as error:
        # An earlier call whose answer was lost has imported the same key.
        if error.code != "InvalidKeyPair.Duplicate":
            raise


def _own_pairs(aws: Aws, name: str) -> list[KeyPairAnswer]:
    filters = [{"Name": "key-name", "Values": [name]}]
    return aws.ask("describe_key_pairs", KeyPairs, Filters=filters, IncludePublicKey=True).get("KeyPairs", [])


def key_file(identity: ServiceIdentity) -> Path:
    """Return the file of a service's own private key."""
    return own_key(identity.folder)


def remove_access(aws: Aws, identity: ServiceIdentity) -> None:
    """Remove a service's own key pair and key file after its last instance is gone."""
    name = service_name(identity)
    if _own_pairs(aws, name):
        aws.call("delete_key_pair", KeyName=name)
    key_file(identity).unlink(missing_ok=True)
    with suppress(OSError):
        key_file(identity).parent.rmdir()
