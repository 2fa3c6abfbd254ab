"""dtk:prometheus on real local nodes: it finds its targets by links, and drops those that are removed.

One test with one deployment: the steps build on each other.
"""

from __future__ import annotations

import json
import re
import urllib.request

from tests.modules.changed import changed_by_create
from tests.support.command_line import Dtk
from tests.support.waiting import eventually

SERVICE = "mon1"
STORE = """\
dsl_version: 1.0.0
module: acme/store
version: 0.1.0
components:
  server:
    attributes:
      metrics_port: {type: port, default: 9200}
    link_defs:
      prometheus::server:
        optional: true
        attribute_mappings:
          - targets <- store/${node.name}@${node.host_address}:${metrics_port + node.port_offset}
"""

# Series that a cluster of dtk:postgresql-ha would have, recorded without one: name, node, other labels, value.
SERIES = [
    ("patroni_primary", "database:1", {"scope": "orders"}, 1),
    ("patroni_primary", "database:2", {"scope": "orders"}, 0),
    ("patroni_sync_standby", "database:2", {}, 1),
    ("patroni_xlog_location", "database:1", {}, 2048),
    ("patroni_xlog_replayed_location", "database:2", {}, 1024),
    ("pg_up", "database:1", {}, 1),
    ("haproxy_backend_active_servers", "proxies:1", {"proxy": "replicas"}, 0),
    ("etcd_server_has_leader", "etcd:1", {}, 1),
    ("etcd_server_is_leader", "etcd:1", {}, 1),
]
RULES = [
    {"record": name, "expr": f"vector({value})", "labels": {"node": node} | labels}
    for name, node, labels, value in SERIES
]
SHOWN = [
    "database:1 | primary | runs |  | ",
    "database:2 | synchronous replica | does not answer |  | 1kiB",
    "proxies:1 | reading from replicas | none | ",
    "etcd:1 | leader | ",
]


def up(output: str) -> list[str]:
    return [line.strip().partition("{")[2] for line in output.splitlines() if line.strip().startswith("up{")]


def rows(url: str) -> list[str]:
    """Return the rows of a page's tables, without their headings, as text."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        page = answer.read().decode()
    found = re.findall(r"<tr><td.*?</tr>", page, re.DOTALL)
    return [" | ".join(re.sub(r"<[^>]+>", "", cell).strip() for cell in row.split("</td>")[:-1]) for row in found]


def test_prometheus_asks_what_links_to_it(dtk: Dtk) -> None:
    dtk.run("stage", "dtk:prometheus/monitoring", SERVICE, "--set", "monitor/prometheus::server/interval=1s")
    dtk.run("set-attribute", SERVICE, "machines/cardinality", "1")
    dtk.run("set-attribute", SERVICE, "monitor/prometheus::server/rules", json.dumps(RULES))
    dtk.run("add-component", SERVICE, "monitor/postgresql-ha::dashboard")
    assert up(dtk.run("apply", SERVICE, "--yes").stdout) == [
        'instance="machines:1", job="node", node="machines:1"} => 1',
        'instance="monitor", job="node", node="monitor"} => 1',
        'instance="monitor", job="prometheus", node="monitor"} => 1',
    ]
    dtk.run("converge", SERVICE, "--yes")
    assert changed_by_create(dtk, SERVICE, 2) == []
    (url,) = [a["value"] for a in dtk.json("list-attributes", SERVICE) if a["path"] == "monitor/prometheus::server/url"]
    dashboard = f"{url}consoles/postgresql-ha.html"
    eventually(lambda: rows(dashboard) == SHOWN, "the dashboard shows the recorded cluster")
    dtk.run("set-attribute", SERVICE, "machines/cardinality", "0")
    assert len(up(dtk.run("apply", SERVICE, "--yes").stdout)) == 2
    assert "node_load1{" in dtk.run("exec", SERVICE, "query", "expression=node_load1").stdout
    dtk.run("delete-component", SERVICE, "monitor/postgresql-ha::dashboard")
    dtk.run("delete-component", SERVICE, "monitor/prometheus::server")
    assert "prometheus::server.delete" in dtk.run("apply", SERVICE, "--yes").stdout
    assert dtk.run("ssh", SERVICE, "monitor", "--", "ls", "prometheus/consoles").stdout == ""
    assert dtk.run("ssh", SERVICE, "monitor", "--", "daemon/daemon.sh status prometheus", code=None).returncode != 0


def test_any_component_with_a_metrics_port_becomes_a_target(dtk: Dtk) -> None:
    folder = dtk.root / "modules/acme/store"
    folder.mkdir(parents=True)
    (folder / "dtk.module.yaml").write_text(STORE)
    dtk.run("stage", "dtk:prometheus/monitoring", SERVICE)
    dtk.run("add-component", SERVICE, "machines/store::server")
    linked = [line for line in dtk.run("list-links", SERVICE).stdout.splitlines() if "prometheus::server" in line]
    assert [
        name for name in ("machines/store::server", "monitor/node-exporter") if any(name in line for line in linked)
    ] == [
        "machines/store::server",
        "monitor/node-exporter",
    ]
