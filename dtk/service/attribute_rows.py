"""Selects attributes of a service: all, or those of a node, a component or a name."""

from __future__ import annotations

from dtk.errors import UsageError
from dtk.model.suggestion import did_you_mean
from dtk.plan.resolve.rows import AttributeRow
from dtk.plan.resolve.service import ResolvedService
from dtk.service.lookup import declared_node


def filtered(
    found: ResolvedService, rows: list[AttributeRow], node: str | None, component: str | None, attribute: str | None
) -> list[AttributeRow]:
    """Return the rows of a node, a component and an attribute; None does not filter.

    Raises:
        UsageError: the service has no such node, component or attribute.
    """
    if node:
        rows = _having("node", declared_node(found, node), rows)
    if component:
        rows = _having("component", component, rows)
    return _having("attribute", attribute, rows) if attribute else rows


def _having(what: str, name: str, rows: list[AttributeRow]) -> list[AttributeRow]:
    names = {getattr(row, what) for row in rows}
    if name not in names and what != "node":
        raise UsageError(
            f"no {what} '{name}' among the listed attributes", hint=did_you_mean(name, names, "dtk list-attributes")
        )
    return [row for row in rows if getattr(row, what) == name]
