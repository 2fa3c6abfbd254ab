"""How many members of each group run at once: set by the assembly, overridden by the service."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dtk.errors import Problem
from dtk.model.json_data import Json
from dtk.model.module import Assembly
from dtk.model.service import Service
from dtk.plan.resolve.overrides import ILLEGAL

MAX_IN_FLIGHT = "max_in_flight"

Windows = Mapping[str, int | str]
"""``max_in_flight`` by group name, for groups that have one: 3, or "25%"."""

_WINDOW = re.compile(r"^(?:[1-9][0-9]*|(?:[1-9][0-9]?|100)%)$", re.ASCII)


def group_windows(service: Service, assembly: Assembly, problems: list[Problem]) -> Windows:
    """Return each group's ``max_in_flight``, the service's over the assembly's; append problems to ``problems``."""
    found: dict[str, int | str] = {}
    for node in assembly.nodes.values():
        path = f"{node.name}/{MAX_IN_FLIGHT}"
        setting = service.attributes.get(path)
        fix = f"dtk set-attribute {service.name} {path} --unset"
        if setting is None:
            found |= {} if node.max_in_flight is None else {node.name: window_of(node.max_in_flight)}
        elif node.is_group:
            try:
                found[node.name] = window_of(setting.value)
            except ValueError as error:
                problems.append(Problem(str(error), setting.location, path, kind=ILLEGAL, fix=fix))
    return found


def window_of(value: Json) -> int | str:
    """Parse a ``max_in_flight`` as users write it: 3, or "25%".

    Raises:
        ValueError: the value is neither a positive number nor a percentage.
    """
    text = str(value)
    if not _WINDOW.match(text):
        raise ValueError(f"Value must be a number above 0, or a share such as 25%, not {text}")
    return text if text.endswith("%") else int(text)
