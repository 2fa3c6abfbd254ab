"""The differing parts of a value: keys of hashes, items of lists, the changed piece of a text."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from dtk.model.json_data import Json
from dtk.model.value import KNOWN_AFTER_APPLY
from dtk.model.yaml_flow import LONGEST, flow_text

MOST_DIFFERENCES = 10
"""Differences listed per attribute; the rest are counted."""
_CONTEXT = 12
"""Characters of a long text to show before the first difference."""
_UNSET = "(unset)"


def value_differences(path: str, before: Json, after: Json) -> list[str]:
    """Return the differences between two values of an attribute, one line each.

    Args:
        path: the attribute, ``servers/web::server/port``; hash keys are appended to it.
        before: the value that was applied; None for unset.
        after: the future value.

    Returns:
        ``PATH 5432 → 5433``, ``PATH/KEY 2g → 4g``, ``PATH removed [a], added [b]``.
    """
    found = list(_differences(path, before, after)) or [f"{path} {' → '.join(_texts(before, after))}"]
    more = len(found) - MOST_DIFFERENCES
    return [*found[:MOST_DIFFERENCES], f"{path} and {more} more"] if more > 0 else found


def _differences(path: str, before: Json, after: Json) -> Iterator[str]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys((*before, *after)):
            if key not in before or key not in after or _key(before[key]) != _key(after[key]):
                yield from _differences(f"{path}/{key}", before.get(key), after.get(key))
    elif isinstance(before, list) and isinstance(after, list):
        yield from _list_differences(path, before, after)
    else:
        yield f"{path} {' → '.join(_texts(before, after))}"


def _list_differences(path: str, before: Sequence[Json], after: Sequence[Json]) -> Iterator[str]:
    counts_before, counts_after = Counter(map(_key, before)), Counter(map(_key, after))
    removed, added = _surplus(before, counts_before - counts_after), _surplus(after, counts_after - counts_before)
    positions = [
        index for index, (one, other) in enumerate(zip(before, after, strict=False)) if _key(one) != _key(other)
    ]
    if len(before) == len(after) and all(_are_alike(before[index], after[index]) for index in positions):
        for index in positions:
            yield from _differences(f"{path}/{index}", before[index], after[index])
        return
    parts = [f"{word} {flow_text(items)}" for word, items in (("removed", removed), ("added", added)) if items]
    if not parts:
        first = positions[0]
        parts = [f"order {flow_text(list(before[first:]))} → {flow_text(list(after[first:]))}"]
    yield f"{path} {', '.join(parts)}"


def _surplus(items: Sequence[Json], counts: Counter[str]) -> list[Json]:
    """Return the surplus items of a list, each as often as the count says."""
    left = Counter(counts)
    found = []
    for item in items:
        key = _key(item)
        if left[key]:
            left[key] -= 1
            found.append(item)
    return found


def _are_alike(one: Json, other: Json) -> bool:
    """Return whether two items are both hashes or both lists, and so comparable part by part."""
    return (isinstance(one, Mapping) and isinstance(other, Mapping)) or (
        isinstance(one, list) and isinstance(other, list)
    )


def _key(value: Json) -> str:
    """Return a comparison key that distinguishes True from 1."""
    return json.dumps(value, sort_keys=True)


def _texts(before: Json, after: Json) -> tuple[str, str]:
    """Return both values on one line; of long texts only the differing piece."""
    if not isinstance(before, str) or not isinstance(after, str) or after == KNOWN_AFTER_APPLY:
        return _text(before), _text(after)
    start = max(0, _first_difference(before, after) - _CONTEXT) if max(len(before), len(after)) > LONGEST else 0
    ahead = "…" if start else ""
    return ahead + flow_text(before[start:]), ahead + flow_text(after[start:])


def _first_difference(one: str, other: str) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((index for index, (a, b) in pairs if a != b), min(len(one), len(other)))


def _text(value: Json) -> str:
    return _UNSET if value is None else flow_text(value)
