"""The parser of documents: it locates every value and key, keeps numbers' text, and never crashes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtk.dsl.yaml.document import parse_document
from dtk.dsl.yaml.span import Span
from dtk.errors import InvalidError, Problem
from dtk.model.json_data import as_object
from dtk.model.types import coerce
from dtk.model.written import as_written, unwritten

TEXT = """\
# a comment
version: 2.70   # as written
list:
  - first
  - {key: 'quoted', other: 03}
block: |
  one
  two

empty:
last: yes
"""


def test_values_and_keys_have_places() -> None:
    document = parse_document(TEXT, "f.yaml")
    assert str(document.locate(("version",))) == "f.yaml:2:10"
    assert str(document.locate_key(("version",))) == "f.yaml:2:1"
    assert str(document.locate(("list", 1, "other"))) == "f.yaml:5:28"
    assert str(document.locate_key(("list", 1, "other"))) == "f.yaml:5:21"
    assert str(document.locate(("list", 0))) == "f.yaml:4:5"


def test_a_value_that_is_left_out_stands_where_its_key_does() -> None:
    document = parse_document(TEXT, "f.yaml")
    assert document.data["empty"] is None
    assert str(document.locate(("empty",))) == "f.yaml:10:1"


def test_what_is_not_there_is_located_at_what_is_around_it() -> None:
    assert str(parse_document(TEXT, "f.yaml").locate(("list", 1, "missing", "deeper"))) == "f.yaml:5:5"


@pytest.mark.parametrize(
    ("written", "type_", "expected"),
    [
        ("2.70", "string", "2.70"),
        ("1.10", "string", "1.10"),
        ("03", "string", "03"),
        ("'03'", "string", "03"),
        ("1e3", "string", "1e3"),
        ("1.5.1", "string", "1.5.1"),
        ("2015", "string", "2015"),
        ("2015-11-26", "string", "2015-11-26"),
        ("true", "string", "true"),
        ("yes", "string", "yes"),
        ("03", "integer", 3),
        ("'03'", "integer", 3),
        ("8786", "port", 8786),
        ("'true'", "boolean", True),
        ("[1.10, 03]", "array(string)", ["1.10", "03"]),
        ("[03]", "array(integer)", [3]),
        ("{a: 2.70, b: 2.7}", "hash", {"a": "2.70", "b": 2.7}),
    ],
)
def test_values_take_the_type_of_their_attribute(written: str, type_: str, expected: Any) -> None:
    value = coerce(type_, parse_document(f"v: {written}\n", "f.yaml").data["v"])
    assert value == expected
    assert type(value) is type(expected)
    assert json.dumps(value) == json.dumps(expected)


@pytest.mark.parametrize(("written", "expected"), [("755", 755), ("0755", "0755"), ("2.7", 2.7), ("2.70", "2.70")])
def test_without_a_type_a_number_that_says_more_than_a_number_stays_text(written: str, expected: Any) -> None:
    value = as_object(as_written(parse_document(f"v: [{written}]\n", "f.yaml").data))["v"]
    assert value == [expected]
    assert isinstance(value, list)
    assert type(value[0]) is type(expected)


WORDS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=10)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(PLAIN)
def test_json_is_read_as_yaml(value: Any) -> None:
    assert unwritten(parse_document(json.dumps(value), "f.json").data) == value


@settings(max_examples=400, deadline=None)
@given(st.text(st.sampled_from("ab:-?{}[],&*#|>'\"%@`! \n\t\\<0.~"), max_size=40))
def test_any_text_is_a_document_or_a_located_error(text: str) -> None:
    located, spans = problems_or_spans(text)
    assert located or spans
    assert all(problem.location for problem in located)
    assert all(0 <= span.start <= span.end <= len(text) for span in spans)


def problems_or_spans(text: str) -> tuple[Sequence[Problem], Sequence[Span]]:
    try:
        return (), list(parse_document(text, "f.yaml").values.values())
    except InvalidError as error:
        return error.problems, ()
