"""The key pair of a service: an ed25519 key made here, whose public half alone goes to AWS."""

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
"""For how long a key pair that another clone made says that its instances are still to come."""


@dataclass(frozen=True)
class Access:
    """How instances are logged in to: the key pair's name in EC2, the private key's file here ("": the agent's)."""

    key_pair: str
    key_file: str


def ensure_access(
    aws: Aws, settings: Ec2Settings, identity: ServiceIdentity, tags: Mapping[str, str], *, is_first: bool
) -> Access:
    """Return the key pair that the target names, else the service's own, made when it is missing.

    Args:
        aws: where.
        settings: the target's.
        identity: the service.
        tags: what a key pair that is made here gets.
        is_first: whether the instances are the first that this state knows of.

    Raises:
        DtkError: another clone is about to make the first instances.
    """
    if settings.key_pair:
        return Access(settings.key_pair, settings.key)
    name, file = service_name(identity), key_file(identity)
    public = ensure_key(file)
    found = _own_pairs(aws, name)
    if found and found[0].get("PublicKey", "").split()[:2] != public.split()[:2]:
        if is_first:
            _refuse_beginning(identity, found[0])
        # The private half was lost with the workspace's folder: instances made from now on get the new one.
        aws.call("delete_key_pair", KeyName=name)
        found = []
    if not found:
        _import(aws, name, public, tags)
    return Access(name, str(file))


def _refuse_beginning(identity: ServiceIdentity, pair: KeyPairAnswer) -> None:
    """Refuse while another clone may be about to make the instances that are to have its key.

    Raises:
        DtkError: it made the key pair a moment ago.
    """
    origin = {tag["Key"]: tag["Value"] for tag in pair.get("Tags", [])}.get(ORIGIN, "")
    made = pair.get("CreateTime")
    if not identity.is_rival(origin) or not isinstance(made, datetime):
        return
    age = (datetime.now(UTC) - made).total_seconds()
    if age < BEGINNING_SECONDS:
        raise DtkError(
            f"another clone began to make the machines of service '{identity.service}' {max(age, 0):.0f} s ago"
            f" (key pair {service_name(identity)})",
            hint="wait until it has finished, then adopt them: dtk list-nodes --orphans --adopt;"
            f" if it is gone, try again in {BEGINNING_SECONDS - max(age, 0):.0f} s",
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
        # The same key, from a call whose answer was lost.
        if error.code != "InvalidKeyPair.Duplicate":
            raise


def _own_pairs(aws: Aws, name: str) -> list[KeyPairAnswer]:
    filters = [{"Name": "key-name", "Values": [name]}]
    return aws.ask("describe_key_pairs", KeyPairs, Filters=filters, IncludePublicKey=True).get("KeyPairs", [])


def key_file(identity: ServiceIdentity) -> Path:
    """Return where a service's own private key is kept."""
    return own_key(identity.folder)


def remove_access(aws: Aws, identity: ServiceIdentity) -> None:
    """Remove a service's own key pair and key, after its last instance."""
    name = service_name(identity)
    if _own_pairs(aws, name):
        aws.call("delete_key_pair", KeyName=name)
    key_file(identity).unlink(missing_ok=True)
    with suppress(OSError):
        key_file(identity).parent.rmdir()
