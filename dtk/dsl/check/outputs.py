"""Semantic checks of an assembly's outputs: each path must lead to an existing attribute."""

from __future__ import annotations

from collections.abc import Iterator

from dtk.dsl.check.scope import Scope
from dtk.dsl.check.template import NODE_ATTRIBUTES
from dtk.errors import Problem
from dtk.model.module import Assembly, ComponentUse
from dtk.model.suggestion import nearest

EXPECTED = "the path of an attribute: NODE/ATTRIBUTE, NODE/COMPONENT/ATTRIBUTE, COMPONENT/ATTRIBUTE or ATTRIBUTE"


def output_problems(assembly: Assembly, scope: Scope) -> Iterator[Problem]:
    """Yield problems of output paths that lead nowhere; none if not all components are known."""
    uses = [*assembly.components, *(use for node in assembly.nodes.values() for use in node.components)]
    if not all(scope.attributes_known(use.name.type) for use in uses):
        return
    known = {
        *assembly.attributes,
        *_attributes("", assembly.components, scope),
        *(f"{node}/{name}" for node in assembly.nodes for name in NODE_ATTRIBUTES),
        *(path for node in assembly.nodes.values() for path in _attributes(f"{node.name}/", node.components, scope)),
    }
    for output in assembly.outputs.values():
        for path in output.paths:
            if path not in known:
                message = f"output '{output.name}' names '{path}', which is not an attribute of the assembly"
                near = nearest(path, sorted(known))
                yield Problem(message, output.location, nearest=near, expected="" if near else EXPECTED)


def _attributes(prefix: str, uses: tuple[ComponentUse, ...], scope: Scope) -> Iterator[str]:
    for use in uses:
        component = scope.component(use.name.type)
        for name in component.attributes if component else ():
            yield f"{prefix}{use.name}/{name}"
