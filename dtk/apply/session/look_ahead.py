"""Combines pyinfra's upcoming queries of a node in one exchange; answers are valid until anything else runs there."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import dropwhile

from dtk.apply.session.node_session import CommandAnswer

WIDEST = 16
"""Maximum number of operations whose queries are combined."""

Options = Mapping[str, object]
"""pyinfra's global arguments of a command: which user runs it, in which shell."""


@dataclass(frozen=True)
class Looks:
    """The predicted queries of an operation, in order.

    ``scripts`` maps each command to the script that runs in its place: the same command, or one that can't block in
    cases in which the operation would not run the query. ``after_guard`` means that a command of the module runs on the
    node before them.
    """

    scripts: Mapping[str, str]
    options: Options
    after_guard: bool = False


class LookAhead:
    """The upcoming operations of an action, and the latest answers to their queries.

    A wrong prediction does no harm: an answer is only used for exactly the same command, and only while nothing else
    has run on the node since.
    """

    def __init__(self, foresee: Callable[[], Sequence[Looks | None]]) -> None:
        """``foresee`` returns the upcoming operations, in order; None for one that always changes the node."""
        self._foresee = foresee
        self._looks: Sequence[Looks | None] | None = None
        self._at = self._asked = 0
        self._running = -1
        self._has_limit = False
        self._asked_with: tuple[Options, Options] | None = None
        self._width = WIDEST
        self._answers: Mapping[str, CommandAnswer] = {}
        self._options: Options = {}
        self._exchange = -1

    def answer(self, command: str, options: Options, exchange: int) -> CommandAnswer | None:
        """Return the known answer to a command, or None if it must be asked.

        Args:
            command: as the shell receives it.
            options: which user runs it, and how.
            exchange: the number of the node's last exchange; answers from an earlier one may be outdated.
        """
        if exchange != self._exchange or options != self._options:
            return None
        return self._answers.get(command)

    def keep(self, answers: Mapping[str, CommandAnswer], options: Options, exchange: int) -> None:
        """Store the answers of an exchange and drop all earlier ones."""
        self._answers, self._options, self._exchange = answers, options, exchange

    def begin_next(self, *, has_limit: bool) -> None:
        """Note that the next operation begins; nothing may follow its commands if its own time is limited."""
        self._running += 1
        self._has_limit = has_limit

    def upcoming(self) -> Looks | None:
        """Return the queries of the operations after the present one, with pyinfra's own arguments for them.

        Returns:
            None if it is not known what they are, or something else runs before them.
        """
        at, looks = self._running + 1, self._looks or ()
        found = looks[at] if at < len(looks) else None
        if found is None or found.after_guard or self._has_limit:
            return None
        if self._asked_with is None or found.options != self._asked_with[0]:
            return None
        if self._running >= 0 and looks[self._running] is not None:
            # The present one did not find what it wants, so that the next one is likely to change something, too.
            self._width = 1
        window = list(self._window(at))
        self._at, self._asked = at, at + len(window)
        scripts = {command: script for one in window for command, script in one.scripts.items()}
        return Looks(scripts, self._asked_with[1])

    def together_with(self, command: str, options: Options) -> dict[str, str]:
        """Return the scripts to run together with a command, itself first; {} if it was not predicted.

        Args:
            command: as the shell receives it.
            options: which user runs it, and how.
        """
        if self._looks is None:
            self._looks = self._foresee()
        at = next((at for at, looks in enumerate(self._ahead(), self._at) if looks and command in looks.scripts), None)
        if at is None:
            return {}
        # A repeated query means that something changed, so the next operations are likely to change something as well.
        self._width = 1 if at < self._asked else min(2 * self._width, WIDEST)
        window = list(self._window(at))
        self._running, self._at, self._asked = at, at, at + len(window)
        self._asked_with = (window[0].options, options)
        together = dict(dropwhile(lambda one: one[0] != command, window[0].scripts.items()))
        for looks in window[1:]:
            together |= looks.scripts
        return together

    def _ahead(self) -> Sequence[Looks | None]:
        return (self._looks or ())[self._at :]

    def _window(self, at: int) -> Iterator[Looks]:
        first, *others = (self._looks or ())[at : at + self._width]
        if first is None:
            return
        yield first
        for one in others:
            if one is None or one.after_guard or one.options != first.options:
                return
            yield one


def asking_all(scripts: Iterable[str]) -> tuple[str, str]:
    """Return a script that runs others, each in a subshell, and the marker that separates their outputs."""
    # Random for each call, so that no output contains it.
    divider = secrets.token_hex(16)
    parts = (
        f"(\n{script}\n)\ndtk=$?; echo; echo {divider} $dtk; {{ echo; echo {divider}; }} >&2" for script in scripts
    )
    return "{\n" + "\n".join(parts) + "\n}", divider


def answers_in(answer: CommandAnswer, divider: str, commands: Collection[str]) -> dict[str, CommandAnswer]:
    """Return the answer to each command; {} if the script did not complete."""
    printed = list(_divided(answer.stdout, divider))
    errors = list(_divided(answer.stderr, divider))
    if not len(printed) == len(errors) == len(commands):
        return {}
    return {
        command: CommandAnswer(int(code), lines, error_lines)
        for command, (lines, code), (error_lines, _) in zip(commands, printed, errors, strict=True)
    }


def successes_in(printed: Iterable[str], divider: str, commands: Collection[str]) -> dict[str, CommandAnswer]:
    """Return the answer to each command that succeeded, from the standard output; {} if the script did not complete."""
    pieces = list(_divided(printed, divider))
    if len(pieces) != len(commands):
        return {}
    return {
        command: CommandAnswer(0, lines, ())
        for command, (lines, code) in zip(commands, pieces, strict=True)
        if code == "0"
    }


def _divided(lines: Iterable[str], divider: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the lines before each divider, and the text after the marker on its line."""
    piece: list[str] = []
    for line in lines:
        word, _, rest = line.partition(" ")
        if word != divider:
            piece.append(line)
            continue
        # The empty line before the divider ends an unterminated last line; otherwise it is superfluous.
        yield tuple(piece[:-1] if piece and not piece[-1] else piece), rest
        piece = []
