"""dtk:users, dtk:firewall and dtk:backup on hosts with root and systemd.

One test with one deployment: the steps build on each other, and each one's name says what it checks. The short form has
the deployment with its smoke tests, and the people; the long form has all.
"""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.reliability.forms import IS_LONG
from tests.support.processes import NAP
from tests.support.waiting import eventually
from tests.testbed.bed import Bed
from tests.testbed.site import SERVICE, Site, site_in

PEOPLE = "machines/users::people/people"
MODULE = """\
dsl_version: 1.0.0
module: acme/office
version: 0.1.0
components:
  web:
    attributes:
      port: {type: port, default: 8000}
"""


@pytest.fixture
def site(bed: Bed, tmp_path: Path) -> Iterator[Site]:
    with site_in(tmp_path / "workspace", bed) as made:
        folder = made.dtk.root / "modules/acme/office"
        folder.mkdir(parents=True)
        (folder / "dtk.module.yaml").write_text(MODULE)
        yield made


def applied(site: Site, code: int = 0) -> str:
    return site.dtk.run("apply", SERVICE, "--yes", code=code).stdout


def set_(site: Site, path: str, value: object) -> None:
    site.dtk.run("set-attribute", SERVICE, path, json.dumps(value))


def address(site: Site) -> str:
    return site.dtk.addresses(SERVICE)["machines:1"]


def key_pair(folder: Path, name: str) -> tuple[Path, str]:
    key = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(key)], check=True)
    return key, key.with_suffix(".pub").read_text().strip()


def as_person(site: Site, name: str, key: Path, command: str) -> subprocess.CompletedProcess[str]:
    options = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "BatchMode=yes", "IdentitiesOnly=yes")
    words = [word for option in options for word in ("-o", option)]
    ssh = ["ssh", "-F", "none", "-q", *words, "-i", str(key), f"{name}@{address(site)}", command]
    return subprocess.run(ssh, capture_output=True, text=True, check=False, timeout=60)


def what_would_lock_somebody_out_is_refused(site: Site) -> None:
    for wrong, why in (
        ({"admin": {}}, "is the account that dtk uses"),
        ({"daemon": {}}, "was not created by dtk/users"),
        ({"ada": {"sudo": ["/bin/true\nadmin ALL=(ALL) !ALL"]}}, "absolute paths"),
    ):
        set_(site, PEOPLE, wrong)
        assert why in applied(site, code=1)


def people_log_in_and_do_as_root_what_they_may(site: Site, folder: Path) -> None:
    ada, ada_key = key_pair(folder, "ada")
    bob, bob_key = key_pair(folder, "bob")
    set_(site, PEOPLE, {"ada": {"keys": [ada_key], "sudo": True}, "bob": {"keys": [bob_key], "sudo": ["/usr/bin/id"]}})
    applied(site)
    shown = site.dtk.run("exec", SERVICE, "machines/users::people.smoke_test").stdout
    assert "ada: 1 key, sudo ALL" in shown
    assert "bob: 1 key, sudo /usr/bin/id" in shown
    assert as_person(site, "ada", ada, "sudo -n whoami").stdout == "root\n"
    assert as_person(site, "bob", bob, "sudo -n /usr/bin/id -u").stdout == "0\n"
    assert as_person(site, "bob", bob, "sudo -n cat /etc/shadow").returncode != 0

    site.on("machines:1", f"sudo -u bob sh -c 'sleep {NAP} >/dev/null 2>&1 &'")
    set_(site, PEOPLE, {"ada": {"keys": [bob_key]}})
    applied(site)
    assert as_person(site, "ada", ada, "true").returncode != 0
    assert as_person(site, "ada", bob, "sudo -n true").returncode != 0
    assert as_person(site, "bob", bob, "true").returncode != 0
    eventually(
        lambda: site.shell("machines:1", f"pgrep -f '[s]leep {NAP}' || echo none") == "none", "what bob ran has ended"
    )


def listens(site: Site, port: int) -> None:
    site.on("machines:1", f"sudo systemd-run -q -u listener{port} python3 -m http.server {port}")
    eventually(lambda: site.shell("machines:1", f"ss -Hltn sport = :{port}") != "", f"port {port} listens")


def is_open(site: Site, port: int) -> bool:
    with suppress(OSError), socket.create_connection((address(site), port), timeout=2):
        return True
    return False


def only_declared_ports_are_open(site: Site) -> None:
    for port in (8000, 8001):
        listens(site, port)
        assert is_open(site, port)
    site.dtk.run("add-component", SERVICE, "machines/office::web")
    site.dtk.run("add-component", SERVICE, "machines/firewall")
    applied(site)
    assert (is_open(site, 22), is_open(site, 8000), is_open(site, 8001)) == (True, True, False)
    assert "SSH answers" in site.dtk.run("exec", SERVICE, "machines/firewall.smoke_test").stdout

    # Only what the module declares has changed, and it is the reason for the step.
    set_(site, "machines/office::web/port", 8001)
    applied(site)
    assert (is_open(site, 8000), is_open(site, 8001)) == (False, True)


def a_rule_that_cuts_off_ssh_is_rolled_back(site: Site) -> None:
    set_(site, "machines/firewall/rules", ["tcp dport 22 drop", "tcp dport 8001 drop"])
    assert "the previous ones were restored" in applied(site, code=1)
    assert (is_open(site, 22), is_open(site, 8001)) == (True, True)
    set_(site, "machines/firewall/rules", ["no rule of nft's"])
    assert "nft does not accept these rules" in applied(site, code=1)
    assert is_open(site, 8001)
    set_(site, "machines/firewall/rules", [])
    applied(site)


def files_and_databases_come_back_from_the_store(site: Site) -> None:
    site.on("machines:1", "sudo mkdir /srv/kept; echo one | sudo tee /srv/kept/file; echo row | sudo tee /srv/database")
    site.on("machines:1", "sudo chmod 640 /srv/kept/file")
    set_(site, "machines/backup::client/paths", ["/srv/kept"])
    set_(site, "machines/backup::client/databases", {"main": "cat /srv/database"})
    set_(site, "machines/backup::client/restore_databases", {"main": "cat >/srv/database"})
    set_(site, "machines/backup::key/keep", 2)
    shown = applied(site)
    assert "restored /srv/kept" in shown
    assert "dumped main" in shown
    assert site.on("machines:1", "sudo /usr/local/lib/dtk/backup.sh list") == ""  # a smoke test's archive is no backup
    site.dtk.run("exec", SERVICE, "backup")
    site.on("machines:1", "sudo rm -r /srv/kept && echo broken | sudo tee /srv/database")
    assert "loaded main" in site.dtk.run("exec", SERVICE, "machines/backup::client.restore").stdout
    assert site.on("machines:1", "sudo cat /srv/kept/file /srv/database; stat -c %a /srv/kept/file") == "one\nrow\n640"

    site.on("machines:1", "echo two | sudo tee /srv/kept/file")
    for _ in range(2):
        site.dtk.run("exec", SERVICE, "backup")
    stored = site.on("machines:1", "sudo /usr/local/lib/dtk/backup.sh list").split()
    assert len(stored) == 2
    first = ("exec", SERVICE, "machines/backup::client.restore", f"archive={stored[0]}", "to=/srv/before")
    site.dtk.run(*first)
    assert site.on("machines:1", "sudo cat /srv/before/srv/kept/file") == "two"


def a_second_converge_changes_nothing(site: Site) -> None:
    site.dtk.run("converge", SERVICE, "--yes")
    tasks = site.dtk.root / ".dtk/services" / SERVICE / "tasks"
    last = max(int(folder.name) for folder in tasks.iterdir() if folder.name.isdigit())
    done = [event for event in site.dtk.events(SERVICE, last) if event["type"] == "operation.finished"]
    assert [event["message"] for event in done if event["action"] == "create" and event["changed"]] == []


def what_is_deleted_leaves_the_machine_as_it_was(site: Site) -> None:
    for component in ("users::people", "firewall", "backup::client", "backup::key"):
        site.dtk.run("delete-component", SERVICE, f"machines/{component}")
    applied(site)
    left = "getent passwd ada bob; sudo ls /etc/sudoers.d /var/lib /usr/local/lib/dtk; sudo nft list tables"
    found = site.on("machines:1", f"{left}; find /etc/systemd/system -name 'dtk-*'").split()
    assert [word for word in found if "ada" in word or (word.startswith("dtk") and word != "dtk")] == []


def test_people_ports_and_backups_from_first_to_last(site: Site, tmp_path: Path) -> None:
    site.dtk.run("stage", "dtk:backup/machines", SERVICE)
    set_(site, "machines/cardinality", 1)
    site.dtk.run("add-component", SERVICE, "machines/users::people")
    people_log_in_and_do_as_root_what_they_may(site, tmp_path)
    if not IS_LONG:
        return
    what_would_lock_somebody_out_is_refused(site)
    set_(site, PEOPLE, {"ada": {}})
    files_and_databases_come_back_from_the_store(site)
    only_declared_ports_are_open(site)
    a_rule_that_cuts_off_ssh_is_rolled_back(site)
    a_second_converge_changes_nothing(site)
    what_is_deleted_leaves_the_machine_as_it_was(site)
