"""Translates error responses of S3 into errors for people: try again, or fix something first."""

from __future__ import annotations

from typing import TypedDict

from dtk.model.aws_access import access_problem, clock_problem
from dtk.store.errors import StoreError, StoreUnreachableError

CHANGED = frozenset({412})
MISSING = frozenset({404})
_CONFLICT = 409
_THROTTLED = 429
_SERVER = 500
_NOT_IMPLEMENTED = 501
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})
_REGION = frozenset({"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"})
_HINTS = {
    "AccessDenied": "ask for the permissions that docs/teams.md lists",
    "NoSuchBucket": "create the bucket, or correct 'store: bucket' in dtk.yaml",
    "InvalidAccessKeyId": "check the credentials of 'store: profile' in dtk.yaml",
    "SignatureDoesNotMatch": "check the credentials of 'store: profile' in dtk.yaml",
}


class S3Metadata(TypedDict, total=False):
    """The metadata of a response in botocore: its status code and its headers by lower-case name."""

    HTTPStatusCode: int
    HTTPHeaders: dict[str, str]


class S3Refusal(TypedDict, total=False):
    """An error response in botocore's form."""

    Error: dict[str, str]
    ResponseMetadata: S3Metadata


def status_of(answer: S3Refusal) -> int:
    """Return the status code of a response, 0 if it has none."""
    return answer.get("ResponseMetadata", S3Metadata()).get("HTTPStatusCode", 0)


def code_of(answer: S3Refusal) -> str:
    """Return S3's error code of a response, "" if it has none."""
    return answer.get("Error", {}).get("Code", "")


def refusal(answer: S3Refusal, where: str) -> StoreError:
    """Return the error to raise for a response that no condition explains; ``where`` names the object."""
    status, code = status_of(answer), code_of(answer)
    detail = f"{where}: {code}: {answer.get('Error', {}).get('Message', '')}".rstrip(": ")
    if status == _NOT_IMPLEMENTED:
        return StoreError(
            f"this store does not support conditional writes ({detail})", hint="use a store that supports them"
        )
    if status in (_CONFLICT, _THROTTLED) or status >= _SERVER or code in ("RequestTimeout", "SlowDown"):
        return StoreUnreachableError(f"the store gave an ambiguous response ({detail})")
    return _final(answer, code, detail)


def _final(answer: S3Refusal, code: str, detail: str) -> StoreError:
    if code == "RequestTimeTooSkewed":
        return _skewed(answer)
    if code in _EXPIRED:
        return _expired(detail)
    if code in _REGION:
        return StoreError(f"the bucket is in another region ({detail})", hint="correct 'store: region' in dtk.yaml")
    return StoreError(f"the store refused the request ({detail})", hint=_HINTS.get(code, ""))


def _expired(detail: str) -> StoreError:
    return StoreError(f"the credentials for the store have expired ({detail})", hint="get new ones and try again")


def unanswered(error: Exception, where: str) -> StoreError:
    """Return the error to raise if no response came; ``where`` names the object."""
    if isinstance(error, RuntimeError):
        # botocore raises RuntimeError for credentials in variables that are past AWS_CREDENTIAL_EXPIRATION.
        return _expired(f"{where}: {error}")
    problem = access_problem(error)
    if problem is not None:
        return StoreError(f"the store can't be used: {problem.message}", hint=problem.hint)
    return StoreUnreachableError(f"the store can't be reached ({where}: {error})")


def _skewed(answer: S3Refusal) -> StoreError:
    problem = clock_problem(answer.get("ResponseMetadata", S3Metadata()).get("HTTPHeaders", {}))
    message = problem.message if problem else "the store refuses requests because this machine's clock is wrong"
    return StoreError(message, hint=problem.hint if problem else "set the clock: timedatectl set-ntp true")
