"""Semantic checks of item ids: ids are unique, and if_changed refers to earlier items."""

from __future__ import annotations

from collections.abc import Iterator

from dtk.dsl.build.action import ids_named, items_with_conditions
from dtk.dsl.yaml.cursor import Cursor
from dtk.errors import Problem
from dtk.model.suggestion import nearest


def id_problems(action: Cursor) -> Iterator[Problem]:
    """Yield problems of duplicate item ids, and of ids in ``if_changed`` that no earlier item has."""
    items = [item for key in ("operations", "commands") for item, _ in items_with_conditions(action, key)]
    found = [item for item in items if isinstance(item.value, dict)]
    all_ids = [item.text("id") for item in found if item.get("id")]
    seen: dict[str, int] = {}
    for item in found:
        for named in ids_named(item):
            if str(named.value) not in seen:
                yield _unknown(named, all_ids)
        own = item.get("id")
        if own is None:
            continue
        if str(own.value) in seen:
            yield own.problem(f"the id '{own.value}' is already used in line {seen[str(own.value)]}")
        seen.setdefault(str(own.value), own.location.line)


def _unknown(named: Cursor, all_ids: list[str]) -> Problem:
    if named.value in all_ids:
        message = f"the item '{named.value}' does not come before this one, so it cannot have changed anything yet"
        return named.problem(message)
    return named.problem(f"no item of the action has the id '{named.value}'", near=nearest(str(named.value), all_ids))
