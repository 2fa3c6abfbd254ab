"""Checks a module's Python deploys by reading them, never by running them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from dtk.dsl.check.deploy_function import NODE_ARGUMENT, deploy_signature
from dtk.dsl.check.template import Names
from dtk.dsl.yaml.cursor import Cursor
from dtk.errors import Problem
from dtk.model.suggestion import nearest


def deploy_problems(deploy: Cursor, folder: Path, names: Names) -> Iterator[Problem]:
    """Yield the problems of ``deploy: path/to/file.py:function``.

    Args:
        deploy: the deploy as written.
        folder: the module's folder.
        names: the attributes and parameters that the function may take.
    """
    file, _, function = str(deploy.value).rpartition(":")
    if Path(file).is_absolute() or ".." in Path(file).parts:
        yield deploy.problem(f"file '{file}' is outside the module", expected="a path in the module")
        return
    if not (folder / file).is_file():
        found = [path.relative_to(folder).as_posix() for path in folder.rglob("*.py")]
        yield deploy.problem(f"file '{file}' does not exist in the module", near=nearest(file, found))
        return
    try:
        tree = ast.parse((folder / file).read_text(encoding="utf-8"))
    except (SyntaxError, ValueError) as error:
        yield deploy.problem(f"file '{file}' is not valid Python: {error}")
        return
    yield from _function_problems(deploy, tree, function, names)


def _function_problems(deploy: Cursor, tree: ast.Module, function: str, names: Names) -> Iterator[Problem]:
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    if function not in functions:
        message = f"function '{function}' is not in the file"
        yield deploy.problem(message, near=nearest(function, functions))
        return
    if not any(_is_deploy(decorator) for decorator in functions[function].decorator_list):
        yield deploy.problem(f"function '{function}' is not a pyinfra deploy", expected="@deploy(...) before it")
    signature = deploy_signature(functions[function])
    for name in signature.required:
        if names.complete and name not in (*names.attributes, NODE_ARGUMENT):
            message = f"function '{function}' takes '{name}', which is not an attribute of the component"
            yield deploy.problem(message, near=nearest(name, names.attributes))


def _is_deploy(decorator: ast.expr) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return (called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")) == "deploy"
