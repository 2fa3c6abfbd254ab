"""Readable messages for AWS's errors: what was refused, which permission is missing, what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dtk.errors import DtkError
from dtk.model.aws_access import access_problem, clock_problem
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
"""Errors for which another subnet, type or market may help; limits of the account are not among them."""
NO_SPOT_ROLE = "AuthFailure.ServiceLinkedRoleCreationNotPermitted"
"""The account has never used Spot, and the credentials may not create the required role."""
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
_QUOTA = (
    "the account's limit was reached",
    "terminate instances that are not needed, or ask AWS for a higher quota (Service Quotas, EC2)",
)
_EXPLAINED: Mapping[str, tuple[str, str]] = {
    "InstanceLimitExceeded": _QUOTA,
    "VolumeLimitExceeded": (
        _QUOTA[0],
        "delete volumes that are not needed (aws ec2 describe-volumes --filters Name=status,Values=available lists"
        " those that no instance uses), or ask AWS for a higher quota (Service Quotas, EBS)",
    ),
    "AddressLimitExceeded": (
        _QUOTA[0],
        "release elastic IPs that are not needed (aws ec2 describe-addresses lists them), or ask AWS for a higher quota"
        " (Service Quotas, EC2)",
    ),
    "VcpuLimitExceeded": (
        _QUOTA[0],
        "terminate instances that are not needed, choose smaller types, or ask AWS for more vCPUs: aws service-quotas"
        " list-service-quotas --service-code ec2 --query \"Quotas[?contains(QuotaName, 'Running On-Demand')]\" shows"
        " the quotas, and aws service-quotas request-service-quota-increase raises one",
    ),
    "RulesPerSecurityGroupLimitExceeded": (
        "a security group's limit was reached",
        "name fewer ranges in the target's open_to, or ask AWS for a higher quota (Service Quotas, VPC)",
    ),
    "OperationNotPermitted": ("", "remove its stop or termination protection in EC2, then apply again"),
    "VolumeModificationRateExceeded": (
        "",
        "AWS changes a volume only a few times in some hours, and its message says how often: wait, then apply again",
    ),
    "IncorrectModificationState": (
        "",
        "another change of the volume is not finished (aws ec2 describe-volumes-modifications shows it): wait, then"
        " apply again",
    ),
    NO_SPOT_ROLE: (
        "the account has no service-linked role for Spot",
        "create it once for the account: aws iam create-service-linked-role --aws-service-name spot.amazonaws.com",
    ),
}
"""Error code → its meaning ("" to use the call's name) and what to do."""
_STATEMENTS: Mapping[str, str] = {
    "elasticloadbalancing:": "OptionalTargetGroups",
    "route53:": "OptionalDnsRecords",
    "servicequotas:": "OptionalCheckOfQuotas",
    "ec2:DeleteTags": "OptionalAdoptedInstances",
    "ec2:DescribeAddresses": "OptionalElasticIps",
    "ec2:AllocateAddress": "OptionalElasticIps",
    "ec2:AssociateAddress": "OptionalElasticIps",
    "ec2:ReleaseAddress": "OptionalElasticIps",
}
"""The start of a permission → the statement of the policy in docs/ec2.md that not everybody has, and that allows it."""
_MEANWHILE: Mapping[str, str] = {
    "elasticloadbalancing:DeregisterTargets": "the node stays in its target groups, and dtk does not touch its machine",
    "route53:ChangeResourceRecordSets": "the records stay as they are, and dtk does not touch the machines they name",
}
_SERVER_ERROR = 500
_NAMED_PERMISSION = re.compile(r"perform: (\S+)")


class AwsError(DtkError):
    """AWS refused a call; ``code`` is its error code, e.g. ``InsufficientInstanceCapacity``.

    ``in_doubt`` means that it failed on AWS's side and may have taken effect.
    """

    def __init__(self, message: str, *, code: str, hint: str = "", in_doubt: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.in_doubt = in_doubt


class AwsUnreachableError(DtkError):
    """No answer from AWS: it is unknown whether a call took effect."""


def refusal(response: Mapping[str, object], service: str, operation: str) -> AwsError:
    """Return a readable error for the response of a botocore ``ClientError``.

    Args:
        response: contains the code and AWS's own message.
        service: the AWS service as IAM names it: ``ec2``, ``ssm``.
        operation: the API operation: ``RunInstances``.
    """
    error = mapping(response, "Error")
    code = text(error, "Code")
    reason, _, encoded = text(error, "Message").partition(" Encoded authorization failure message: ")
    reason, action = reason.strip(), f"{service}:{operation}"
    if code in NOT_ALLOWED:
        return _not_allowed(action, code, reason, encoded.strip())
    if code in BAD_CREDENTIALS:
        return _not_accepted(code, reason, mapping(mapping(response, "ResponseMetadata"), "HTTPHeaders"))
    if code in _EXPLAINED:
        what, hint = _EXPLAINED[code]
        return AwsError(f"{what or f'{action} failed'}: {reason} ({code})", code=code, hint=hint)
    status = int(text(mapping(response, "ResponseMetadata"), "HTTPStatusCode", "0"))
    in_doubt = status >= _SERVER_ERROR and code not in NO_CAPACITY | THROTTLED
    return AwsError(f"{action} failed: {reason} ({code})", code=code, in_doubt=in_doubt)


def _not_accepted(code: str, reason: str, headers: Mapping[str, object]) -> AwsError:
    """Return the error for a request that AWS can't authenticate: bad credentials, or this machine's clock."""
    skew = clock_problem(headers)
    if skew:
        return AwsError(f"{skew.message} ({code})", code=code, hint=skew.hint)
    hint = "check the target's profile, or log in again (aws sso login)"
    if code in ("AuthFailure", "OptInRequired"):
        hint += "; check that the account has this region enabled (Account, AWS Regions)"
    return AwsError(f"AWS does not accept the credentials: {reason} ({code})", code=code, hint=hint)


def _not_allowed(action: str, code: str, reason: str, encoded: str) -> AwsError:
    """Return the error for a call that a policy denies, or that no policy allows."""
    found = _NAMED_PERMISSION.search(reason)
    permission = found[1].rstrip(".,") if found else action
    if "explicit deny" in reason:
        decode = f"; decode why: aws sts decode-authorization-message --encoded-message {encoded}" if encoded else ""
        return AwsError(
            f"AWS does not allow {action}: a policy denies {permission} explicitly ({reason})",
            code=code,
            hint=f"ask the owner of that policy; granting another permission does not help{decode}",
        )
    hint = "add it to the policy of these credentials; docs/ec2.md lists all of them"
    if statement := statement_for(permission):
        hint = f"add the statement {statement} of the policy in docs/ec2.md to the policy of these credentials"
    if permission in _MEANWHILE:
        hint += f"; until then, {_MEANWHILE[permission]}"
    return AwsError(
        f"AWS does not allow {action}: the permission {permission} is missing ({reason})", code=code, hint=hint
    )


def statement_for(permission: str) -> str:
    """Return the optional statement of the documented policy that has a permission, "" if every user has it."""
    return next((name for start, name in _STATEMENTS.items() if permission.startswith(start)), "")


def unreachable(error: Exception, service: str, operation: str) -> DtkError:
    """Return a readable error for a botocore exception without an answer from AWS."""
    problem = access_problem(error)
    if problem is not None:
        return DtkError(problem.message, hint=problem.hint)
    return AwsUnreachableError(
        f"no response to {service}:{operation}: {error}", hint="check the network, then try again"
    )
