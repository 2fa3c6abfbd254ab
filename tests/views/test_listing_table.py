"""The table format of all listings."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from dtk.views.formatting import width
from dtk.views.listing_table import format_table


def test_headers_are_upper_case_and_rows_are_counted() -> None:
    assert format_table(["id", "assembly_name"], [[1, "cluster"], [20, None]]) == (
        "+----+---------------+\n"
        "| ID | ASSEMBLY NAME |\n"
        "+----+---------------+\n"
        "| 1  | cluster       |\n"
        "| 20 |               |\n"
        "+----+---------------+\n"
        "2 rows in set\n"
    )


def test_one_row_is_singular() -> None:
    assert format_table(["a"], [[True]]).endswith("| true |\n+------+\n1 row in set\n")


def test_an_empty_list_says_so() -> None:
    assert format_table(["a"], []) == "Message: List is empty.\n"


@given(some.lists(some.tuples(some.text(), some.text()), min_size=1))
def test_every_line_is_equally_wide_whatever_the_cells_hold(rows: list[tuple[str, str]]) -> None:
    *lines, _ = format_table(["first", "second"], rows).removesuffix("\n").split("\n")
    assert len({width(line) for line in lines}) == 1


def test_wide_characters_take_two_columns() -> None:
    assert format_table(["n"], [["日本"], ["e\u0301"]]).splitlines()[3:5] == ["| 日本 |", "| e\u0301    |"]
