"""When the credentials for a store end, where they do and nothing renews them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from dtk.model.store_settings import StoreSettings

EXPIRATION = "AWS_CREDENTIAL_EXPIRATION"
"""What tools that hand out temporary credentials in variables set beside them: RFC 3339."""


def credentials_end(settings: StoreSettings, environment: Mapping[str, str]) -> datetime | None:
    """Return when the credentials for a store end; None where that is not known, or where they are renewed.

    Credentials of roles, containers and logins are renewed by botocore itself; those in variables never change.
    """
    given = environment.get(EXPIRATION, "")
    if settings.type != "s3" or not given:
        return None
    import boto3  # noqa: PLC0415 - only for credentials that end

    found = boto3.Session(profile_name=settings.profile or None).get_credentials()
    try:
        end = datetime.fromisoformat(given)
    except ValueError:
        return None
    return end if found is not None and found.method == "env" and end.tzinfo else None
