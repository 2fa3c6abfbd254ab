"""Tests of the test layout: one package, helpers in modules, fixtures in conftest.py."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
# Modules that tests deploy are data, not test code.
FILES = [
    path
    for folder in (TESTS, *(child for child in TESTS.iterdir() if (child / "__init__.py").exists()))
    for path in sorted(folder.glob("*.py"))
]


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_helpers_are_imported_from_the_one_root_and_never_from_a_conftest() -> None:
    folders = {path.name for path in TESTS.iterdir()} | {path.stem for path in TESTS.glob("*.py")}
    wrong = {
        f"{path.relative_to(TESTS)}: {module}"
        for path in FILES
        for module in imported(path)
        if module.endswith("conftest") or module.split(".")[0] in folders
    }
    assert wrong == set()


@pytest.mark.parametrize("path", [path for path in FILES if path.name == "conftest.py"], ids=lambda path: path.parent)
def test_a_conftest_holds_fixtures_hooks_and_what_only_they_use(path: Path) -> None:
    found = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    public = [node for node in found if not node.name.startswith(("_", "pytest_"))]
    assert [node.name for node in public if not any("fixture" in ast.unparse(one) for one in node.decorator_list)] == []


def test_no_module_changes_the_environment_of_all_tests_when_it_is_imported() -> None:
    wrong = {
        f"{path.relative_to(TESTS)}:{node.lineno}"
        for path in FILES
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign | ast.Expr | ast.AugAssign) and ast.unparse(node).startswith("os.environ")
    }
    assert wrong == set()
