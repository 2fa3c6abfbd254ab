"""Mutable rows of the tree between two events: they collect changes and freeze only what has changed."""

from __future__ import annotations

from dataclasses import replace

from dtk.events.derived_rows import derived_group, derived_stage
from dtk.events.tree import OperationResult, TaskStage, TaskStep


class LeafRow:
    """A leaf; ``step`` is its state except for frequent changes.

    Results and the last line of output are collected separately: nearly all events of a log are these, and making a
    frozen copy for each would take longer than reading it.
    """

    def __init__(self, step: TaskStep, parent: ParentRow) -> None:
        self.step = step
        self._parent = parent
        self._last_output = ""
        self._results: list[OperationResult] = []
        self._frozen: TaskStep | None = None

    def become(self, step: TaskStep) -> None:
        """Replace the state."""
        self.step = step
        self._outdate()

    def add_output(self, line: str) -> None:
        """Record the newest line of output."""
        self._last_output = line
        self._outdate()

    def add(self, result: OperationResult) -> None:
        """Add the result of an operation."""
        self._results.append(result)
        self._outdate()

    def frozen(self) -> TaskStep:
        """Return the current step."""
        if self._frozen is None:
            self._frozen = replace(self.step, last_output=self._last_output, results=tuple(self._results))
        return self._frozen

    def _outdate(self) -> None:
        if self._frozen is not None:
            self._frozen = None
            self._parent.outdate()


class ParentRow:
    """A stage or a group; ``row`` holds what its own events said. Any change below it invalidates its frozen row."""

    def __init__(self, row: TaskStage | TaskStep, parent: ParentRow | None) -> None:
        self.row = row
        self.children: list[ParentRow | LeafRow] = []
        self._parent = parent
        self._frozen: TaskStage | TaskStep | None = None

    def become(self, row: TaskStage | TaskStep) -> None:
        """Replace the state."""
        self.row = row
        self.outdate()

    def outdate(self) -> None:
        """Discard the frozen row and those of all ancestors; if it is already discarded, so are theirs."""
        if self._frozen is not None:
            self._frozen = None
            if self._parent is not None:
                self._parent.outdate()

    def frozen(self) -> TaskStage | TaskStep:
        """Return the current row."""
        if self._frozen is None:
            steps = tuple(step for child in self.children if isinstance(step := child.frozen(), TaskStep))
            row = self.row
            self._frozen = derived_stage(row, steps) if isinstance(row, TaskStage) else derived_group(row, steps)
        return self._frozen
