"""Writes a group's members in a plan as differences from the first member, and reads them back.

    {"number": "3.1.1", "type": "configure_node", "node": "slaves:1", "actions": [{…}, {…}]}
    {"number": "3.1.2", "type": "configure_node", "node": "slaves:2", "like": "3.1.1"}
    {"number": "3.1.3", "type": "configure_node", "node": "slaves:3", "like": "3.1.1",
     "actions": {"1": {"items": {"0": {…}}}}}

A step with ``like`` copies an earlier step of its list for its own node: the node's name replaces the first one's
in the step, its actions and their variables ``name`` and ``index``. Other differences are written out: whole fields;
of ``actions`` and ``items`` only those that differ, by index from 0; of maps only the entries that differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace

from dtk.model.codec import Codec, MalformedError
from dtk.model.json_data import Json, JsonObject
from dtk.model.names import group_of, split_member
from dtk.model.plan import Step
from dtk.model.planned_action import PlannedAction
from dtk.model.value import Reference

LIKE = "like"

_STEP_FIELDS = ("reason", "node_attributes", "max_in_flight", "target_groups")
_ACTION_FIELDS = tuple(
    f.name for f in fields(PlannedAction) if f.name not in ("node", "component", "action", "node_variables")
)

_WITHOUT_ORDER = (str, int, float, Reference)


class StepFolder:
    """Folds and unfolds the steps of one plan, using its document's codec."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec

    def folded(self, steps: Iterable[Step]) -> list[Json]:
        """Return a list of steps as JSON, group members as differences from the first member if possible."""
        firsts: dict[tuple[str, str], Step] = {}
        documents: list[Json] = []
        for step in steps:
            first = firsts.setdefault((group_of(step.node), step.type), step)
            differences = None if first is step or step.steps or first.steps else self._differences(first, step)
            if differences is None:
                documents.append(self._whole(step))
            else:
                head: JsonObject = {"number": step.number, "type": step.type, "node": step.node, LIKE: first.number}
                documents.append(head | differences)
        return documents

    def _whole(self, step: Step) -> JsonObject:
        if not step.steps:
            return self._codec.document(step)
        return {**self._codec.document(replace(step, steps=())), "steps": self.folded(step.steps)}

    def _differences(self, first: Step, step: Step) -> JsonObject | None:
        """Return how a step differs from the first of its group; None if the format can't express it."""
        if [_identity(one) for one in first.actions] != [_identity(one) for one in step.actions]:
            return None
        found = self._changed(first, step, _STEP_FIELDS)
        actions: JsonObject = {}
        for position, (one, other) in enumerate(zip(first.actions, step.actions, strict=True)):
            differences = self._action_differences(one, other) if found is not None else None
            if differences is None:
                return None
            if differences:
                actions[str(position)] = differences
        return {**(found or {}), **({"actions": actions} if actions else {})}

    def _action_differences(self, first: PlannedAction, other: PlannedAction) -> JsonObject | None:
        expected = variables_of(first.node_variables, other.node)
        if list(expected) != list(other.node_variables):
            return None
        differences = self._changed(first, other, _ACTION_FIELDS)
        own: JsonObject = {key: new for key, new in other.node_variables.items() if not _same(expected[key], new)}
        return {**differences, "node_variables": own} if own and differences is not None else differences

    def _changed(self, first: object, other: object, names: Sequence[str]) -> JsonObject | None:
        """Return the fields that differ; None if maps have different keys or the number of items differs."""
        found: JsonObject = {}
        for name in names:
            one, its = getattr(first, name), getattr(other, name)
            if isinstance(its, Mapping):
                if list(one) != list(its):
                    return None
                entries: Json = {key: self._codec.part(new) for key, new in its.items() if not _same(one[key], new)}
                if entries:
                    found[name] = entries
            elif name == "items":
                if len(one) != len(its):
                    return None
                pairs = enumerate(zip(one, its, strict=True))
                items: Json = {str(at): self._codec.part(new) for at, (old, new) in pairs if not _same(old, new)}
                if items:
                    found[name] = items
            elif not _same(one, its):
                found[name] = self._codec.part(its)
        return found

    def unfolded(self, documents: Json) -> tuple[Step, ...]:
        """Return the steps that a JSON list represents.

        Raises:
            MalformedError: the list is malformed.
        """
        if not isinstance(documents, list):
            raise MalformedError("is not a list", "steps")
        known: dict[str, Step] = {}
        for document in documents:
            if not isinstance(document, dict):
                raise MalformedError("has a step that is not an object", "steps")
            step = self._like(known, document) if LIKE in document else self._read_whole(document)
            known[step.number] = step
        if len(known) != len(documents):
            raise MalformedError("has two steps with the same number", "steps")
        return tuple(known.values())

    def _read_whole(self, document: JsonObject) -> Step:
        step = self._codec.instance(Step, {key: value for key, value in document.items() if key != "steps"})
        return replace(step, steps=self.unfolded(document["steps"])) if "steps" in document else step

    def _like(self, known: Mapping[str, Step], document: JsonObject) -> Step:
        first = known.get(str(document[LIKE]))
        if first is None or first.steps:
            raise MalformedError(
                f"refers to step {document[LIKE]} with 'like', but no such step precedes it in the list", "steps"
            )
        own = {key: value for key, value in document.items() if key not in (LIKE, "actions")}
        step = self._codec.changed(first, own)
        differences = _by_position(document.get("actions", {}), len(first.actions))
        actions = (self._action_like(one, step.node, differences.get(at, {})) for at, one in enumerate(first.actions))
        return replace(step, actions=tuple(actions))

    def _action_like(self, first: PlannedAction, node: str, differences: Json) -> PlannedAction:
        moved = replace(first, node=node, node_variables=variables_of(first.node_variables, node))
        if not isinstance(differences, dict):
            raise MalformedError("is not an object", "actions")
        if not differences:
            return moved
        items = _by_position(differences.get("items", {}), len(first.items))
        rest: JsonObject = {key: value for key, value in differences.items() if key != "items"}
        changed = self._codec.changed(moved, rest)
        if not items:
            return changed
        # Read via a whole action: the reader needs an item's kind to know its type.
        listed: list[Json] = list(items.values())
        its = iter(self._codec.changed(moved, {"items": listed}).items)
        return replace(changed, items=tuple(next(its) if at in items else one for at, one in enumerate(first.items)))


def _same(one: object, other: object) -> bool:
    """Return whether two values serialize identically: equal maps may still differ in the order of entries."""
    if one is other or one != other:
        return one is other
    return isinstance(one, _WITHOUT_ORDER) or repr(one) == repr(other)


def _identity(action: PlannedAction) -> tuple[str, str]:
    return action.component, action.action


def variables_of(first: Mapping[str, Json], node: str) -> Mapping[str, Json]:
    """Return the first member's variables, adjusted for another member of its group."""
    member = split_member(node)
    own: dict[str, Json] = {"name": node, **({"index": member[1]} if member else {})}
    return {key: own.get(key, value) for key, value in first.items()}


def _by_position(document: Json, count: int) -> dict[int, Json]:
    """Return the entries of an object that is keyed by index, in order.

    Raises:
        MalformedError: an index is outside the list.
    """
    positions = {str(at): at for at in range(count)}
    if not isinstance(document, dict) or document.keys() - positions.keys():
        raise MalformedError(f"is not an object whose keys are positions below {count}")
    return {at: document[key] for key, at in positions.items() if key in document}
