"""Types of the AWS answers, as far as dtk reads them; names are the API's, and any may be missing."""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict


class Nothing(TypedDict):
    """An answer of which dtk reads nothing."""


class TagAnswer(TypedDict):
    """A tag."""

    Key: str
    Value: str


class NamedState(TypedDict):
    """An instance's state."""

    Name: str


class Reason(TypedDict, total=False):
    """The reason for an instance's state."""

    Code: str
    Message: str


class Zone(TypedDict, total=False):
    """The placement of an instance."""

    AvailabilityZone: str


class GroupName(TypedDict, total=False):
    """A security group, as it appears in an instance."""

    GroupId: str
    GroupName: str


class NetworkInterface(TypedDict, total=False):
    """A network interface of an instance."""

    Groups: list[GroupName]


class AttachedVolume(TypedDict, total=False):
    """A volume, as it appears in an instance."""

    VolumeId: str


class AttachedDevice(TypedDict, total=False):
    """A device of an instance."""

    DeviceName: str
    Ebs: AttachedVolume


class Attachment(TypedDict, total=False):
    """The instance that a volume is attached to."""

    InstanceId: str
    State: str


class VolumeNamed(TypedDict):
    """The fields that every volume has."""

    VolumeId: str


class VolumeAnswer(VolumeNamed, total=False):
    """A volume; its size is in GB, its throughput in MiB/s."""

    Size: int
    VolumeType: str
    Iops: int
    Throughput: int
    State: str
    AvailabilityZone: str
    Attachments: list[Attachment]
    Tags: list[TagAnswer]


class VolumeModification(VolumeNamed, total=False):
    """A modification of a volume."""

    TargetSize: int
    TargetVolumeType: str
    TargetIops: int
    TargetThroughput: int
    ModificationState: str
    StatusMessage: str


class CpuOptions(TypedDict, total=False):
    """The processors of an instance."""

    CoreCount: int
    ThreadsPerCore: int


class InstanceAnswer(TypedDict, total=False):
    """An instance."""

    InstanceId: str
    State: NamedState
    Tags: list[TagAnswer]
    AmiLaunchIndex: int
    LaunchTime: object
    StateReason: Reason
    StateTransitionReason: str
    PrivateIpAddress: str
    PublicIpAddress: str
    PrivateDnsName: str
    PublicDnsName: str
    InstanceType: str
    InstanceLifecycle: str
    ImageId: str
    KeyName: str
    Placement: Zone
    SubnetId: str
    VpcId: str
    SecurityGroups: list[GroupName]
    NetworkInterfaces: list[NetworkInterface]
    RootDeviceName: str
    BlockDeviceMappings: list[AttachedDevice]
    CpuOptions: CpuOptions


class Reservation(TypedDict, total=False):
    """The instances of one RunInstances call, and the account that owns them."""

    OwnerId: str
    Instances: list[InstanceAnswer]


class Ebs(TypedDict, total=False):
    """A disk of an AMI; its size is in GB."""

    VolumeSize: int


class BlockDeviceAnswer(TypedDict, total=False):
    """A device of an AMI."""

    DeviceName: str
    Ebs: Ebs


class ImageAnswer(TypedDict, total=False):
    """An AMI."""

    ImageId: str
    Name: str
    RootDeviceName: str
    CreationDate: str
    Architecture: str
    BlockDeviceMappings: list[BlockDeviceAnswer]


class Processor(TypedDict, total=False):
    """The processor of an instance type."""

    SupportedArchitectures: list[str]


class Vcpus(TypedDict, total=False):
    """The virtual processors of an instance type."""

    DefaultVCpus: int


class Memory(TypedDict, total=False):
    """The memory of an instance type."""

    SizeInMiB: int


class InstanceTypeNamed(TypedDict):
    """The fields that every instance type has."""

    InstanceType: str


class InstanceType(InstanceTypeNamed, total=False):
    """An instance type."""

    ProcessorInfo: Processor
    VCpuInfo: Vcpus
    MemoryInfo: Memory


class TypeOffering(TypedDict):
    """A location that offers an instance type."""

    InstanceType: str
    Location: str


class SubnetNamed(TypedDict):
    """The fields that every subnet has."""

    SubnetId: str
    VpcId: str
    AvailabilityZone: str


class SubnetAnswer(SubnetNamed, total=False):
    """A subnet; an IPv6-only subnet has no ``CidrBlock``."""

    CidrBlock: str
    OutpostArn: str


class Route(TypedDict, total=False):
    """A route of a route table."""

    GatewayId: str
    DestinationCidrBlock: str
    State: str


class Association(TypedDict, total=False):
    """What a route table applies to: a subnet, or (``Main``) all subnets of the VPC without their own route table."""

    SubnetId: str
    Main: bool


class RouteTable(TypedDict, total=False):
    """A route table."""

    VpcId: str
    Associations: list[Association]
    Routes: list[Route]


class VpcAnswer(TypedDict):
    """A VPC."""

    VpcId: str


class KeyPairAnswer(TypedDict, total=False):
    """A key pair."""

    PublicKey: str
    CreateTime: datetime
    Tags: list[TagAnswer]


class KeyPairs(TypedDict, total=False):
    """The answer of DescribeKeyPairs."""

    KeyPairs: list[KeyPairAnswer]


class IpRange(TypedDict, total=False):
    """A range of IPv4 addresses that a rule allows."""

    CidrIp: str
    Description: str


class Ipv6Range(TypedDict, total=False):
    """A range of IPv6 addresses that a rule allows."""

    CidrIpv6: str
    Description: str


class GroupPair(TypedDict, total=False):
    """A security group that a rule allows."""

    GroupId: str


class Permission(TypedDict, total=False):
    """A rule of a security group; the API uses the same form in requests and answers."""

    IpProtocol: str
    FromPort: int
    ToPort: int
    IpRanges: list[IpRange]
    Ipv6Ranges: list[Ipv6Range]
    UserIdGroupPairs: list[GroupPair]


class SecurityGroup(TypedDict, total=False):
    """A security group."""

    GroupId: str
    IpPermissions: list[Permission]


class ParameterValue(TypedDict):
    """A parameter of SSM with its value."""

    Value: str


class ParameterAnswer(TypedDict):
    """The answer of SSM's GetParameter."""

    Parameter: ParameterValue


class Quota(TypedDict):
    """A quota of Service Quotas."""

    Value: float


class QuotaAnswer(TypedDict):
    """The answer of Service Quotas' GetServiceQuota."""

    Quota: Quota


class CallerIdentity(TypedDict):
    """The answer of STS's GetCallerIdentity."""

    Account: str


class TargetGroupNamed(TypedDict):
    """The fields that every target group has."""

    TargetGroupArn: str
    TargetGroupName: str


class TargetGroupAnswer(TargetGroupNamed, total=False):
    """A target group of a load balancer."""

    TargetType: str
    Port: int


class TargetGroupsAnswer(TypedDict):
    """The answer of DescribeTargetGroups."""

    TargetGroups: list[TargetGroupAnswer]


class GroupAttribute(TypedDict, total=False):
    """A setting of a target group."""

    Key: str
    Value: str


class GroupAttributesAnswer(TypedDict, total=False):
    """The answer of DescribeTargetGroupAttributes."""

    Attributes: list[GroupAttribute]


class TargetAnswer(TypedDict, total=False):
    """A target in a group."""

    Id: str
    Port: int


class TargetHealth(TypedDict, total=False):
    """The health of a target, and AWS's reason."""

    State: str
    Reason: str
    Description: str


class TargetHealthAnswer(TypedDict, total=False):
    """A target with its health."""

    Target: TargetAnswer
    TargetHealth: TargetHealth


class TargetHealthsAnswer(TypedDict, total=False):
    """The answer of DescribeTargetHealth."""

    TargetHealthDescriptions: list[TargetHealthAnswer]
