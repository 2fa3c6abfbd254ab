"""The provider of ec2 targets: creates, starts, stops and terminates instances, and reports their status."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from dtk.errors import DtkError
from dtk.model.target import ADOPTED, Attributes, Target, TargetFacts
from dtk.nodes.basic_provider import BasicProvider
from dtk.nodes.ec2 import adoption, orphans
from dtk.nodes.ec2.access import Access
from dtk.nodes.ec2.aws import Aws
from dtk.nodes.ec2.call import MachineRequest
from dtk.nodes.ec2.dns_records import DnsRecords
from dtk.nodes.ec2.elastic_ips import ElasticIps, release_addresses
from dtk.nodes.ec2.ending import end_instances
from dtk.nodes.ec2.facts import look_up
from dtk.nodes.ec2.firewall import PORT_RULE, find_groups, reconcile, sources_without_ssh
from dtk.nodes.ec2.instances import Ec2Instance, on_each, start_error, wait_for
from dtk.nodes.ec2.kept_volumes import attach_kept, delete_kept, in_their_zones, kept_texts
from dtk.nodes.ec2.launch import launch, refuse_rivals
from dtk.nodes.ec2.location import check_location
from dtk.nodes.ec2.lookup import instances_of, made_by_unanswered_calls, report_missing
from dtk.nodes.ec2.made import find_of_service
from dtk.nodes.ec2.naming import name_instances
from dtk.nodes.ec2.preflight import checked
from dtk.nodes.ec2.preparation import Preparation, alike
from dtk.nodes.ec2.quota import within_quotas
from dtk.nodes.ec2.records import an_address, connection_to, described, node_record, private_keys
from dtk.nodes.ec2.removal import remove_own_resources
from dtk.nodes.ec2.reshape import modify_volumes, start_as, with_refused
from dtk.nodes.ec2.settings import Ec2Settings, read_settings, read_spec
from dtk.nodes.ec2.spread import spread_out
from dtk.nodes.ec2.ssh_rules import allow_ssh
from dtk.nodes.ec2.tags import ORIGIN, is_adopted
from dtk.nodes.ec2.target_groups import TargetGroups
from dtk.nodes.ec2.wish import made_with, requested_modifications, with_kept, with_modified_disks
from dtk.nodes.provider import (
    Ask,
    Connection,
    FirewallUpdate,
    MachineChange,
    MarkedMachine,
    MarkSearch,
    Membership,
    NodeRecord,
    NodeRequest,
    OpenPort,
    Record,
    Report,
    ServiceIdentity,
    no_record,
)
from dtk.state.workspace import Workspace

STALE_SECONDS = 30.0
"""How long EC2 may still show a started instance in its former state, stopped."""


class Ec2Provider(BasicProvider):
    """The instances of one target."""

    def __init__(self, workspace: Workspace, target: Target) -> None:
        self._workspace = workspace
        self.settings: Ec2Settings = read_settings(target, workspace.root)
        self.aws = Aws(self.settings)
        self._preparation = Preparation(self.aws, self.settings)
        self._names = DnsRecords(self.aws)
        self._groups = TargetGroups(self.aws, self.settings.health_timeout)

    def check(self, identity: ServiceIdentity, records: Sequence[NodeRecord]) -> None:
        """Refuse nodes in a region or account other than the target's present one."""
        check_location(self.aws, self.settings.name, identity, records)

    def update_firewall(
        self, identity: ServiceIdentity, records: Sequence[NodeRecord], ports: Sequence[OpenPort] | None
    ) -> FirewallUpdate:
        """Update the service's own security group; groups that the target names are not changed."""
        towards = an_address(records)
        if self.settings.security_groups or not towards:
            return FirewallUpdate()
        self.check(identity, records)
        changed = []
        for group in find_groups(self.aws, identity):
            changed.append(allow_ssh(self.aws, self.settings, group, towards, locked=identity.task > 0))
            if ports is not None:
                changed.append(reconcile(self.aws, group, ports, PORT_RULE))
        return FirewallUpdate(
            tuple(port for one in changed for port in one.opened), tuple(port for one in changed for port in one.closed)
        )

    def ssh_refusal(self, identity: ServiceIdentity, records: Sequence[NodeRecord]) -> str:
        """Return from where the service's own security group should allow SSH but does not, "" if there is nothing."""
        towards = an_address(records)
        if self.settings.security_groups or not towards:
            return ""
        try:
            groups = find_groups(self.aws, identity)
            unknown = {source for group in groups for source in sources_without_ssh(self.settings, group, towards)}
        except DtkError:
            return ""
        listed = ", ".join(sorted(unknown))
        return f"the security group does not allow SSH from {listed}, where dtk runs now" if unknown else ""

    def create(
        self,
        identity: ServiceIdentity,
        requests: Sequence[NodeRequest],
        report: Report,
        record: Record = no_record,
    ) -> None:
        """Create an instance for each node, or find that of an earlier call; report each once it runs.

        Raises:
            DtkError: nothing could be created: no credentials, no subnet, a missing permission.
        """
        specs = {request.node: read_spec(self.settings, request.node, request.attributes) for request in requests}
        specs = in_their_zones(self.aws, identity, specs)
        addresses = ElasticIps(self.aws, identity, specs.values(), record)
        found = find_of_service(self.aws, identity.lineage)
        refuse_rivals(identity, (found[node] for node in specs if node in found))
        adoption.refuse_unfinished(identity, (found[node] for node in specs if node in found))
        machines = {node: self._preparation.machine_request(spec) for node, spec in specs.items()}
        absent = [request for request in requests if request.node not in found]
        suited = checked(self.aws, {request.node: machines[request.node] for request in absent})
        machines |= {node: spread_out(self.settings, node, machine) for node, machine in suited.items()}
        record = within_quotas(self.aws, self.settings, machines, absent, record)
        is_first = not any(one.tags.get(ORIGIN) == identity.origin for one in found.values())
        context = self._preparation.launch_context(identity, machines.values(), is_first=is_first)
        made, unknown = made_by_unanswered_calls(self.aws, context, machines, absent)
        found |= made
        for node, error in unknown.items():
            report(node, error)
        instances = {node: found[node] for node in specs if node in found}
        missing = {node: machines[node] for node in specs if node not in found.keys() | unknown.keys()}
        for nodes in alike(missing):
            outcome = launch(self.aws, context, machines[nodes[0]], nodes, record)
            instances |= outcome.made
            for node, error in outcome.failed.items():
                report(node, error)
        name_instances(self.aws, identity, instances)
        refused = self._power_on({node: found[node] for node in found if node in specs}, report)

        def finished(node: str, instance: Ec2Instance) -> NodeRecord:
            kept = attach_kept(self.aws, identity, instance, node, specs[node])
            instance, address = addresses.give(node, instance, specs[node])
            made = with_kept(made_with(self.settings, specs[node], machines[node].image.root_device), kept) | address
            return self._new_record(node, instance, machines[node], context.access, made)

        ids = {node: instance.id for node, instance in instances.items() if node not in refused}
        # Attaching may take as long as a boot: it must not use up the time that the other instances have.
        attaching = {node for node, spec in specs.items() if spec.elastic_ip or any(v.keep for v in spec.volumes)}
        self._await_running(ids, finished, report, last=attaching)
        addresses.release_doubles()

    def start(self, identity: ServiceIdentity, records: Sequence[NodeRecord], report: Report) -> None:
        """Power the instances on; report each with its new addresses."""
        known = {record.node: record for record in records}
        found = instances_of(self.aws, identity, records)
        existing = report_missing(known, found, report)
        refused = self._power_on({node: found[node] for node in existing}, report)

        def finished(node: str, instance: Ec2Instance) -> NodeRecord:
            return described(known[node], instance, self.settings, self.aws.region)

        self._await_running({node: found[node].id for node in existing if node not in refused}, finished, report)

    def stop(self, identity: ServiceIdentity, records: Sequence[NodeRecord], report: Report) -> None:
        """Power the instances off; their disks remain, and cost money."""
        known = {record.node: record for record in records}
        found = instances_of(self.aws, identity, records)
        existing = report_missing(known, found, report)
        stoppable = self._report_spot(existing, found, report)
        running = {node: found[node] for node in stoppable if found[node].state in ("pending", "running")}
        refused = self._on_each(running, report, lambda ids: self.aws.call("stop_instances", InstanceIds=ids))

        def on_outcome(node: str, outcome: Ec2Instance | DtkError) -> None:
            stopped = replace(known[node], id=found[node].id, status="stopped")
            report(node, outcome if isinstance(outcome, DtkError) else stopped)

        ids = {node: found[node].id for node in stoppable if node not in refused}
        wait_for(self.aws, ids, lambda instance: instance.state == "stopped", self.settings.boot_timeout, on_outcome)

    def terminate(self, identity: ServiceIdentity, records: Sequence[NodeRecord], report: Report) -> None:
        """Terminate the instances, release adopted ones; report each once it is gone or has no mark of dtk."""
        found, known = instances_of(self.aws, identity, records), {record.node: record for record in records}
        adopted = {node for node, one in found.items() if is_adopted(one.tags) or known[node].attributes.get(ADOPTED)}

        def on_outcome(node: str, outcome: Ec2Instance | DtkError) -> None:
            status = known[node].status if node in adopted else "terminated"
            report(node, outcome if isinstance(outcome, DtkError) else replace(known[node], status=status))

        for node in known.keys() - found.keys():
            report(node, replace(known[node], status="terminated"))
        end_instances(self.aws, found, adopted, self.settings.boot_timeout, on_outcome)

    def resize(self, identity: ServiceIdentity, changes: Sequence[MachineChange], report: Report) -> None:
        """Stop the instances, give each the first of its types with capacity, and start them."""
        wanted = {change.record.node: change for change in changes}
        specs = {node: read_spec(self.settings, node, change.attributes) for node, change in wanted.items()}
        off: dict[str, NodeRecord] = {}
        started = {
            node: instance.id
            for node, instance in instances_of(self.aws, identity, [change.record for change in changes]).items()
            if instance.state in ("pending", "running")
            and instance.data.get("InstanceType") in specs[node].instance_types
        }

        def stopped(node: str, outcome: NodeRecord | DtkError) -> None:
            if isinstance(outcome, DtkError):
                report(node, outcome)
            else:
                off[node] = outcome

        # An instance that a task which died has already started with its new type stays up.
        self.stop(identity, [wanted[node].record for node in wanted if node not in started], stopped)
        found = instances_of(self.aws, identity, list(off.values()))
        refused: dict[str, DtkError] = {}
        for node in report_missing(off, found, report):
            started[node] = found[node].id
            try:
                start_as(self.aws, found[node], specs[node].instance_types)
            except DtkError as error:
                refused[node] = error

        def finished(node: str, instance: Ec2Instance) -> NodeRecord:
            record = wanted[node].record
            size = specs[node].size or str(instance.data.get("InstanceType", ""))
            sized = record if node in refused else replace(record, attributes={**record.attributes, "size": size})
            return described(sized, instance, self.settings, self.aws.region)

        self._await_running(started, finished, with_refused(refused, report))

    def modify_volumes(self, identity: ServiceIdentity, changes: Sequence[MachineChange], report: Report) -> None:
        """Change size, type and limits of the instances' volumes, whether they run or not."""
        wanted = {change.record.node: change for change in changes}
        found = instances_of(self.aws, identity, [change.record for change in changes])
        known = {node: change.record for node, change in wanted.items()}
        for node in report_missing(known, found, report):
            spec, before = read_spec(self.settings, node, wanted[node].attributes), known[node].attributes
            try:
                modify_volumes(self.aws, found[node], requested_modifications(before, self.settings, spec))
            except DtkError as error:
                report(node, error)
            else:
                report(node, replace(known[node], attributes=with_modified_disks(before, self.settings, spec)))

    def register(self, identity: ServiceIdentity, memberships: Sequence[Membership], report: Report) -> None:
        """Give instances their names, register them, and wait until they are healthy in all of their groups."""
        self._groups.register(self._names.enter(identity, memberships, report), report)

    def deregister(self, identity: ServiceIdentity, memberships: Sequence[Membership], report: Report) -> None:
        """Take instances out of their names and target groups; report each once it is drained."""
        self._groups.deregister(self._names.leave(identity, memberships, report), report)

    def release(self, identity: ServiceIdentity, nodes: Collection[str] | None = None) -> Mapping[str, DtkError]:
        """Release the addresses that dtk allocated for nodes, or for all nodes of the service."""
        return release_addresses(self.aws, identity, nodes)

    def clean_up(self, identity: ServiceIdentity, goes_on: Callable[[], bool]) -> None:
        """Remove the own group and key pair unless there is an instance."""
        remove_own_resources(self.aws, self.settings, identity, goes_on)

    def find_volumes(self, identity: ServiceIdentity) -> Sequence[str]:
        """Return the service's volumes that outlive its instances, attached or not."""
        return list(kept_texts(self.aws, identity).values())

    def delete_volumes(self, identity: ServiceIdentity, volumes: Collection[str]) -> Sequence[str]:
        """Delete the volumes that outlived the service's instances, as far as a plan names them."""
        return delete_kept(self.aws, identity, volumes)

    def resolve_credentials(self) -> None:
        """Load the AWS credentials; the user is asked for an MFA code now if one is needed."""
        self.aws.resolve_credentials()

    def look_up(self, requests: Sequence[Attributes]) -> TargetFacts:
        """Return the ids of the requested images, and the vCPUs and memory of the requested types."""
        return look_up(self.aws, self.settings, requests)

    def private_keys(self) -> Sequence[str]:
        """Return the private key files of the target's key pair and jump hosts."""
        return private_keys(self.settings)

    def connection_to(self, record: NodeRecord) -> Connection:
        """Return how to reach the node with the target's addresses, user, key and jump host."""
        return connection_to(record, self.settings)

    def describe(self, identity: ServiceIdentity, records: Sequence[NodeRecord]) -> Sequence[NodeRecord]:
        """Return the records with the instances' present status, addresses, type and tags."""
        found = instances_of(self.aws, identity, records)
        now = []
        for record in records:
            instance = found.get(record.node)
            gone = replace(record, status="terminated")
            now.append(described(record, instance, self.settings, self.aws.region) if instance else gone)
        return now

    def find_orphans(self, search: MarkSearch, known: Collection[str], _ask: Ask) -> Sequence[MarkedMachine]:
        """Return the instances with dtk's tags that a search finds and whose ids are not among the known ones."""
        return orphans.find_orphans(self.aws, search, known)

    def find_service(self, identity: ServiceIdentity, _ask: Ask) -> Sequence[MarkedMachine]:
        """Return the instances with a service's tags."""
        return orphans.find_marked(self.aws, identity)

    def adopt(self, identity: ServiceIdentity, orphan: MarkedMachine) -> NodeRecord:
        """Return an orphan as the record of its node, and tag it as the service's."""
        return orphans.adopt(self.aws, self.settings, identity, orphan)

    def end_orphans(self, found: Sequence[MarkedMachine]) -> Mapping[str, DtkError]:
        """Terminate instances, release adopted ones; return the errors by instance id."""
        return orphans.end(self.aws, self.settings, found)

    def find_machine(self, identity: ServiceIdentity, node: str, id_: str) -> NodeRecord:
        """Return an instance that dtk did not create as the record of a node; change nothing."""
        return adoption.find_machine(self.aws, self.settings, identity, node, id_)

    def mark_machine(self, identity: ServiceIdentity, record: NodeRecord) -> NodeRecord:
        """Tag an instance as adopted for its node."""
        return adoption.mark_machine(self.aws, self.settings, identity, record)

    def _power_on(self, instances: Mapping[str, Ec2Instance], report: Report) -> set[str]:
        """Start stopped instances, and stopping ones once they have stopped; return the nodes that were refused."""
        off = {node: one for node, one in instances.items() if one.state in ("stopping", "stopped")}
        stopping = {node: one.id for node, one in off.items() if one.state == "stopping"}
        wait_for(self.aws, stopping, lambda one: one.state != "stopping", self.settings.boot_timeout, lambda *_: None)
        return self._on_each(off, report, lambda ids: self.aws.call("start_instances", InstanceIds=ids))

    @staticmethod
    def _on_each(instances: Mapping[str, Ec2Instance], report: Report, call: Callable[[list[str]], object]) -> set[str]:
        """Call an operation on instances; report and return the nodes whose instance was refused."""
        nodes = {instance.id: node for node, instance in instances.items()}
        refused = on_each(list(nodes), call)
        for id_, error in refused.items():
            report(nodes[id_], error)
        return {nodes[id_] for id_ in refused}

    @staticmethod
    def _report_spot(nodes: Sequence[str], found: Mapping[str, Ec2Instance], report: Report) -> list[str]:
        """Report an error for nodes with spot instances, which can't be stopped; return the others."""
        spot = [node for node in nodes if found[node].data.get("InstanceLifecycle") == "spot"]
        for node in spot:
            message = f"instance {found[node].id} is a one-time spot instance, which EC2 can terminate but not stop"
            report(node, DtkError(message, hint="leave it running, or remove the node from the service"))
        return [node for node in nodes if node not in spot]

    def _await_running(
        self,
        ids: Mapping[str, str],
        finished: Callable[[str, Ec2Instance], NodeRecord],
        report: Report,
        last: Collection[str] = (),
    ) -> None:
        """Wait until instances run, and report each; the nodes in ``last`` are finished after the wait."""
        began, pending = time.monotonic(), set[str]()
        up: dict[str, Ec2Instance] = {}

        def ready(instance: Ec2Instance) -> bool:
            if instance.state == "pending":
                pending.add(instance.id)
            # Right after the call, EC2 may still show the former state.
            was_seen = instance.id in pending or time.monotonic() - began > STALE_SECONDS
            if not instance.exists or (instance.state == "stopped" and was_seen):
                raise start_error(instance)
            address = "PublicIpAddress" if self.settings.public else "PrivateIpAddress"
            return instance.state == "running" and bool(instance.data.get(address))

        def finish(node: str, instance: Ec2Instance) -> None:
            try:
                report(node, finished(node, instance))
            except DtkError as error:
                report(node, error)

        def on_outcome(node: str, outcome: Ec2Instance | DtkError) -> None:
            if isinstance(outcome, DtkError):
                report(node, outcome)
            elif node in last:
                up[node] = outcome
            else:
                finish(node, outcome)

        wait_for(self.aws, ids, ready, self.settings.boot_timeout, on_outcome)
        for node, instance in up.items():
            finish(node, instance)

    def _new_record(
        self, node: str, instance: Ec2Instance, machine: MachineRequest, access: Access, made: Attributes
    ) -> NodeRecord:
        size = machine.spec.size or str(instance.data.get("InstanceType", ""))
        attributes: dict[str, object] = {"size": size, "image": machine.spec.image, "keypair": access.key_pair, **made}
        blank = node_record(node, instance.id, machine.image.user, access.key_file, attributes)
        return described(blank, instance, self.settings, self.aws.region)
