"""Static checks of templates, before their values are known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jinja2 import TemplateSyntaxError, nodes
from jinja2.meta import find_undeclared_variables

from dtk.dsl.template.rendering import TemplateProblem, environment, is_template, unreadable
from dtk.dsl.template.shell_quotes import Piece, misplaced_values
from dtk.model.suggestion import nearest

NODE_ATTRIBUTES = (
    "name",
    "group",
    "index",
    "cardinality",
    "is_first",
    "host_address",
    "public_address",
    "dns_name",
    "availability_zone",
    "port_offset",
    "shared_address",
    "home",
    "user",
    "python",
    "os",
    "has_systemd",
)
"""Attributes of ``node`` in templates and ``$node`` in links: those that targets report for any node (dtk.nodes)."""

NODE_VARIABLES = (*NODE_ATTRIBUTES, "ports")
"""Attributes of ``node`` in templates. The ports come from its components, whose links are resolved before."""

_DTK_VARIABLES = ("module.dir",)
_FORBIDDEN: dict[type[nodes.Node], str] = {
    nodes.Include: "include",
    nodes.Import: "import",
    nodes.FromImport: "from",
    nodes.Extends: "extends",
    nodes.Block: "block",
}
# Their results would already be quoted for the shell, and could be changed afterwards.
_FORBIDDEN_IN_SHELL: dict[type[nodes.Node], str] = {
    nodes.Macro: "macro",
    nodes.CallBlock: "call",
    nodes.FilterBlock: "filter",
    nodes.AssignBlock: "set … endset",
}


@dataclass(frozen=True)
class Names:
    """What a template may name: attributes, other variables, and ``node`` if it runs on a node."""

    attributes: tuple[str, ...]
    on_node: bool = True
    complete: bool = True
    """Whether ``attributes`` are all attributes; if not, unknown names can't be reported."""
    of_assembly: bool = False
    """Whether they are an assembly's attributes, whose templates see nothing else."""

    @property
    def all(self) -> tuple[str, ...]:
        """All top-level names."""
        if self.of_assembly:
            return self.attributes
        return (*self.attributes, "dtk", *(("node",) if self.on_node else ()))

    @property
    def what(self) -> str:
        """What a name must refer to, for people."""
        if self.of_assembly:
            return "an attribute of the assembly"
        return f"an attribute of the component{', node' if self.on_node else ''} or dtk"

    def with_names(self, further: Iterable[str]) -> Names:
        """Return a copy with further names."""
        return replace(self, attributes=(*self.attributes, *further))


def template_problems(text: str, names: Names, *, shell: bool) -> list[TemplateProblem]:
    """Return the problems of a template.

    Args:
        text: the template.
        names: the names that it may use.
        shell: whether it is a shell command, in which values are quoted.
    """
    if not is_template(text):
        return []
    try:
        found = list(_problems(text, names, shell=shell))
    except TemplateSyntaxError as error:
        return [unreadable(error)]
    except RecursionError:
        return [TemplateProblem("invalid template: it is nested too deeply")]
    except ValueError as error:  # a number with thousands of digits
        return [TemplateProblem(f"invalid template: {error}")]
    return sorted(found, key=lambda problem: problem.line)


def _problems(text: str, names: Names, *, shell: bool) -> Iterator[TemplateProblem]:
    tree = environment(shell=shell).parse(text)
    filters = list(_filters(tree))
    yield from filters
    yield from _statements(tree, shell=shell)
    yield from _members(tree, names)
    if names.complete and not filters:  # Jinja2 finds names only if it knows all filters
        yield from _unknown_names(tree, names)
    if shell:
        yield from _misplaced(text)


def _statements(tree: nodes.Template, *, shell: bool) -> Iterator[TemplateProblem]:
    forbidden = {**_FORBIDDEN, **(_FORBIDDEN_IN_SHELL if shell else {})}
    for kind, word in forbidden.items():
        for node in tree.find_all(kind):
            where = "a shell command" if shell and kind not in _FORBIDDEN else "a template of a module"
            yield TemplateProblem(f"'{word}' can't be used in {where}", line=node.lineno, word=word)


def _filters(tree: nodes.Template) -> Iterator[TemplateProblem]:
    known = environment(shell=False)
    for node in tree.find_all((nodes.Filter, nodes.Test)):
        what, names = ("filter", known.filters) if isinstance(node, nodes.Filter) else ("test", known.tests)
        name = str(node.name)
        if name not in names:
            yield TemplateProblem(f"no {what} '{name}'", near=nearest(name, names), line=node.lineno, word=name)


def _unknown_names(tree: nodes.Template, names: Names) -> Iterator[TemplateProblem]:
    allowed = {*names.all, *environment(shell=False).globals}
    unknown = find_undeclared_variables(tree) - allowed
    for node in tree.find_all(nodes.Name):
        if node.name in unknown:
            unknown.discard(node.name)
            near = nearest(node.name, names.all)
            message = f"'{node.name}' is not {names.what}"
            yield TemplateProblem(message, near=near, line=node.lineno, word=node.name)


def _members(tree: nodes.Template, names: Names) -> Iterator[TemplateProblem]:
    """Check the attributes used of ``node`` and ``dtk``, except those with a default."""
    guarded = {id(node) for node in _guarded(tree)}
    inner = {id(node.node) for node in tree.find_all(nodes.Getattr)}
    for node in tree.find_all(nodes.Getattr):
        root, path = _path_of(node)
        known: Sequence[str] = {"node": NODE_VARIABLES, "dtk": _DTK_VARIABLES}.get(root, ())
        shadowed = root in names.attributes or root not in names.all
        if not known or shadowed or id(node) in guarded or id(node) in inner:
            continue
        taken = path.partition(".")[0] if root == "node" else path
        if taken not in known:
            word, near = f"{root}.{taken}", _near(root, taken, known)
            yield TemplateProblem(f"'{word}' is not defined", near=near, line=node.lineno, word=word)


def _near(root: str, taken: str, known: Iterable[str]) -> str:
    near = nearest(taken, known)
    return f"{root}.{near}" if near else ""


def _path_of(node: nodes.Getattr) -> tuple[str, str]:
    path = [node.attr]
    inner: Any = node.node
    while isinstance(inner, nodes.Getattr):
        path.insert(0, inner.attr)
        inner = inner.node
    return (inner.name if isinstance(inner, nodes.Name) else "", ".".join(path))


def _guarded(tree: nodes.Template) -> Iterator[nodes.Expr]:
    """Yield the expressions that may be undefined: those with ``| default`` or tested for being defined."""
    for node in tree.find_all((nodes.Filter, nodes.Test)):
        if node.name in ("default", "d", "defined", "undefined"):
            yield node.node


def _misplaced(text: str) -> Iterator[TemplateProblem]:
    pieces, expressions = _pieces(text)
    for number, reason in misplaced_values(pieces):
        expression, line = expressions[number]
        if not _is_raw(expression):
            yield TemplateProblem(f"{{{{ {expression} }}}}: {reason}", line=line, word=expression)


def _pieces(text: str) -> tuple[list[Piece], list[tuple[str, int]]]:
    """Split a template into its characters, with None for each expression, and return the expressions too."""
    pieces: list[Piece] = []
    expressions: list[tuple[str, int]] = []
    expression: list[str] | None = None
    for line, kind, value in environment(shell=True).lex(text):
        if kind == "variable_begin":
            expression = []
        elif kind == "variable_end" and expression is not None:
            expressions.append(("".join(expression).strip(), line))
            pieces.append(None)
            expression = None
        elif expression is not None:
            expression.append(value)
        elif kind == "data":
            pieces += list(value)
    return pieces, expressions


def _is_raw(expression: str) -> bool:
    body = environment(shell=True).parse(f"{{{{ {expression} }}}}").body
    output = body[0].nodes[0] if body and isinstance(body[0], nodes.Output) else None
    return isinstance(output, nodes.Filter) and output.name == "raw"
