"""Expiry of AWS credentials that nothing renews, and whether a task can obtain credentials at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, cast

from dtk.model.aws_access import ask_nobody, share_role_cache
from dtk.model.store_settings import StoreSettings
from dtk.store.errors import StoreError

EXPIRATION = "AWS_CREDENTIAL_EXPIRATION"
"""The variable in which tools that export temporary credentials put their expiry time (RFC 3339)."""
_LOGINS = Path("~/.aws/sso/cache")


class _BotocoreCredentials(Protocol):
    """The part of botocore's credentials that dtk uses; those from files or variables have no expiry time."""

    method: str

    def get_frozen_credentials(self) -> object: ...


class _BotocoreSession(Protocol):
    """The part of botocore's session that dtk uses; botocore has no type annotations."""

    full_config: Mapping[str, Mapping[str, Mapping[str, str]]]

    def get_credentials(self) -> _BotocoreCredentials | None: ...

    def get_config_variable(self, name: str, /) -> str | None: ...


def credentials_end(profile: str, environment: Mapping[str, str]) -> datetime | None:
    """Return when AWS credentials expire, or None if that is unknown or they are renewed automatically.

    ``profile`` is the name of their profile, "" for the default ones.

    Credentials in variables never change. Those of an AWS login (SSO) are renewed while the login lasts, and so are
    those of roles assumed with it, but not those of a role that needs an MFA code. botocore renews all others.

    Asks for no MFA code, and never fails: credentials that can't be obtained are reported by what uses them.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - as in ``_session``
    from botocore.parsers import ResponseParserError  # noqa: PLC0415

    try:
        return _end_of(_session(profile), environment)
    except (BotoCoreError, ClientError, ResponseParserError, EOFError, OSError):
        return None


def _end_of(session: _BotocoreSession, environment: Mapping[str, str]) -> datetime | None:
    found = session.get_credentials()
    if found is None:
        return None
    if found.method == "env":
        return _moment(environment.get(EXPIRATION, ""))
    if found.method == "assume-role" and _needs_code(session):
        return _own_end(found)
    login = next((end for one in _profiles(session) if (end := _login_end(session, one)) is not None), None)
    # Credentials obtained just before the login ends are valid longer than the login.
    return None if login is None else max(login, _own_end(found) or login)


def refuse_questions(settings: StoreSettings) -> None:
    """Refuse credentials that need an interactive prompt: a task's processes have no terminal.

    Raises:
        StoreError: the profile assumes a role with an MFA code.
    """
    if settings.type != "s3":
        return
    session = _session(settings.profile)
    found = session.get_credentials()
    if found is None or found.method != "assume-role" or not _needs_code(session):
        return
    name = session.get_config_variable("profile") or "default"
    raise StoreError(
        f"profile '{name}' asks for an MFA code, but a task runs without a terminal and cannot ask for it",
        hint=f'pass temporary credentials to dtk: eval "$(aws configure export-credentials --profile {name}'
        ' --format env)", without profile: in dtk.yaml',
    )


def _session(profile: str) -> _BotocoreSession:
    """Return a session that shows which credentials there are, and asks for no MFA code."""
    import botocore.session  # noqa: PLC0415 - only for a store in S3

    session = botocore.session.Session(profile=profile or None)
    share_role_cache(session)
    ask_nobody(session)
    return cast(_BotocoreSession, session)


def _needs_code(session: _BotocoreSession) -> bool:
    """Return whether botocore asks for an MFA code: it ignores a serial number beside keys, without a role."""
    return any("mfa_serial" in one and "role_arn" in one for one in _profiles(session))


def _profiles(session: _BotocoreSession) -> Iterator[Mapping[str, str]]:
    """Yield the profile in use and the profiles whose credentials it uses to assume its role."""
    profiles, name = session.full_config.get("profiles", {}), session.get_config_variable("profile") or "default"
    met: set[str] = set()
    while name in profiles and name not in met:
        met.add(name)
        yield profiles[name]
        name = profiles[name].get("source_profile", "")


def _login_end(session: _BotocoreSession, profile: Mapping[str, str]) -> datetime | None:
    """Return when the login of a profile ends, or None if it has no login or botocore renews it automatically."""
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - as above
    from botocore.utils import JSONFileCache, SSOTokenLoader  # noqa: PLC0415

    name = profile.get("sso_session")
    login = session.full_config.get("sso_sessions", {}).get(name, {}) if name else profile
    if not login.get("sso_start_url"):
        return None
    try:
        loader = SSOTokenLoader(cache=JSONFileCache(str(_LOGINS.expanduser())))
        token: Mapping[str, str] = loader(login["sso_start_url"], session_name=name)
    except (BotoCoreError, RuntimeError):
        # No cached token, or no home folder: the first request fails with a better message.
        return None
    now = datetime.now(UTC)
    is_renewed = "refreshToken" in token and (_moment(token.get("registrationExpiresAt", "")) or now) > now
    return None if is_renewed else _moment(token.get("expiresAt", ""))


def _own_end(found: _BotocoreCredentials) -> datetime | None:
    """Return the expiry time of the credentials that botocore has now, or None if there is none."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - as above

    try:
        found.get_frozen_credentials()
    except (BotoCoreError, ClientError):
        return None
    # botocore has no public attribute for it.
    end = getattr(found, "_expiry_time", None)
    return end if isinstance(end, datetime) else None


def _moment(text: str) -> datetime | None:
    try:
        # Older logins write the time zone as "UTC".
        moment = datetime.fromisoformat(text.replace("UTC", "Z"))
    except ValueError:
        return None
    return moment if moment.tzinfo else None
