"""The fuzz targets: every reader of input from people, modules, logs or hosts, and the errors that it may raise.

A target takes any bytes. Any exception other than the listed ones is a fault: dtk would report it as a bug in dtk.
Documents are read from files in memory (``/dev/shm`` if it exists), with the readers that commands use.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shlex
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dtk.dsl.build.mapping import parse_mapping
from dtk.dsl.build.workflow import parse_parameters
from dtk.dsl.check.template import Names, template_problems
from dtk.dsl.module import load_module
from dtk.dsl.service import load_service
from dtk.dsl.template.rendering import TemplateProblem, render
from dtk.dsl.template.unknown import NeedsUnknown
from dtk.dsl.workspace import load_workspace
from dtk.dsl.yaml.document import parse_document
from dtk.dsl.yaml.edit import set_attribute
from dtk.dsl.yaml.formatting import formatted
from dtk.dsl.yaml.versions import is_newer, satisfies
from dtk.errors import DtkError, Location
from dtk.events.fold import fold
from dtk.events.log_reader import read_log
from dtk.model.names import ComponentName, assembly_name, module_name, split_member
from dtk.model.ssh_address import parse_ssh_address
from dtk.model.types import coerce
from dtk.nodes.local.registry import read_allocations
from dtk.plan.document import from_text, to_text
from dtk.sources.source_address import parse_address
from dtk.state.pinned import load_pins
from dtk.state.store import load_state, state_text
from dtk.state.workspace import Workspace
from dtk.views.junit import junit_text
from dtk.views.plan_text import plan_text
from dtk.views.report.page import report_page
from dtk.views.snapshot_table import render_snapshot
from dtk.views.stream import stream
from dtk.views.task_json import task_document
from tests.support.recorded_tasks import running

ROOT = Path(__file__).parent.parent.parent
NOW = datetime(2026, 11, 28, tzinfo=UTC)
TYPES = ("string", "integer", "port", "boolean", "array", "hash", "json", "array(integer)")
PLACE = Location("fuzzed", 1, 1)
_VARIABLES = {"name": "worker", "port": 7077, "list": ["a", 1, None], "node": {"home": "/h", "name": "slaves:1"}}
_MOST_SEEDS = 60


@dataclass(frozen=True)
class Fuzzed:
    """A reader, the errors that it may raise, and valid inputs. ``cost`` is the relative time of one input."""

    read: Callable[[bytes], object]
    errors: tuple[type[Exception], ...]
    seeds: Callable[[], list[bytes]]
    cost: int = 1


def _memory() -> Path:
    shared = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="dtk-fuzz-", dir=shared if shared.is_dir() else None))


FOLDER = _memory()
NO_CACHE = {"XDG_CACHE_HOME": os.devnull}
"""The environment without a cache of valid documents, for the process or the test that reads inputs."""


def file_of(data: bytes, name: str) -> Path:
    """Write a file with this content; return its path."""
    file = FOLDER / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return file


def text_of(data: bytes) -> str:
    """Return bytes as text that a command line or a parsed document can hold, including unusual characters."""
    return data.decode("utf-8", "replace")


def _yaml(data: bytes) -> None:
    document = parse_document(text_of(data), "fuzzed")
    for path in list(document.values)[:20]:
        document.locate_key(path)


def _formatted(data: bytes) -> None:
    text = formatted(text_of(data), "fuzzed")
    assert formatted(text, "fuzzed") == text


def _module(data: bytes) -> None:
    load_module(file_of(data, "ns/m/dtk.module.yaml").parent, FOLDER)


def _edit(data: bytes) -> None:
    path, _, text = data.partition(b"\0")
    service = file_of(text, "services/s/service.yaml")
    set_attribute(service, text_of(path), text_of(path))


def _plan(data: bytes) -> None:
    plan = from_text(text_of(data), "plan.json")
    plan_text(plan)
    to_text(plan)


def _state(data: bytes) -> None:
    snapshot, _, journal = data.partition(b"\0")
    file = file_of(snapshot, "state.json")
    file_of(journal, "state.journal")
    found = load_state(file)
    if found is not None:
        state_text(found, FOLDER)


def _log(data: bytes) -> None:
    reading = read_log(file_of(data, "events.jsonl"))
    for alive in (True, False):
        task = fold(reading.events, writer_alive=alive, notes=reading.notes)
        render_snapshot(task, now=NOW)
        json.dumps(task_document(task))
    junit_text(task)
    report_page(task, NOW)
    for _ in stream(reading.events):
        pass


def _registry(data: bytes) -> None:
    file_of(data, ".dtk/nodes.json")
    read_allocations(Workspace(FOLDER))


def _template(data: bytes) -> None:
    text = text_of(data)
    for shell in (False, True):
        template_problems(text, Names(tuple(_VARIABLES)), shell=shell)
        with contextlib.suppress(TemplateProblem, NeedsUnknown):
            render(text, _VARIABLES, shell=shell)


def _term(data: bytes) -> None:
    text = text_of(data)
    for parse in (ComponentName.parse, assembly_name, module_name, split_member):
        parse(text)
    with contextlib.suppress(ValueError):
        parse_mapping(text, PLACE)
    with contextlib.suppress(ValueError):
        parse_parameters(text)


def _value(data: bytes) -> None:
    text = text_of(data)
    for type_ in TYPES:
        try:
            value = coerce(type_, text)
        except ValueError:
            continue
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


def _address(data: bytes) -> None:
    text = text_of(data)
    for parse in (parse_ssh_address, parse_address):
        with contextlib.suppress(DtkError):
            parse(text)
    version, _, constraint = text.partition(" ")
    satisfies(version, constraint)
    is_newer(version, "1.0.0")


_READING = ("ls", "info", "list-nodes", "list-components", "list-attributes", "list-tasks", "task-status", "plan")


def _command_line(data: bytes) -> None:
    """Run a read-only command with fuzzed arguments; it must end with a documented exit code."""
    from dtk.__main__ import run  # noqa: PLC0415 - all of the command line

    text = data.decode("utf-8", "surrogateescape").replace("\0", "")
    try:
        words = shlex.split(text)
    except ValueError:
        words = text.split()
    # Options that write files or never end have tests of their own.
    words = [
        word for word in words if not word.startswith(("--out", "--wait", "-m", "--mode", "--refresh", "--update"))
    ]
    if not words or words[0] not in _READING:
        words = [_READING[len(text) % len(_READING)], *words]
    errors = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
        code = run(["--workspace", str(_workspace()), *words])
    assert code in (0, 1, 2, 3, 4, 5, 6, 10), f"{words}: {code}"
    if "a bug in dtk" in errors.getvalue():
        raise RuntimeError(f"{words}: {errors.getvalue()}")


def _workspace() -> Path:
    root = FOLDER / "workspace"
    if not root.exists():
        (root / "modules/acme/ring").mkdir(parents=True)
        ring = ROOT / "tests/end_to_end/ring.module.yaml"
        (root / "modules/acme/ring/dtk.module.yaml").write_text(ring.read_text())
        (root / "dtk.yaml").write_text("format_version: 1\n")
        (root / "services/ring1").mkdir(parents=True)
        (root / "services/ring1/service.yaml").write_text(
            "format_version: 1\nname: ring1\nassembly: acme:ring/cluster\ntarget: local\n"
        )
    return root


def files(*patterns: str) -> Callable[[], list[bytes]]:
    """Return a function that reads the repository's files matching these patterns, smallest first, up to a maximum."""

    def read() -> list[bytes]:
        found = [file.read_bytes() for pattern in patterns for file in sorted(ROOT.glob(pattern)) if file.is_file()]
        return sorted(set(found), key=len)[:_MOST_SEEDS]

    return read


def texts(*given: str) -> Callable[[], list[bytes]]:
    """Return a function that returns these texts as bytes."""
    return lambda: [text.encode() for text in given]


def _states() -> list[bytes]:
    record = b'{"v":1,"lineage":"l","serial":2,"changed":{"attributes":{"master/host_address":"127.0.0.1"}}}\n'
    state = {
        "format_version": 1,
        "service": "s",
        "lineage": "l",
        "serial": 1,
        "last_task": 1,
        "nodes": {"master": {"id": "i", "status": "running", "connection": {}, "attributes": {"home": "/h"}}},
        "attributes": {"master/m::c/x": 1},
        "applied": {},
    }
    return [json.dumps(state).encode() + b"\0" + record, *files("tests/plans/*/state.json")()]


def _logs() -> list[bytes]:
    log = FOLDER / "recorded/events.jsonl"
    log.parent.mkdir(exist_ok=True)
    running(log)
    return [log.read_bytes()]


_DOCUMENT = (DtkError,)
TARGETS: Mapping[str, Fuzzed] = {
    "yaml": Fuzzed(_yaml, _DOCUMENT, files("modules/*/*/dtk.module.yaml", "tests/plans/*/service.yaml"), 4),
    "format": Fuzzed(_formatted, _DOCUMENT, files("tests/plans/*/service.yaml", "tests/plans/*/dtk.module.yaml"), 12),
    "module": Fuzzed(_module, _DOCUMENT, files("tests/plans/*/dtk.module.yaml", "tests/dsl/broken/*/*.yaml"), 20),
    "service": Fuzzed(
        lambda data: load_service(file_of(data, "services/s/service.yaml"), FOLDER),
        _DOCUMENT,
        files("tests/plans/*/service.yaml"),
        8,
    ),
    "workspace": Fuzzed(
        lambda data: load_workspace(file_of(data, "dtk.yaml"), FOLDER),
        _DOCUMENT,
        texts(
            "format_version: 1\ntargets:\n  cloud: {type: ec2, region: eu-west-1, subnet: [subnet-1]}\n",
            "format_version: 1\nrequired_version: '>=0.1'\nmodules:\n  a/b: {source: ../x, ref: main, path: p}\n",
            "targets:\n  lab:\n    type: hosts\n    hosts: [{name: a, address: 'u@h:22'}]\ndefault_target: lab\n",
        ),
        8,
    ),
    "edit": Fuzzed(
        _edit, _DOCUMENT, lambda: [b"master/x\0" + one for one in files("tests/plans/*/service.yaml")()], 12
    ),
    "lock": Fuzzed(
        lambda data: load_pins(file_of(data, "dtk.lock")),
        _DOCUMENT,
        texts(
            '{"format_version": 1, "modules": {"a/b": {"url": "u", "ref": "", "path": "", "commit": "c",'
            ' "tree": "sha256:0", "version": "1"}}}'
        ),
        2,
    ),
    "plan": Fuzzed(_plan, _DOCUMENT, files("tests/plans/*/plan.json"), 20),
    "state": Fuzzed(_state, _DOCUMENT, _states, 3),
    "registry": Fuzzed(
        _registry,
        _DOCUMENT,
        texts('{"format_version": 1, "local": {"l/master": {"service": "s", "port": 22, "port_offset": 0}}}'),
        2,
    ),
    "log": Fuzzed(_log, (), _logs, 12),
    "template": Fuzzed(
        _template,
        (),
        texts(
            "{{ name }}",
            "{{ list | join(',') }} {{ node.home }}",
            "{% for x in list %}{{ x }}{% endfor %}",
            "{{ port + 1 }} {{ name | upper }} {{ '%s' | format(name) }}",
            "{% set ns = namespace(x=1) %}{{ ns.x ~ ns.x }}",
        ),
        6,
    ),
    "term": Fuzzed(
        _term,
        (),
        texts(
            "$address -> hub", "'a ${x} b' -> y[k]", "dask::worker[t]", "a=b,c=d", "slaves:1", "bigtop:spark/cluster"
        ),
    ),
    "value": Fuzzed(_value, (), texts("1", "true", "[1, 2]", "{a: 1}", "2.70", '{"a": [null]}', "65536")),
    "address": Fuzzed(
        _address,
        (),
        texts("user@host:22", "[2001:db8::1]:2222", "https://h/r.git@v1", "git@h:o/r.git", "1.2.0 >=1.0,<2"),
    ),
    "command": Fuzzed(
        _command_line,
        (),
        texts(
            "plan ring1 --only master --exclude slaves",
            "list-attributes ring1 master --json",
            "task-status ring1 1",
            "info ring1 slaves:1",
            "ls --json",
        ),
        120,
    ),
}
