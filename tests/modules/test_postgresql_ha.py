"""dtk:postgresql-ha on machines that boot here: a client writes without stop while primaries change, and loses nothing.

One test with one deployment: the steps build on each other. The short form has one etcd, two servers and one proxy, and
replaces the machine of one server; the long form replaces those of all servers, of all etcd members, of a proxy and of
the monitor. At the end, a second service of one node is restored to a time before the rows were lost.
"""

from __future__ import annotations

import base64
import json
import sys
import time
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from tests.reliability.forms import IS_LONG
from tests.support.waiting import eventually
from tests.testbed.bed import Bed
from tests.testbed.command_line import BedDtk, bed_workspace

SERVICE = "ha1"
FRESH = "ha2"
ENVIRONMENT: dict[str, Any] = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "SUPERUSER_PASSWORD": "it's a \\super: 'secret'",
    "REPLICATION_PASSWORD": "it's a \\replica's: 'secret'",
    "USER_PASSWORD": "it's an \\app's: 'secret'",
}
SECRETS = {name.lower(): name for name in ENVIRONMENT if name.endswith("_PASSWORD")}
DATA = {"database/volumes": '[{"name": "data", "size": 2, "keep": true}]'}
DATA["database/volume::mount/path"] = "/var/lib/postgresql"
AUTHORITY = {"monitor/volumes": '[{"name": "authority", "size": 1, "keep": true}]'}
AUTHORITY["monitor/volume::mount/path"] = "authority"
TRIMMED = {"etcd": 1, "database": 2, "proxies": 1}
# A cluster of one server with all that it needs on its node.
SMALL = """\
dsl_version: 1.0.0
module: acme/small
version: 0.1.0
dependencies: {dtk/daemon: '>=0.2', dtk/certificates: '>=0.1', dtk/etcd: '>=0.1', dtk/postgresql-ha: '>=0.1'}
assemblies:
  cluster:
    components: [postgresql-ha::cluster, postgresql-ha::backup]
    nodes:
      server:
        components:
          - daemon
          - certificates::authority
          - certificates::request: {attributes: {names: [postgresql]}}
          - certificates::certificate
          - etcd::member: {attributes: {scheme: https}}
          - postgresql-ha::archive
          - postgresql-ha::database
    workflows:
      create:
        subtasks:
          - {name: daemon, component: daemon}
          - {name: requests, component: certificates::request}
          - {name: authority, component: certificates::authority}
          - {name: certificates, component: certificates::certificate}
          - {name: etcd, component: etcd::member}
          - {name: archive, component: postgresql-ha::archive}
          - {name: database, component: postgresql-ha::database}
"""
# Tries one number after the other, each with a connection of its own; notes those that were acknowledged, and when.
# The psql of PATH is a program in Perl that starts the version's own: with it, the client alone keeps a processor busy.
WRITER = """
psql=$(echo /usr/lib/postgresql/*/bin/psql)
number=0
while [ ! -e stop ]; do
    number=$((number + 1))
    if timeout 5 "$psql" -qAt -c "INSERT INTO written VALUES ($number)" "$1" >>attempts 2>&1; then
        echo "$number $(date +%s.%N)" >>acknowledged
    fi
    sleep 0.05
done
touch stopped
"""
# Adds an apt source with a newer revision of one package.
NEWER = """
set -e
mkdir /srv/newer
cd /srv/newer
apt-get -q download patroni
dpkg-deb -R patroni_*.deb unpacked
sed -i 's/^Version: .*/&+newer/' unpacked/DEBIAN/control
dpkg-deb -Znone -b unpacked newer.deb
{
    dpkg-deb -f newer.deb
    echo "Filename: ./newer.deb"
    echo "Size: $(stat -c %s newer.deb)"
    echo "SHA256: $(sha256sum newer.deb | cut -d ' ' -f 1)"
} >Packages
echo 'deb [trusted=yes] file:/srv/newer ./' >/etc/apt/sources.list.d/newer.list
"""


@pytest.fixture(scope="module")
def dtk(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> BedDtk:
    return bed_workspace(tmp_path_factory.mktemp("postgresql-ha"), bed)


def report(line: str) -> None:
    """Print a figure, which pytest shows with -s."""
    sys.stdout.write(f"{line}\n")


def ssh(dtk: BedDtk, node: str, command: str, service: str = SERVICE) -> str:
    return dtk.run("ssh", service, node, "--", command, code=None, **ENVIRONMENT).stdout.strip()


def connection(dtk: BedDtk) -> str:
    """Return what a client connects with: it verifies the name, and tries one proxy after the other."""
    proxies = [address for node, address in dtk.addresses(SERVICE).items() if node.startswith("proxies")]
    names, ports = (",".join([word] * len(proxies)) for word in ("postgresql", "5000"))
    where = f"host={names} hostaddr={','.join(proxies)} port={ports} dbname=app user=app connect_timeout=3"
    return f"{where} passfile=/etc/haproxy/pgpass sslmode=verify-full sslrootcert=/etc/haproxy/ca.pem"


def query(dtk: BedDtk, statement: str) -> str:
    return ssh(dtk, "proxies:1", f"sudo psql -qAt -c '{statement}' '{connection(dtk)}'")


def written(dtk: BedDtk) -> set[int]:
    return {int(line) for line in query(dtk, "SELECT number FROM written").splitlines()}


def acknowledged(dtk: BedDtk) -> list[tuple[int, float]]:
    lines = [line.split() for line in dtk.on(SERVICE, "proxies:1", "cat writer/acknowledged").splitlines()]
    return [(int(number), float(when)) for number, when in lines]


def goes_on(dtk: BedDtk) -> None:
    """Wait until the client has written more."""
    before = len(acknowledged(dtk))
    eventually(lambda: len(acknowledged(dtk)) > before + 10, "the client can write again")


def longest_pause(dtk: BedDtk, since: int) -> float:
    # From the last write before: what was asked for then may be the first one after the pause.
    times = [when for _, when in acknowledged(dtk)][max(since - 1, 0) :]
    return max(after - before for before, after in pairwise(times))


def servers(dtk: BedDtk) -> list[str]:
    return [node for node in dtk.addresses(SERVICE) if node.startswith("database")]


def primary(dtk: BedDtk) -> str:
    """Wait until there is exactly one primary; return its node."""
    role, nodes = "sudo python3 /usr/local/lib/dtk/members.py role", servers(dtk)

    def only() -> str | None:
        found = [node for node in nodes if dtk.on(SERVICE, node, role) == "leader"]
        return found[0] if len(found) == 1 else None

    return eventually(only, "there is one primary")


def roles(dtk: BedDtk) -> list[str]:
    return sorted(dtk.on(SERVICE, node, "sudo python3 /usr/local/lib/dtk/members.py role") for node in servers(dtk))


def everything_written(root: Path) -> str:
    folder = root / ".dtk" / "services" / SERVICE
    return "".join(path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file())


def alerts(dtk: BedDtk) -> str:
    return dtk.on(SERVICE, "monitor", "prometheus/prometheus.sh query 'ALERTS{alertstate=\"firing\"}'")


def replicas_have_what_was_written_through_the_proxies(dtk: BedDtk) -> None:
    values = [f"postgresql-ha::cluster/{attribute}=env:{name}" for attribute, name in SECRETS.items()]
    values += ["repository/cardinality=1"]
    values += [] if IS_LONG else [f"{group}/cardinality={count}" for group, count in TRIMMED.items()]
    settings = [word for value in values for word in ("--set", value)]
    dtk.run("stage", "dtk:postgresql-ha/cluster", SERVICE, "--target", "bed", *settings)
    dtk.run("add-component", SERVICE, "database/volume::mount")
    for path, value in DATA.items():
        dtk.run("set-attribute", SERVICE, path, value)
    if IS_LONG:  # a replaced monitor has the same authority
        dtk.run("add-component", SERVICE, "monitor/volume::mount")
        for path, value in AUTHORITY.items():
            dtk.run("set-attribute", SERVICE, path, value)
    dtk.run("add-component", SERVICE, "proxies/postgresql-ha::pooler")
    dtk.run("add-component", SERVICE, "monitor/postgresql-ha::grafana")
    output = dtk.run("apply", SERVICE, "--yes", **ENVIRONMENT).stdout
    assert "read it on" in output
    kept = output + everything_written(dtk.root)
    assert not [name for name in SECRETS.values() if ENVIRONMENT[name] in kept]


def a_pooler_finds_the_primary_and_a_replica(dtk: BedDtk) -> None:
    shown = dtk.run("exec", SERVICE, "proxies/postgresql-ha::pooler.smoke_test", **ENVIRONMENT).stdout
    addresses = dtk.addresses(SERVICE)
    assert f"primary at {addresses[primary(dtk)]}" in shown
    assert "replica at " in shown


def each_panel_of_the_dashboard_has_data(dtk: BedDtk) -> None:
    panels = json.loads(dtk.on(SERVICE, "monitor", "cat /var/lib/grafana/dashboards/postgresql-ha.json"))["panels"]
    source = dtk.on(SERVICE, "monitor", "cat /etc/grafana/provisioning/datasources/dtk.yaml")
    (prometheus,) = (line.split('"')[1] for line in source.splitlines() if "url:" in line)
    for expression in (target["expr"] for panel in panels for target in panel["targets"]):
        eventually(partial(values, f"{prometheus}api/v1/query?{urlencode({'query': expression})}"), expression)


def values(url: str) -> list[object]:
    """Return what a query of Prometheus finds."""
    with urlopen(url, timeout=30) as answer:
        found: list[object] = json.loads(answer.read())["data"]["result"]
    return found


def a_second_converge_changes_nothing(dtk: BedDtk) -> None:
    assert "Nothing had to be changed." in dtk.run("converge", SERVICE, "--yes", **ENVIRONMENT).stdout


def a_client_writes_without_stop(dtk: BedDtk) -> None:
    made = f"sudo psql -q -c 'CREATE TABLE written (number integer)' '{connection(dtk)}'"
    script = base64.b64encode(WRITER.encode()).decode()
    ready = f"{made} && mkdir writer && cd writer && echo {script} | base64 -d >writer.sh || exit 1"
    command = f"{ready}; sudo sh writer.sh '{connection(dtk)}' >output 2>&1 </dev/null & echo started"
    assert "started" in ssh(dtk, "proxies:1", command)
    eventually(lambda: acknowledged(dtk), "the client writes")


def a_switchover_makes_another_server_the_primary(dtk: BedDtk) -> None:
    before, since = primary(dtk), len(acknowledged(dtk))
    dtk.run("exec", SERVICE, "switchover", **ENVIRONMENT)
    # Until a replica is synchronous, the former primary must not stop: Patroni would wait for it.
    assert "sync_standby" in roles(dtk)
    assert primary(dtk) != before
    goes_on(dtk)
    report(f"longest pause of a switchover: {longest_pause(dtk, since):.1f} s")


def a_primary_that_loses_power_is_replaced_and_follows_when_it_is_back(bed: Bed, dtk: BedDtk) -> None:
    before, since = primary(dtk), len(acknowledged(dtk))
    lost = dtk.host(SERVICE, before)
    lost.cut_power()
    goes_on(dtk)
    report(f"longest pause of a power loss: {longest_pause(dtk, since):.1f} s")
    if IS_LONG:
        eventually(lambda: "TargetDown" in alerts(dtk), "an alert fires")
    lost.power_on(lost.addresses)
    eventually(lambda: ssh(dtk, before, "true; echo up") == "up", f"{before} is up")
    assert primary(dtk) != before
    # It reads on every replica.
    eventually(lambda: dtk.run("exec", SERVICE, "smoke_test", code=None, **ENVIRONMENT).returncode == 0, "all follow")
    if IS_LONG:
        eventually(lambda: "TargetDown" not in alerts(dtk), "the alert clears")


def replaced_machines_have_their_data_again(bed: Bed, dtk: BedDtk) -> None:
    since, machines = len(acknowledged(dtk)), set(bed.instances())
    for node in servers(dtk):
        ssh(dtk, node, f"echo {node} | sudo tee /var/lib/postgresql/of")
    # The client runs on proxies:1.
    replaced = ("etcd", "database", "proxies:2", "monitor") if IS_LONG else (primary(dtk),)
    for name in replaced:
        began = time.monotonic()
        dtk.run("replace", SERVICE, name, "--yes", **ENVIRONMENT)
        report(f"seconds of a replacement of {name}: {time.monotonic() - began:.0f} s")
    assert len(set(bed.instances()) - machines) == (8 if IS_LONG else 1)
    assert [ssh(dtk, node, "sudo cat /var/lib/postgresql/of") for node in servers(dtk)] == servers(dtk)
    goes_on(dtk)
    report(f"longest pause of replacements: {longest_pause(dtk, since):.1f} s")


def a_rolling_restart_is_survived(dtk: BedDtk) -> None:
    since = len(acknowledged(dtk))
    dtk.run("exec", SERVICE, "rolling_restart", **ENVIRONMENT)
    goes_on(dtk)
    report(f"longest pause of a rolling restart: {longest_pause(dtk, since):.1f} s")


def an_upgrade_comes_to_the_primary_last(dtk: BedDtk) -> None:
    before, since = primary(dtk), len(acknowledged(dtk))
    shown = dtk.run("exec", SERVICE, "upgrade", **ENVIRONMENT).stdout
    assert shown.count("nothing newer than what is installed") >= 2 * len(servers(dtk))
    assert primary(dtk) == before
    script = base64.b64encode(NEWER.encode()).decode()
    for node in servers(dtk):
        ssh(dtk, node, f"echo {script} | base64 -d | sudo sh")
    shown = dtk.run("exec", SERVICE, "upgrade", **ENVIRONMENT).stdout
    assert shown.count("upgraded: patroni") == len(servers(dtk))
    handed_over = shown.index(f"was a replica of {before.replace(':', '-')}")
    assert shown.index("this is the primary, which comes last") < handed_over
    assert "+newer" in ssh(dtk, before, "dpkg-query -W patroni")
    assert primary(dtk) != before
    goes_on(dtk)
    report(f"longest pause of an upgrade: {longest_pause(dtk, since):.1f} s")


def no_acknowledged_write_is_lost(dtk: BedDtk) -> None:
    ssh(dtk, "proxies:1", "touch writer/stop")
    eventually(lambda: dtk.on(SERVICE, "proxies:1", "ls writer/stopped") != "", "the client has stopped")
    promised = {number for number, _ in acknowledged(dtk)}
    assert len(promised) > 20
    assert promised - written(dtk) == set()
    report(f"{len(promised)} acknowledged writes, none lost")


def a_fresh_service_is_restored_to_a_time_before_the_rows_were_lost(dtk: BedDtk) -> None:
    """Restore from the repository of the old service, which has another authority, and goes on archiving."""
    assert "new backup label" in dtk.run("exec", SERVICE, "backup", "type=incr", **ENVIRONMENT).stdout
    query(dtk, "INSERT INTO written VALUES (-1)")
    then, rows = query(dtk, "SELECT now()"), written(dtk)
    query(dtk, "INSERT INTO written VALUES (-2)")
    query(dtk, "DROP TABLE written")
    assert "successfully archived" in dtk.run("exec", SERVICE, "smoke_test", **ENVIRONMENT).stdout
    stage_restore(dtk, then)
    began = time.monotonic()
    dtk.run("apply", FRESH, "--yes", **ENVIRONMENT)
    report(f"seconds of a restore on a fresh service: {time.monotonic() - began:.0f} s")
    select = "cd / && sudo -u postgres psql -At -d app -c 'SELECT number FROM written'"
    restored = {int(line) for line in ssh(dtk, "server", select, FRESH).splitlines()}
    assert -1 in restored
    assert restored == rows
    assert "Nothing had to be changed." in dtk.run("converge", FRESH, "--yes", **ENVIRONMENT).stdout
    assert "successfully archived" in dtk.run("exec", SERVICE, "smoke_test", **ENVIRONMENT).stdout


def stage_restore(dtk: BedDtk, then: str) -> None:
    dtk.run("exec", SERVICE, "repository/postgresql-ha::repository.invite", **ENVIRONMENT)
    access = dtk.root / "guest.pem"
    access.touch(mode=0o600)
    access.write_text(ssh(dtk, "repository:1", "sudo cat /etc/pgbackrest/guest.pem"))
    module = dtk.root / "modules" / "acme" / "small" / "dtk.module.yaml"
    module.parent.mkdir(parents=True)
    module.write_text(SMALL)
    values = {"from": "main", "to": then, "host": dtk.addresses(SERVICE)["repository:1"], "access": f"file:{access}"}
    settings = [
        word for key, value in values.items() for word in ("--set", f"postgresql-ha::backup/restore_{key}={value}")
    ]
    dtk.run("stage", "acme:small/cluster", FRESH, "--target", "bed", *settings)


def test_no_acknowledged_write_is_lost_while_primaries_change(bed: Bed, dtk: BedDtk) -> None:
    """Run the steps in order; each continues from the previous one, and its name says what it checks."""
    replicas_have_what_was_written_through_the_proxies(dtk)
    a_second_converge_changes_nothing(dtk)
    a_pooler_finds_the_primary_and_a_replica(dtk)
    each_panel_of_the_dashboard_has_data(dtk)
    a_client_writes_without_stop(dtk)
    a_switchover_makes_another_server_the_primary(dtk)
    a_primary_that_loses_power_is_replaced_and_follows_when_it_is_back(bed, dtk)
    replaced_machines_have_their_data_again(bed, dtk)
    if IS_LONG:
        a_rolling_restart_is_survived(dtk)
        an_upgrade_comes_to_the_primary_last(dtk)
    no_acknowledged_write_is_lost(dtk)
    a_fresh_service_is_restored_to_a_time_before_the_rows_were_lost(dtk)
    dtk.run("delete-and-destroy", FRESH, "--yes", **ENVIRONMENT)
    dtk.run("delete-and-destroy", SERVICE, "--yes", "--delete-volumes", **ENVIRONMENT)
    assert bed.instances() == {}
