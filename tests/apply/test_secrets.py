"""Tests of secrets: they reach the node but no plan, log, state or process list. Hidden values are not shown."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import boto3
import pytest
from moto import mock_aws

from dtk.apply.items.item import LONGEST_ARGUMENT
from dtk.apply.reporting.redaction import Redactor
from dtk.apply.session.secrets import resolve_secret
from dtk.errors import DtkError
from tests.apply.lab import Lab, action, applied_attributes, operation, output, run, stage

SECRET = "s3cret'with\"quotes and $dollar"


def everywhere(folder: Path) -> str:
    """Return the content of all files below a folder, joined."""
    return "\n".join(path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file())


def test_a_secret_is_used_on_the_node_and_written_nowhere(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    server = lab.add_node("master")
    monkeypatch.setenv("DTK_TEST_PASSWORD", SECRET)
    template = {"$template": "printf %s {{ password }} > got; echo {{ password }}; ps -eo args", "shell": True}
    env = operation(
        "server.shell",
        {
            "commands": [
                'printf %s "$P" > env',
                {"$template": f": {'x' * LONGEST_ARGUMENT}{{{{ password }}}}", "shell": True},
            ],
            "_chdir": {"$template": "{{ '.' }}"},
            "_env": {"P": {"$template": "{{ password }}"}, "Q": {"$template": "y" * 57 + "{{ password }}"}},
        },
    )
    fails = run({"$template": "echo {{ password }}; exit 4", "shell": True})
    result = lab.apply(
        stage(
            1,
            action("master", "m::c", run(template), env, attributes={"password": {"$secret": "env:DTK_TEST_PASSWORD"}}),
        ),
        stage(2, action("master", "m::d", fails, attributes={"password": {"$secret": "env:DTK_TEST_PASSWORD"}})),
    )
    assert (server.home / "got").read_text() == SECRET
    assert (server.home / "env").read_text() == SECRET
    written = everywhere(lab.workspace.local)
    assert "s3cret" not in written
    assert "(secret)" in result.of("operation.finished", step="1.1")[0]["stdout"]
    arguments = result.of("operation.finished", step="1.1")[1]["arguments"]
    assert arguments.startswith("{commands: [")
    # The value is redacted before it is cut, because half of a secret is still secret.
    assert arguments.endswith(f"_chdir: ., _env: {{P: (secret), Q: {'y' * 57}(se… (5 more characters)}}}}")
    assert "(secret)" in result.step("2.1")["error"]["command"]
    assert applied_attributes(lab, "master", "m::c") == {"password": {"$secret": "env:DTK_TEST_PASSWORD"}}


def test_a_secret_in_a_command_is_in_no_process_list(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.add_node("master")
    monkeypatch.setenv("DTK_TEST_PASSWORD", "topsecretvalue")
    template = {
        "$template": "X={{ password }}; grep -slaE 'top[s]ecretvalue' /proc/[0-9]*/cmdline; exit 0",
        "shell": True,
    }
    secret = {"password": {"$secret": "env:DTK_TEST_PASSWORD"}}
    result = lab.apply(stage(1, action("master", "m::c", run(template), attributes=secret)))
    (done,) = result.of("operation.finished")
    assert (done["exit_code"], done["stdout"]) == (0, "")


@pytest.mark.parametrize("code", [0, 3])
def test_a_script_with_a_secret_does_not_stay_on_the_node(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int
) -> None:
    server = lab.add_node("master")
    monkeypatch.setenv("DTK_TEST_PASSWORD", "topsecretvalue")
    content = f"#!/bin/sh\necho $0 > where; stat -c %a $0 > mode; echo {{{{ password }}}} > got; exit {code}\n".encode()
    module = tmp_path / "module"
    (module / "files").mkdir(parents=True)
    (module / "files/script.sh").write_bytes(content)
    doing = action(
        "master",
        "m::c",
        operation("server.script_template", {"src": "files/script.sh"}),
        attributes={"password": {"$secret": "env:DTK_TEST_PASSWORD"}},
        files={"files/script.sh": hashlib.sha256(content).hexdigest()},
    )
    assert lab.apply(stage(1, doing), modules={"test/mod": module}).exit_code == min(code, 1)
    assert (server.home / "got").read_text() == "topsecretvalue\n"
    assert int((server.home / "mode").read_text(), 8) & 0o66 == 0, "others can read or write it"
    assert not Path((server.home / "where").read_text().strip()).exists()


def test_a_secret_inside_a_text_stays_a_reference_in_the_state(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.add_node("master")
    monkeypatch.setenv("DTK_TEST_PASSWORD", "topsecretvalue")
    url = {
        "$text": [
            "db://",
            {"$reference": {"path": "master/host_address", "type": "string"}},
            {"$secret": "env:DTK_TEST_PASSWORD"},
        ]
    }
    lab.apply(stage(1, action("master", "m::c", run("true"), attributes={"url": url})))
    assert applied_attributes(lab, "master", "m::c") == {
        "url": {"$text": ["db://", "127.0.0.1", {"$secret": "env:DTK_TEST_PASSWORD"}]}
    }


def test_lists_that_are_joined_reach_the_node_as_one_and_their_secrets_stay_references(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = lab.add_node("master")
    monkeypatch.setenv("DTK_TEST_PASSWORD", "topsecretvalue")
    made, nothing = (
        action("master", f"m::{name}", run("true"), outputs=(output(f"master/m::{name}/list", text, type_="array"),))
        for name, text in (("made", """echo '["x", "y"]'"""), ("nothing", "echo '[]'"))
    )
    references = [{"$reference": {"path": f"master/m::{name}/list", "type": "array"}} for name in ("made", "nothing")]
    secret = {"$secret": "env:DTK_TEST_PASSWORD"}
    attributes = {"open": {"$joined": [["a"], *references]}, "private": {"$joined": [*references, [secret]]}}
    template = {"$template": "echo {{ open }} / {{ private }} > got", "shell": True}
    lab.apply(stage(1, made, nothing), stage(2, action("master", "m::taker", run(template), attributes=attributes)))
    assert (server.home / "got").read_text() == "a x y / x y topsecretvalue\n"
    applied = {"open": ["a", "x", "y"], "private": ["x", "y", secret]}
    assert applied_attributes(lab, "master", "m::taker") == applied


def test_an_output_may_not_hold_a_secret(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.add_node("master")
    monkeypatch.setenv("DTK_TEST_PASSWORD", "topsecretvalue")
    leaks = action(
        "master",
        "m::c",
        run("true"),
        attributes={"password": {"$secret": "env:DTK_TEST_PASSWORD"}},
        outputs=(output("master/m::c/url", "db://{{ password }}", "expression"),),
    )
    result = lab.apply(stage(1, leaks))
    assert "contains a secret" in result.step("1.1")["error"]["message"]
    assert "topsecretvalue" not in everywhere(lab.workspace.local)


def test_hidden_values_are_in_no_event(lab: Lab) -> None:
    lab.add_node("master")
    hides = action(
        "master",
        "m::c",
        run({"$template": "echo {{ token }}", "shell": True}),
        attributes={"token": "hidden-token"},
        hidden=("token",),
        outputs=(output("master/m::c/made", "echo made-and-hidden", hidden=True),),
    )
    result = lab.apply(stage(1, hides))
    log = (result.folder / "events.jsonl").read_text()
    assert "hidden-token" not in log
    assert "made-and-hidden" not in log
    assert lab.state.attributes["master/m::c/made"] == "made-and-hidden"
    (printed,) = result.of("attribute.set")
    assert printed["hidden"] is True
    assert "value" not in printed


def test_a_secret_that_is_not_there_fails_the_step_by_its_name(lab: Lab) -> None:
    lab.add_node("master")
    needs = action("master", "m::c", run("true"), attributes={"password": {"$secret": "env:NO_SUCH_SECRET"}})
    result = lab.apply(stage(1, needs))
    assert "NO_SUCH_SECRET" in result.step("1.1")["error"]["message"]


def test_secrets_come_from_the_environment_and_from_files(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("from a file\n")
    assert resolve_secret("file:password", tmp_path) == "from a file"
    with pytest.raises(DtkError, match="is not a valid secret reference"):
        resolve_secret("vault:password", tmp_path)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Mock AWS in this process, initially empty."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with mock_aws():
        yield


@pytest.mark.usefixtures("aws")
def test_secrets_come_from_the_parameter_store_of_aws(tmp_path: Path) -> None:
    boto3.client("ssm").put_parameter(Name="/prod/password", Value="from ssm", Type="SecureString")
    assert resolve_secret("ssm:/prod/password", tmp_path) == "from ssm"
    with pytest.raises(DtkError, match="secret ssm:/prod/other can't be read: ParameterNotFound"):
        resolve_secret("ssm:/prod/other", tmp_path)


@pytest.mark.usefixtures("aws")
def test_secrets_come_from_the_secrets_manager_of_aws_whole_or_one_key(tmp_path: Path) -> None:
    client = boto3.client("secretsmanager")
    client.create_secret(Name="prod/plain", SecretString="from the manager")
    client.create_secret(Name="prod/keys", SecretString='{"user": "u", "password": "from a key"}')
    assert resolve_secret("secretsmanager:prod/plain", tmp_path) == "from the manager"
    assert resolve_secret("secretsmanager:prod/keys#password", tmp_path) == "from a key"
    for reference in ("prod/other", "prod/keys#pasword", "prod/plain#password"):
        with pytest.raises(DtkError, match=f"secretsmanager:{reference}"):
            resolve_secret(f"secretsmanager:{reference}", tmp_path)


@pytest.mark.parametrize("text", ["plain-value", "it's", 'say "yes"', "a b", "line one\nline two", "$HOME/ü"])
def test_every_usual_way_of_writing_a_secret_is_redacted(text: str) -> None:
    redactor = Redactor()
    redactor.add_secret(text)
    quoted = shlex.quote(text)
    for form in (text, quoted, shlex.quote(f"echo {quoted}"), json.dumps(text), repr(text), quote(text, safe="")):
        shown = redactor.text(f"before {form} after")
        assert "(secret)" in shown
        for line in text.splitlines():
            assert line not in shown


def test_a_secret_with_a_quote_is_in_no_process_list(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.add_node("master")
    monkeypatch.setenv("DTK_TEST_PASSWORD", "it's-topsecret")
    look = "grep -slaE 'tops[e]cret' /proc/[0-9]*/cmdline; exit 0"
    secret = {"password": {"$secret": "env:DTK_TEST_PASSWORD"}}
    plain = run({"$template": f"X={{{{ password }}}}; {look}", "shell": True})
    env = operation("server.shell", {"commands": [look], "_env": {"P": {"$template": "{{ password }}"}}})
    put = operation("files.line", {"path": "file", "line": {"$template": "{{ password }}"}})
    result = lab.apply(stage(1, action("master", "m::c", plain, env, put, attributes=secret)))
    assert [(done["exit_code"], done["stdout"]) for done in result.of("operation.finished")][:2] == [(0, ""), (0, "")]
    assert "it's-topsecret" in (lab.servers["master"].home / "file").read_text()


def test_no_cut_of_an_output_shows_a_part_of_a_secret(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.add_node("master")
    secret = "Zq8vK2mW7xT4bN9cR1yLp0aSdFgHjKl"
    monkeypatch.setenv("DTK_TEST_PASSWORD", secret)
    given = {"password": {"$secret": "env:DTK_TEST_PASSWORD"}}
    script = """
pad() { head -c $1 /dev/zero | tr '\\0' x; }
pad 1990; echo {{ password }}
pad 16374; echo {{ password }}; pad 65530; echo {{ password }}
printf {{ password }} | head -c 9; sleep 1; printf {{ password }} | tail -c +10; echo
printf {{ password }} | base64 | fold -w 5
printf %s user:{{ password }} | base64
pad 65530 >&2; printf {{ password }} >&2; exit 4
"""
    items = (run({"$template": script, "shell": True}),)
    result = lab.apply(stage(1, action("master", "m::c", *items, attributes=given)))
    assert result.exit_code == 1
    written = everywhere(lab.workspace.local)
    assert not [secret[at : at + 7] for at in range(len(secret) - 6) if secret[at : at + 7] in written]
    assert "(secret)" in written


def test_an_empty_secret_is_refused_wherever_it_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "password").write_text("\n")
    monkeypatch.setenv("DTK_TEST_PASSWORD", "")
    for reference in ("file:password", "env:DTK_TEST_PASSWORD"):
        with pytest.raises(DtkError, match=f"the secret {reference} is empty"):
            resolve_secret(reference, tmp_path)


def test_a_byte_order_mark_is_no_part_of_a_secret(tmp_path: Path) -> None:
    (tmp_path / "password").write_bytes(b"\xef\xbb\xbfhunter22\n")
    assert resolve_secret("file:password", tmp_path) == "hunter22"


def test_a_secret_is_redacted_however_short_it_is_and_a_hidden_value_from_four_characters_on() -> None:
    redactor = Redactor()
    redactor.add_secret("Q7")
    redactor.add_hidden("123")
    redactor.add_hidden("1234")
    assert redactor.text("Q7 123 1234") == "(secret) 123 (secret)"


def test_a_secret_that_a_failing_output_prints_in_many_lines_is_not_cut_before_it_is_found(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.add_node("master")
    secret = "".join(f"{chr(97 + number % 26)}{chr(65 + number // 2)}" for number in range(32))
    monkeypatch.setenv("DTK_TEST_PASSWORD", secret)
    outputs = (output("master/m::c/value", "printf %s {{ password }} | fold -w 2; exit 3"),)
    attributes = {"password": {"$secret": "env:DTK_TEST_PASSWORD"}}
    result = lab.apply(stage(1, action("master", "m::c", run("true"), attributes=attributes, outputs=outputs)))
    error = result.step("1.1")["error"]
    assert error["exit_code"] == 3
    assert "(secret)" in error["output"]
    assert secret[-2:] not in everywhere(lab.workspace.local)


def test_what_a_filter_makes_of_a_secret_is_written_nowhere(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    server = lab.add_node("master")
    monkeypatch.setenv("DTK_TEST_PASSWORD", "open sesame")
    changed = "echo {{ password | upper }} {{ password.replace('e', '3') }} {{ password | length }} | tee got"
    command = run({"$template": changed, "shell": True})
    secret = {"password": {"$secret": "env:DTK_TEST_PASSWORD"}}
    result = lab.apply(stage(1, action("master", "m::c", command, attributes=secret)))
    assert (server.home / "got").read_text() == "OPEN SESAME op3n s3sam3 11\n"
    written = everywhere(lab.workspace.local)
    assert [text for text in ("OPEN SESAME", "op3n s3sam3") if text in written] == []
    assert result.of("operation.finished")[0]["stdout"] == "(secret) (secret) 11"
