"""Tests of state.journal: a change costs one line however large the state is, and no acknowledged change is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as some
from referencing import Registry, Resource

from dtk.errors import DtkError
from dtk.model.value import UNSET, Known
from dtk.state import changes
from dtk.state.change_record import change_record
from dtk.state.model import Applied, NodeState, State, Unfinished
from dtk.state.store import load_state, new_state, save_state
from dtk.state.writer import StateStore

SCHEMAS = Path(__file__).parents[2] / "schemas"
Change = Callable[[State], State]

NAMES = some.sampled_from(["master", "slaves:1", "slaves:2"])
COMPONENTS = some.sampled_from(["web::server", "web::server[x]", "m::c"])
CHANGES: some.SearchStrategy[Change] = some.one_of(
    some.builds(
        lambda n, i: lambda s: changes.with_node(s, n, NodeState(i, "running", {"hostname": "h"})),
        NAMES,
        some.text("ab", min_size=1),
    ),
    some.builds(lambda n: lambda s: changes.without_node(s, n), NAMES),
    some.builds(
        lambda n, c, v: lambda s: changes.with_attributes(s, {f"{n}/{c}/a": v}),
        NAMES,
        COMPONENTS,
        some.sampled_from([None, 1, "x", [1], {"k": {"l": 2}}, {}]),
    ),
    some.builds(
        lambda n, c, t: lambda s: changes.with_applied(s, n, c, Applied("m", "sha256:0", {"x": UNSET}, t, ("x",))),
        NAMES,
        COMPONENTS,
        some.integers(0, 3),
    ),
    some.builds(lambda n, c: lambda s: changes.without_applied(s, n, c), NAMES, COMPONENTS),
    some.builds(
        lambda t, r: lambda s: changes.with_task_begun(s, Unfinished(t, "create", {}, {"p": "1"}), resumes=r),
        some.integers(1, 3),
        some.booleans(),
    ),
    some.builds(lambda n, d: lambda s: changes.with_success(s, f"{n} c.create", d), NAMES, some.text(max_size=2)),
    some.builds(lambda n: lambda s: changes.without_success(s, f"{n} c.create"), NAMES),
    some.just(changes.with_task_succeeded),
    some.builds(lambda n: lambda s: changes.with_in_doubt(s, {n: ["1-2.1"]}), NAMES),
    some.builds(lambda n: lambda s: changes.without_in_doubt(s, n), NAMES),
    some.builds(lambda p: lambda s: replace(s, open_ports={"0.0.0.0/0": p}), some.lists(some.integers(1, 3))),
    some.builds(lambda t: lambda s: replace(s, created_at=t), some.sampled_from(["", "2026-01-01T00:00:00Z"])),
)


def plain(state: State | None) -> State:
    """Return a state with its sequences as tuples, as in a state that was read from disk."""
    assert state is not None
    return replace(
        state,
        in_doubt={node: tuple(steps) for node, steps in state.in_doubt.items()},
        open_ports={source: tuple(ports) for source, ports in state.open_ports.items()},
    )


@given(some.lists(some.one_of(CHANGES, some.none()), max_size=30))
def test_after_every_change_whoever_reads_finds_what_the_writer_has(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Change | None]
) -> None:
    file = tmp_path_factory.mktemp("state") / "state.json"
    store = StateStore(file, new_state("s"))
    store.change(lambda state: replace(state, last_task=1))
    for step in steps:
        if step is None:
            store.write_snapshot()
        else:
            store.change(step)
        assert plain(load_state(file)) == plain(store.state)
    assert plain(StateStore(file, plain(load_state(file))).change(lambda s: replace(s, last_task=99))) == plain(
        load_state(file)
    )


@given(CHANGES, CHANGES)
def test_a_line_is_what_its_schema_says(first: Change, second: Change) -> None:
    registry: Registry[bool | Mapping[str, Any]] = Registry().with_resources(
        (name, Resource.from_contents(json.loads((SCHEMAS / name).read_text())))
        for name in ("state.schema.json", "state-journal.schema.json")
    )
    schema = json.loads((SCHEMAS / "state-journal.schema.json").read_text())
    schema["$id"] = "state-journal.schema.json"
    before = first(replace(new_state("s"), serial=1))
    jsonschema.Draft202012Validator(schema, registry=registry).validate(
        json.loads(json.dumps(change_record(before, replace(second(before), serial=2))))
    )


def filled(nodes: int) -> State:
    """Return a state with this many nodes, each with a component and a recorded success."""
    state = changes.with_task_begun(new_state("s"), Unfinished(1, "create"), resumes=False)
    for number in range(nodes):
        name = f"slaves:{number}"
        state = changes.with_node(state, name, NodeState(f"i-{number}", "running", {"hostname": "10.0.0.1"}))
        state = changes.with_applied(state, name, "web::server", Applied("m", "sha256:0", {"port": Known(1)}))
        state = changes.with_success(state, f"{name} web::server.create", "d")
    return state


def costs(folder: Path, nodes: int, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Return the number of bytes and fsyncs that each usual change of a step costs."""
    store = StateStore(folder / f"{nodes}" / "state.json", filled(nodes))
    store.change(lambda state: replace(state, last_task=2))
    written: list[int] = []
    synced: list[int] = []
    write, fsync = os.write, os.fsync

    def counted_write(descriptor: int, data: bytes) -> int:
        written.append(len(data))
        return write(descriptor, data)

    def counted_fsync(descriptor: int) -> None:
        synced.append(descriptor)
        fsync(descriptor)

    monkeypatch.setattr(os, "write", counted_write)
    monkeypatch.setattr(os, "fsync", counted_fsync)
    found = []
    for change in (
        lambda s: changes.with_attributes(s, {"slaves:1/m::c/a": "v"}),
        lambda s: changes.with_node(s, "slaves:1", NodeState("i-1", "stopped")),
        lambda s: changes.with_applied(s, "slaves:1", "web::server", Applied("m", "sha256:1")),
        lambda s: changes.with_success(s, "slaves:1 m::c.create", "d"),
        lambda s: changes.without_success(s, "slaves:1 m::c.create"),
    ):
        written.clear()
        synced.clear()
        store.change(change)
        found.append((sum(written), len(synced)))
    monkeypatch.undo()
    return found


def test_a_change_costs_the_same_bytes_and_fsyncs_at_ten_nodes_and_at_a_thousand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, many = costs(tmp_path, 10, monkeypatch), costs(tmp_path, 1000, monkeypatch)
    assert many == few
    # The journal's first line also syncs the folder, to make the file's name durable.
    assert [count for _, count in many] == [2, 1, 1, 1, 1]
    assert all(size < 400 for size, _ in many)


def begun(folder: Path) -> tuple[Path, StateStore]:
    file = folder / "state.json"
    store = StateStore(file, new_state("s"))
    store.change(lambda state: replace(state, last_task=1))
    store.change(lambda state: changes.with_attributes(state, {"a": 1}))
    store.change(lambda state: changes.with_attributes(state, {"b": 2}))
    return file, store


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_torn_last_line_counts_as_never_written(tmp_path: Path, cut: int) -> None:
    file, store = begun(tmp_path)
    journal = tmp_path / "state.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(lines[0] + lines[1][:cut])
    found = load_state(file)
    assert found is not None
    assert (found.serial, found.attributes) == (2, {"a": 1})
    after = StateStore(file, found).change(lambda state: changes.with_attributes(state, {"c": 3}))
    assert load_state(file) == after
    assert not journal.exists()
    assert store.state.serial == 3


def test_lines_that_the_snapshot_has_already_are_passed_over(tmp_path: Path) -> None:
    """Simulate a crash between writing the new snapshot and removing the journal."""
    file, store = begun(tmp_path)
    journal = (tmp_path / "state.journal").read_bytes()
    store.write_snapshot()
    (tmp_path / "state.journal").write_bytes(journal)
    assert load_state(file) == store.state


@pytest.mark.parametrize(
    ("damage", "line", "why"),
    [
        (lambda lines: [b"rubbish\n", *lines], 1, "it is not JSON"),
        (lambda lines: [lines[0], b"[1]\n"], 2, "it is not a record"),
        (lambda lines: lines[1:], 1, "it does not continue state.json, whose serial is 1"),
        (lambda lines: [lines[0].replace(b'"lineage":"', b'"lineage":"x')], 1, "it does not continue"),
        (lambda lines: [lines[0].replace(b'"serial":2', b'"serial":"2"')], 1, "it does not continue"),
        (lambda lines: [b"[" * 100_000 + b"\n"], 1, "it is not JSON"),
    ],
)
def test_a_damaged_journal_is_refused_with_its_line_and_what_to_do(
    tmp_path: Path, damage: Callable[[list[bytes]], list[bytes]], line: int, why: str
) -> None:
    file, _ = begun(tmp_path)
    journal = tmp_path / "state.journal"
    journal.write_bytes(b"".join(damage(journal.read_bytes().splitlines(keepends=True))))
    with pytest.raises(DtkError) as refused:
        load_state(file)
    assert f"state.journal:{line} is damaged: {why}" in refused.value.message
    assert refused.value.hint.startswith(f"mv {journal} {journal}.damaged")


def test_a_journal_of_a_newer_dtk_is_refused(tmp_path: Path) -> None:
    file, _ = begun(tmp_path)
    journal = tmp_path / "state.journal"
    journal.write_bytes(journal.read_bytes().replace(b'"v":1', b'"v":2'))
    with pytest.raises(DtkError, match="newer dtk"):
        load_state(file)


def test_files_are_private(tmp_path: Path) -> None:
    begun(tmp_path)
    assert (tmp_path / "state.journal").stat().st_mode & 0o777 == 0o600


def test_a_change_that_does_not_fit_on_the_disk_is_refused_and_leaves_what_was_there(tmp_path: Path) -> None:
    program = (
        "import resource, signal, sys\n"
        "from dataclasses import replace\n"
        "from pathlib import Path\n"
        "from dtk.state import changes\n"
        "from dtk.state.store import load_state, new_state\n"
        "from dtk.state.writer import StateStore\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "file = Path(sys.argv[1])\n"
        "store = StateStore(file, new_state('s'))\n"
        "store.change(lambda state: replace(state, last_task=1))\n"
        "store.change(lambda state: changes.with_attributes(state, {'a': 'x' * 300}))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))\n"
        "before = store.state\n"
        "try:\n"
        "    store.change(lambda state: changes.with_attributes(state, {'b': 'y' * 300}))\n"
        "except OSError as error:\n"
        "    assert store.state == before == load_state(file)\n"
        "    store.change(lambda state: changes.with_attributes(state, {'c': 1}))\n"
        "    assert store.state == load_state(file)\n"
        "    sys.exit(7)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "state.json")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 7, done.stderr


def test_a_reader_never_sees_the_state_go_back_while_it_is_folded(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from dataclasses import replace\n"
        "from pathlib import Path\n"
        "from dtk.state.store import new_state\n"
        "from dtk.state.writer import StateStore\n"
        "store = StateStore(Path(sys.argv[1]), new_state('s'))\n"
        "for number in range(1, 400):\n"
        "    store.change(lambda state: replace(state, last_task=number))\n"
        "    if number % 3 == 0:\n"
        "        store.write_snapshot()\n"
    )
    file = tmp_path / "state.json"
    writer = subprocess.Popen([sys.executable, "-c", program, str(file)])
    seen = [0]
    while writer.poll() is None:
        state = load_state(file)
        seen.append(state.serial if state else 0)
    assert writer.returncode == 0
    assert seen == sorted(seen)
    assert len(set(seen)) > 2


def test_a_snapshot_that_was_put_back_by_hand_is_refused_rather_than_mixed_up(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    save_state(file, replace(new_state("s"), lineage="l", serial=5))
    older = file.read_text()
    store = StateStore(file, replace(new_state("s"), lineage="l", serial=8))
    store.change(lambda state: replace(state, last_task=1))
    store.change(lambda state: replace(state, last_task=2))
    file.write_text(older)
    with pytest.raises(DtkError, match=r"does not continue state\.json, whose serial is 5"):
        load_state(file)


class Name(str):
    """A node's name that counts how often a mapping is asked for it."""

    asked = 0
    __slots__ = ()

    def __hash__(self) -> int:
        Name.asked += 1
        return super().__hash__()


def test_a_change_looks_at_no_other_entries(tmp_path: Path) -> None:
    names = [Name(f"slaves:{number}") for number in range(200)]
    node = NodeState("i", "running")
    state = replace(new_state("s"), nodes=dict.fromkeys(names, node), attributes=dict.fromkeys(names, 1))
    store = StateStore(tmp_path / "state.json", state)
    store.change(lambda now: changes.with_node(now, "slaves:0", replace(node, id="j")))
    Name.asked = 0
    store.change(
        lambda now: changes.with_node(now, "slaves:1", replace(node, id="k")),
        lambda now: changes.with_attributes(now, {"slaves:2": 2}),
        lambda now: changes.with_applied(now, "slaves:3", "m::c", Applied("m", "sha256:0")),
    )
    assert Name.asked < 20
