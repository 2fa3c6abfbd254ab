"""When the credentials for a store end, where nothing renews them, and whether a task can get them at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, cast

from dtk.model.aws_access import share_role_cache
from dtk.model.store_settings import StoreSettings
from dtk.store.errors import StoreError

EXPIRATION = "AWS_CREDENTIAL_EXPIRATION"
"""What tools that hand out temporary credentials in variables set beside them: RFC 3339."""
_LOGINS = Path("~/.aws/sso/cache")


class _BotocoreCredentials(Protocol):
    """What is used of botocore's credentials; those in files or variables have no end of their own."""

    method: str

    def get_frozen_credentials(self) -> object: ...


class _BotocoreSession(Protocol):
    """What is used of botocore's session, which has no types of its own."""

    full_config: Mapping[str, Mapping[str, Mapping[str, str]]]

    def get_credentials(self) -> _BotocoreCredentials | None: ...

    def get_config_variable(self, name: str, /) -> str | None: ...


def credentials_end(settings: StoreSettings, environment: Mapping[str, str]) -> datetime | None:
    """Return when the credentials for a store end; None where that is not known, or where they are renewed.

    Those in variables never change. Those of an AWS login (SSO) are renewed for as long as the login lasts, and so are
    those of roles that are taken with it; those of a role with an MFA code are not. botocore itself renews all others.
    """
    if settings.type != "s3":
        return None
    session = _session(settings)
    found = session.get_credentials()
    if found is None:
        return None
    if found.method == "env":
        return _moment(environment.get(EXPIRATION, ""))
    if found.method == "assume-role" and any("mfa_serial" in one for one in _profiles(session)):
        return _own_end(found)
    login = next((end for one in _profiles(session) if (end := _login_end(session, one)) is not None), None)
    # What the login gave last outlives it.
    return None if login is None else max(login, _own_end(found) or login)


def refuse_questions(settings: StoreSettings) -> None:
    """Refuse credentials that a person is asked for: a task's processes have no terminal.

    Raises:
        StoreError: the profile takes a role with an MFA code.
    """
    if settings.type != "s3":
        return
    session = _session(settings)
    found = session.get_credentials()
    if found is None or found.method != "assume-role" or not any("mfa_serial" in one for one in _profiles(session)):
        return
    name = session.get_config_variable("profile") or "default"
    raise StoreError(
        f"profile '{name}' asks for an MFA code, but a task runs without a terminal and cannot ask for it",
        hint=f'hand temporary credentials to dtk: eval "$(aws configure export-credentials --profile {name}'
        ' --format env)", without profile: in dtk.yaml',
    )


def _session(settings: StoreSettings) -> _BotocoreSession:
    import botocore.session  # noqa: PLC0415 - only for a store in S3

    session = botocore.session.Session(profile=settings.profile or None)
    share_role_cache(session)
    return cast(_BotocoreSession, session)


def _profiles(session: _BotocoreSession) -> Iterator[Mapping[str, str]]:
    """Give the profile that is used, and those whose credentials its role is taken with."""
    profiles, name = session.full_config.get("profiles", {}), session.get_config_variable("profile") or "default"
    met: set[str] = set()
    while name in profiles and name not in met:
        met.add(name)
        yield profiles[name]
        name = profiles[name].get("source_profile", "")


def _login_end(session: _BotocoreSession, profile: Mapping[str, str]) -> datetime | None:
    """Return when the login of a profile ends; None where it has none, or where botocore renews the login, too."""
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - as above
    from botocore.utils import JSONFileCache, SSOTokenLoader  # noqa: PLC0415

    name = profile.get("sso_session")
    login = session.full_config.get("sso_sessions", {}).get(name, {}) if name else profile
    if not login.get("sso_start_url"):
        return None
    try:
        loader = SSOTokenLoader(cache=JSONFileCache(str(_LOGINS.expanduser())))
        token: Mapping[str, str] = loader(login["sso_start_url"], session_name=name)
    except BotoCoreError:
        # There is none: the first request says so, in better words.
        return None
    now = datetime.now(UTC)
    is_renewed = "refreshToken" in token and (_moment(token.get("registrationExpiresAt", "")) or now) > now
    return None if is_renewed else _moment(token.get("expiresAt", ""))


def _own_end(found: _BotocoreCredentials) -> datetime | None:
    """Return until when the credentials last that botocore has just now."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - as above

    try:
        found.get_frozen_credentials()
    except (BotoCoreError, ClientError):
        return None
    # No public name leads to it.
    end = getattr(found, "_expiry_time", None)
    return end if isinstance(end, datetime) else None


def _moment(text: str) -> datetime | None:
    try:
        # Older logins have the zone as a word.
        moment = datetime.fromisoformat(text.replace("UTC", "Z"))
    except ValueError:
        return None
    return moment if moment.tzinfo else None
