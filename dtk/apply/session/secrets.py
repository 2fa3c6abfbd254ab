"""Resolves secret references at the moment a node needs the values, and not earlier."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from dtk.errors import DtkError


def resolve_secret(reference: str, root: Path) -> str:
    """Return the value of a secret.

    Args:
        reference: ``env:NAME``, ``file:PATH`` (a relative path starts at ``root``), ``ssm:NAME`` (a parameter of AWS
            Systems Manager) or ``secretsmanager:NAME`` (a secret of AWS Secrets Manager, ``NAME#KEY`` one key of it).
        root: the workspace's folder.

    Raises:
        DtkError: the secret does not exist, is empty, or its store can't be queried. The message names the reference.
    """
    value = _value(reference, root)
    if not value:
        raise DtkError(f"the secret {reference} is empty", hint="set the value there, or change the reference")
    return value


def _value(reference: str, root: Path) -> str:
    kind, _, name = reference.partition(":")
    if kind == "env":
        return _from_environment(name)
    if kind == "file":
        return _from_file(root / Path(name).expanduser())
    if kind in ("ssm", "secretsmanager"):
        return _from_aws(kind, name, reference)
    raise DtkError(
        f"'{reference}' is not a valid secret reference",
        hint="write env:NAME, file:PATH, ssm:NAME or secretsmanager:NAME",
    )


def _from_environment(name: str) -> str:
    value = os.environ.get(name)
    if value is None:
        raise DtkError(f"environment variable {name}, which a secret refers to, is not set", hint=f"export {name}=…")
    return value


def _from_file(path: Path) -> str:
    try:
        # Editors on Windows write a byte order mark first; it is not part of the secret.
        return path.read_text(encoding="utf-8-sig").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise DtkError(f"the secret in {path} can't be read: {reason}") from None


def _from_aws(kind: str, name: str, reference: str) -> str:
    """Read a secret from AWS with the credentials and the region of the environment that the task was started in."""
    import boto3  # noqa: PLC0415 - only services with such secrets need it
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    try:
        value = _parameter(boto3, name) if kind == "ssm" else _secret(boto3, name)
    except (BotoCoreError, ClientError) as error:
        message = f"the secret {reference} can't be read: {_reason(error)}"
        raise DtkError(message, hint="aws sts get-caller-identity") from None
    if value is None:
        raise DtkError(f"the secret {reference} was found, but not the key in it")
    return value


def _parameter(boto3: Any, name: str) -> str:
    return str(boto3.client("ssm").get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"])


def _secret(boto3: Any, name: str) -> str | None:
    name, _, key = name.partition("#")
    found = boto3.client("secretsmanager").get_secret_value(SecretId=name).get("SecretString")
    if not key or found is None:
        return None if found is None else str(found)
    try:
        value = json.loads(found)
    except ValueError:
        return None
    return str(value[key]) if isinstance(value, dict) and key in value else None


def _reason(error: Exception) -> str:
    """Return AWS's own error message; it contains names and codes, but no secret."""
    response = getattr(error, "response", {})
    return f"{response['Error']['Code']}: {response['Error']['Message']}" if response else str(error)
