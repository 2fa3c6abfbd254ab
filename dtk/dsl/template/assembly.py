"""Templates in an assembly's values: the attributes that they use, and their results.

A text with ``{{`` or ``{%`` is a template over the assembly's attributes; any other text is literal (such as
``${#list}`` of a shell script in ``user_data``). A secret is passed as its reference: it can be a whole value or part
of a text, but can't be used in a computation, because its value is known only on the node.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeGuard

from jinja2 import meta, nodes

from dtk.dsl.template.rendering import TemplateProblem, environment, render, render_text
from dtk.model.json_data import Json
from dtk.model.module import Attribute
from dtk.model.value import UNSET, JoinedText, Known, Value, holds_secret, list_of, map_of, plain


def is_value_template(value: object) -> TypeGuard[str]:
    """Return whether an assembly's value is a template."""
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def templates_in(value: object) -> Iterator[str]:
    """Yield every template in nested plain data."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from templates_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from templates_in(item)
    elif is_value_template(value):
        yield value


def names_in(value: object) -> tuple[str, ...]:
    """Return the names used by the templates in a value, sorted.

    Raises:
        jinja2.TemplateSyntaxError: a template has a syntax error.
    """
    found = (meta.find_undeclared_variables(environment(shell=False).parse(text)) for text in templates_in(value))
    return tuple(sorted({name for names in found for name in names} - environment(shell=False).globals.keys()))


def sole_name(value: object) -> str:
    """Return the name that is the whole value: ``owner`` for ``{{ owner }}``; "" for any other value."""
    if not is_value_template(value) or not value.startswith("{{") or not value.endswith("}}"):
        return ""
    return _name(environment(shell=False).parse(value))


def rendered(value: Json, given: Mapping[str, Value]) -> Value:
    """Render the templates in a value of an assembly.

    Args:
        value: nested plain data; its texts may be templates.
        given: the values of the assembly's attributes.

    Returns:
        The value. A text that requires an unset attribute is unset; in a map or a list it is left out.

    Raises:
        TemplateProblem: a template can't be rendered.
    """
    if isinstance(value, Mapping):
        entries = ((str(key), rendered(item, given), item) for key, item in value.items())
        return map_of({key: found for key, found, item in entries if found != UNSET or item is None})
    if isinstance(value, list):
        items = ((rendered(item, given), item) for item in value)
        return list_of(found for found, item in items if found != UNSET or item is None)
    return _rendered_text(value, given) if is_value_template(value) else Known(value)


def with_defaults(value: Json, attributes: Mapping[str, Attribute]) -> Json:
    """Return a value rendered with the attributes' defaults, as plain data; None if it can't be rendered."""
    given = {name: Known(None if one.secret else one.default) for name, one in attributes.items()}
    try:
        return plain(rendered(value, given))
    except TemplateProblem:
        return None


def _rendered_text(text: str, given: Mapping[str, Value]) -> Value:
    used = {name: given.get(name, UNSET) for name in names_in(text)}
    try:
        if any(holds_secret(value) for value in used.values()):
            return _joined(text, given)
        return Known(render(text, _plain(given)))
    except TemplateProblem:
        if UNSET in used.values():
            return UNSET
        raise


def _joined(text: str, given: Mapping[str, Value]) -> Value:
    """Return a text with secrets in it: a single reference, or pieces of a text."""
    pieces = [Known(piece) if is_text else _piece(piece, given) for is_text, piece in pieces_of(text)]
    return pieces[0] if len(pieces) == 1 else JoinedText(tuple(pieces))


def _piece(expression: str, given: Mapping[str, Value]) -> Value:
    name = _name(environment(shell=False).parse(f"{{{{ {expression} }}}}"))
    value = given.get(name, UNSET)
    return value if holds_secret(value) else Known(render_text(f"{{{{ {expression} }}}}", _plain(given)))


def _plain(given: Mapping[str, Value]) -> dict[str, Json]:
    return {name: value.data for name, value in given.items() if isinstance(value, Known)}


def pieces_of(text: str) -> Iterator[tuple[bool, str]]:
    """Yield a template's literal texts (True) and its expressions (False).

    Raises:
        TemplateProblem: the template has statements, so that its text can't be split without rendering.
    """
    expression: list[str] | None = None
    for line, kind, value in environment(shell=False).lex(text):
        if kind == "block_begin":
            raise TemplateProblem("text that contains a secret can't contain template statements", line=line)
        if kind == "variable_begin":
            expression = []
        elif kind == "variable_end":
            yield False, "".join(expression or ()).strip()
            expression = None
        elif expression is not None:
            expression.append(value)
        elif kind == "data":
            yield True, value


def secret_problems(text: str, secrets: frozenset[str]) -> Iterator[TemplateProblem]:
    """Yield problems of computations with a secret; a secret can only be inserted unchanged."""
    if not secrets & set(names_in(text)):
        return
    try:
        pieces = list(pieces_of(text))
    except TemplateProblem as problem:
        yield problem
        return
    for is_text, piece in pieces:
        tree = None if is_text else environment(shell=False).parse(f"{{{{ {piece} }}}}")
        if tree and secrets & meta.find_undeclared_variables(tree) and not _name(tree):
            yield TemplateProblem(
                f"{{{{ {piece} }}}}: a secret is known only on the node, so it can only be used unchanged"
            )


def _name(tree: nodes.Template) -> str:
    """Return the name if it is a template's only expression, else ""."""
    output = tree.body[0] if len(tree.body) == 1 else None
    inner = output.nodes[0] if isinstance(output, nodes.Output) and len(output.nodes) == 1 else None
    return inner.name if isinstance(inner, nodes.Name) else ""
