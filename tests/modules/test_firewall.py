"""dtk:firewall's script in a network namespace of its own, with a real nft and a real sshd."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.testbed.bed import skip_where_missing

SCRIPT = Path(__file__).resolve().parents[2] / "modules/dtk/firewall/files/firewall.sh"
RULES = """\
table inet dtk_firewall
delete table inet dtk_firewall
table inet dtk_firewall {
    chain input {
        type filter hook input priority filter; policy drop;
        iifname lo accept
        ct state established,related accept
        %s
        tcp dport $ssh accept
    }
}
"""
# Becomes the inside of a machine: its own processes, mounts and network, an sshd, and a systemctl that agrees.
MACHINE = """\
set -eu
mount -t tmpfs tmpfs /run
mkdir -p /run/netns /run/sshd
ip link set lo up
ssh-keygen -q -t ed25519 -N '' -f host_key
printf 'HostKey %s/host_key\\nPidFile none\\nPort 22\\n' "$PWD" >sshd_config
/usr/sbin/sshd -f "$PWD/sshd_config"
printf '#!/bin/sh\\n' >systemctl
chmod 755 systemctl firewall.sh
PATH=$PWD:$PATH
loaded() { nft list table inet dtk_firewall | grep -o 'tcp dport 80[0-9]*' | tr '\\n' ';'; }
"""


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """Return a folder with the script and rules: good.nft, bad.nft cuts off SSH, and wrong.nft is no nft."""
    skip_where_missing()
    shutil.copy(SCRIPT, tmp_path / "firewall.sh")
    for name, rule in (("good", "tcp dport 8000 accept"), ("bad", "tcp dport { 22, 8001 } drop"), ("wrong", "wrong")):
        (tmp_path / f"{name}.nft").write_text(RULES % rule)
    return tmp_path


def inside(machine: Path, script: str) -> str:
    """Run a script on a machine that lives as long as the script; return its output."""
    words = ["unshare", "-m", "-n", "-p", "-f", "--mount-proc", "--kill-child", "bash", "-c", MACHINE + script]
    done = subprocess.run(words, cwd=machine, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_rules_are_loaded_and_removed_and_ssh_answers(machine: Path) -> None:
    shown = inside(
        machine,
        """
        ./firewall.sh current && exit 1
        cp good.nft firewall.nft
        ./firewall.sh apply 22
        ./firewall.sh current
        ./firewall.sh smoke_test
        loaded
        ./firewall.sh remove
        nft list tables
        """,
    )
    assert shown.endswith("SSH answers\ntcp dport 8000;")
    assert not [path.name for path in machine.glob("firewall.*")]


def test_rules_that_cut_off_ssh_are_rolled_back_and_those_that_are_none_change_nothing(machine: Path) -> None:
    shown = inside(
        machine,
        """
        cp good.nft firewall.nft
        ./firewall.sh apply 22
        for name in bad wrong; do
            cp $name.nft firewall.nft
            ./firewall.sh apply 22 2>message && exit 1
            tail -n 1 message
            loaded
        done
        ./firewall.sh current && exit 1
        nft delete table inet dtk_firewall
        ./firewall.sh load
        loaded
        """,
    )
    assert shown == (
        "with these rules, SSH does not answer on port 22: the previous ones were restored\ntcp dport 8000;"
        "nft does not accept these rules: nothing was changed\ntcp dport 8000;"
        "tcp dport 8000;"
    )


@pytest.fixture
def played(tmp_path: Path) -> Path:
    """Return a folder with the script, its rules, and programs that always succeed; the file ports is sshd's."""
    (tmp_path / "firewall.sh").write_text(SCRIPT.read_text().replace("/etc/systemd/system", str(tmp_path)))
    (tmp_path / "firewall.nft").write_text(RULES % "tcp dport 8000 accept")
    (tmp_path / "ports").write_text("port 22\n")
    (tmp_path / "programs").mkdir()
    for name in ("nft", "ip", "timeout", "systemctl", "sshd"):
        program = tmp_path / "programs" / name
        program.write_text(f"#!/bin/sh\ncat {tmp_path}/ports\n" if name == "sshd" else "#!/bin/sh\n")
        program.chmod(0o755)
    return tmp_path


def firewall(played: Path, *words: str) -> int:
    environment = {"PATH": f"{played}/programs:/usr/bin:/bin"}
    script = ["sh", str(played / "firewall.sh"), *words]
    return subprocess.run(script, env=environment, capture_output=True, timeout=60, check=False).returncode


def test_rules_without_a_new_port_of_sshd_are_not_current(played: Path) -> None:
    assert firewall(played, "apply", "22") == 0
    assert firewall(played, "current", "22") == 0
    (played / "ports").write_text("port 22\nport 2222\n")
    assert firewall(played, "current", "22") != 0
    assert firewall(played, "apply", "22") == 0
    assert firewall(played, "current", "22") == 0


def test_a_login_without_a_port_adds_none(played: Path) -> None:
    assert firewall(played, "apply", "") == 0
    assert (played / "firewall.applied.nft").read_text().splitlines()[0] == "define ssh = { 22 }"


def test_remove_can_be_repeated(played: Path) -> None:
    component = YAML(typ="safe").load(SCRIPT.parents[1] / "dtk.module.yaml")["components"]["firewall"]
    (command,) = component["actions"]["delete"]["commands"]
    command = command.removeprefix("RUN ").replace("sudo ", "sh ").replace("/usr/local/lib/dtk", str(played))
    environment = {"PATH": f"{played}/programs:/usr/bin:/bin"}
    for _ in range(2):
        subprocess.run(["sh", "-c", command], env=environment, timeout=60, check=True)
        assert list(played.glob("firewall.*")) == []
