"""Formats plans for people, as JSON or as Markdown: the plan of one service, or those of many in one document."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dtk.cli.output import use_color
from dtk.errors import DtkError, InvalidError, UsageError
from dtk.model.plan import Plan
from dtk.plan.document import to_document
from dtk.views.markdown import cell
from dtk.views.plan_markdown import plan_markdown
from dtk.views.plan_text import plan_json, plan_text


@dataclass(frozen=True)
class PlanForm:
    """The output format of plans; text for people by default."""

    as_json: bool = False
    markdown: bool = False
    max_chars: int | None = None

    def check(self, out: Path | None) -> None:
        """Refuse conflicting options.

        Raises:
            UsageError: names the conflict.
        """
        if self.as_json and self.markdown:
            raise UsageError("--json and --markdown cannot be used together", hint="choose one")
        if self.max_chars and not self.markdown:
            raise UsageError("--max-chars is for Markdown", hint="dtk plan --markdown --max-chars 65536")
        if out and str(out) == "-":
            raise UsageError("--out needs a file name, not -", hint="dtk plan --json")

    @property
    def is_document(self) -> bool:
        """Whether standard output is for programs."""
        return self.as_json or self.markdown

    def text(self, plan: Plan) -> str:
        """Return the text of one service's plan."""
        if self.as_json:
            return plan_json(plan, to_document(plan))
        return plan_markdown(plan, self.max_chars) if self.markdown else plan_text(plan, color=use_color())

    def text_of_all(self, plans: Sequence[PlanOrError]) -> str:
        """Return the plans of several services as one document."""
        if self.as_json:
            return json.dumps({"services": [one.document() for one in plans]}, indent=2, ensure_ascii=False) + "\n"
        if not self.markdown:
            return "\n".join(one.text() for one in plans)
        pages: list[str] = []
        for index, one in enumerate(plans):
            room = None if self.max_chars is None else self.max_chars - sum(len(page) + 1 for page in pages)
            # A short plan leaves the rest of its share to those after it.
            pages.append(one.markdown(room if room is None else max(room // (len(plans) - index) - 1, 0)))
        return "\n".join(pages)


@dataclass(frozen=True)
class PlanOrError:
    """A service with its plan, or the error that prevented one."""

    service: str
    plan: Plan | None = None
    error: DtkError | None = None

    @property
    def has_changes(self) -> bool:
        """Whether an apply would do something, or something was changed by hand."""
        return self.plan is not None and bool(self.plan.drift or not self.plan.is_empty)

    def document(self) -> dict[str, object]:
        """Return the service's part of the JSON document."""
        plan = json.loads(plan_json(self.plan, to_document(self.plan))) if self.plan else None
        return {"service": self.service, "has_changes": self.has_changes, "plan": plan, "error": self._error_document()}

    def _error_document(self) -> dict[str, object] | None:
        if self.error is None:
            return None
        problems = self.error.problems if isinstance(self.error, InvalidError) else ()
        return {
            "message": self.error.message,
            "exit_code": self.error.exit_code,
            "problems": [str(problem) for problem in problems],
            "next": self.error.hint,
        }

    def text(self) -> str:
        """Return the plan for people; errors are printed separately."""
        return plan_text(self.plan, color=use_color()) if self.plan else f"No plan for service '{self.service}'.\n"

    def markdown(self, max_chars: int | None) -> str:
        """Return the plan or the error as Markdown, with at most ``max_chars`` characters."""
        if self.plan:
            return plan_markdown(self.plan, max_chars)
        why = str(self.error).split("\n") if self.error else []
        page = "\n".join([f"### No plan for `{self.service}`", "", *(f"- {cell(line)}" for line in why)]) + "\n"
        return page[:max_chars]
