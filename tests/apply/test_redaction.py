"""Tests of redaction: secrets are found in all usual encodings and across chunks, with no pattern per known value."""

from __future__ import annotations

import base64
import html
import json
import re
import shlex
import textwrap
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtk.apply.reporting import redaction, secret_forms
from dtk.apply.reporting.redaction import RedactedStream, Redactor
from dtk.model.value import SECRET_SHOWN

SECRET = 'it\'s a $ecret/with+"all" of&it\\'
LONG = "Zq8vK2mW7xT4bN9cR1yL"


def knowing(*secrets: str) -> Redactor:
    redactor = Redactor()
    for secret in secrets:
        redactor.add_secret(secret)
    return redactor


@pytest.mark.parametrize("secret", [SECRET, LONG, "grün-日本語!"])
@pytest.mark.parametrize(
    "write",
    [
        lambda secret: secret,
        shlex.quote,
        lambda secret: shlex.quote(f"echo {shlex.quote(secret)}"),
        lambda secret: re.sub(r'(["$`\\])', r"\\\1", secret),
        json.dumps,
        lambda secret: json.dumps(secret, ensure_ascii=False),
        lambda secret: json.dumps(json.dumps({"a": secret})),
        lambda secret: quote(secret, safe=""),
        quote,
        quote_plus,
        repr,
        html.escape,
        lambda secret: secret.encode().hex(),
        lambda secret: base64.b64encode(f"user:{secret}".encode()).decode(),
        lambda secret: base64.b64encode(f"x{secret}yz".encode()).decode(),
        lambda secret: base64.urlsafe_b64encode(f"ab{secret}".encode()).decode(),
        lambda secret: "\n".join(textwrap.wrap(base64.b64encode(f"{'x' * 40}{secret}".encode()).decode(), 7)),
        lambda secret: "\n".join(secret[at : at + 7] for at in range(0, len(secret), 7)),
    ],
)
def test_a_secret_is_found_however_it_is_written(secret: str, write: object) -> None:
    assert callable(write)
    text = f"before {write(secret)} after"
    redacted = knowing(secret).text(text)
    assert SECRET_SHOWN in redacted
    # Characters at the edges of an encoded value stay, because they also hold bits of the neighbouring text.
    kept = redacted.replace(SECRET_SHOWN, "").removeprefix("before ").removesuffix(" after")
    assert not [part for part in secret_forms.forms_of(secret) if len(part) > 6 and part in kept]


@given(st.lists(st.integers(1, 60)), st.sampled_from([SECRET, LONG, "a\nb\nlonger line", "aaaa"]))
def test_no_cut_of_a_stream_shows_a_part_of_a_secret(cuts: list[int], secret: str) -> None:
    redactor = knowing(secret)
    whole = f"x{secret[:5]} {secret}{secret} y\n{secret}"
    stream = RedactedStream(redactor)
    pieces, at = [], 0
    for cut in cuts:
        pieces.append(stream.feed(whole[at : at + cut]))
        at += cut
    pieces += [stream.feed(whole[at:]), stream.end()]
    assert "".join(pieces) == redactor.text(whole)


def test_what_is_no_secret_is_given_on_at_once() -> None:
    stream = RedactedStream(knowing(LONG))
    assert stream.feed("a line\nand more") == "a line\nand more"


def test_learning_many_values_compiles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[object] = []
    monkeypatch.setattr(redaction, "pattern_of", compiled.append)
    redactor = Redactor()
    for number in range(1000):
        redactor.add_hidden(f"value-of-node-{number}-{number * 7919}")
        redactor.text(f"an ordinary line of node {number}")
    assert compiled == []
    assert redactor.holds_secret("value-of-node-7") is False


def test_an_output_in_an_encoded_form_is_a_secret_too() -> None:
    redactor = knowing(LONG)
    assert redactor.holds_secret({"a": ["x", base64.b64encode(LONG.encode()).decode()]})
    assert not redactor.holds_secret("something else")
