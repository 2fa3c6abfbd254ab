"""A mock EC2 API for tests: moto's server behind a layer that adds slow state changes, client tokens and faults.

Count created resources in moto itself (``instances``), not by what the API told dtk.
"""

from __future__ import annotations

import itertools
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest import mock
from urllib.parse import parse_qs, urlencode
from xml.etree import ElementTree

import moto.ec2.models.elastic_network_interfaces as moto_interfaces
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.route53.models import route53_backends
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server
from werkzeug.test import run_wsgi_app

from tests.support.target_groups import TargetGroups
from tests.support.volume_changes import VolumeChanges

NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"
NOTHING_SEEN = f'<DescribeInstancesResponse xmlns="{NAMESPACE}"><reservationSet/></DescribeInstancesResponse>'
ERROR = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message>'
    "</Error></Errors><RequestID>00000000-0000-0000-0000-000000000000</RequestID></Response>"
)
_INSTANCE = re.compile(rb"<instanceId>(i-[0-9a-f]+)</instanceId>")
OF_STS = (
    "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
)
OF_ROUTE53 = {
    ("GET", "hostedzonesbyname"): "ListHostedZonesByName",
    ("GET", "rrset"): "ListResourceRecordSets",
    ("POST", "rrset"): "ChangeResourceRecordSets",
    ("GET", "change"): "GetChange",
}
CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
TRANSITIONS = {
    "RunInstances": "pending",
    "StartInstances": "pending",
    "StopInstances": "stopping",
    "TerminateInstances": "shutting-down",
}


@dataclass
class Fault:
    """A fault for the next ``times`` matching calls: an error, or no answer after the call took effect (``lost``)."""

    action: str
    code: str = ""
    message: str = "injected by the test"
    status: int = 400
    times: int = 1
    lost: bool = False
    date: str = ""
    """The Date header of the answer, to simulate a wrong clock on the machine that runs dtk. "" is the present."""
    suits: Callable[[dict[str, str]], bool] = lambda _: True

    def text(self, action: str) -> str:
        """Return the error in the format of the action's service."""
        if action == "GetServiceQuota":
            return json.dumps({"__type": self.code, "message": self.message})
        form = OF_STS if action in ("GetCallerIdentity", *OF_ROUTE53.values()) else ERROR
        return form.format(code=self.code, message=self.message)


@dataclass
class Ec2:
    """The API, as tests control it. ``seconds`` is how long an instance is pending, stopping or shutting down."""

    seconds: float = 0.5
    faults: list[Fault] = field(default_factory=list)
    calls: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    capacity: dict[str, int] = field(default_factory=dict)
    """The capacity by instance type or subnet, in instances. Everything not listed here has unlimited capacity."""
    parameters: dict[str, str] = field(default_factory=dict)
    """Public parameters of SSM, because moto does not allow tests to create them."""
    quotas: dict[str, float] = field(default_factory=dict)
    """Quotas in vCPUs by code. Those not listed here are higher than any test needs."""
    page: int = 0
    """The page size of DescribeInstances, in reservations (one per RunInstances call). 0 means a single page."""
    blind: int = 0
    """The number of DescribeInstances calls that do not see anything yet."""
    same_index: bool = False
    """Whether all instances of a call share a launch index. EC2's documentation does not promise different ones."""
    falls: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Instances that stop right after pending, each with the code and message of the reason."""
    shown: dict[str, Callable[[bytes], bytes]] = field(default_factory=dict)
    """Functions that change an action's answer, to add what EC2 has and moto lacks, such as Local Zones."""
    health: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    """What target groups say of an instance: its state, and the code and text of the reason."""
    draining: int = 0
    """How many answers show a target as draining after it is deregistered."""
    modifying: float = 0.0
    """How long the change of a volume takes, in seconds."""
    region: str = "us-east-1"
    _groups: TargetGroups = field(default_factory=TargetGroups)
    _volumes: VolumeChanges = field(default_factory=VolumeChanges)
    _tokens: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    _moving: dict[str, tuple[str, float]] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _server: BaseWSGIServer | None = None
    _date: str = ""

    def start(self, host: str = "127.0.0.1") -> str:
        """Start serving and return the endpoint's URL."""
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server(host, 0, self._answer, threaded=True, request_handler=self._handler())
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://{host}:{self._server.server_port}"

    def _handler(self) -> type[WSGIRequestHandler]:
        """Return a request handler that sends the fault's date. The server would send the current date instead."""
        api = self

        class Handler(WSGIRequestHandler):
            def date_time_string(self, timestamp: float | None = None) -> str:
                return api._date or super().date_time_string(timestamp)

        return Handler

    def stop(self) -> None:
        """Stop the server."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def called(self, action: str) -> list[dict[str, str]]:
        """Return the parameters of every call of an action."""
        return [parameters for name, parameters in self.calls if name == action]

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        parameters = {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
        action = parameters.get("Action", "") or environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        action = action or _of_route53(environ)
        with self._lock:
            if action:
                self.calls.append((action, parameters))
            fault = self._fault(action, parameters)
            if fault is not None and not fault.lost:
                self._date = fault.date
                return _send(start_response, fault.status, fault.text(action))
            if action == "ChangeResourceRecordSets":
                _forget_former_records()
                body = body.replace(b"\\052", b"*")
                if _is_too_long(body):
                    return _send(start_response, 400, OF_STS.format(code="InvalidChangeBatch", message="too long"))
            refused = self._refusal(action, parameters) or self._volumes.refusal(action, parameters)
            if refused:
                return _send(start_response, 400, ERROR.format(code=refused, message="as EC2 would"))
            status, text = self._known(environ, action, parameters, body)
        if fault is not None:
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            return []
        return _send(start_response, status, text)

    def _fault(self, action: str, parameters: dict[str, str]) -> Fault | None:
        for fault in self.faults:
            if fault.action in (action, "*") and fault.times > 0 and fault.suits(parameters):
                fault.times -= 1
                return fault
        return None

    def _refusal(self, action: str, parameters: dict[str, str]) -> str:
        """Return the error code of calls that EC2 refuses and moto would allow, "" otherwise."""
        now = [state for id_ in _ids(parameters) if (state := self._state(id_))]
        if action == "ReleaseAddress":
            return "InvalidIPAddress.InUse" if _is_in_use(parameters["AllocationId"]) else ""
        if action == "StartInstances" and "stopping" in now:
            return "IncorrectInstanceState"
        if action == "ModifyInstanceAttribute" and "InstanceType.Value" in parameters:
            return "IncorrectInstanceState" if self._is_on(parameters["InstanceId"]) else ""
        if action != "RunInstances":
            full = any(self.capacity.get(self._type(id_), 1) < 1 for id_ in _ids(parameters))
            return "InsufficientInstanceCapacity" if action == "StartInstances" and full else ""
        token = parameters.get("ClientToken", "")
        if token in self._tokens:
            ended = "IdempotentInstanceTerminated" if self._has_ended(self._tokens[token][1]) else ""
            return ended if self._tokens[token][0] == _digest(parameters) else "IdempotentParameterMismatch"
        return "InsufficientInstanceCapacity" if self._room(parameters) < int(parameters["MinCount"]) else ""

    def _is_on(self, id_: str) -> bool:
        """Return whether an instance is not fully stopped, so that EC2 refuses to change its type."""
        return bool(self._state(id_)) or self._instance(id_).state != "stopped"

    def _type(self, id_: str) -> str:
        return str(self._instance(id_).instance_type)

    def _instance(self, id_: str) -> Any:
        found = ec2_backends[DEFAULT_ACCOUNT_ID][self.region].all_instances()
        return next(instance for instance in found if instance.id == id_)

    def _has_ended(self, answer: bytes) -> bool:
        """Return whether all instances of an answer are terminated."""
        ids = set(_INSTANCE.findall(answer))
        found = ec2_backends[DEFAULT_ACCOUNT_ID][self.region].all_instances()
        return all(instance.state == "terminated" for instance in found if instance.id.encode() in ids)

    def _room(self, parameters: dict[str, str]) -> int:
        places = (parameters["InstanceType"], parameters.get("NetworkInterface.1.SubnetId", ""))
        return min((self.capacity[place] for place in places if place in self.capacity), default=10**6)

    def _known(
        self, environ: dict[str, Any], action: str, parameters: dict[str, str], body: bytes
    ) -> tuple[int, bytes]:
        token = parameters.get("ClientToken", "")
        if action == "GetParameter" and (name := json.loads(body)["Name"]) in self.parameters:
            return 200, json.dumps({"Parameter": {"Name": name, "Value": self.parameters[name]}}).encode()
        if action == "GetServiceQuota":
            code = json.loads(body)["QuotaCode"]
            return 200, json.dumps({"Quota": {"QuotaCode": code, "Value": self.quotas.get(code, 1e6)}}).encode()
        if action in ("RunInstances", "CreateVolume") and token in self._tokens:
            return 200, self._tokens[token][1]
        if action == "RunInstances":
            body = self._counted(parameters)
        if action == "DescribeInstances" and self.blind > 0:
            self.blind -= 1
            return 200, NOTHING_SEEN.encode()
        if action == "DescribeInstances" and self.page:
            body = urlencode({**parameters, "MaxResults": str(self.page)}).encode()
        of_groups = self._groups.answer(action, parameters, self.health)
        status, text = (200, of_groups.encode()) if of_groups else self._ask_moto(environ, body)
        return status, self._as_ec2_tells_it(action, parameters, text) if status == 200 else text

    def _as_ec2_tells_it(self, action: str, parameters: dict[str, str], text: bytes) -> bytes:
        """Return moto's answer with transitional states added, and remember it for the call's client token."""
        text = self.shown.get(action, bytes)(text)
        if action in TRANSITIONS:
            _free_addresses(_ids(parameters) if action == "TerminateInstances" else [])
            ids = {id_.decode() for id_ in _INSTANCE.findall(text)}
            if action == "RunInstances":
                self._volumes.launched(parameters, ids)
            for id_ in ids:
                self._moving[id_] = (TRANSITIONS[action], time.monotonic() + self.seconds)
        if action in {*TRANSITIONS, "DescribeInstances"}:
            text = self._with_states(text)
        self._groups.note(action, parameters, self.draining)
        self._volumes.note(action, parameters, self.modifying)
        text = self._volumes.as_described(action, text)
        if action == "ListResourceRecordSets":
            text = text.replace(b"<Name>*.", b"<Name>\\052.")
        if self.same_index and action in ("RunInstances", "DescribeInstances"):
            text = re.sub(rb"(<amiLaunchIndex>)\d+", rb"\g<1>0", text)
        if action in ("RunInstances", "CreateVolume") and (token := parameters.get("ClientToken", "")):
            self._tokens[token] = (_digest(parameters), text)
        return text

    def _counted(self, parameters: dict[str, str]) -> bytes:
        """Set MinCount, which is what moto creates, to what EC2 would create: MaxCount, limited by the capacity."""
        count = min(int(parameters["MaxCount"]), self._room(parameters))
        for place in (parameters["InstanceType"], parameters.get("NetworkInterface.1.SubnetId", "")):
            if place in self.capacity:
                self.capacity[place] -= count
        # moto drops the IOPS of a launch, and then refuses the types that need them.
        types = {name: "gp3" for name, value in parameters.items() if value in ("io1", "io2")}
        return urlencode({**parameters, **types, "MinCount": str(count)}).encode()

    def _ask_moto(self, environ: dict[str, Any], body: bytes) -> tuple[int, bytes]:
        import io  # noqa: PLC0415

        inner = {**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        chunks, status, _ = run_wsgi_app(self._moto, inner)
        return int(status.split()[0]), b"".join(chunks)

    def _state(self, id_: str) -> str:
        """Return the transitional state of an instance, "" if it has reached its final state."""
        state, until = self._moving.get(id_, ("", 0.0))
        return state if time.monotonic() < until else ""

    def _with_states(self, text: bytes) -> bytes:
        root = ElementTree.fromstring(text)
        space = root.tag.partition("}")[0].lstrip("{")
        ElementTree.register_namespace("", space)
        for item in root.iter(f"{{{space}}}item"):
            _set_processors(item, space)
            id_ = item.findtext(f"{{{space}}}instanceId")
            state = self._state(id_) if id_ else ""
            for name in ("instanceState", "currentState"):
                shown = item.find(f"{{{space}}}{name}")
                if id_ in self.falls and not state and shown is not None:
                    state = "stopped"
                    _set_reason(item, space, *self.falls[id_])
                if state and shown is not None:
                    shown.find(f"{{{space}}}name").text = state  # type: ignore[union-attr]
                    shown.find(f"{{{space}}}code").text = str(CODES[state])  # type: ignore[union-attr]
        return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def _set_reason(item: ElementTree.Element, space: str, code: str, message: str) -> None:
    for old in item.findall(f"{{{space}}}stateReason"):
        item.remove(old)
    reason = ElementTree.SubElement(item, f"{{{space}}}stateReason")
    ElementTree.SubElement(reason, f"{{{space}}}code").text = code
    ElementTree.SubElement(reason, f"{{{space}}}message").text = message


def _of_route53(environ: dict[str, Any]) -> str:
    """Return the action of a call of Route 53, whose API has a path for each; "" if it is another."""
    method, words = environ["REQUEST_METHOD"], environ["PATH_INFO"].strip("/").split("/")
    return next((OF_ROUTE53[method, word] for word in words if (method, word) in OF_ROUTE53), "")


def _is_in_use(allocation: str) -> bool:
    """Return whether an elastic IP is an instance's: EC2 releases it only without one."""
    found = (address for backend in ec2_backends[DEFAULT_ACCOUNT_ID].values() for address in backend.addresses)
    return any(address.instance is not None for address in found if address.allocation_id == allocation)


def _free_addresses(ids: list[str]) -> None:
    """Take elastic IPs from terminated instances, as EC2 does."""
    for backend in ec2_backends[DEFAULT_ACCOUNT_ID].values():
        for address in backend.addresses:
            if address.instance is not None and address.instance.id in ids:
                address.instance = address.eni = address.association_id = None


def _is_too_long(changes: bytes) -> bool:
    """Return whether Route 53 refuses changes because of the number of their values or the sum of their characters."""
    values = re.findall(rb"<Value>(.*?)</Value>", changes)
    return len(values) > 1000 or sum(map(len, values)) > 32_000


def _forget_former_records() -> None:
    """Remove records that are no longer there from moto's journal: it would refuse to create the same ones again."""
    for zone in route53_backends[DEFAULT_ACCOUNT_ID]["aws"].zones.values():
        present = [(one.name, one.type, str(one.ttl), sorted(one.records)) for one in zone.rrsets]
        zone.rr_changes[:] = [change for change in zone.rr_changes if _content(change["ResourceRecordSet"]) in present]


def _content(one: dict[str, Any]) -> tuple[str, str, str, list[str]]:
    values = sorted(value["Value"] for value in one["ResourceRecords"])
    return f"{one['Name'].rstrip('.')}.", one["Type"], str(one["TTL"]), values


def _set_processors(item: ElementTree.Element, space: str) -> None:
    """Add the processors of an instance, as EC2 describes them: moto does not."""
    type_ = item.findtext(f"{{{space}}}instanceType")
    if type_ in INSTANCE_TYPES and item.find(f"{{{space}}}cpuOptions") is None:
        threads = INSTANCE_TYPES[type_]["VCpuInfo"]["DefaultVCpus"]
        options = ElementTree.SubElement(item, f"{{{space}}}cpuOptions")
        ElementTree.SubElement(options, f"{{{space}}}coreCount").text = str(threads)
        ElementTree.SubElement(options, f"{{{space}}}threadsPerCore").text = "1"


def _ids(parameters: dict[str, str]) -> list[str]:
    return [value for name, value in parameters.items() if name.startswith("InstanceId.")]


def _digest(parameters: dict[str, str]) -> str:
    return json.dumps({name: value for name, value in parameters.items() if name != "ClientToken"}, sort_keys=True)


def _send(start_response: Callable[..., Any], status: int, text: str | bytes) -> list[bytes]:
    data = text.encode() if isinstance(text, str) else text
    kind = "application/json" if data.lstrip().startswith(b"{") else "text/xml"
    start_response(f"{status} STATUS", [("Content-Type", kind), ("Content-Length", str(len(data)))])
    return [data]


def open_to_the_internet(client: Any, vpc: str) -> None:
    """Attach an internet gateway to a VPC and add a default route to it in the main route table."""
    gateway = client.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    client.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    client.create_route(RouteTableId=main_table(client, vpc), DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)


def main_table(client: Any, vpc: str) -> str:
    """Return the ID of a VPC's main route table."""
    filters = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "association.main", "Values": ["true"]}]
    return str(client.describe_route_tables(Filters=filters)["RouteTables"][0]["RouteTableId"])


def public_addresses(network: str) -> Iterator[None]:
    """Make moto assign public addresses from a network such as ``198.18.7``, until the generator is closed."""
    addresses = (f"{network}.{number}" for number in itertools.count(2))
    with mock.patch.object(moto_interfaces, "random_public_ip", side_effect=addresses):
        yield
