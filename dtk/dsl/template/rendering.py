"""Template rendering: Jinja2, sandboxed and strict, with values quoted in shell commands.

``{{ name }}`` is the original's form (docs/original.md 4.4). A text that is exactly one ``{{ expression }}`` returns
the expression's own value, so that lists and numbers keep their types. In a shell command every value is quoted as one
word, whatever it contains, unless the module uses ``| raw``.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache, partial
from typing import Any, NoReturn

from jinja2 import Environment, Template, TemplateSyntaxError, Undefined, UndefinedError, meta, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.environment import TemplateExpression
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing

from dtk.dsl.template import bounds
from dtk.dsl.template.derived import report_call
from dtk.dsl.template.unknown import NeedsUnknown, Unknown, needed
from dtk.errors import Location, Problem
from dtk.model.json_data import Json
from dtk.model.suggestion import nearest

_COUNTED = "dtk counts the rounds"


class TemplateProblem(Exception):  # noqa: N818 - becomes a Problem once its place is known
    """A template can't be rendered.

    ``line`` counts from 1 in the template, 0 if unknown; ``unset`` names a value that is not set; ``word`` is the text
    at the position of the problem.
    """

    def __init__(
        self, message: str, *, near: str = "", line: int = 0, unset: str = "", word: str = "", expected: str = ""
    ) -> None:
        super().__init__(Problem(message, nearest=near).description)
        self.message = message
        self.nearest = near
        self.line = line
        self.unset = unset
        self.word = word
        self.expected = expected

    def at(self, location: Location, path: str = "") -> Problem:
        """Return the problem, located where the template is written."""
        return Problem(self.message, location, path, self.expected, self.nearest)


def unreadable(error: TemplateSyntaxError) -> TemplateProblem:
    """Return why a text is not a valid template, and how to write literal braces."""
    message = f"invalid template: {error.message}"
    if error.message == "Missing end of comment tag":
        message = "'{#' begins a template comment, but no '#}' ends it"
    expected = "a valid template, or {% raw %}…{% endraw %} around literal braces"
    return TemplateProblem(message, line=error.lineno, expected=expected)


class _Raw(str):
    """A text that goes into a shell command unquoted."""

    __slots__ = ()


class _UnknownNameError(UndefinedError):
    """An undefined name, with the valid names."""

    def __init__(self, message: str, *, name: str, known: Iterable[str] | None) -> None:
        super().__init__(message)
        self.name = name
        self.known = known


class _NotSetError(Exception):
    """A text uses a value that is not set (null)."""


class _Strict(Undefined):
    """Undefined that fails on any use, and records what it was looked up in (Jinja2's own does not)."""

    def __init__(
        self, hint: str | None = None, obj: Json = missing, name: str | None = None, exc: Any = UndefinedError
    ) -> None:
        if hint is None and name is not None:
            known = list(obj) if isinstance(obj, Mapping) else None if obj is missing else ()
            exc = partial(_UnknownNameError, name=str(name), known=known)
        super().__init__(hint, obj, name, exc)

    # Refuse any use at all (jinja2.StrictUndefined does the same).
    __iter__ = __str__ = __len__ = __eq__ = __ne__ = __bool__ = __hash__ = Undefined._fail_with_undefined_error
    __contains__ = Undefined._fail_with_undefined_error


def text_of(value: Json) -> str:
    """Return a value as text: true and false as in YAML, lists and maps as JSON."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def shell_text_of(value: Json) -> str:
    """Return a value as one word of a shell command; a list as one word per item."""
    if isinstance(value, _Raw):
        return str(value)
    if isinstance(value, list):
        return " ".join(shlex.quote(text_of(item)) for item in value)
    return shlex.quote(text_of(value))


def _usable(value: Json) -> Any:
    """Return a value for use in a text; refuse one that is not set."""
    if value is None:
        raise _NotSetError
    return plain_of(value)


def plain_of(value: Json) -> Json:
    """Return the result of an expression as plain data.

    Raises:
        NeedsUnknown: the value is or contains one that is known after apply.
        UndefinedError: the value is or contains an undefined one.
        TypeError: the value is not data (for example, a function).
    """
    if isinstance(value, Unknown):
        raise needed(value)
    # A list or a map may contain an undefined value that Jinja2 has not used yet.
    if isinstance(value, Undefined):
        value._fail_with_undefined_error()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain_of(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, Iterator, range)):
        return [plain_of(item) for item in value]
    # A function or bound method would be rendered as its memory address, which differs in each plan.
    raise TypeError(f"{type(value).__name__} is not a value")


def _raw(value: Json) -> str:
    return _Raw(text_of(_usable(value)))


def _to_json(value: Json, indent: int | None = None) -> str:
    return json.dumps(plain_of(value), indent=indent, ensure_ascii=False)


class _Generator(CodeGenerator):
    """Jinja2's compiler, with limits on the operator ``~``."""

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802 - the compiler's name for it
        """Generate the code of ``a ~ b``."""
        self.write("environment.joined((")
        for argument in node.nodes:
            self.visit(argument, frame)
            self.write(", ")
        self.write("))")


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja2's sandbox, with limits on the operators by which a short template could compute without end."""

    code_generator_class = _Generator
    intercepted_binops = frozenset(["*", "**", "%", "+"])

    def _generate(
        self, source: nodes.Template, name: str | None, filename: str | None, defer_init: bool = False
    ) -> str:
        # Count iterations in the compiled loops: this limits any iterable, such as a range of a billion.
        for loop in source.find_all(nodes.For):
            loop.iter = nodes.Filter(loop.iter, _COUNTED, [], [], None, None, lineno=loop.lineno)
        return super()._generate(source, name, filename, defer_init)

    def call(self, context: Context, function: object, *arguments: object, **named: object) -> object:
        """Call a function or a method within the limits, and report it."""
        bounds.count_round()
        bounds.check_call(function, [*arguments, *named.values()])
        arguments = bounds.with_joined_items(function, arguments, named)
        result = super().call(context, function, *arguments, **named)
        bounds.check_size(bounds.size_of(result))
        report_call((getattr(function, "__self__", None), *arguments, *named.values()), result)
        return result

    def handle_exception(self, source: str | None = None) -> NoReturn:  # noqa: ARG002 - Jinja2's signature
        """Raise an exception of a template again as it is.

        Jinja2 would compile code for each, so that a traceback shows the template; dtk shows none. In a plan, every
        value that is known after apply is such an exception.
        """
        raise  # noqa: PLE0704 - called while it is handled

    @staticmethod
    def joined(values: Iterable[Json]) -> str:
        """Return the result of ``~``."""
        texts = [str(value) for value in values]
        bounds.check_size(sum(map(len, texts)))
        return "".join(texts)

    def call_binop(self, context: Context, operator: str, left: Json, right: Json) -> object:
        """Compute an intercepted operator: + within limits, the others for numbers only; ** is refused."""
        bounds.check_operands(operator, left, right)
        if operator == "+":
            return super().call_binop(context, operator, left, right)
        operands = (plain_of(left), plain_of(right))
        if operator == "**" or not all(isinstance(operand, (int, float)) for operand in operands):
            raise TypeError(
                f"operator {operator} can't be used here: only + works with text and lists, and ** is not allowed"
            )
        return super().call_binop(context, operator, left, right)


@cache
def environment(*, shell: bool, blanks: frozenset[str] = frozenset()) -> Environment:
    """Return the environment for parsing and rendering templates; it allows neither randomness nor files.

    ``blanks`` are the enabled settings of ``TEMPLATE_BLANKS``.
    """
    shown = shell_text_of if shell else text_of
    made = _Environment(
        undefined=_Strict,
        keep_trailing_newline=True,
        # finalize receives every value that goes into the text, so quoting can't be forgotten by an author.
        finalize=lambda value: shown(_usable(value)),
        loader=None,
        trim_blocks="trim_blocks" in blanks,
        lstrip_blocks="lstrip_blocks" in blanks,
    )
    made.filters["raw"] = _raw
    made.filters["quote"] = lambda value: shell_text_of(_usable(value))
    made.filters["tojson"] = _to_json  # Jinja2's own escapes for HTML
    # Plans must be reproducible.
    del made.filters["random"]
    made.filters |= {name: bounds.bounded(filter_) for name, filter_ in made.filters.items()}
    made.filters[_COUNTED] = bounds.counted
    del made.globals["lipsum"]
    return made


def is_template(text: str) -> bool:
    """Return whether a text has template syntax."""
    return "{{" in text or "{%" in text or "{#" in text


def truth(value: Json, text: str) -> bool:
    """Return whether a condition holds, given the result of its template.

    Raises:
        TemplateProblem: the result is neither true nor false.
    """
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return bool(value == "true")
    raise TemplateProblem(f"the condition '{text}' must be true or false, but its value is {value!r}")


@lru_cache(maxsize=4096)
def sole_expression(text: str) -> str | None:
    """Return the expression of a text that is exactly one ``{{ expression }}``, else None."""
    if not (text.startswith("{{") and text.endswith("}}")):
        return None
    body = environment(shell=False).parse(text).body
    if len(body) != 1 or not isinstance(body[0], nodes.Output):
        return None
    pieces = body[0].nodes
    if len(pieces) != 1 or isinstance(pieces[0], nodes.TemplateData):
        return None
    return text[2:-2].strip("-+")


def render(value: object, variables: Mapping[str, object], *, shell: bool = False) -> Any:
    """Render every text in nested plain data.

    Args:
        value: plain data; its texts are templates.
        variables: the variables that templates may use; they may be or contain an ``Unknown``.
        shell: whether the texts are shell commands: values are quoted, and the result is always text.

    Returns:
        The data with its texts rendered; a text that is exactly one expression becomes that expression's value.

    Raises:
        TemplateProblem: a template uses an undefined name, or is invalid.
        NeedsUnknown: a template uses an ``Unknown``.
    """
    if isinstance(value, Mapping):
        return {key: render(item, variables, shell=shell) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [render(item, variables, shell=shell) for item in value]
    if not isinstance(value, str) or not is_template(value):
        return value
    with _as_template_problems(value, variables):
        return _rendered(value, variables, shell=shell)


def render_text(text: str, variables: Mapping[str, object], blanks: Sequence[str] = ()) -> str:
    """Render a file's content; the result is always text, without quoting.

    ``blanks`` are the enabled settings of ``TEMPLATE_BLANKS``.

    Raises:
        TemplateProblem, NeedsUnknown: as for ``render``.
    """
    with _as_template_problems(text, variables):
        return _within_bounds(_compiled(text, shell=False, blanks=frozenset(blanks)), variables)


def _within_bounds(template: Template, variables: Mapping[str, object]) -> str:
    """Render a template; stop it if it exceeds the limits."""
    bounds.begin_rendering()
    pieces, size = [], 0
    for piece in template.generate(variables):
        pieces.append(piece)
        size += len(piece)
        bounds.check_size(size)
    return "".join(pieces)


def _rendered(text: str, variables: Mapping[str, object], *, shell: bool) -> object:
    # A shell command is always text. Any other single expression keeps its type: {{ ports }} must stay a list.
    expression = None if shell else sole_expression(text)
    if expression is None:
        return _within_bounds(_compiled(text, shell=shell), variables)
    bounds.begin_rendering()
    return plain_of(_compiled_expression(expression)(variables))


# Cached: the same text is rendered for every node of a group, and compiling it takes most of the time.
@lru_cache(maxsize=4096)
def _compiled(text: str, *, shell: bool, blanks: frozenset[str] = frozenset()) -> Template:
    return environment(shell=shell, blanks=blanks).from_string(text)


@lru_cache(maxsize=4096)
def _compiled_expression(expression: str) -> TemplateExpression:
    return environment(shell=False).compile_expression(expression, undefined_to_none=False)


@contextmanager
def _as_template_problems(text: str, variables: Mapping[str, object]) -> Iterator[None]:
    """Convert any error of a template to a ``TemplateProblem``."""
    try:
        yield
    except (TemplateProblem, NeedsUnknown):
        raise
    except _UnknownNameError as error:
        known = variables if error.known is None else error.known
        raise TemplateProblem(f"'{error.name}' is not defined", near=nearest(error.name, known)) from None
    except _NotSetError:
        unset = _unset_name(text, variables)
        what = f"'{unset}'" if unset else "a value in the text"
        raise TemplateProblem(f"{what} is not set", unset=unset) from None
    except TemplateSyntaxError as error:
        raise unreadable(error) from None
    except RecursionError:
        raise TemplateProblem("template is nested too deeply") from None
    except Exception as error:  # expressions are the author's code: any of their errors is a problem to report
        raise TemplateProblem(f"template cannot be rendered: {error}") from None


def _unset_name(text: str, variables: Mapping[str, object]) -> str:
    used = meta.find_undeclared_variables(environment(shell=False).parse(text))
    unset = sorted(name for name in used if name in variables and variables[name] is None)
    return next(iter(unset), "")
