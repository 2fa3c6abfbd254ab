"""Reports what filters, functions and methods make of values: what they make of a secret must stay secret, too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Report = Callable[[tuple[object, ...], object], None]
"""Receives the inputs of a call and its result."""

_reports: list[Report] = []


@contextmanager
def calls_reported(report: Report) -> Iterator[None]:
    """Report each call of the templates that are rendered inside."""
    _reports.append(report)
    try:
        yield
    finally:
        _reports.pop()


def report_call(inputs: tuple[object, ...], result: object) -> None:
    """Report a call to whoever asked for it."""
    for report in _reports:
        report(inputs, result)
