"""Tests of the code's structure: layers, sizes, first lines, schemas, and commands that import little at start-up."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "dtk"
FILES = {path: ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}
SCHEMAS = sorted((ROOT / "schemas").glob("*.json"))

# The folders that each folder may import besides `errors` and itself: data flows one way (docs/architecture.md). `plan`
# alone means the files directly in it, without its inner folders. Naming an outer folder allows all of its inner ones.
ALLOWED: dict[str, set[str]] = {
    "__init__": set(),
    "errors": set(),
    "model": set(),
    "disk": set(),
    "targets": {"model", "nodes.ec2", "nodes.hosts", "nodes.local"},
    "events": {"model", "disk"},
    "state": {"model", "disk"},
    "store": {"model", "disk", "state", "events"},
    "dsl.yaml": {"model", "disk", "targets", "state"},
    "dsl.template": {"model", "dsl.yaml"},
    "dsl.build": {"model", "dsl.yaml", "dsl.template"},
    "dsl.check": {"model", "dsl.yaml", "dsl.template", "dsl.build"},
    "dsl": {"model", "disk", "targets", "state", "dsl"},
    "sources": {"model", "disk", "state", "dsl"},
    "convert": {"model", "dsl"},
    "cases": {"model", "targets", "state", "dsl", "plan", "views"},
    "nodes": {"model", "disk", "state", "nodes"},
    "nodes.ec2": {"model", "disk", "state", "nodes."},
    "nodes.hosts": {"model", "disk", "state", "nodes."},
    "nodes.local": {"model", "disk", "state", "nodes."},
    "plan.resolve": {"model", "state", "dsl"},
    "plan.workflow": {"model", "state", "dsl", "plan.resolve"},
    "plan.diff": {"model", "state", "dsl", "plan.resolve", "plan.workflow"},
    "plan": {"model", "state", "dsl", "plan"},
    "views": {"model", "targets", "events", "plan", "views"},
    "views.ci": {"model", "events", "plan", "views."},
    "views.report": {"model", "events", "plan", "views."},
    "ssh": {"model", "disk", "state", "nodes."},
    "ssh.shards": {"model", "state", "nodes.", "ssh"},
    "apply.reporting": {"model", "events", "state", "ssh"},
    "apply.session": {"model", "events", "state", "store", "nodes.", "ssh", "apply.reporting"},
    "apply.items": {"model", "events", "state", "dsl", "plan", "ssh", "apply.reporting", "apply.session"},
    "apply.nodes": {"model", "events", "state", "nodes.", "dsl", "plan", "ssh", "apply.reporting", "apply.session"},
    "apply": {"model", "disk", "targets", "events", "state", "store", "nodes", "dsl", "plan", "ssh", "apply"},
    "refresh": {"model", "targets", "events", "state", "nodes", "dsl", "plan", "ssh", "apply"},
    "service": {"model", "disk", "events", "state", "store", "nodes", "dsl", "plan", "apply", "refresh", "targets"},
    "cli": {"model", "disk", "events", "state", "nodes", "dsl", "plan", "views", "apply", "service"},
    "cli.commands": {
        *{"model", "disk", "events", "state", "nodes", "dsl", "plan", "views", "apply", "refresh", "service"},
        *{"sources", "convert", "cases", "cli."},
    },
    "__main__": {"cli", "apply", "views"},
    "shell": {"model", "disk", "state", "events", "dsl", "plan", "views", "service", "cli", "__main__"},
}
TARGETS = {path.parent.name for path in FILES if path.name == "description.py" and path.parts[-3] == "nodes"}
# Words that equal the type of a target but mean something else in these files.
OTHER_MEANINGS = {
    ("dtk/apply/session/engine.py", "local"),  # pyinfra's operations on the machine that dtk runs on
    ("dtk/convert/links.py", "local"),  # a dependency on the same node, in the original's language
    ("dtk/convert/source.py", "local"),  # the namespace of a module that names none
    ("dtk/dsl/build/component.py", "local"),  # as in convert/links.py
}
LIGHT_PARTS = ("targets", "store", "cli", "service", "shell", "views", "events", "state", "model")
BALLAST = ("boto3", "pyinfra", "jsonschema", "gevent", "pydantic")
HEAVY = (*BALLAST, "jinja2", "asyncssh")
LONGEST_FILE = 399
LONGEST_FUNCTION = 50
# The maximum number of parameters and returns of type Any in a folder's functions. Each is a place where no type says
# what comes in. The numbers may only go down.
MOST_ANY = {
    "apply": 21,
    "cli": 7,
    "convert": 13,
    "dsl": 7,
    "events": 1,
    "refresh": 4,
    "ssh": 1,
    "views": 4,
}
MOST_ANY_IN_ALL = 60

Function = ast.FunctionDef | ast.AsyncFunctionDef


def room_of(module: str) -> str:
    """Return the folder of a module: `dtk.plan.diff.steps` -> `plan.diff`. A file beside the folders counts as one."""
    words = module.split(".")[1:]
    if len(words) > 1 and PACKAGE.joinpath(*words[:2]).is_dir():
        return ".".join(words[:2])
    return words[0] if words else "__init__"


def part_of(path: Path) -> str:
    """Return the outermost folder that a file belongs to."""
    return room_of(module_name(path)).partition(".")[0]


def is_allowed(own: str, other: str) -> bool:
    """Return whether one folder may import from another. `nodes.` allows `nodes` without its inner folders."""
    if other in {own, "errors", "__init__"}:
        return True
    allowed = ALLOWED[own]
    return other in allowed or other.partition(".")[0] in allowed or f"{other}." in allowed


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports_of(tree: ast.AST, *, in_functions: bool) -> Iterator[str]:
    """Yield the full name of every module that running the code imports. `from dtk import views` yields dtk.views."""
    if isinstance(tree, ast.If) and "TYPE_CHECKING" in ast.unparse(tree.test):
        return
    if isinstance(tree, Function) and not in_functions:
        return
    if isinstance(tree, ast.Import):
        yield from (alias.name for alias in tree.names)
    elif isinstance(tree, ast.ImportFrom) and tree.module == "dtk":
        yield from (f"dtk.{alias.name}" for alias in tree.names if not alias.name.startswith("__"))
    elif isinstance(tree, ast.ImportFrom) and tree.module:
        yield tree.module
    for child in ast.iter_child_nodes(tree):
        yield from imports_of(child, in_functions=in_functions)


def functions_of(tree: ast.AST) -> Iterator[tuple[Function, int]]:
    """Yield every function with its length in lines."""
    for node in ast.walk(tree):
        if isinstance(node, Function) and node.end_lineno is not None:
            yield node, node.end_lineno - node.lineno + 1


def test_a_file_imports_only_from_the_rooms_below_its_own() -> None:
    wrong = [
        f"{named(path)} imports {name}"
        for path, tree in FILES.items()
        for name in imports_of(tree, in_functions=True)
        if name.startswith("dtk.") and not is_allowed(room_of(module_name(path)), room_of(name))
    ]
    assert wrong == []


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def target_of(path: Path) -> str:
    """Return the target whose folder contains a file, "" for all other files."""
    words = path.relative_to(PACKAGE).parts
    return words[1] if words[0] == "nodes" and words[1] in TARGETS else ""


def test_a_target_is_known_by_its_description_alone() -> None:
    """A target is one folder: other code uses only its description and imports nothing else from it."""
    wrong = [
        f"{named(path)} imports {name}"
        for path, tree in FILES.items()
        for name in imports_of(tree, in_functions=True)
        for target in TARGETS - {target_of(path)}
        if f"{name}.".startswith(f"dtk.nodes.{target}.")
        and not (named(path) == "dtk/targets.py" and name == f"dtk.nodes.{target}.description")
    ]
    assert wrong == []


def test_no_type_of_a_target_is_named_outside_of_its_folder() -> None:
    """Code outside a target's folder must not treat its type specially: no comparisons, keys or file paths."""
    found = {
        (named(path), target)
        for path, tree in FILES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for target in TARGETS - {target_of(path)}
        if node.value == target or (" " not in node.value and re.search(rf"\bnodes[./]{target}\b", node.value))
    }
    assert found == OTHER_MEANINGS


def test_a_plan_is_made_without_the_libraries_of_any_target() -> None:
    program = "import sys, dtk.targets; print(*sorted(name for name in sys.modules if name.startswith('dtk.nodes.')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    descriptions = {f"dtk.nodes.{target}.description" for target in TARGETS}
    assert set(done.stdout.split()) == descriptions | {f"dtk.nodes.{target}" for target in TARGETS} | {
        "dtk.nodes.ec2.words"
    }


def test_no_file_imports_itself_round_a_corner() -> None:
    """Cycles are forbidden even for types and in functions. Two files that need each other are one idea, or three."""
    names = {module_name(path): tree for path, tree in FILES.items()}
    needs: dict[str, set[str]] = {name: set() for name in names}
    for name, tree in names.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                found = {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
                needs[name] |= found & names.keys() - {name, "dtk"}
    assert list(TopologicalSorter(needs).static_order())


def test_the_light_parts_import_heavy_libraries_only_where_they_are_used() -> None:
    wrong = [
        f"{named(path)} imports {name}"
        for path, tree in FILES.items()
        if part_of(path) in LIGHT_PARTS
        for name in imports_of(tree, in_functions=False)
        if name.split(".")[0] in HEAVY
    ]
    assert wrong == []


def test_what_commands_share_does_not_print() -> None:
    wrong = [
        named(path)
        for path, tree in FILES.items()
        if part_of(path) == "service" and "typer" in imports_of(tree, in_functions=True)
    ]
    assert wrong == []


def test_every_file_is_short_enough_to_be_read() -> None:
    lengths = {named(path): len(path.read_text().splitlines()) for path in FILES}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_every_function_fits_on_a_screen() -> None:
    wrong = [
        f"{named(path)}:{function.lineno} {function.name} has {length} lines"
        for path, tree in FILES.items()
        for function, length in functions_of(tree)
        if length > LONGEST_FUNCTION
    ]
    assert wrong == []


def annotations_of(function: Function) -> Iterator[ast.expr | None]:
    """Yield the annotations of a function's parameters and return value."""
    given = function.args
    for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg):
        yield argument.annotation if argument else None
    yield function.returns


def is_untyped(annotation: ast.expr | None) -> bool:
    return annotation is not None and any(isinstance(n, ast.Name) and n.id == "Any" for n in ast.walk(annotation))


def test_signatures_hand_over_typed_values() -> None:
    found: Counter[str] = Counter()
    for path, tree in FILES.items():
        for function, _ in functions_of(tree):
            found[part_of(path)] += sum(map(is_untyped, annotations_of(function)))
    assert {room: count for room, count in found.items() if count > MOST_ANY.get(room, 0)} == {}
    assert sum(MOST_ANY.values()) < MOST_ANY_IN_ALL


def test_no_two_classes_share_a_name() -> None:
    names = Counter(
        node.name.strip("_") for tree in FILES.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)
    )
    assert {name for name, count in names.items() if count > 1} == set()


def test_every_file_says_in_its_first_line_what_it_is_for() -> None:
    first_lines = {named(path): path.read_text().partition("\n")[0] for path in FILES}
    assert [name for name, line in first_lines.items() if not line.startswith('"""') or len(line) < 20] == []


def test_the_files_that_the_architecture_names_for_a_change_exist() -> None:
    section = (
        (ROOT / "docs" / "architecture.md").read_text().partition("## Where to change what")[2].partition("\n## ")[0]
    )
    files = re.findall(r"\| `(dtk/[^`]+)` \|", section)
    assert len(files) >= 20
    assert [name for name in files if not (ROOT / name).is_file()] == []


def test_every_document_has_a_valid_schema() -> None:
    names = {path.name.removesuffix(".schema.json") for path in SCHEMAS}
    assert {"module", "service", "workspace", "plan", "state", "event", "task-status"} <= names
    for path in SCHEMAS:
        schema = json.loads(path.read_text())
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema", named(path)
        Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(
    ("arguments", "most"),
    [(["--help"], 21), (["ls"], 101), (["task-status", "--help"], 80), (["task-status"], 80)],
    ids=lambda given: " ".join(given) if isinstance(given, list) else "",
)
def test_a_listing_loads_no_heavy_library(arguments: list[str], most: int, tmp_path: Path) -> None:
    """Each module slows down every start, so the number of dtk's own modules may only go down."""
    (tmp_path / "dtk.yaml").write_text("format_version: 1\n")
    program = (
        "import sys\n"
        "from dtk.__main__ import main\n"
        f"sys.argv = ['dtk', *{arguments!r}]\n"
        "try:\n"
        "    main()\n"
        "except SystemExit:\n"
        "    pass\n"
        f"print('LOADED', *[name for name in {BALLAST!r} if name in sys.modules])\n"
        "print(sum(name.split('.')[0] == 'dtk' for name in sys.modules))\n"
    )
    # Measuring coverage would itself load gevent into the process.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    *_, loaded, count = done.stdout.splitlines()
    assert loaded == "LOADED", done.stdout + done.stderr
    assert int(count) <= most
