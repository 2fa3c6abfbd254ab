"""Files of dtk:postgresql-ha without a cluster: pgBackRest's settings, and how members.py waits for a member's data."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from dtk.dsl.template.rendering import render_text
from tests.support.command_line import Dtk

FILES = Path(__file__).resolve().parents[2] / "modules" / "dtk" / "postgresql-ha" / "files"
ARCHIVE: Mapping[str, object] = {
    "node": {"host_address": "10.0.0.1"},
    "port": 8432,
    "server_port": 5432,
    "stanza": "orders",
    "keep": 2,
    "repositories": [],
    "repository_names": [],
    **dict.fromkeys(("bucket", "region", "endpoint", "endpoint_ca", "key", "key_secret"), ""),
    "path": "/pgbackrest",
}
BUCKET = {"bucket": "backups", "region": "eu-central-1"}


def archive(**changed: object) -> ConfigParser:
    """Return pgBackRest's settings of a server."""
    parsed = ConfigParser(interpolation=None)
    parsed.read_string(render_text((FILES / "archive.conf").read_text(), {**ARCHIVE, **changed}))
    assert parsed["orders"]["pg1-path"] == "/var/lib/postgresql/data"
    return parsed


def test_a_server_reaches_a_bucket_with_the_role_of_its_instance() -> None:
    settings = archive(**BUCKET)["global"]
    assert settings["repo1-s3-key-type"] == "auto"
    assert settings["repo1-s3-endpoint"] == "s3.eu-central-1.amazonaws.com"
    assert "repo1-s3-uri-style" not in settings
    assert "tls-server-address" not in settings


def test_a_server_reaches_a_bucket_of_another_endpoint_with_a_key() -> None:
    settings = archive(**BUCKET, endpoint="minio:9000", endpoint_ca="PEM", key="AKIA", key_secret="a+b/c#;=")["global"]
    assert "repo1-s3-key-type" not in settings
    assert (settings["repo1-s3-key"], settings["repo1-s3-key-secret"]) == ("AKIA", "a+b/c#;=")
    assert (settings["repo1-s3-endpoint"], settings["repo1-s3-uri-style"]) == ("minio:9000", "path")
    assert settings["repo1-storage-ca-file"] == "/etc/pgbackrest/endpoint_ca.pem"


def test_a_server_admits_its_repository_to_its_own_stanza_only() -> None:
    settings = archive(repositories=["10.0.0.9"], repository_names=["repository:1"])["global"]
    assert settings["repo1-host"] == "10.0.0.9"
    assert settings["tls-server-auth"] == "repository:1=orders"
    assert "repo1-type" not in settings


def test_a_cluster_is_not_restored_into_the_stanza_that_it_comes_from(tmp_path: Path) -> None:
    dtk = Dtk(tmp_path)
    dtk.run("init")
    values = {"restore_from": "main", "bucket": "backups"}
    settings = [word for name, value in values.items() for word in ("--set", f"postgresql-ha::backup/{name}={value}")]
    dtk.run("stage", "dtk:postgresql-ha/cluster", "ha2", *settings)
    refusal = "a restored cluster must not write to the stanza that it comes from"
    assert refusal in dtk.run("plan", "ha2", "--json").stdout
    dtk.run("set-attribute", "ha2", "postgresql-ha::backup/stanza", "second")
    assert refusal not in dtk.run("plan", "ha2", "--json").stdout


class Patroni(BaseHTTPRequestHandler):
    """Answers with the next of the clusters given; with the last one again and again."""

    clusters: list[list[dict[str, object]]]

    def do_GET(self) -> None:
        found = self.clusters.pop(0) if len(self.clusters) > 1 else self.clusters[0]
        is_config = self.path == "/config"
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"synchronous_mode": False} if is_config else {"members": found}).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Create the files of a member whose Patroni is answered here."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Patroni)
    Thread(target=server.serve_forever, daemon=True).start()
    (tmp_path / "tls").mkdir()
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test", "-keyout", "key.pem"]
    subprocess.run([*made, "-out", "certificate.pem"], cwd=tmp_path / "tls", check=True, capture_output=True)
    (tmp_path / "tls" / "ca.pem").write_text((tmp_path / "tls" / "certificate.pem").read_text())
    url = f"http://127.0.0.1:{server.server_address[1]}"
    (tmp_path / "members.json").write_text(json.dumps({"name": "one", "url": url}))
    yield tmp_path
    server.shutdown()
    server.server_close()


def wait(folder: Path, *clusters: Mapping[str, object]) -> subprocess.CompletedProcess[str]:
    """Run members.py wait, which has patience for one second, while Patroni tells of one member."""
    Patroni.clusters = [[{"name": "one", "api_url": "", **member}] for member in clusters]
    source = (FILES / "members.py").read_text().replace("/etc/patroni", str(folder))
    source = source.replace("PATIENCE = 120", "PATIENCE = 1").replace("/var/lib/postgresql", str(folder))
    command = [sys.executable, "-c", source, "wait"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_members_wait_as_long_as_a_server_is_restored(folder: Path) -> None:
    restores = {"role": "replica", "state": "running custom bootstrap script"}
    done = wait(folder, *[restores] * 5, {"role": "leader", "state": "running"})
    assert done.returncode == 0, done.stderr


def test_members_give_up_when_nothing_happens(folder: Path) -> None:
    done = wait(folder, {"role": "replica", "state": "stopped"})
    assert done.returncode == 1
    assert "nothing changed for 1 seconds: one is replica and stopped" in done.stderr


def test_members_tell_why_a_restore_failed(folder: Path) -> None:
    (folder / "restore.failed").write_text("ERROR: [028]: no backup set found to restore")
    done = wait(folder, {"role": "replica", "state": "running custom bootstrap script"})
    assert done.returncode == 1
    assert "the restore failed:\nERROR: [028]: no backup set found to restore" in done.stderr
