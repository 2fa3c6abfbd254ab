"""A template that would run forever or exhaust memory is reported as an error at once."""

from __future__ import annotations

import tracemalloc

import pytest

from dtk.dsl.template.rendering import TemplateProblem, render, render_text

MOST_MEMORY = 96 * 1024 * 1024
"""In bytes: several times the largest value that a template may produce."""
ENDLESS = {
    "nested loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "loops over lists": "{% set l = range(9999)|list %}{% for a in l %}{% for b in l %}{% endfor %}{% endfor %}",
    "macros": "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
}
HUGE = {
    "ljust": "{{ 'x'.ljust(2000000000) }}",
    "center": "{{ 'x'|center(2000000000) }}",
    "zfill": "{{ 'x'.zfill(2000000000) }}",
    "expandtabs": "{{ '\t'.expandtabs(2000000000) }}",
    "format": "{{ '{:>2000000000}'.format(1) }}",
    "format with a number": "{{ '{:>{}}'.format(1, 2000000000) }}",
    "the operator format": "{{ '%2000000000d' % 1 }}",
    "replaced by the text's own": "{% set n = namespace(x='xx') %}{% for i in range(9) %}"
    "{% set n.x = n.x.replace('x', n.x) %}{% endfor %}",
    "joined by a list": "{% set n = namespace(x='xx') %}{% for i in range(9) %}"
    "{% set n.x = n.x.join(n.x) %}{% endfor %}",
    "joined by the filter": "{% set n = namespace(x='xx') %}{% for i in range(9) %}"
    "{% set n.x = n.x|join(n.x) %}{% endfor %}",
    "joined copies": "{% set x = 'x' * 999999 %}{{ ([x] * 9999)|join }}",
    "wrapped": "{{ ('x' * 99999)|wordwrap(1, wrapstring='y' * 99999) }}",
    "translated": "{{ ('x' * 99999).translate({120: 'y' * 99999}) }}",
    "the filter format": "{{ '%2000000000d'|format(1) }}",
    "slice": "{{ [1]|slice(2000000000)|list }}",
    "batch": "{{ [1]|batch(2000000000, 0)|list }}",
    "joined texts": "{% set n = namespace(x='xx') %}{% for i in range(40) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "added lists": "{% set n = namespace(x=[1,2,3]) %}{% for i in range(40) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "products": "{% set n = namespace(x=9) %}{% for i in range(60) %}{% set n.x = n.x * n.x %}{% endfor %}",
    "replaced": "{% set n = namespace(x='xx') %}{% for i in range(9) %}"
    "{% set n.x = n.x|replace('x', n.x) %}{% endfor %}",
    "output": "{% for i in range(99999) %}" + "x" * 1000 + "{% endfor %}",
    "deep": "{{ " + "[" * 3000 + "]" * 3000 + " }}",
}


@pytest.mark.parametrize("text", ENDLESS.values(), ids=ENDLESS.keys())
def test_a_template_that_does_not_end_is_stopped(text: str) -> None:
    refuse(text)


@pytest.mark.parametrize("text", HUGE.values(), ids=HUGE.keys())
def test_what_would_be_huge_is_refused_before_it_is_made(text: str) -> None:
    tracemalloc.start()
    try:
        refuse(text)
        assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY
    finally:
        tracemalloc.stop()


def refuse(text: str) -> None:
    with pytest.raises(TemplateProblem):
        render(text, {})
    with pytest.raises(TemplateProblem):
        render_text(f"{text}.", {})


def test_what_templates_do_is_within_bounds() -> None:
    text = "{% for a in range(300) %}{% for b in range(300) %}{{ a + b }},{% endfor %}{% endfor %}"
    assert render_text(text, {}).count(",") == 90_000
    assert render("{{ [1] + [2] }}", {}) == [1, 2]
    assert (
        render("{{ ','.join(l|map('upper')) }}{{ l|join('-') }}{{ l|join(d='+') }}", {"l": ["a", "b"]}) == "A,Ba-ba+b"
    )
    assert render("{{ 'aXb'|replace('X', '--') }}{{ 'aXb'.replace('X', '') }}", {}) == "a--bab"
    assert render("{{ 'a' ~ 1 ~ b }}", {"b": "c"}) == "a1c"
    assert (
        render_text("{% for x in l %}{{ loop.index }}/{{ loop.length }}{{ x }} {% endfor %}", {"l": "ab"})
        == "1/2a 2/2b "
    )
