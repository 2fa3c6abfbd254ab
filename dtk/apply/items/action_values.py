"""The values of an action: its attributes as they are now, and templates rendered with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import TypeVar

from dtk.apply.reporting.failure import ActionError
from dtk.apply.reporting.redaction import Redactor
from dtk.dsl.template.derived import calls_reported
from dtk.dsl.template.rendering import TemplateProblem, render, render_text, truth
from dtk.dsl.template.unknown import NeedsUnknown
from dtk.model.json_data import Json, ReadOnlyJson, ReadOnlyObject, texts_in
from dtk.model.loop import ITEM
from dtk.model.planned_action import PlannedAction, Text
from dtk.model.value import SHORTEST_HIDDEN, Open, Reference, Secret, Template, Value, as_applied, evaluate
from dtk.state.model import State

Lookup = Callable[[str], Json]
T = TypeVar("T")


def lookup_in(state: State) -> Lookup:
    """Return a lookup of attribute paths in a state: ``master/dask::scheduler/address``, ``master/host_address``."""

    def lookup(path: str) -> Json:
        if path in state.attributes:
            return state.attributes[path]
        node, _, attribute = path.partition("/")
        if node in state.nodes and attribute in state.nodes[node].attributes:
            return state.nodes[node].attributes[attribute]
        raise ActionError(f"the value of {path} is not known: the step that produces it has not run")

    return lookup


class ActionValues:
    """The variables for the templates of one action on one node; resolved secrets are added to the redactor."""

    def __init__(
        self,
        action: PlannedAction,
        state: State,
        secret: Callable[[str], str],
        redactor: Redactor,
        files: Path,
    ) -> None:
        """``files`` is the folder with the copies of the module's files; templates see it as ``dtk.module.dir``."""

        def resolved(reference: str) -> str:
            value = secret(reference)
            redactor.add_secret(value)
            self.secrets[reference] = value
            return value

        self.secrets: dict[str, str] = {}
        self.redacted: Callable[[ReadOnlyJson], ReadOnlyJson] = redactor.data

        self._redactor = redactor
        self._lookup, self._resolved = lookup_in(state), resolved
        self.applied = {name: as_applied(value, self._lookup) for name, value in action.attributes.items()}
        self.variables: dict[str, Json] = {name: self.data(value) for name, value in action.attributes.items()}
        for name in action.hidden:
            redactor.add_hidden(self.variables.get(name))
        node = state.nodes.get(action.node)
        known = node.attributes if node else {}
        self.variables["node"] = {**known, **action.node_variables, "name": action.node}
        self.variables["dtk"] = {"module": {"dir": str(files)}}

    def with_element(self, element: Json) -> ActionValues:
        """Return these values with one element of a loop, which templates call ``item``."""
        found = copy(self)
        found.variables = {**self.variables, ITEM: element}
        return found

    def _fill(self, part: Open) -> Json:
        if isinstance(part, Reference):
            return self._lookup(part.path)
        return self._resolved(part.reference) if isinstance(part, Secret) else self._rendered(part)

    def data(self, value: Value) -> Json:
        """Return the data of a value with its templates rendered.

        Raises:
            ActionError: a template uses an unknown name.
        """
        return evaluate(value, self._fill)

    def text(self, text: Text) -> str:
        """Return a text of an item with its template rendered; "" if it has no value.

        Raises:
            ActionError: the template uses an unknown name.
        """
        if isinstance(text, str):
            return text
        value = self._rendered(text)
        return "" if value is None else str(value)

    def condition(self, condition: Template) -> bool:
        """Evaluate a ``when`` condition that had to wait for its values; return whether it holds.

        Raises:
            ActionError: it is neither true nor false, or uses an unknown name.
        """
        text = condition.text
        return self._guarded(lambda: truth(render(text, self.variables), text), text)

    def _rendered(self, template: Template) -> Json:
        return self.template(template.text, shell=template.shell)

    def template(self, text: str, *, shell: bool) -> Json:
        """Return the result of a template; in a shell command its values are quoted.

        Raises:
            ActionError: it uses an unknown name.
        """
        rendered: Json = self._guarded(lambda: render(text, self.variables, shell=shell), text)
        return rendered

    def file(self, path: Path, more: ReadOnlyObject, blanks: Sequence[str] = ()) -> str:
        """Return the rendered content of a template file, with further variables.

        Args:
            path: the file.
            more: further variables, by name.
            blanks: the names of the ``TEMPLATE_BLANKS`` settings that are on.

        Raises:
            ActionError: it is not text, or uses an unknown name.
        """
        try:
            content = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise ActionError(f"the template {path.name} is not text") from None
        return self._guarded(lambda: render_text(content, {**self.variables, **more}, blanks), path.name)

    def _guarded(self, work: Callable[[], T], text: str) -> T:
        try:
            with calls_reported(self._hide_result):
                return work()
        except (TemplateProblem, NeedsUnknown) as error:
            raise ActionError(f"{error} (in '{text}')") from None

    def _hide_result(self, inputs: tuple[object, ...], result: object) -> None:
        """Redact the texts that a filter or a method made of a secret, except very short ones."""
        if isinstance(result, (str, list, tuple)) and any(map(self._redactor.holds_secret, map(_texts, inputs))):
            for text in _texts(result):
                if len(text) >= SHORTEST_HIDDEN:
                    self._redactor.add_secret(text)


def _texts(value: object) -> list[str]:
    """Return the texts in a template's value, which may be an object that is no data."""
    return list(texts_in(value)) if isinstance(value, (str, list, tuple, Mapping)) else []
