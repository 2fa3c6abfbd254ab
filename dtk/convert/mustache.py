"""Converts the original's mustache templates to Jinja2."""

from __future__ import annotations

import re

_TAG = re.compile(r"\{\{(?P<kind>[{&#^/!]?)\s*(?P<name>[^{}]*?)\s*\}?\}\}")


def to_jinja(text: str, *, raw: bool) -> tuple[str, list[str]]:
    """Return a mustache template as a Jinja2 template, with remarks about what a person should check.

    Args:
        text: the template.
        raw: whether it is a shell command, where the original inserted values unquoted and dtk quotes them.
    """
    remarks: list[str] = []

    def replaced(match: re.Match[str]) -> str:
        kind, name = match["kind"], match["name"]
        if kind in ("#", "^"):
            remarks.append(f"the section '{name}' became an if: write a for instead if it iterates over a list")
            return f"{{% if {'not ' if kind == '^' else ''}{name} %}}"
        if kind == "/":
            return "{% endif %}"
        if kind == "!":
            return f"{{# {name} #}}"
        if raw:
            remarks.append(
                f"'{name}' is not quoted for the shell, as in the original: remove '| raw' and its quotes to quote it"
            )
        return f"{{{{ {name} | raw }}}}" if raw else f"{{{{ {name} }}}}"

    return _TAG.sub(replaced, text), list(dict.fromkeys(remarks))
