"""Problems on this machine that block AWS requests: credentials, configuration, clock.

botocore errors are recognized by class name, so that botocore need not be imported to classify them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import NoReturn, Protocol

_MINUTE_SECONDS = 60.0
LEAST_SKEW_SECONDS = 240.0
"""AWS accepts requests that are up to five minutes old. Report a clock that is off by more than this."""
_NETWORK = frozenset(
    {"HTTPClientError", "ConnectionError", "ResponseParserError", "ResponseStreamingError", "IncompleteReadError"}
)
"""Error classes (including subclasses) which mean that AWS did not answer."""
_LOG_IN = "log in again: aws sso login"
_CONFIGURE = "set AWS_PROFILE, or name the target's profile in dtk.yaml; aws configure creates one"
_NONE = "there are no AWS credentials"
_ENDED = "the AWS login has expired or does not exist"
_FILE = "the AWS configuration can't be used"
_CORRECT = "correct ~/.aws/config (or the file in AWS_CONFIG_FILE), then try again"
_KNOWN: Mapping[str, tuple[str, str]] = {
    "NoCredentialsError": (_NONE, _CONFIGURE),
    "PartialCredentialsError": (_NONE, _CONFIGURE),
    "ProfileNotFound": (_NONE, _CONFIGURE),
    "CredentialRetrievalError": (_NONE, "run the profile's credential_process by hand, or set AWS_PROFILE"),
    "MetadataRetrievalError": (_NONE, "give the instance or container a role, or set AWS_PROFILE"),
    "SSOTokenLoadError": (_ENDED, _LOG_IN),
    "UnauthorizedSSOTokenError": (_ENDED, _LOG_IN),
    "TokenRetrievalError": (_ENDED, _LOG_IN),
    "NoAuthTokenError": (_ENDED, _LOG_IN),
    "SSOError": (_ENDED, _LOG_IN),
    "LoginRefreshRequired": (_ENDED, "log in again: aws login"),
    "LoginTokenLoadError": (_ENDED, "log in again: aws login"),
    "LoginInsufficientPermissions": (_ENDED, "ask for the permission signin:CreateOAuth2Token, then: aws login"),
    "LoginError": (_ENDED, "log in again: aws login"),
    "RefreshWithMFAUnsupportedError": (_ENDED, "run the command again; it asks for an MFA code"),
    "MissingDependencyException": (
        "a library for this way of logging in to AWS is missing",
        "install it beside dtk: pip install 'botocore[crt]'",
    ),
    "NoRegionError": ("no AWS region is set", "name the target's region in dtk.yaml"),
    "InvalidRegionError": ("the AWS region is not valid", "correct the target's region in dtk.yaml, or AWS_REGION"),
    "ParamValidationError": (
        "the parameters of an AWS call are not valid",
        "correct launch: and launch_template: of the target in dtk.yaml",
    ),
}


ROLE_CACHE = Path("~/.aws/cli/cache")
"""The AWS CLI's own cache, readable only by its user."""


class _RoleProvider(Protocol):
    cache: object
    _prompter: Callable[[str], str]


class _CredentialResolver(Protocol):
    def get_provider(self, name: str, /) -> _RoleProvider: ...


class _SessionWithRoles(Protocol):
    """The part of botocore's session used here; botocore ships no types."""

    def get_component(self, name: str, /) -> _CredentialResolver: ...


@dataclass(frozen=True)
class AccessProblem:
    """What is wrong and how to fix it, for people."""

    message: str
    hint: str


class _RoleCache:
    """Credentials of roles in a folder's files; those that can't be written are kept in memory."""

    def __init__(self, files: MutableMapping[str, object]) -> None:
        self._files = files
        self._unwritten: dict[str, object] = {}

    def __contains__(self, key: str) -> bool:
        try:
            self[key]
        except KeyError:  # botocore's own cache also "contains" files that it can't read
            return False
        return True

    def __getitem__(self, key: str) -> object:
        return self._unwritten[key] if key in self._unwritten else self._files[key]

    def __setitem__(self, key: str, value: object) -> None:
        self._unwritten[key] = value
        # A container's user often has no home folder.
        with suppress(OSError):
            self._files[key] = value
            del self._unwritten[key]


def share_role_cache(session: _SessionWithRoles) -> None:
    """Cache role credentials where the AWS CLI does, so that the user enters an MFA code only when they expire.

    A task's worker, which has no terminal, finds the credentials there too. Without a home folder, this process keeps
    them for itself.
    """
    from botocore.utils import JSONFileCache  # noqa: PLC0415 - slow to import

    try:
        folder = ROLE_CACHE.expanduser()
    except RuntimeError:
        return
    provider = session.get_component("credential_provider").get_provider("assume-role")
    provider.cache = _RoleCache(JSONFileCache(str(folder)))


def ask_nobody(session: _SessionWithRoles) -> None:
    """Let a session raise ``EOFError`` where it would ask for an MFA code, as if there were no terminal."""

    def refuse(_question: str) -> NoReturn:
        raise EOFError

    # botocore has no public way to set it for a session.
    session.get_component("credential_provider").get_provider("assume-role")._prompter = refuse


def access_problem(error: Exception) -> AccessProblem | None:
    """Return why a request to AWS could not be made; None if it was made but got no answer.

    Args:
        error: a ``BotoCoreError``, or the error that botocore raises for an unreadable answer.
    """
    kinds = [kind.__name__ for kind in type(error).__mro__]
    known = next((_KNOWN[name] for name in kinds if name in _KNOWN), None)
    if known is None and _NETWORK.intersection(kinds):
        return None
    message, hint = known or (_FILE, _CORRECT)
    return AccessProblem(f"{message}: {error}", hint)


def clock_problem(headers: Mapping[str, object]) -> AccessProblem | None:
    """Return a problem if this machine's clock differs from the time in AWS's answer; None if it is right.

    Args:
        headers: the answer's headers, with lower-case names.
    """
    try:
        # The header is always in GMT, but the e-mail date parser returns it without a time zone.
        theirs = parsedate_to_datetime(str(headers.get("date", "")).partition(" GMT")[0] + " +0000")
    except ValueError:
        return None
    behind = (theirs - datetime.now(UTC)).total_seconds()
    if abs(behind) < LEAST_SKEW_SECONDS:
        return None
    direction = "behind" if behind > 0 else "ahead"
    minutes = abs(behind) / _MINUTE_SECONDS
    return AccessProblem(
        f"this machine's clock is {minutes:.0f} min {direction}, and AWS refuses its requests",
        "set the clock: timedatectl set-ntp true",
    )
