"""Converts valid arguments without pydantic, which typer imports for the first parameter that it converts.

That import takes a third of the run time of a command that only reads a file. Plainly valid values are converted
here; all others go to typer, which reports what is wrong with them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar, get_args, get_origin

from typer.core import TyperArgument, TyperCommand, TyperOption

if TYPE_CHECKING:
    from typer._click.core import Context, Parameter

_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")
_INVALID = object()


class _Coercion(Protocol):
    """The interface that typer expects of a parameter's converter."""

    def coerce(self, value: object, param: TyperArgument | TyperOption, ctx: Context) -> object: ...


class _QuickCoercion:
    """Converts plainly valid values itself and leaves all others to typer."""

    def __init__(self, parameter: TyperArgument | TyperOption) -> None:
        self._annotation: object = parameter.type_descriptor.annotation
        self._info = parameter.type_descriptor.parameter_info
        self._own = parameter.get_runtime_param

    def coerce(self, value: object, param: TyperArgument | TyperOption, ctx: Context) -> object:
        """Return the value converted to its parameter's type; the signature is typer's."""
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        converted = _INVALID if self._info.parser else self._converted(value)
        if converted is not _INVALID:
            return converted
        own: _Coercion = self._own()
        return own.coerce(value, param=param, ctx=ctx)

    def _converted(self, value: object) -> object:
        if get_origin(self._annotation) is list and isinstance(value, Sequence) and not isinstance(value, str):
            items = [self._one(get_args(self._annotation)[0], item) for item in value]
            return _INVALID if _INVALID in items else items
        return self._one(self._annotation, value)

    def _one(self, type_: object, value: object) -> object:
        if not isinstance(value, str):
            # A flag, or a counter of how often an option was given.
            return value if type_ in (bool, int) and type(value) is type_ else _INVALID
        if type_ is str:
            return value
        if type_ is int:
            limited = self._info.min is not None or self._info.max is not None
            return int(value) if _WHOLE_NUMBER.fullmatch(value) and not limited else _INVALID
        if type_ is Path:
            return self._path(Path(value))
        if isinstance(type_, type) and issubclass(type_, Enum):
            return next((member for member in type_ if member.value == value), _INVALID)
        return _INVALID

    def _path(self, path: Path) -> object:
        info = self._info
        if info.resolve_path or info.path_type or info.writable or info.allow_dash:
            return _INVALID
        if path.exists():
            return path if (info.dir_okay or path.is_file()) and (info.file_okay or path.is_dir()) else _INVALID
        return _INVALID if info.exists else path


Parameters = TypeVar("Parameters", bound=Sequence[object])


def convert_quickly(parameters: Parameters) -> Parameters:
    """Make parameters convert plainly valid values without pydantic; return them.

    With a version of typer that converts in another way, do nothing: its commands only start more slowly.
    """
    for parameter in parameters:
        if not isinstance(parameter, TyperArgument | TyperOption) or not hasattr(parameter, "get_runtime_param"):
            continue
        if "get_runtime_param" not in vars(parameter):
            quick = _QuickCoercion(parameter)
            # Set it on the instance: typer asks each parameter for its converter whenever it has a value.
            vars(parameter)["get_runtime_param"] = lambda quick=quick: quick
    return parameters


class QuickCommand(TyperCommand):
    """A command with fast parameter conversion."""

    def get_params(self, ctx: Context) -> list[Parameter]:
        """Return all parameters, including the one for help."""
        return convert_quickly(super().get_params(ctx))
