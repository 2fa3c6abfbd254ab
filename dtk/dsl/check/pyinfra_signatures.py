"""The names and arguments of pyinfra's operations and facts, read from its sources.

They are read with ``ast``: importing pyinfra takes 380 ms and patches things that the caller may not want patched.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path


@dataclass(frozen=True)
class Signature:
    """Argument names; ``takes_any`` if further ones are accepted (``files.template`` passes them to its template).

    ``instead`` names the replacement of an operation that pyinfra has deprecated.
    """

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    takes_any: bool = False
    instead: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """All named arguments."""
        return self.required + self.optional


def operation(name: str) -> Signature | None:
    """Return the signature of an operation (``files.put``), None if pyinfra has no such operation."""
    module, _, function = name.rpartition(".")
    return _operations(module).get(function)


def operations_near(name: str) -> list[str]:
    """Return operations similar to a misspelt one: all of its module, else those of the same name in other modules."""
    module = name.rpartition(".")[0]
    if _operations(module):
        return [f"{module}.{function}" for function in _operations(module)]
    function = name.rpartition(".")[2]
    return [f"{known}.{function}" for known in _module_names("operations") if function in _operations(known)]


def fact(name: str) -> Signature | None:
    """Return the signature of a fact (``server.Kernel``), None if pyinfra has no such fact."""
    module, _, class_name = name.rpartition(".")
    return _facts(module).get(class_name)


def facts_near(name: str) -> list[str]:
    """Return facts similar to a misspelt one."""
    module, _, class_name = name.rpartition(".")
    if _facts(module):
        return [f"{module}.{known}" for known in _facts(module)]
    return [f"{known}.{class_name}" for known in _module_names("facts") if class_name in _facts(known)]


@cache
def _operations(module: str) -> dict[str, Signature]:
    found = {}
    for function in _parsed("operations", module).body:
        if isinstance(function, ast.FunctionDef):
            decorator = next(_decorators(function, "operation"), None)
            if decorator is not None:
                found[function.name] = _signature(function, instead=_instead(decorator))
    return found


@cache
def _facts(module: str) -> dict[str, Signature]:
    classes = {node.name: node for node in _parsed("facts", module).body if isinstance(node, ast.ClassDef)}
    return {name: _fact_signature(node, classes) for name, node in classes.items() if node.bases}


def _fact_signature(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> Signature:
    """Return the arguments of a fact's ``command``, which may be in a base class in the same file."""
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "command":
            return _signature(item)
    bases = [classes[base.id] for base in node.bases if isinstance(base, ast.Name) and base.id in classes]
    return _fact_signature(bases[0], classes) if bases else Signature()


def _signature(function: ast.FunctionDef, *, instead: str = "") -> Signature:
    given = function.args
    positional = [argument.arg for argument in [*given.posonlyargs, *given.args] if argument.arg != "self"]
    split = len(positional) - len(given.defaults)
    keyword = list(zip((argument.arg for argument in given.kwonlyargs), given.kw_defaults, strict=True))
    optional = (*positional[split:], *(name for name, default in keyword if default is not None))
    return Signature(
        required=(*positional[:split], *(name for name, default in keyword if default is None)),
        optional=tuple(name for name in optional if not name.startswith("_")),  # these are pyinfra's own
        takes_any=given.kwarg is not None,
        instead=instead,
    )


def _decorators(function: ast.FunctionDef, name: str) -> Iterator[ast.expr]:
    for decorator in function.decorator_list:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        if isinstance(called, ast.Name) and called.id == name:
            yield decorator


def _instead(decorator: ast.expr) -> str:
    keywords = decorator.keywords if isinstance(decorator, ast.Call) else []
    values = {
        keyword.arg: ast.literal_eval(keyword.value) for keyword in keywords if keyword.arg != "idempotent_notice"
    }
    return str(values.get("deprecated_for") or "another one") if values.get("is_deprecated") else ""


@cache
def _parsed(kind: str, module: str) -> ast.Module:
    file = _folder(kind).joinpath(*module.split(".")).with_suffix(".py") if module else Path()
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    return ast.parse(text)


def _module_names(kind: str) -> list[str]:
    folder = _folder(kind)
    paths = (file.relative_to(folder).with_suffix("") for file in sorted(folder.rglob("*.py")))
    return [".".join(path.parts) for path in paths if path.name != "__init__" and path.parts[0] != "util"]


@cache
def _folder(kind: str) -> Path:
    spec = find_spec("pyinfra")  # finds a top-level package without importing it
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("pyinfra")
    return Path(spec.origin).parent / kind
