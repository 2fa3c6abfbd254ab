"""The values an action works with: its attributes as they are now, templates rendered with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dtk.apply.reporting.failure import ActionError
from dtk.apply.reporting.redaction import Redactor
from dtk.dsl.template.rendering import NeedsUnknown, TemplateProblem, render, render_text, truth
from dtk.model.expression import as_applied, evaluate
from dtk.model.plan import PlannedAction
from dtk.state.model import State

Lookup = Callable[[str], Any]


def lookup_in(state: State) -> Lookup:
    """Return the look-up of attribute paths in a state: ``master/dask::scheduler/address``, ``master/host_address``."""

    def lookup(path: str) -> Any:
        if path in state.attributes:
            return state.attributes[path]
        node, _, attribute = path.partition("/")
        if node in state.nodes and attribute in state.nodes[node].attributes:
            return state.nodes[node].attributes[attribute]
        raise ActionError(f"the value of {path} is not known: the step that gives it has not run")

    return lookup


class ActionValues:
    """What the templates of one action on one node may name, with secrets resolved and made known to the redactor."""

    def __init__(
        self,
        action: PlannedAction,
        state: State,
        secret: Callable[[str], str],
        redactor: Redactor,
        files: Path,
    ) -> None:
        """``files`` is the folder of the module's copied files; templates see it as ``dtk.module.dir``."""

        def resolved(reference: str) -> str:
            value = secret(reference)
            redactor.add_secret(value)
            return value

        lookup = lookup_in(state)
        self.applied = {name: as_applied(value, lookup) for name, value in action.attributes.items()}
        self.variables: dict[str, Any] = {
            name: evaluate(value, lookup, resolved) for name, value in action.attributes.items()
        }
        for name in action.hidden:
            redactor.add_hidden(self.variables.get(name))
        node = state.nodes.get(action.node)
        planned = evaluate(dict(action.node_variables), lookup, resolved)
        self.variables["node"] = {**(node.attributes if node else {}), **planned, "name": action.node}
        self.variables["dtk"] = {"module": {"dir": str(files)}}

    def rendered(self, value: Any) -> Any:
        """Return a part of a planned item with its ``$template`` texts rendered.

        Raises:
            ActionError: a template names what is not there.
        """
        if isinstance(value, Mapping):
            if "$template" in value:
                return self.template(value["$template"], shell=bool(value.get("shell")))
            return {key: self.rendered(item) for key, item in value.items()}
        return [self.rendered(item) for item in value] if isinstance(value, (list, tuple)) else value

    def condition(self, value: Any) -> bool:
        """Return whether a ``when`` that had to wait for its values holds.

        Raises:
            ActionError: it is neither true nor false, or names what is not there.
        """
        text = value["$template"]
        return bool(_guarded(lambda: truth(render(text, self.variables), text), text))

    def template(self, text: str, *, shell: bool) -> Any:
        """Return a template rendered; in a shell command its values are quoted.

        Raises:
            ActionError: it names what is not there.
        """
        return _guarded(lambda: render(text, self.variables, shell=shell), text)

    def file(self, path: Path, more: Mapping[str, Any]) -> str:
        """Return a template file's content rendered, with ``more`` to be named besides.

        Raises:
            ActionError: it is no text, or names what is not there.
        """
        try:
            content = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise ActionError(f"the template {path.name} is not a text") from None
        return str(_guarded(lambda: render_text(content, {**self.variables, **more}), path.name))


def _guarded(work: Callable[[], Any], text: str) -> Any:
    try:
        return work()
    except (TemplateProblem, NeedsUnknown) as error:
        raise ActionError(f"{error} (in '{text}')") from None
