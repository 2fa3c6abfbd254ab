"""``--junit``: a task as JUnit XML, so that CI shows its steps as tests."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from dtk.events.tree import Task, TaskStage, TaskStep
from dtk.views.formatting import harmless, one_line, status_word
from dtk.views.step_errors import error_text


def junit_text(task: Task) -> str:
    """Return the XML: a test suite per stage, and a test case per step that does something.

    A failed step is a ``failure``; one that was cancelled or not finished is ``skipped``; an error that belongs to no
    step (a lost worker, a full disk) is an ``error`` in its own suite, so that no failed task looks successful.
    """
    root = ET.Element("testsuites", name=_clean(f"{task.service} task {task.number}: {task.title}"))
    for stage in task.stages:
        _suite(root, stage)
    if task.status != "succeeded":
        suite = ET.SubElement(root, "testsuite", name=_clean(task.title), tests="1")
        case = ET.SubElement(suite, "testcase", classname=_clean(task.title), name="the task as a whole")
        element = ET.SubElement(case, "error", message=status_word(task.status))
        element.text = _clean("\n".join(error_text(error) for error in task.errors) or status_word(task.status))
        suite.set("errors", "1")
    _count(root)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def _suite(root: ET.Element, stage: TaskStage) -> None:
    suite = ET.SubElement(root, "testsuite", name=_clean(f"{stage.number} {stage.name}"))
    if stage.started_at:
        suite.set("timestamp", stage.started_at.strftime("%Y-%m-%dT%H:%M:%S"))
    suite.set("time", f"{stage.duration or 0.0:.3f}")
    leaves = list(stage.leaves())
    for leaf in leaves:
        _case(suite, stage, leaf)
    suite.set("tests", str(len(leaves)))
    suite.set("failures", str(sum(leaf.status == "failed" for leaf in leaves)))
    suite.set("skipped", str(sum(leaf.status in {"created", "cancelled", "executing"} for leaf in leaves)))


def _case(suite: ET.Element, stage: TaskStage, leaf: TaskStep) -> None:
    case = ET.SubElement(suite, "testcase", classname=_clean(stage.name), time=f"{leaf.duration or 0.0:.3f}")
    case.set("name", _clean(f"{leaf.number} {leaf.type} {leaf.node}"))
    if leaf.status == "failed":
        message = leaf.errors[0].message if leaf.errors else "failed"
        failure = ET.SubElement(case, "failure", message=_clean(one_line(message)))
        failure.text = _clean("\n\n".join(map(error_text, leaf.errors)))
    elif leaf.status != "succeeded":
        ET.SubElement(case, "skipped", message=status_word(leaf.status))
    written = [text for result in leaf.results for text in (result.command, result.stdout, result.stderr) if text]
    if written:
        ET.SubElement(case, "system-out").text = _clean("\n".join(written))


def _count(root: ET.Element) -> None:
    for name in ("tests", "failures", "skipped", "errors"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))


def _clean(text: str) -> str:
    """Return text without the characters that XML does not allow."""
    return "".join(
        c for c in harmless(text) if c in "\t\n" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff"
    )
