"""dtk:certificates on real local nodes: each node gets its own certificate, and a new one before it expires.

One test with one deployment: the steps build on each other.
"""

from __future__ import annotations

from pathlib import Path

from tests.modules.changed import changed_by_create
from tests.support.command_line import Dtk

SERVICE = "ca1"
NODES = ("nodes:1", "nodes:2")


def fingerprints(dtk: Dtk) -> dict[str, str]:
    """Return the fingerprint of the certificate on each node."""
    shown = "openssl x509 -in certificates/certificate.pem -noout -fingerprint -sha256"
    return {node: dtk.run("ssh", SERVICE, node, "--", shown).stdout for node in NODES}


def is_kept(root: Path, secret: str) -> bool:
    """Return whether any local file of the service contains a text."""
    files = (path for path in (root / ".dtk/services").rglob("*") if path.is_file())
    return any(secret in path.read_text(errors="replace") for path in files)


def test_each_node_gets_a_certificate_and_another_before_it_ends(dtk: Dtk) -> None:
    dtk.run("stage", "dtk:certificates/nodes", SERVICE)
    assert dtk.run("apply", SERVICE, "--yes").stdout.count("certificate.pem: OK") == 2
    first = fingerprints(dtk)
    assert len(set(first.values())) == 2
    keys = (("authority", "authority/ca.key"), ("nodes:1", "certificates/key.pem"))
    lines = [dtk.run("ssh", SERVICE, node, "--", f"sed -n 2p {file}").stdout.strip() for node, file in keys]
    assert all(len(line) == 64 for line in lines)
    assert not any(is_kept(dtk.root, line) for line in lines)
    dtk.run("converge", SERVICE, "--yes")
    assert changed_by_create(dtk, SERVICE, 2) == []
    assert "issued" not in dtk.run("exec", SERVICE, "renew").stdout
    assert fingerprints(dtk) == first

    dtk.run("set-attribute", SERVICE, "authority/certificates::authority/renew_within", "91")
    renewed = dtk.run("exec", SERVICE, "renew").stdout
    assert renewed.count("  issued nodes:") == renewed.count("certificate.pem: OK") == 2
    assert not set(first.values()) & set(fingerprints(dtk).values())

    dtk.run("set-attribute", SERVICE, "nodes/cardinality", "1")
    dtk.run("apply", SERVICE, "--yes")
    assert dtk.run("ssh", SERVICE, "authority", "--", "ls authority/issued/*.pem").stdout.split() == [
        "authority/issued/nodes:1.pem"
    ]
    dtk.run("delete-component", SERVICE, "nodes/certificates::certificate")
    dtk.run("delete-component", SERVICE, "nodes/certificates::request")
    dtk.run("apply", SERVICE, "--yes")
    assert dtk.run("ssh", SERVICE, "nodes:1", "--", "ls certificates", code=None).returncode != 0
