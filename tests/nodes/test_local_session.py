"""Tests of SSH sessions on a local node: commands, files, shells and forwarding work as with sshd."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncssh
import paramiko
import pytest

from dtk.nodes.provider import NodeRecord
from tests.nodes.clients import connect, on_node, output, run
from tests.nodes.service import Service
from tests.support.waiting import eventually


def test_a_command_runs_in_the_nodes_home_with_its_exit_code_and_both_streams(master: NodeRecord) -> None:
    result = run(master, "pwd; echo problem >&2; exit 7")
    assert (result.stdout, result.stderr, result.exit_status) == (f"{master.attributes['home']}\n", "problem\n", 7)


def test_a_command_ended_by_a_signal_says_so(master: NodeRecord) -> None:
    signal = run(master, "kill -TERM $$").exit_signal
    assert signal is not None
    assert signal[0] == "TERM"


def test_stdin_reaches_the_command_and_its_end_too(master: NodeRecord) -> None:
    text = "line\n" * 200_000
    assert str(run(master, "wc -l", input=text).stdout).strip() == "200000"


def test_a_command_that_does_not_read_its_stdin_ends_all_the_same(master: NodeRecord) -> None:
    async def work(connection: asyncssh.SSHClientConnection) -> str:
        async with connection.create_process("exec <&-; echo done") as process:
            with suppress(BrokenPipeError):  # the command may have ended before a byte was sent
                process.stdin.write("x" * 5_000_000)
            return str(await process.stdout.read())

    assert on_node(master, work) == "done\n"


def test_output_comes_while_the_command_runs(master: NodeRecord) -> None:
    async def work(connection: asyncssh.SSHClientConnection) -> str:
        async with connection.create_process("echo first; read answer; echo got $answer") as process:
            first = await process.stdout.readline()
            process.stdin.write("it\n")
            return str(first + await process.stdout.readline())

    assert on_node(master, work) == "first\ngot it\n"


def test_a_hundred_megabytes_pass_through_a_server_that_stays_small(master: NodeRecord) -> None:
    async def work(connection: asyncssh.SSHClientConnection) -> int:
        total = 0
        async with connection.create_process("head -c 104857600 /dev/zero", encoding=None) as process:
            while data := await process.stdout.read(1 << 20):
                total += len(data)
        return total

    assert on_node(master, work) == 104_857_600
    # The parent process of a command is the node's server.
    peak = int(output(master, "awk '/VmHWM/ {print $2}' /proc/$PPID/status") if Path("/proc").is_dir() else 0)
    assert peak < 150_000


def test_many_sessions_share_one_connection(master: NodeRecord) -> None:
    async def work(connection: asyncssh.SSHClientConnection) -> list[str]:
        results = await asyncio.gather(*(connection.run(f"sleep 0.2; echo {number}") for number in range(100)))
        return [str(result.stdout).strip() for result in results]

    assert on_node(master, work) == [str(number) for number in range(100)]


def test_a_daemon_without_the_commands_output_does_not_hold_the_session(master: NodeRecord) -> None:
    assert output(master, "sleep 600 >/dev/null 2>&1 </dev/null & echo started") == "started"


def test_a_daemon_with_the_commands_output_holds_the_session_until_it_ends(master: NodeRecord) -> None:
    assert output(master, "(sleep 0.5; echo late) & echo early") == "early\nlate"


def test_a_client_that_closes_its_session_leaves_the_command_and_the_other_sessions(master: NodeRecord) -> None:
    async def work(connection: asyncssh.SSHClientConnection) -> str:
        other = await connection.create_process("read line; echo $line")
        for _ in range(20):
            noisy = await connection.create_process("cat /dev/zero", encoding=None)
            await noisy.stdout.read(1)
            noisy.close()
        silent = await connection.create_process("echo up; sleep 0.3; touch survived")
        await silent.stdout.readline()
        silent.close()
        other.stdin.write("still here\n")
        await connection.run("until test -e survived; do sleep 0.05; done")
        return str(await other.stdout.readline())

    assert on_node(master, work) == "still here\n"


def test_the_server_survives_clients_that_vanish(master: NodeRecord) -> None:
    async def vanish() -> None:
        async with connect(master) as connection:
            process = await connection.create_process("cat /dev/zero", encoding=None)
            await process.stdout.read(1)
            connection.abort()

    for _ in range(3):
        asyncio.run(vanish())
    assert output(master, "echo alive") == "alive"


def test_a_connection_that_is_aborted_after_its_input_ended_leaves_no_traceback(
    service: Service, master: NodeRecord
) -> None:
    home = Path(str(master.attributes["home"]))
    log = service.identity.folder / "nodes/master/server.log"

    async def vanish() -> None:
        async with connect(master) as connection:
            command = "trap '' PIPE; cat; echo read; while echo x 2>/dev/null; do sleep 0.1; done; touch let-go"
            process = await connection.create_process(command)
            process.stdin.write_eof()
            assert await process.stdout.readline() == "read\n"
            connection.abort()

    asyncio.run(vanish())
    eventually(lambda: (home / "let-go").exists() or "Traceback" in log.read_text(), "the server lets the command go")
    assert "Traceback" not in log.read_text()


def test_a_signal_from_the_client_reaches_the_command(master: NodeRecord) -> None:
    async def work(connection: asyncssh.SSHClientConnection) -> Any:
        process = await connection.create_process(
            "trap 'echo caught; exit 3' INT; echo ready; while :; do sleep 0.05; done"
        )
        await process.stdout.readline()
        process.send_signal("INT")
        return await process.wait()

    result = on_node(master, work)
    assert (result.stdout, result.exit_status) == ("caught\n", 3)


def test_a_shell_without_a_command_reads_its_stdin(master: NodeRecord) -> None:
    async def work(connection: asyncssh.SSHClientConnection) -> Any:
        return await connection.run(input="echo from $HOME\nexit 4\n")

    result = on_node(master, work)
    assert (result.stdout, result.exit_status) == (f"from {master.attributes['home']}\n", 4)


def test_a_terminal_has_the_clients_kind_and_size(master: NodeRecord) -> None:
    async def work(connection: asyncssh.SSHClientConnection) -> Any:
        return await connection.run("test -t 0 && echo $TERM $(stty size)", term_type="vt220", term_size=(91, 33))

    result = on_node(master, work)
    assert (result.stdout.strip(), result.exit_status) == ("vt220 33 91", 0)


def test_large_files_go_by_sftp_both_ways_and_paths_are_the_machines(master: NodeRecord, tmp_path: Path) -> None:
    there, here, back = f"{master.attributes['home']}/big", tmp_path / "big", tmp_path / "back"
    here.write_bytes(bytes(range(256)) * 100_000)

    async def work(connection: asyncssh.SSHClientConnection) -> str:
        async with connection.start_sftp_client() as sftp:
            await sftp.put(str(here), there)
            await sftp.get("big", str(back))
            return str(await sftp.realpath("."))

    assert on_node(master, work) == master.attributes["home"]
    assert back.read_bytes() == here.read_bytes()


def test_closing_sftp_in_the_middle_leaves_the_connection(master: NodeRecord) -> None:
    async def work(connection: asyncssh.SSHClientConnection) -> str:
        for _ in range(5):
            sftp = await connection.start_sftp_client()
            file = await sftp.open("/dev/zero", "rb")
            reading = [asyncio.ensure_future(file.read(1 << 20)) for _ in range(4)]
            await asyncio.sleep(0)
            sftp.exit()
            await asyncio.gather(*reading, return_exceptions=True)
        return str((await connection.run("echo alive")).stdout)

    assert on_node(master, work) == "alive\n"


def test_paramiko_finds_a_node_it_can_use(master: NodeRecord) -> None:
    connection = master.connection
    with paramiko.SSHClient() as client:
        client.get_host_keys().add(
            f"[{connection.hostname}]:{connection.port}",
            "ssh-ed25519",
            paramiko.PKey.from_type_string("ssh-ed25519", _key_bytes(connection.host_key)),
        )
        client.connect(
            connection.hostname,
            connection.port,
            connection.user,
            key_filename=connection.key,
            allow_agent=False,
            look_for_keys=False,
        )
        _, stdout, _ = client.exec_command("echo there", get_pty=True)
        assert stdout.read().strip() == b"there"
        with client.open_sftp() as sftp, sftp.open("made", "w") as file:
            file.write("by sftp")
    assert output(master, "cat made") == "by sftp"


def _key_bytes(public_key: str) -> bytes:
    return asyncssh.import_public_key(public_key).public_data


@pytest.fixture
def openssh(master: NodeRecord, tmp_path: Path) -> list[str]:
    if not shutil.which("ssh"):
        pytest.skip("no ssh program here")
    connection = master.connection
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(f"[{connection.hostname}]:{connection.port} {connection.host_key}\n")
    settings = (f"UserKnownHostsFile={known_hosts}", "StrictHostKeyChecking=yes", "IdentitiesOnly=yes", "BatchMode=yes")
    options = [word for setting in settings for word in ("-o", setting)]
    return ["-F", "none", "-i", connection.key, *options]


def test_openssh_runs_commands_and_checks_the_host_key(master: NodeRecord, openssh: list[str]) -> None:
    connection = master.connection
    command = ["ssh", *openssh, "-p", str(connection.port), f"{connection.user}@{connection.hostname}"]
    result = subprocess.run([*command, "echo $DTK_NODE; exit 5"], capture_output=True, text=True, check=False)
    assert (result.stdout.strip().endswith("/master"), result.returncode) == (True, 5), result.stderr


@pytest.mark.parametrize("protocol", [[], ["-O"]], ids=["sftp", "scp"])
def test_openssh_copies_files(master: NodeRecord, openssh: list[str], tmp_path: Path, protocol: list[str]) -> None:
    connection = master.connection
    file = tmp_path / "file"
    file.write_text("content")
    there = f"{connection.user}@{connection.hostname}:{master.attributes['home']}/copied"
    subprocess.run(["scp", *protocol, *openssh, "-P", str(connection.port), str(file), there], check=True)
    assert output(master, "cat copied") == "content"


def test_a_node_is_a_jump_host_to_another(service: Any) -> None:
    first, second = service.create("bastion", "inside")

    async def work(connection: asyncssh.SSHClientConnection) -> str:
        async with connect(second, tunnel=connection) as behind:
            return str((await behind.run("echo $DTK_NODE")).stdout)

    assert on_node(first, work).strip() == service.marker("inside")
