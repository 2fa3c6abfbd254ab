"""The original's mustache templates as Jinja2 ones."""

from __future__ import annotations

import re

_TAG = re.compile(r"\{\{(?P<kind>[{&#^/!]?)\s*(?P<name>[^{}]*?)\s*\}?\}\}")


def to_jinja(text: str, *, raw: bool) -> tuple[str, list[str]]:
    """Return a mustache template as a Jinja2 one, and what a person should look at.

    Args:
        text: the template.
        raw: it is a shell command, in which the original put values as they are and we quote them.
    """
    remarks: list[str] = []

    def replaced(match: re.Match[str]) -> str:
        kind, name = match["kind"], match["name"]
        if kind in ("#", "^"):
            remarks.append(f"the section '{name}' is now an if: check it where it ran over a list")
            return f"{{% if {'not ' if kind == '^' else ''}{name} %}}"
        if kind == "/":
            return "{% endif %}"
        if kind == "!":
            return f"{{# {name} #}}"
        if raw:
            remarks.append(
                f"'{name}' goes into the shell as it is, as it did: drop '| raw' and quotes around it if it may"
            )
        return f"{{{{ {name} | raw }}}}" if raw else f"{{{{ {name} }}}}"

    return _TAG.sub(replaced, text), list(dict.fromkeys(remarks))
