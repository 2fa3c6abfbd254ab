"""A pyinfra deploy's arguments and files, determined without running it."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

NODE_ARGUMENT = "node"
"""The argument of a deploy that receives what templates see as ``node``."""


@dataclass(frozen=True)
class DeploySignature:
    """The arguments of a deploy; ``takes_any`` means that it accepts any others too."""

    required: tuple[str, ...]
    optional: tuple[str, ...]
    takes_any: bool


def deploy_signature(function: ast.FunctionDef) -> DeploySignature:
    """Return the named arguments of a function."""
    given = function.args
    names = [argument.arg for argument in (*given.posonlyargs, *given.args)]
    split = len(names) - len(given.defaults)
    keyword = list(zip((argument.arg for argument in given.kwonlyargs), given.kw_defaults, strict=True))
    return DeploySignature(
        required=(*names[:split], *(name for name, default in keyword if default is None)),
        optional=(*names[split:], *(name for name, default in keyword if default is not None)),
        takes_any=given.kwarg is not None,
    )


def deploy_files(folder: Path, file: str) -> list[str]:
    """Return the files of a deploy: everything in its file's folder."""
    return _files(folder, (folder / file).parent)


def _files(folder: Path, within: Path) -> list[str]:
    files = (path for path in sorted(within.rglob("*")) if path.is_file())
    return [path.relative_to(folder).as_posix() for path in files if not {".git", "__pycache__"} & set(path.parts)]
