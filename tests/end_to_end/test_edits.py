"""Edits of a service: what they write, what they refuse, and that a refused edit changes nothing."""

from __future__ import annotations

import difflib
import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dtk.__main__ import run as run_dtk
from tests.support.command_line import Dtk

MODULES = Path(__file__).parent / "spark"
SERVICE = """\
# The team's cluster
format_version: 1
service: web     # as its folder
assembly: bigtop:spark/cluster

attributes:
  # how many
  slaves/cardinality: 3   # three is enough
  master/spark::master/eventlog_dir: '/var/log'
"""


@pytest.fixture
def web(dtk: Dtk) -> Dtk:
    """Create a workspace with one hand-written service that is not running."""
    shutil.copytree(MODULES, dtk.root / "modules", dirs_exist_ok=True)
    file(dtk).parent.mkdir(parents=True)
    file(dtk).write_text(SERVICE)
    return dtk


def run(dtk: Dtk, command: str, code: int | None = 0) -> int:
    """Run one command line in this process, through dtk's entry point; this saves 90 process starts."""
    ended = run_dtk(["--workspace", str(dtk.root), *shlex.split(command)])
    assert code is None or ended == code, f"dtk {command}: {ended}"
    return ended


def file(dtk: Dtk) -> Path:
    return dtk.root / "services" / "web" / "service.yaml"


def diff(dtk: Dtk) -> list[str]:
    after = file(dtk).read_text().splitlines()
    lines = difflib.unified_diff(SERVICE.splitlines(), after, n=0, lineterm="")
    return [line for line in lines if line[:3] not in ("---", "+++", "@@ ")]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (
            "set-attribute slaves/cardinality 4",
            ["-  slaves/cardinality: 3   # three is enough", "+  slaves/cardinality: 4   # three is enough"],
        ),
        (
            "set-attribute master/spark::master/eventlog_dir /tmp",
            ["-  master/spark::master/eventlog_dir: '/var/log'", "+  master/spark::master/eventlog_dir: '/tmp'"],
        ),
        ("set-attribute slaves/max_in_flight 25%", ["+  slaves/max_in_flight: '25%'"]),
        ("set-attribute web spark::cluster/version 1.6", ["+  spark::cluster/version: '1.6'"]),
        (
            "set-attribute --unset master/spark::master/eventlog_dir",
            ["-  master/spark::master/eventlog_dir: '/var/log'"],
        ),
        (
            "set-attribute web slaves/cardinality=4 spark::cluster/version=1.6",
            [
                "-  slaves/cardinality: 3   # three is enough",
                "+  slaves/cardinality: 4   # three is enough",
                "+  spark::cluster/version: '1.6'",
            ],
        ),
        (
            "set-attribute slaves/cardinality=4 slaves:4/bigtop_base/with_maven=true",
            [
                "-  slaves/cardinality: 3   # three is enough",
                "+  slaves/cardinality: 4   # three is enough",
                "+  slaves:4/bigtop_base/with_maven: true",
            ],
        ),
        (
            "set-attribute web master/spark::master/eventlog_dir a=b",
            ["-  master/spark::master/eventlog_dir: '/var/log'", "+  master/spark::master/eventlog_dir: 'a=b'"],
        ),
        ("add-component master/gitarchive[mar01]", ["+components:", "+  master:", "+    - gitarchive[mar01]"]),
        ("delete-component web slaves/spark::worker", ["+removed:", "+  - slaves/spark::worker"]),
        ("add-node edge", ["+nodes:", "+  edge: {}"]),
        (
            "add-node web pool --cardinality 2 --set size=big",
            ["+nodes:", '+  pool: {attributes: {type: "group", cardinality: 2, size: "big"}}'],
        ),
        (
            """add-node pool -n 2 --set max_in_flight=1 --set root_device_size=9 --set 'tags={"a":"b"}' """,
            [
                "+nodes:",
                '+  pool: {attributes: {type: "group", cardinality: 2, max_in_flight: 1, root_device_size: 9,'
                ' tags: {a: "b"}}}',
            ],
        ),
        (
            "delete-node slaves:3",
            ["-  slaves/cardinality: 3   # three is enough", "+  slaves/cardinality: 2   # three is enough"],
        ),
        (
            "delete-node slaves:2",
            [
                "-  slaves/cardinality: 3   # three is enough",
                "+  slaves/cardinality: 2   # three is enough",
                "+removed:",
                "+  - slaves:2",
            ],
        ),
        (
            "link slaves/spark::common master/spark::master",
            ["+links:", "+  slaves/spark::common/spark::master: master/spark::master"],
        ),
        ("unlink slaves/spark::common spark::master", ["+links:", "+  slaves/spark::common/spark::master: null"]),
    ],
)
def test_an_edit_changes_its_own_lines_and_keeps_comments_order_and_quotes(
    web: Dtk, command: str, expected: list[str]
) -> None:
    run(web, command)
    assert diff(web) == expected


def test_attributes_of_a_file_are_set_all_together_or_none_is(web: Dtk, capfd: pytest.CaptureFixture[str]) -> None:
    values = web.root / "values.yaml"
    values.write_text("slaves/cardinality: 5\nspark::cluster/version: '1.6'\n")
    run(web, f"set-attribute web --values {values} slaves/cardinality=many", 2)
    assert "'slaves/cardinality' is not of type integer" in capfd.readouterr().err
    values.write_text("slaves/cardinality: 5\nspark::cluster/versoin: '1.6'\n")
    run(web, f"set-attribute web --values {values}", 2)
    assert "did you mean 'spark::cluster/version'" in capfd.readouterr().err
    assert diff(web) == []
    values.write_text("slaves/cardinality: 5\nspark::cluster/version: '1.6'\n")
    run(web, f"set-attribute --values {values} slaves/cardinality=4")
    assert len(diff(web)) == 3
    assert "+  slaves/cardinality: 4   # three is enough" in diff(web)


@pytest.mark.parametrize(
    "command",
    [
        "set-attribute web slaves/cardinality 4 --json",
        "set-attribute web slaves/cardinality --unset --json",
        "add-node web spare --json",
        "delete-node web slaves:3 --json",
        "delete-component web master/spark::master --json",
    ],
)
def test_an_edit_answers_as_a_document_when_asked(web: Dtk, capfd: pytest.CaptureFixture[str], command: str) -> None:
    run(web, command)
    answer = json.loads(capfd.readouterr().out)
    assert (answer["status"], answer["service"], answer["file"]) == ("OK", "web", "services/web/service.yaml")
    assert isinstance(answer["violations"], list)


def test_staging_answers_as_a_document_when_asked(web: Dtk, capfd: pytest.CaptureFixture[str]) -> None:
    run(web, "stage bigtop:spark/cluster other --json")
    answer = json.loads(capfd.readouterr().out)
    assert answer == {"new_service_instance": {"name": "other", "file": "services/other/service.yaml"}}


def test_what_is_added_and_deleted_again_leaves_the_file_as_it_was(web: Dtk) -> None:
    for command in (
        "add-component master/gitarchive[mar01]",
        "set-attribute master/gitarchive[mar01]/month 03",
        "delete-component master/gitarchive[mar01]",
        "add-node edge",
        "add-component edge/bigtop_base",
        "set-attribute edge/bigtop_base/with_jdk false",
        "delete-node edge",
        "delete-component spark::cluster",
        "add-component spark::cluster",
        "delete-node slaves",
        "add-node slaves",
    ):
        run(web, command)
    assert diff(web) == ["-  # how many", "-  slaves/cardinality: 3   # three is enough"] or diff(web) == [
        "-  slaves/cardinality: 3   # three is enough"
    ]


BAD_INPUT = [
    ("info nope", 2, "no service 'nope'"),
    ("info web slave", 2, "did you mean 'slaves'?"),
    ("info web slaves", 2, "'slaves' is a node group"),
    ("info bigtop:sparc", 3, "no module 'bigtop/sparc'"),
    ("list-nodes wbe", 2, "did you mean 'web'?"),
    ("list-components wbe", 2, "did you mean 'web'?"),
    ("list-components --node mastr", 2, "did you mean 'master'?"),
    ("list-attributes --node mastr", 2, "did you mean 'master'?"),
    ("list-attributes -c spark::mastr", 2, "did you mean 'spark::master'?"),
    ("list-attributes -a master_prt", 2, "did you mean 'master_port'?"),
    ("list-attributes -f toml", 2, "toml"),
    ("list-links wbe", 2, "did you mean 'web'?"),
    ("list-actions -t node", 2, "node"),
    ("list-workflows wbe", 2, "did you mean 'web'?"),
    ("workflow-info web crate", 2, "did you mean 'create'?"),
    ("list-violations wbe", 2, "did you mean 'web'?"),
    ("set-required-attributes wbe", 2, "did you mean 'web'?"),
    ("set-attribute", 2, "or several PATH=VALUE"),
    ("set-attribute master/spark::master/master_port", 2, "dtk set-attribute [SERVICE] PATH VALUE"),
    ("set-attribute master/spark::master/master_prt 1", 2, "did you mean 'master/spark::master/master_port'?"),
    ("set-attribute eventlog_dir /logs", 2, "did you mean 'master/spark::master/eventlog_dir'?"),
    ("set-attribute master/spark::master/master_port eighty", 2, "not of type port"),
    ("set-attribute master/spark::master/master_host x", 2, "computed by its component"),
    ("set-attribute slaves/spark::common/worker_port 1", 2, "a constant of its module"),
    ("set-attribute slaves/cardinality 10001", 2, "Value must be at most 10000"),
    ("set-attribute slaves/cardinality many", 2, "not of type integer"),
    ("set-attribute slaves/cardinality -1", 2, "a value that begins with '-' must follow '--'"),
    ("set-attribute slaves/cardinality -- -1", 2, "Value must be a whole number, 0 or more"),
    ("set-attribute slaves/max_in_flight 0", 2, "a number above 0, or a share such as 25%"),
    (
        "set-attribute master/max_in_flight 2",
        2,
        "'master' is a single node, but max_in_flight is only valid for groups",
    ),
    ("exec master/hadoop::namenode.nothing_like_it", 2, "it has create, leave_safemode, smoke_test"),
    ("set-attribute --unset slaves/cardinalty", 2, "did you mean 'slaves/cardinality'?"),
    ("edit-attributes --file nowhere", 2, "can't be read"),
    ("edit-attributes --node mastr", 2, "did you mean 'master'?"),
    ("add-component", 2, "Missing argument"),
    ("add-component master/gitarchiv[mar01]", 2, "did you mean 'gitarchive'?"),
    ("add-component master/gitarchive", 2, "needs a title"),
    ("add-component master/spark::worker[one]", 2, "takes no title"),
    ("add-component master/spark::master", 2, "already exists"),
    ("add-component mastr/spark::worker", 2, "did you mean 'master'?"),
    ("add-component other:gitarchive[x]", 2, "no module of other"),
    ("add-component master/a/b", 2, "is not a component"),
    ("delete-component master/spark::mastr", 2, "did you mean 'master/spark::master'?"),
    ("add-node master", 2, "already exists"),
    ("add-node a/b", 2, "invalid node name 'a/b'"),
    ("add-node pool -n=-1", 2, "Invalid cardinality value"),
    ("add-node pool -n 10001", 2, "a group has 0 to 10000 members"),
    ("set-attribute slaves/cardinality 99999999", 2, "Value must be at most 10000"),
    ("add-node pool -n two", 2, "Invalid cardinality value"),
    ("add-node pool --set size", 2, "write NAME=VALUE"),
    ("add-node pool --set sise=big", 2, "did you mean 'size'?"),
    ("add-node pool --set max_in_flight=2", 2, "'max_in_flight' is for groups"),
    ("add-node pool -n 2 --set max_in_flight=0", 2, "Value must be a number above 0"),
    ("add-node pool --set tags={a:b}", 3, "no value is given"),
    ("add-node pool --set root_device_size=large", 2, "'pool/root_device_size' is not of type integer"),
    ("delete-node mastr", 2, "did you mean 'master'?"),
    ("delete-node slaves:7", 2, "no node 'slaves:7'"),
    ("link slaves/spark::common", 2, "dtk link [SERVICE] COMPONENT TARGET [LINK]"),
    ("link slaves/spark::common master/spark::mastr", 2, "did you mean 'master/spark::master'?"),
    ("link slaves/spark::common master/bigtop_base", 2, "existing links: cassandra::cluster, spark::master"),
    ("unlink slaves/spark::worker", 2, "has no link"),
    ("unlink slaves/spark::common", 2, "has several links"),
    ("unlink slaves/spark::common cassandra::cluster", 2, "has no target"),
    ("list-tasks wbe", 2, "did you mean 'web'?"),
    ("task-status", 2, "No tasks found for assembly (web)"),
    ("task-action-detail 3.1", 2, "No tasks found for assembly (web)"),
    ("cancel-task", 2, "No running tasks found"),
    ("shell -c nope", 2, "'nope' is not a command in this location"),
    ("shell -c 'cd /service/wbe'", 2, "Identifier 'wbe' is not valid."),
    ("shell -c 'cd /servce'", 2, "'servce' is not a valid location"),
    ("shell -c popc", 2, "no previous location"),
    ("shell -c 'help nope'", 2, "'nope' is not a command in this location"),
    ('shell -c "info \'web"', 2, "unclosed quote"),
    ("shell -c 'cd service/web/slaves:1; set-attribute x y'", 2, "'set-attribute' is not a command"),
]


def test_bad_input_is_told_in_a_clear_line_and_changes_nothing(web: Dtk, capfd: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in sorted(web.root.rglob("*")) if path.is_file()}
    wrong = []
    for command, code, says in BAD_INPUT:
        ended = run(web, command, code=None)
        shown = capfd.readouterr()
        mistakes = [line for line in shown.err.splitlines() if line.startswith("error: ")]
        if ended != code or says not in shown.err or len(mistakes) != 1 or "Traceback" in shown.err:
            wrong.append(f"dtk {command}: {ended} (not {code})\n{shown.out}{shown.err}")
    assert not wrong, "\n".join(wrong)
    assert {path: path.read_bytes() for path in sorted(web.root.rglob("*")) if path.is_file()} == before


def test_a_title_can_not_be_set_and_is_called_a_title(web: Dtk, capfd: pytest.CaptureFixture[str]) -> None:
    run(web, "add-component master/gitarchive[mar01]")
    run(web, "set-attribute master/gitarchive[mar01]/name other", 2)
    assert "/name' is its component's title and can't be set" in capfd.readouterr().err


def answered(dtk: Dtk, command: str, answers: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "dtk", *command.split()]
    return subprocess.run(words, cwd=dtk.root, input=answers, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("command", ["set-required-attributes", "list-violations --fix"])
def test_the_wizard_asks_until_every_value_fits_and_is_confirmed(web: Dtk, command: str) -> None:
    run(web, "add-component master/gitarchive[mar01]")
    answers = "x\n\n3\nno\n01\n03\nyes\n" if "required" in command else "01\n03\nyes\n"
    done = answered(web, command, answers)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Please fill in missing data.\n" in done.stdout
    assert "Please enter master/gitarchive[mar01]/month [STRING]:\n: " in done.stdout
    assert f"{' DATA '.center(72, '-')}\n" in done.stdout
    assert "master/gitarchive[mar01]/month : 03\n" in done.stdout
    assert "Is provided information ok? (yes|no) " in done.stdout
    assert "  'master/gitarchive[mar01]/month': '03'\n" in file(web).read_text()
    assert web.json("list-violations") == []


def test_leaving_the_wizard_changes_nothing(web: Dtk) -> None:
    run(web, "add-component master/gitarchive[mar01]")
    before = file(web).read_text()
    done = answered(web, "set-required-attributes", "03\n")
    assert done.returncode == 130
    assert "You have decided to skip correction wizard." in done.stdout
    assert file(web).read_text() == before


def test_a_mistake_in_the_editor_takes_nothing_and_keeps_what_was_written(web: Dtk, tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text(
        "#!/bin/sh\nsed -i.bak -e 's/master_port: 7077/master_port: eighty/' -e 's/with_jdk: true/with_jkd: true/' $1\n"
    )
    editor.chmod(0o755)
    done = web.run("edit-attributes", code=3, EDITOR=str(editor))
    assert "master_port' is not of type port" in done.stderr
    assert "did you mean 'master/bigtop_base/with_jdk'?" in done.stderr
    assert diff(web) == []
    kept = web.root / ".dtk" / "services" / "web" / "edit-attributes.yaml"
    assert str(kept.relative_to(web.root)) in done.stderr
    kept.write_text(kept.read_text().replace("eighty", "7080").replace("jkd", "jdk"))
    web.run("edit-attributes", "--file", str(kept))
    assert diff(web) == ["+  master/spark::master/master_port: 7080"]


def test_a_hidden_value_that_is_too_short_for_logs_is_warned_of_where_it_is_set(dtk: Dtk, module: Path) -> None:
    text = (module / "dtk.module.yaml").read_text()
    (module / "dtk.module.yaml").write_text(text.replace("default: welcome}", "default: welcome, hidden: true}"))
    output = (
        "warning: 'master/ring::hub/greeting' is hidden, but values shorter than 4 characters are not removed from logs"
    )
    staged = dtk.run("stage", "acme:ring/cluster", "ring1", "--set", "master/ring::hub/greeting=abc")
    assert output in staged.stderr
    assert "abc" not in staged.stderr
    assert output in dtk.run("set-attribute", "ring1", "master/ring::hub/greeting", "xyz").stderr
    assert "warning" not in dtk.run("set-attribute", "ring1", "master/ring::hub/greeting", "long enough").stderr


def test_copies_of_module_files_are_removed_but_for_those_of_the_last_task(dtk: Dtk, module: Path) -> None:
    text = (module / "dtk.module.yaml").read_text()
    put = "- files.put: {src: page, dest: '{{ node.home }}/page'}\n          - files.directory"
    (module / "dtk.module.yaml").write_text(text.replace("- files.directory", put))
    (module / "page").write_text("x" * 2048)
    dtk.run("deploy", "acme:ring/cluster", "ring1", "--set", "slaves/cardinality=1")
    dtk.run("converge", "ring1", "--yes")
    dtk.run("converge", "ring1", "--yes")
    tasks = dtk.root / ".dtk/services/ring1/tasks"
    assert dtk.run("gc").stdout == "ring1: removed the module files of 2 tasks, 4.0 KiB\n"
    assert [(tasks / str(number) / "files").exists() for number in (1, 2, 3)] == [False, False, True]
    assert (tasks / "1/plan.json").exists()
    assert dtk.run("gc", "ring1").stdout == "ring1: nothing to remove\n"
    dtk.run("task-status", "ring1", "1")


def test_a_file_that_becomes_executable_is_a_change_where_its_mode_comes_along(dtk: Dtk, module: Path) -> None:
    text = (module / "dtk.module.yaml").read_text()
    sync = "- files.sync: {src: tools, dest: '{{ node.home }}/tools'}\n          - files.directory"
    (module / "dtk.module.yaml").write_text(text.replace("- files.directory", sync))
    (module / "tools").mkdir()
    (module / "tools/run.sh").write_text("#!/bin/sh\n")
    dtk.run("deploy", "acme:ring/cluster", "ring1", "--set", "slaves/cardinality=1")
    assert "Nothing to do" in dtk.run("plan", "ring1").stdout
    (module / "tools/run.sh").chmod(0o755)
    assert "its create action has changed since it was applied" in dtk.run("plan", "ring1").stdout
