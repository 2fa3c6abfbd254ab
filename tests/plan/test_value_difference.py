"""The differing part of a value, as YAML: never cut off before the difference."""

from __future__ import annotations

import pytest

from dtk.model.json_data import Json
from dtk.plan.diff.value_difference import value_differences

LONG = "-XX:+UseG1GC -XX:MaxGCPauseMillis=200 -Dspark.history.ui=18080 -Dlogs.level="


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (5432, 5433, ["a/b/c 5432 → 5433"]),
        (True, False, ["a/b/c true → false"]),
        (None, "x", ["a/b/c (unset) → x"]),
        ("8", 8, ['a/b/c "8" → 8']),
        ("two words", "", ['a/b/c two words → ""']),
        (["a", "b", "c"], ["a", "c", "d"], ["a/b/c removed [b], added [d]"]),
        (["a", "b"], ["b", "a"], ["a/b/c order [a, b] → [b, a]"]),
        (["a", "a"], ["a"], ["a/b/c removed [a]"]),
        ({"heap": "2g", "gc": "g1"}, {"heap": "4g", "gc": "g1"}, ["a/b/c/heap 2g → 4g"]),
        ({"x": {"y": 1}}, {"x": {"y": 2}, "z": []}, ["a/b/c/x/y 1 → 2", "a/b/c/z (unset) → []"]),
        ([{"port": 80, "on": True}], [{"port": 81, "on": True}], ["a/b/c/0/port 80 → 81"]),
        (LONG + "info", LONG + "debug", ["a/b/c …Dlogs.level=info → …Dlogs.level=debug"]),
        (["a, b"], ["a: b"], ['a/b/c removed ["a, b"], added ["a: b"]']),
    ],
)
def test_what_differs_is_said_and_nothing_else(before: Json, after: Json, expected: list[str]) -> None:
    assert value_differences("a/b/c", before, after) == expected


def test_a_difference_far_behind_in_a_long_list_is_shown() -> None:
    hosts: list[Json] = [f"10.0.0.{number}" for number in range(200)]
    assert value_differences("p", hosts, [*hosts[:150], "10.9.9.9", *hosts[151:]]) == [
        "p removed [10.0.0.150], added [10.9.9.9]"
    ]


def test_a_long_list_of_differences_is_counted() -> None:
    before: Json = {f"key{number}": number for number in range(30)}
    found = value_differences("p", before, {})
    assert found[0] == "p/key0 0 → (unset)"
    assert (len(found), found[-1]) == (11, "p and 20 more")
    added = value_differences("p", [], list(range(100)))
    assert added == ["p added [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, … 82 more]"]
