"""AWS's errors in words for people: what was refused, which permission is missing, what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dtk.errors import DtkError
from dtk.model.settings import mapping, text

THROTTLED = {
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
    "RequestThrottled",
    "TooManyRequestsException",
    "RequestThrottledException",
}
NO_CAPACITY = {
    "InsufficientInstanceCapacity",
    "InsufficientHostCapacity",
    "InsufficientFreeAddressesInSubnet",
    "Unsupported",
    "SpotMaxPriceTooLow",
    "MaxSpotInstanceCountExceeded",
}
"""What another subnet, type or market may not have; limits of the account are not among them."""
NOT_ALLOWED = {"UnauthorizedOperation", "AccessDenied", "AccessDeniedException"}
BAD_CREDENTIALS = {
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestExpired",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "OptInRequired",
}
_LIMITS = {"InstanceLimitExceeded", "VcpuLimitExceeded", "VolumeLimitExceeded", "AddressLimitExceeded"}
_SERVER_ERROR = 500
_NAMED_PERMISSION = re.compile(r"perform: (\S+)")


class AwsError(DtkError):
    """AWS refused a call; ``code`` is its error code, e.g. ``InsufficientInstanceCapacity``.

    ``in_doubt`` says that it failed on AWS's side, and may have taken effect.
    """

    def __init__(self, message: str, *, code: str, hint: str = "", in_doubt: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.in_doubt = in_doubt


class AwsUnreachableError(DtkError):
    """No answer from AWS: whether a call took effect is not known."""


def refusal(response: Mapping[str, object], service: str, operation: str) -> AwsError:
    """Return the response of a botocore ``ClientError`` as an error for people.

    Args:
        response: holds the code and AWS's own message.
        service: the AWS service as IAM names it: ``ec2``, ``ssm``.
        operation: the API operation: ``RunInstances``.
    """
    error = mapping(response, "Error")
    code = text(error, "Code")
    reason = text(error, "Message").partition(" Encoded authorization")[0].strip()
    action = f"{service}:{operation}"
    if code in NOT_ALLOWED:
        found = _NAMED_PERMISSION.search(reason)
        missing = found[1].rstrip(".,") if found else action
        return AwsError(
            f"AWS does not allow {action}: the permission {missing} is missing ({reason})",
            code=code,
            hint="add it to the policy of these credentials; docs/ec2.md has the whole list",
        )
    if code in BAD_CREDENTIALS:
        hint = "check the target's profile, or log in again (aws sso login)"
        return AwsError(f"AWS does not accept the credentials: {reason} ({code})", code=code, hint=hint)
    if code in _LIMITS:
        hint = "end instances that are not needed, or ask AWS for a higher quota (Service Quotas, EC2)"
        return AwsError(f"the account's limit is reached: {reason} ({code})", code=code, hint=hint)
    if code == "RulesPerSecurityGroupLimitExceeded":
        hint = "name fewer ranges in the target's open_to, or ask AWS for a higher quota (Service Quotas, VPC)"
        return AwsError(f"a security group's limit is reached: {reason} ({code})", code=code, hint=hint)
    if code == "OperationNotPermitted":
        hint = "remove its stop or termination protection in EC2, then apply again"
        return AwsError(f"{action} failed: {reason} ({code})", code=code, hint=hint)
    status = int(text(mapping(response, "ResponseMetadata"), "HTTPStatusCode", "0"))
    in_doubt = status >= _SERVER_ERROR and code not in NO_CAPACITY | THROTTLED
    return AwsError(f"{action} failed: {reason} ({code})", code=code, in_doubt=in_doubt)


def unreachable(error: Exception, service: str, operation: str) -> DtkError:
    """Return what botocore raises without an answer from AWS as an error for people."""
    name = type(error).__name__
    if name in ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound"):
        hint = "set AWS_PROFILE, or name the target's profile in dtk.yaml; aws configure makes one"
        return DtkError(f"there are no AWS credentials: {error}", hint=hint)
    if name == "NoRegionError":
        return DtkError("no AWS region is set", hint="name the target's region in dtk.yaml")
    return AwsUnreachableError(f"no answer to {service}:{operation}: {error}", hint="check the network, then try again")
