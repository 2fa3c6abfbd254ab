"""The target ec2: makes, starts, stops and ends instances, and says how they are now."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace

from dtk.errors import DtkError
from dtk.model.target import Target
from dtk.nodes.ec2 import orphans
from dtk.nodes.ec2.access import Access, ensure_access, remove_access
from dtk.nodes.ec2.aws import Aws
from dtk.nodes.ec2.firewall import (
    PORT_RULE,
    allow_ssh,
    ensure_group,
    find_groups,
    open_ports,
    reconcile,
    sources_without_ssh,
)
from dtk.nodes.ec2.images import Image, resolve_image
from dtk.nodes.ec2.instances import Ec2Instance, find_by_ids, find_of_service, on_each, wait_for
from dtk.nodes.ec2.launch import LaunchContext, MachineRequest, launch
from dtk.nodes.ec2.location import ACCOUNT, REGION, check_location, check_missing
from dtk.nodes.ec2.naming import name_instances
from dtk.nodes.ec2.network import Subnet, find_subnets
from dtk.nodes.ec2.problems import AwsError
from dtk.nodes.ec2.records import connection_to, described, node_record
from dtk.nodes.ec2.settings import Ec2Settings, MachineSpec, read_settings, read_spec
from dtk.nodes.ec2.tags import service_tags
from dtk.nodes.ec2.unanswered import calls_of, find_made, repeat_call
from dtk.nodes.provider import (
    Connection,
    FirewallUpdate,
    MarkedMachine,
    NodeRecord,
    NodeRequest,
    OpenPort,
    Record,
    Report,
    ServiceIdentity,
    no_record,
)
from dtk.state.identity import workspace_id
from dtk.state.workspace import Workspace

_GROUP_TRIES = 10
_GROUP_PAUSE_SECONDS = 3.0


class Ec2Provider:
    """The instances of one target."""

    def __init__(self, workspace: Workspace, target: Target) -> None:
        self._workspace = workspace
        self.settings: Ec2Settings = read_settings(target, workspace.root)
        self.aws = Aws(self.settings)
        self._images: dict[str, Image] = {}
        self._subnets: dict[tuple[str, ...], list[Subnet]] = {}

    def check(self, identity: ServiceIdentity, records: Sequence[NodeRecord]) -> None:
        """Refuse nodes of another region or account than those of the target now."""
        check_location(self.aws, self.settings.name, identity, records)

    def update_firewall(
        self, identity: ServiceIdentity, records: Sequence[NodeRecord], ports: Sequence[OpenPort] | None
    ) -> FirewallUpdate:
        """Bring the rules of the service's own security group up to date; groups that the target names are let be."""
        towards = _an_address(records)
        if self.settings.security_groups or not towards:
            return FirewallUpdate()
        self.check(identity, records)
        changed = []
        for group in find_groups(self.aws, identity):
            changed.append(allow_ssh(self.aws, self.settings, group, towards))
            if ports is not None:
                changed.append(reconcile(self.aws, group, ports, PORT_RULE))
        return FirewallUpdate(
            tuple(port for one in changed for port in one.opened), tuple(port for one in changed for port in one.closed)
        )

    def ssh_refusal(self, identity: ServiceIdentity, records: Sequence[NodeRecord]) -> str:
        """Say whom the service's own security group is to let in by SSH and does not."""
        towards = _an_address(records)
        if self.settings.security_groups or not towards:
            return ""
        try:
            groups = find_groups(self.aws, identity)
            unknown = {source for group in groups for source in sources_without_ssh(self.settings, group, towards)}
        except DtkError:
            return ""
        listed = ", ".join(sorted(unknown))
        return f"the security group does not let {listed} in by SSH, where dtk runs now" if unknown else ""

    def create(
        self,
        identity: ServiceIdentity,
        requests: Sequence[NodeRequest],
        report: Report,
        record: Record = no_record,
    ) -> None:
        """Make an instance for each node, or find the one an earlier call made; report each once it runs.

        Raises:
            DtkError: nothing could be made at all: no credentials, no subnet, a permission missing.
        """
        specs = {request.node: read_spec(self.settings, request.node, request.attributes) for request in requests}
        found = find_of_service(self.aws, identity.lineage)
        machines = {node: self._machine_request(spec) for node, spec in specs.items()}
        context = self._launch_context(identity, machines.values())
        settled, unknown = self._answered_later(context, machines, [one for one in requests if one.node not in found])
        found |= settled
        for node, error in unknown.items():
            report(node, error)
        instances = {node: found[node] for node in specs if node in found}
        missing = {node: spec for node, spec in specs.items() if node not in found.keys() | unknown.keys()}
        for nodes in _alike(missing):
            outcome = launch(self.aws, context, machines[nodes[0]], nodes, record)
            instances |= outcome.made
            for node, error in outcome.failed.items():
                report(node, error)
        name_instances(self.aws, identity, instances)
        refused = self._power_on({node: found[node] for node in found if node in specs}, report)

        def finished(node: str, instance: Ec2Instance) -> NodeRecord:
            return self._new_record(node, instance, machines[node], context.access)

        ids = {node: instance.id for node, instance in instances.items() if node not in refused}
        self._await_running(ids, finished, report)

    def start(self, identity: ServiceIdentity, records: Sequence[NodeRecord], report: Report) -> None:
        """Power the instances on; report each with its new addresses."""
        known = {record.node: record for record in records}
        found = self._instances(identity, records)
        there = self._report_missing(known, found, report)
        refused = self._power_on({node: found[node] for node in there}, report)

        def finished(node: str, instance: Ec2Instance) -> NodeRecord:
            return described(known[node], instance, self.settings, self.aws.region)

        ids = {node: found[node].id for node in there if node not in refused}
        self._await_running(ids, finished, report)

    def stop(self, identity: ServiceIdentity, records: Sequence[NodeRecord], report: Report) -> None:
        """Power the instances off; their disks stay, and are paid for."""
        known = {record.node: record for record in records}
        found = self._instances(identity, records)
        there = self._report_missing(known, found, report)
        there = self._report_spot(there, found, report)
        running = {node: found[node] for node in there if found[node].state in ("pending", "running")}
        refused = self._on_each(running, report, lambda ids: self.aws.call("stop_instances", InstanceIds=ids))

        def settled(node: str, outcome: Ec2Instance | DtkError) -> None:
            stopped = replace(known[node], id=found[node].id, status="stopped")
            report(node, outcome if isinstance(outcome, DtkError) else stopped)

        ids = {node: found[node].id for node in there if node not in refused}
        wait_for(self.aws, ids, lambda instance: instance.state == "stopped", self.settings.boot_timeout, settled)

    def terminate(self, identity: ServiceIdentity, records: Sequence[NodeRecord], report: Report) -> None:
        """End the instances for good; with the last one the service's own key pair and security group go as well."""
        found = self._instances(identity, records)
        refused = self._on_each(found, report, lambda ids: self.aws.call("terminate_instances", InstanceIds=ids))
        known = {record.node: record for record in records}
        gone = [node for node in known if node not in found]
        done: list[str] = []

        def settled(node: str, outcome: Ec2Instance | DtkError) -> None:
            if isinstance(outcome, DtkError):
                report(node, outcome)
            else:
                done.append(node)

        ended = {node: instance.id for node, instance in found.items() if node not in refused}
        wait_for(self.aws, ended, lambda one: one.state == "terminated", self.settings.boot_timeout, settled)
        self._clean_up(identity)
        # Reported last: what fails while the service's own things are removed must not be forgotten.
        for node in [*gone, *done]:
            report(node, replace(known[node], status="terminated"))

    def connection_to(self, record: NodeRecord) -> Connection:
        """Return how the node is reached with the target's addresses, user, key and jump host."""
        return connection_to(record, self.settings)

    def describe(self, identity: ServiceIdentity, records: Sequence[NodeRecord]) -> Sequence[NodeRecord]:
        """Return the records as the instances are now: status, addresses, type and tags."""
        found = self._instances(identity, records)
        now = []
        for record in records:
            instance = found.get(record.node)
            gone = replace(record, status="terminated")
            now.append(described(record, instance, self.settings, self.aws.region) if instance else gone)
        return now

    def find_orphans(self, workspace: str, known: Collection[str]) -> Sequence[MarkedMachine]:
        """Return the instances that are tagged as a workspace's and whose ids are not among those known."""
        return orphans.find_orphans(self.aws, workspace, known)

    def adopt(self, identity: ServiceIdentity, orphan: MarkedMachine) -> NodeRecord:
        """Return an orphan as the record of its node, tagged as the service's."""
        return orphans.adopt(self.aws, self.settings, identity, orphan)

    def end_orphans(self, found: Sequence[MarkedMachine]) -> Mapping[str, DtkError]:
        """Terminate instances; return, by id, why some could not be."""
        return orphans.end(self.aws, self.settings, found)

    def _answered_later(
        self, context: LaunchContext, machines: Mapping[str, MachineRequest], requests: Sequence[NodeRequest]
    ) -> tuple[dict[str, Ec2Instance], dict[str, DtkError]]:
        """Find what calls made whose answer was lost; return that, and why of some nodes it can't be told yet."""
        made: dict[str, Ec2Instance] = {}
        unknown: dict[str, DtkError] = {}
        for call in calls_of({request.node: request.known for request in requests}):
            nodes = [request.node for request in requests if request.known.get("client_token") == call.token]
            try:
                made |= repeat_call(self.aws, context, machines[nodes[0]], call, machines.keys())
            except DtkError as error:
                unknown |= dict.fromkeys(nodes, error)
        return made, unknown

    def _machine_request(self, spec: MachineSpec) -> MachineRequest:
        if spec.image not in self._images:
            self._images[spec.image] = resolve_image(self.aws, self.settings.images, spec.image)
        if spec.subnets not in self._subnets:
            self._subnets[spec.subnets] = find_subnets(self.aws, self.settings, spec.subnets)
        return MachineRequest(spec, self._images[spec.image], self._subnets[spec.subnets])

    def _launch_context(self, identity: ServiceIdentity, machines: Iterable[MachineRequest]) -> LaunchContext:
        wanted = list(machines)
        tags = service_tags(identity, workspace_id(self._workspace))
        shared = {**self.settings.tags, **tags}
        access = ensure_access(self.aws, self.settings, identity, shared)
        groups = self.settings.security_groups or (self._own_group(identity, shared, wanted),)
        location = {REGION: self.aws.region, ACCOUNT: self.aws.account}
        return LaunchContext(self.settings, identity, groups, access, tags, location)

    def _own_group(self, identity: ServiceIdentity, tags: Mapping[str, str], machines: Sequence[MachineRequest]) -> str:
        group = ensure_group(self.aws, self.settings, identity, machines[0].subnets[0], tags)
        ports = {port for machine in machines for port in machine.spec.ports}
        open_ports(self.aws, group, (OpenPort(port, source) for port in ports for source in self.settings.open_to))
        return str(group["GroupId"])

    def _power_on(self, instances: Mapping[str, Ec2Instance], report: Report) -> set[str]:
        """Start those that are off, or stopping, when they are; return the nodes that it is refused for."""
        off = {node: one for node, one in instances.items() if one.state in ("stopping", "stopped")}
        stopping = {node: one.id for node, one in off.items() if one.state == "stopping"}
        wait_for(self.aws, stopping, lambda one: one.state != "stopping", self.settings.boot_timeout, lambda *_: None)
        return self._on_each(off, report, lambda ids: self.aws.call("start_instances", InstanceIds=ids))

    @staticmethod
    def _on_each(instances: Mapping[str, Ec2Instance], report: Report, call: Callable[[list[str]], object]) -> set[str]:
        """Call an operation on instances; report and return the nodes whose instance it is refused for."""
        nodes = {instance.id: node for node, instance in instances.items()}
        refused = on_each(list(nodes), call)
        for id_, error in refused.items():
            report(nodes[id_], error)
        return {nodes[id_] for id_ in refused}

    @staticmethod
    def _report_spot(nodes: Sequence[str], found: Mapping[str, Ec2Instance], report: Report) -> list[str]:
        """Report the nodes whose instances can't be stopped; return the others."""
        spot = [node for node in nodes if found[node].data.get("InstanceLifecycle") == "spot"]
        for node in spot:
            message = f"instance {found[node].id} is a one-time spot instance, which EC2 can end but not stop"
            report(node, DtkError(message, hint="leave it running, or take the node out of the service"))
        return [node for node in nodes if node not in spot]

    def _await_running(
        self, ids: Mapping[str, str], finished: Callable[[str, Ec2Instance], NodeRecord], report: Report
    ) -> None:
        def ready(instance: Ec2Instance) -> bool:
            if not instance.exists:
                raise DtkError(f"instance {instance.id} ended while it started: {instance.reason}")
            address = "PublicIpAddress" if self.settings.public else "PrivateIpAddress"
            return instance.state == "running" and bool(instance.data.get(address))

        def settled(node: str, outcome: Ec2Instance | DtkError) -> None:
            report(node, outcome if isinstance(outcome, DtkError) else finished(node, outcome))

        wait_for(self.aws, ids, ready, self.settings.boot_timeout, settled)

    def _new_record(self, node: str, instance: Ec2Instance, machine: MachineRequest, access: Access) -> NodeRecord:
        size = machine.spec.size or str(instance.data.get("InstanceType", ""))
        attributes = {"size": size, "image": machine.spec.image, "keypair": access.key_pair}
        blank = node_record(node, instance.id, machine.image.user, access.key_file, attributes)
        return described(blank, instance, self.settings, self.aws.region)

    def _instances(self, identity: ServiceIdentity, records: Sequence[NodeRecord]) -> dict[str, Ec2Instance]:
        """Return the instances of nodes: by the id in state, else by the tags of one that never got into it."""
        by_id = find_by_ids(self.aws, (record.id for record in records))
        check_missing(self.aws, (record for record in records if record.id and record.id not in by_id))
        found = {record.node: by_id[record.id] for record in records if record.id in by_id}
        found = {node: instance for node, instance in found.items() if instance.exists}
        return found | self._unnamed(identity, [record for record in records if not record.id])

    def _unnamed(self, identity: ServiceIdentity, records: Sequence[NodeRecord]) -> dict[str, Ec2Instance]:
        """Return the instances of nodes whose task did not live to note them."""
        if not records:
            return {}
        found = find_of_service(self.aws, identity.lineage)
        for call in calls_of({record.node: record.attributes for record in records if record.node not in found}):
            found |= find_made(self.aws, call)
        return {record.node: found[record.node] for record in records if record.node in found}

    def _report_missing(
        self, known: Mapping[str, NodeRecord], found: Mapping[str, Ec2Instance], report: Report
    ) -> list[str]:
        """Report the nodes whose instances are gone; return the others."""
        for node in known.keys() - found.keys():
            report(
                node,
                DtkError(
                    f"instance {known[node].id or 'of ' + node} does not exist any more",
                    hint="see dtk plan --refresh: it plans the node anew",
                ),
            )
        return [node for node in known if node in found]

    def _clean_up(self, identity: ServiceIdentity) -> None:
        """Remove what was made for the service alone, once it has no instance left."""
        if find_of_service(self.aws, identity.lineage):
            return
        for group in find_groups(self.aws, identity):
            self._delete_group(group["GroupId"])
        if not self.settings.key_pair:
            remove_access(self.aws, identity)

    def _delete_group(self, group: str) -> None:
        for tries_left in reversed(range(_GROUP_TRIES)):
            try:
                self.aws.call("delete_security_group", GroupId=group)
                return
            except AwsError as error:
                if error.code == "InvalidGroup.NotFound":
                    return
                # The network interface of an instance outlives it for some seconds.
                if error.code != "DependencyViolation" or not tries_left:
                    raise
            time.sleep(_GROUP_PAUSE_SECONDS)


def _an_address(records: Iterable[NodeRecord]) -> str:
    """Return a private address of the nodes, "" where none is known."""
    return next((str(r.attributes["host_address"]) for r in records if r.attributes.get("host_address")), "")


def _alike(specs: Mapping[str, MachineSpec]) -> list[list[str]]:
    """Return the nodes in groups of the same requests: each group is one call, or a few."""
    groups: dict[str, list[str]] = {}
    for node, spec in specs.items():
        groups.setdefault(json.dumps(asdict(spec), sort_keys=True, default=str), []).append(node)
    return list(groups.values())
