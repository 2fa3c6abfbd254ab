"""Helper for tests of modules: what the create actions of a task changed."""

from __future__ import annotations

from tests.support.command_line import Dtk


def changed_by_create(dtk: Dtk, service: str, task: int) -> list[str]:
    done = [event for event in dtk.events(service, task) if event["type"] == "operation.finished"]
    return [event["message"] for event in done if event["action"] == "create" and event["changed"]]
