"""Values of a plan: known values are one Known, documents keep every value, and lists are joined in linear time."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtk.model.value import (
    Element,
    JoinedLists,
    JoinedText,
    Known,
    Reference,
    Secret,
    Template,
    Typed,
    Value,
    ValueList,
    ValueMap,
    as_applied,
    evaluate,
    holds_secret,
    is_known,
    joined,
    list_of,
    map_of,
    references,
    shown,
)
from dtk.model.value_document import value_document, value_of

ADDRESS = Reference("master/host_address", "string")
KEYS = st.sampled_from(["a", "$reference", "$text", "$literal", "$template", "shell", "$secret"])
DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
VALUES: st.SearchStrategy[Value] = st.recursive(
    st.builds(Known, DATA)
    | st.builds(Reference, st.just("n/x"), st.just("string"))
    | st.builds(Secret, st.just("env:NAME"))
    | st.builds(Template, st.text(max_size=5), st.booleans()),
    lambda inner: (
        st.lists(inner, max_size=3).map(list_of)
        | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2).map(map_of)
        | st.lists(inner, min_size=1, max_size=3).map(tuple).map(JoinedText)
        | st.lists(inner, min_size=1, max_size=3).map(tuple).map(JoinedLists)
        | st.builds(Element, inner, st.just("key"))
        | st.builds(Typed, st.just("string"), inner)
    ),
    max_leaves=8,
)


@given(VALUES)
def test_a_value_comes_back_from_its_document_as_it_was(value: Value) -> None:
    document = json.loads(json.dumps(value_document(value)))
    assert value_of(document) == value
    assert value_document(value_of(document)) == document


@given(DATA)
def test_data_that_looks_like_a_mark_stays_data(data: object) -> None:
    document = value_document(Known(data))  # type: ignore[arg-type]
    assert value_of(document) == Known(data)  # type: ignore[arg-type]


def test_what_holds_nothing_open_is_one_known_value() -> None:
    assert list_of([Known(1), Known([2])]) == Known([1, [2]])
    assert map_of({"a": Known(1)}) == Known({"a": 1})
    assert isinstance(list_of([Known(1), ADDRESS]), ValueList)
    assert isinstance(map_of({"a": ADDRESS}), ValueMap)


def test_joined_lists_keep_their_order_and_merge_what_is_at_hand() -> None:
    assert joined([Known([1]), Known([2])]) == Known([1, 2])
    assert joined([ADDRESS]) == ADDRESS
    mixed = joined([Known([1]), list_of([Secret("env:A")]), ADDRESS, Known([2]), Known([3])])
    assert mixed == JoinedLists((ValueList((Known(1), Secret("env:A"))), ADDRESS, Known([2, 3])))
    assert list(references(mixed)) == [ADDRESS.path]


def test_a_secret_counts_as_known_and_is_shown_as_a_word() -> None:
    url = JoinedText((Known("db://"), Secret("env:A")))
    assert is_known(url)
    assert holds_secret(url)
    assert not is_known(list_of([ADDRESS]))
    assert shown(map_of({"a": Secret("env:A"), "b": ADDRESS})) == {"a": "(secret)", "b": "(known after apply)"}
    assert not holds_secret(Known({"$secret": "env:A"})), "data that only looks like one"


def test_what_was_applied_keeps_secrets_as_references() -> None:
    url = JoinedText((Known("db://"), ADDRESS, Secret("env:A")))
    assert as_applied(url, lambda _: "10.0.0.1") == JoinedText((Known("db://"), Known("10.0.0.1"), Secret("env:A")))
    assert as_applied(list_of([Known(1), ADDRESS]), lambda _: "x") == Known([1, "x"])


def test_a_text_with_an_unset_piece_is_unset() -> None:
    assert evaluate(JoinedText((Known("a"), ADDRESS)), lambda _: None) is None
    assert evaluate(Typed("integer", Element(ADDRESS, "port")), lambda _: {"port": "7"}) == 7


@pytest.mark.parametrize("document", [{"$reference": 5}, {"$text": "a"}, {"$secret": None}, {"$key": {"of": 1}}])
def test_a_mark_that_holds_something_else_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"is not|does not have"):
        value_of(document)  # type: ignore[arg-type]
