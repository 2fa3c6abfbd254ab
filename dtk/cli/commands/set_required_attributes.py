"""``dtk set-required-attributes``: asks for every required attribute that has no value."""

from __future__ import annotations

from dtk.cli.options import JsonOption, ServiceArgument
from dtk.cli.wizard import ask_and_set
from dtk.plan.resolve.rows import all_attribute_rows
from dtk.service.lookup import read_service


def set_required_attributes(service: ServiceArgument = None, as_json: JsonOption = False) -> None:
    """Prompt for every required attribute that has no value.

    Answers can come from standard input, one per line, followed by yes. Example: dtk set-required-attributes dask1
    """
    inputs, found = read_service(service)
    ask_and_set(inputs, [row for row in all_attribute_rows(found) if row.is_missing], as_json=as_json)
