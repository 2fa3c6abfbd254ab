"""Templates: native values, strict names, values that are known later, and quoting that a real shell agrees with."""

from __future__ import annotations

import subprocess
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtk.dsl.check.template import Names, template_problems
from dtk.dsl.template.rendering import TemplateProblem, render, render_text
from dtk.dsl.template.unknown import NeedsUnknown, Unknown
from dtk.errors import Location

HOSTILE = [
    "plain",
    "",
    "two words",
    "it's",
    "'; touch hacked; '",
    '"; touch hacked; "',
    "$(touch hacked)",
    "`touch hacked`",
    "${HOME}",
    "a\nb\n\nc",
    "-rf",
    "*",
    "~",
    "#not a comment",
    "a\\",
    "!!",
    "\t tab ",
    "ä€😀",
    "{{ port }}",
    "<<EOF",
    "&& touch hacked",
]


def shell(command: str, tmp_path: Any) -> str:
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert not list(tmp_path.iterdir()), "the value ran as a command"
    return done.stdout


@pytest.mark.parametrize("value", HOSTILE)
def test_any_value_is_one_word_of_a_shell_command(value: str, tmp_path: Any) -> None:
    command = render("printf '%s|' {{ value }} end", {"value": value}, shell=True)
    assert shell(command, tmp_path) == f"{value}|end|"


@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_may_be_part_of_a_word(value: str, tmp_path: Any) -> None:
    command = render("printf '%s' /srv/{{ value }}/data", {"value": value}, shell=True)
    assert shell(command, tmp_path) == f"/srv/{value}/data"


@pytest.mark.parametrize(
    "place",
    ['printf %s "$(printf %s {{ value }})"', "(printf %s {{ value }})", "printf %s ${UNSET_:-{{ value }}}"],
)
@pytest.mark.parametrize("value", [value for value in HOSTILE if not value.endswith("\n")])
def test_places_that_the_checker_allows_are_safe(place: str, value: str, tmp_path: Any) -> None:
    assert template_problems(place, Names(("value",)), shell=True) == []
    quoted = render(place, {"value": value}, shell=True)
    subprocess.run(["/bin/sh", "-c", quoted], capture_output=True, check=True, cwd=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "place",
    [
        "printf %s '{{ value }}'",
        'printf %s "{{ value }}"',
        "printf %s `printf %s {{ value }}`",
        "cat <<END\n{{ value }}\nEND\n",
        "cat <<-END\n\t{{ value }}\n\tEND\n",
        "cat << 'END'\n{{ value }}\nEND\n",
        "true # {{ value }}",
        "echo $(( {{ value }} ))",
        "printf %s \\{{ value }}",
        'printf %s "${UNSET_:-{{ value }}}"',
    ],
)
def test_places_where_quoting_does_not_protect_are_refused_unless_raw(place: str) -> None:
    problems = template_problems(place, Names(("value",)), shell=True)
    assert len(problems) == 1
    assert template_problems(place.replace("value }}", "value | raw }}"), Names(("value",)), shell=True) == []
    assert template_problems(place, Names(("value",)), shell=False) == []


def test_after_quotes_comments_and_here_documents_words_are_read_again() -> None:
    command = (
        "echo 'a' \"b\" # it's\necho {{ value }}\ncat <<END && echo {{ value }}\nit's\nEND\necho a#b {{ value }}\n"
    )
    assert template_problems(command, Names(("value",)), shell=True) == []


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40))
def test_shell_quoting_is_exact_for_every_text(value: str) -> None:
    command = render("printf %s {{ value }}", {"value": value}, shell=True)
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, check=True)
    assert done.stdout.decode() == value


def test_lists_are_one_word_for_each_item(tmp_path: Any) -> None:
    command = render("printf '%s|' {{ items }}", {"items": ["a b", "$(touch hacked)", 3, True]}, shell=True)
    assert shell(command, tmp_path) == "a b|$(touch hacked)|3|true|"


def test_raw_values_are_not_quoted() -> None:
    assert render("echo {{ flags | raw }}", {"flags": "-a -b"}, shell=True) == "echo -a -b"


def test_changing_a_raw_value_quotes_it_again() -> None:
    assert render("echo {{ flags | raw | upper }}", {"flags": "-a; -b"}, shell=True) == "echo '-A; -B'"


@pytest.mark.parametrize("value", [8786, "text", True, None, [1, "a"], {"a": {"b": [1]}}, 2.5])
def test_a_sole_expression_gives_the_value_itself(value: Any) -> None:
    rendered = render("{{ value }}", {"value": value})
    assert rendered == value
    assert type(rendered) is type(value)


def test_texts_around_an_expression_make_it_text() -> None:
    variables = {"port": 80, "on": True, "names": ["a", "b"], "map": {"k": 1}}
    assert render("port={{ port }} on={{ on }}", variables) == "port=80 on=true"
    assert render(" {{ names }}", variables) == ' ["a", "b"]'
    assert render("{{ map }}!", variables) == '{"k": 1}!'


def test_numbers_are_reckoned_with() -> None:
    assert render("{{ port + 2 * 3 % 4 }}", {"port": 80}) == 82


def test_nested_data_is_rendered_throughout_and_the_rest_is_left_alone() -> None:
    data = {"a": ["{{ port }}", 1, None, "no template"], "b": {"c": "x{{ port }}"}}
    assert render(data, {"port": 80}) == {"a": [80, 1, None, "no template"], "b": {"c": "x80"}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ prot }}", "'prot' is not defined; did you mean 'port'?"),
        ("x {{ prot }}", "'prot' is not defined; did you mean 'port'?"),
        ("{{ [prot] }}", "'prot' is not defined; did you mean 'port'?"),
        ("{{ node.hme }}", "'hme' is not defined; did you mean 'home'?"),
        ("x{{ empty }}", "'empty' is not set"),
        ("{{ port + 'a' }}", "template cannot be rendered: unsupported operand type(s) for +: 'int' and 'str'"),
        ("{{ port", "invalid template: unexpected end of template, expected 'end of print statement'."),
        ("{{ node.items }}", "template cannot be rendered: builtin_function_or_method is not a value"),
    ],
)
def test_what_a_template_can_not_have_is_told(text: str, message: str) -> None:
    with pytest.raises(TemplateProblem) as caught:
        render(text, {"port": 80, "empty": None, "node": {"home": "/srv"}})
    assert str(caught.value) == message
    problem = caught.value.at(Location("m.yaml", 3, 7))
    assert str(problem).startswith("m.yaml:3:7: ")


@pytest.mark.parametrize(
    "text",
    [
        "{{ ().__class__.__base__.__subclasses__() }}",
        "{{ name.__init__.__globals__ }}",
        "{{ names.append(1) }}",
        "{{ cycler.__init__.__globals__.os.system('true') }}",
        "{% include '/etc/passwd' %}",
        "{{ [1, 2] | random }}",
        "{{ 10 ** 10 ** 10 }}",
        "{{ 'a' * 10000000000 }}",
        "{{ '%9999999999d' % 1 }}",
    ],
)
def test_templates_reach_nothing_outside_their_values(text: str) -> None:
    with pytest.raises(TemplateProblem):
        render(text, {"name": "x", "names": [1]})


@pytest.mark.parametrize(
    "text",
    [
        "{{ later }}",
        "a {{ later }}",
        "{{ [later] }}",
        "{{ later + 1 }}",
        "{{ 1 + later }}",
        "{{ later ~ 'x' }}",
        "{{ later.member }}",
        "{{ later[0] }}",
        "{{ later | upper }}",
        "{{ later | length }}",
        "{{ later | join(',') }}",
        "{{ later | default('x') }}",
        "{{ later == 1 }}",
        "{{ later and 1 }}",
        "{{ 'x' if later else 'y' }}",
        "{% if later %}a{% endif %}",
        "{% for item in later %}a{% endfor %}",
        "{{ node.address }}",
        "{{ node }}",
        "{{ node | tojson }}",
        "{{ 'a' in later }}",
    ],
)
@pytest.mark.parametrize("in_shell", [True, False])
def test_using_what_is_known_later_makes_the_template_wait(text: str, in_shell: bool) -> None:
    variables = {"later": Unknown("later"), "node": {"home": "/srv", "address": Unknown("node.address")}}
    with pytest.raises(NeedsUnknown):
        render(text, variables, shell=in_shell)


def test_what_does_not_touch_an_unknown_value_is_rendered() -> None:
    variables = {"later": Unknown("later"), "node": {"home": "/srv", "address": Unknown("node.address")}, "port": 1}
    assert render("{{ node.home }}:{{ port }}", variables) == "/srv:1"
    assert render("{{ 'x' if port == 1 else later }}", variables) == "x"


def test_a_file_keeps_its_last_line_break_and_is_never_quoted() -> None:
    assert render_text("name = {{ name }}\n", {"name": "a b"}) == "name = a b\n"
    assert render_text("{{ port }}", {"port": 80}) == "80"
    assert render_text("list = {{ names | tojson }}\n", {"names": ["<a>"]}) == 'list = ["<a>"]\n'


@pytest.mark.parametrize(
    "text",
    ["{% macro m() %}{% endmacro %}", "{% filter upper %}{{ a }}{% endfilter %}", "{% set x %}{{ a }}{% endset %}"],
)
def test_statements_that_could_undo_quoting_are_refused_in_shell_commands(text: str) -> None:
    assert template_problems(text, Names(("a",)), shell=True) != []
    assert template_problems(text, Names(("a",)), shell=False) == []


def test_a_value_that_is_known_after_apply_makes_jinja_rewrite_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    rewritten = Mock()
    monkeypatch.setattr("jinja2.debug.rewrite_traceback_stack", rewritten)
    with pytest.raises(NeedsUnknown):
        render("at {{ address }}", {"address": Unknown("address")})
    rewritten.assert_not_called()
