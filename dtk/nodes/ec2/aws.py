"""Calls to AWS: creates clients on first use, waits out throttling, and turns errors into readable messages."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from typing import Protocol, TypeVar, cast

from dtk.errors import DtkError
from dtk.model.aws_access import share_role_cache
from dtk.nodes.ec2.answers import CallerIdentity, Nothing
from dtk.nodes.ec2.problems import (
    THROTTLED,
    AwsError,
    AwsUnreachableError,
    refusal,
    unreachable,
)
from dtk.nodes.ec2.settings import Ec2Settings

CONNECT_SECONDS = 10
ANSWER_SECONDS = 60
TRIES = 6
"""Number of attempts of botocore itself for one call, including the first, with growing pauses (adaptive mode)."""
_FEWER = {"sts": 2, "service-quotas": 2}
"""Fewer attempts for services that a private network may be unable to reach."""
LONGEST_PAUSE_SECONDS = 20.0
THROTTLED_SECONDS = 1800.0
"""How long a throttled call is repeated: half an hour of high load in the account must not fail a task."""
SETTLING_SECONDS = 60.0
"""How long a new resource may be unknown in parts of EC2."""

PAGE = 1000
"""Items per answer, AWS's maximum: calls without a limit are throttled sooner and may time out."""
_PAGES = {"describe_route_tables": 100, "describe_instance_types": 100}
"""AWS's maximum for the operations with smaller pages."""

_Answer = TypeVar("_Answer")


_NAMES_OF_POLICIES = {"elbv2": "elasticloadbalancing", "service-quotas": "servicequotas"}
"""Services that IAM policies name otherwise than boto3."""


class _ClientMeta(Protocol):
    region_name: str


class _Ec2Client(Protocol):
    """A boto3 client: it has a method for each operation of its service."""

    @property
    def meta(self) -> _ClientMeta: ...


class _ClientError(Protocol):
    """Botocore's error for a refused call."""

    response: Mapping[str, object]
    operation_name: str


class _Credentials(Protocol):
    def get_frozen_credentials(self) -> object: ...


class _BotoSession(Protocol):
    def get_credentials(self) -> _Credentials | None: ...

    def client(self, service: str, *, endpoint_url: str | None, config: object) -> _Ec2Client: ...


class Aws:
    """The AWS services of one target."""

    def __init__(self, settings: Ec2Settings) -> None:
        self._settings = settings
        self._clients: dict[str, _Ec2Client] = {}
        self._account: str | None = None

    @property
    def region(self) -> str:
        """The region of the calls."""
        return str(self._client("ec2").meta.region_name)

    @property
    def account(self) -> str:
        """The account id of the credentials; "" if AWS STS can't be reached.

        Raises:
            DtkError: there are no credentials.
        """
        if self._account is None:
            try:
                self._account = self.ask("get_caller_identity", CallerIdentity, service="sts")["Account"]
            except (AwsError, AwsUnreachableError):
                # A private network may be unable to reach STS; EC2 reports bad credentials as well.
                self._account = ""
        return self._account

    def resolve_credentials(self) -> None:
        """Load the credentials now, so that the user is asked for an MFA code while there is a terminal.

        Raises:
            DtkError: there are none.
        """
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - slow to import

        found = self._session.get_credentials()
        try:
            if found is not None:
                found.get_frozen_credentials()
        except EOFError:
            raise _nobody_to_ask(self._settings) from None
        except ClientError as error:
            raise _refused(error, "sts", "") from None
        except BotoCoreError as error:
            raise unreachable(error, "sts", "AssumeRole") from None

    def call(
        self,
        method: str,
        *,
        settling: Collection[str] = (),
        patience: float = THROTTLED_SECONDS,
        **arguments: object,
    ) -> None:
        """Call an EC2 operation and ignore its answer; arguments and errors are those of ``request``."""
        self.request(method, Nothing, arguments, settling=settling, patience=patience)

    def ask(self, method: str, answer: type[_Answer], *, service: str = "ec2", **arguments: object) -> _Answer:
        """Call an operation and return its answer; arguments and errors are those of ``request``."""
        return self.request(method, answer, arguments, service=service)

    def request(
        self,
        method: str,
        answer: type[_Answer],  # noqa: ARG002 - for the type checker
        arguments: Mapping[str, object],
        *,
        service: str = "ec2",
        settling: Collection[str] = (),
        patience: float = THROTTLED_SECONDS,
    ) -> _Answer:
        """Call an operation (``run_instances``) and return its answer.

        Args:
            method: the operation as boto3 names it.
            answer: the type of the answer; it is not validated.
            arguments: the operation's own.
            service: the AWS service as boto3 names it.
            settling: error codes that only mean that a new resource is not known everywhere yet.
            patience: maximum number of seconds to wait for throttling and for ``settling`` to end.

        Raises:
            AwsError: AWS refused.
            DtkError: there are no credentials, or no answer came.
        """
        operation = _operation(method)
        function = getattr(self._client(service), method)
        waits = {code: min(patience, SETTLING_SECONDS) for code in settling} | dict.fromkeys(THROTTLED, patience)
        name = _NAMES_OF_POLICIES.get(service, service)
        return cast(_Answer, self._patient(lambda: function(**arguments), name, operation, waits))

    def pages(self, method: str, key: str, item: type[_Answer], **arguments: object) -> list[_Answer]:  # noqa: ARG002
        """Return the items that an EC2 operation lists under ``key``, from all pages; raises as ``request``."""
        found: list[_Answer] = []
        token = ""
        limit = {} if any(name.endswith("Ids") for name in arguments) else {"MaxResults": _PAGES.get(method, PAGE)}
        while True:
            # botocore's paginator stops at a throttled page, and the items so far would look like the complete list.
            page = {"NextToken": token} if token else {}
            answer = self.request(method, dict[str, object], {**limit, **arguments, **page})
            found += cast(list[_Answer], answer.get(key, []))
            token = str(answer.get("NextToken") or "")
            if not token:
                return found

    def _patient(self, do: Callable[[], object], service: str, operation: str, waits: Mapping[str, float]) -> object:
        """Call a function; retry errors in ``waits`` for the given number of seconds."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - slow to import
        from botocore.parsers import ResponseParserError  # noqa: PLC0415

        began, pause = time.monotonic(), 1.0
        while True:
            try:
                return do()
            except ClientError as error:
                code = error.response.get("Error", {}).get("Code", "")
                if time.monotonic() - began >= waits.get(code, 0.0):
                    raise _refused(error, service, operation) from None
            except EOFError:
                raise _nobody_to_ask(self._settings) from None
            # A proxy that answers in place of AWS, in HTML, is no valid answer either.
            except (BotoCoreError, ResponseParserError) as error:
                raise unreachable(error, service, operation) from None
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _client(self, service: str) -> _Ec2Client:
        if service not in self._clients:
            self._clients[service] = self._new_client(service)
        return self._clients[service]

    def _new_client(self, service: str) -> _Ec2Client:
        session = self._session
        from botocore.config import Config  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415

        config = Config(
            retries={"mode": "adaptive", "total_max_attempts": min(TRIES, _FEWER.get(service, TRIES))},
            connect_timeout=CONNECT_SECONDS,
            read_timeout=ANSWER_SECONDS,
        )
        endpoint = self._settings.endpoint_urls.get(service)
        try:
            return session.client(service, endpoint_url=endpoint, config=config)
        except BotoCoreError as error:
            raise unreachable(error, service, "") from None

    @cached_property
    def _session(self) -> _BotoSession:
        """The session for all services: credentials are loaded once, and the user is asked for an MFA code once."""
        try:
            import boto3  # noqa: PLC0415 - slow to import, and only this target needs it
            import botocore.session  # noqa: PLC0415
            from botocore.exceptions import BotoCoreError  # noqa: PLC0415
        except ImportError:
            raise DtkError(
                "the library boto3 is missing", hint="reinstall dtk: pip install --force-reinstall dtk-cluster"
            ) from None
        settings = self._settings
        try:
            own = botocore.session.Session(profile=settings.profile or None)
            share_role_cache(own)
            session = boto3.Session(botocore_session=own, region_name=settings.region or None)
            return cast(_BotoSession, session)
        except BotoCoreError as error:
            raise unreachable(error, "ec2", "") from None


def _nobody_to_ask(settings: Ec2Settings) -> DtkError:
    profile = f" --profile {settings.profile}" if settings.profile else ""
    return DtkError(
        "the AWS profile asks for an MFA code, and there is no terminal to ask on",
        hint="run the command in a terminal (later commands reuse the session until it expires), or pass credentials:"
        f' eval "$(aws configure export-credentials{profile} --format env)" and no profile: in dtk.yaml',
    )


def _refused(error: _ClientError, service: str, operation: str) -> AwsError:
    """Return a readable error for a refusal, either of the call itself or of the call that requests its credentials."""
    if error.operation_name != operation:
        return refusal(
            error.response, "sts" if error.operation_name.startswith("AssumeRole") else "sso", error.operation_name
        )
    return refusal(error.response, service, operation)


def _operation(method: str) -> str:
    return "".join(word.capitalize() for word in method.split("_"))
