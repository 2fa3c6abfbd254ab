"""What pyinfra is about to ask a node, asked in one exchange: the answers hold until anything else runs there."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import dropwhile

from dtk.apply.session.node_session import CommandAnswer

WIDEST = 16
"""Operations whose questions are asked together."""

Options = Mapping[str, object]
"""pyinfra's global arguments of a command: who runs it, in which shell."""


@dataclass(frozen=True)
class Looks:
    """How an operation will look at its node, in its order, as far as that can be foreseen.

    ``scripts`` has for each command what is run in its place: the same, or something that can't hang where the
    operation would not get as far as to ask.
    """

    scripts: Mapping[str, str]
    options: Options


class LookAhead:
    """The operations of an action that are still to come, and what was last learned about them.

    Nothing depends on what is foreseen being right: an answer is given to the very same command alone, and only while
    nothing else has run on the node since.
    """

    def __init__(self, foresee: Callable[[], Sequence[Looks | None]]) -> None:
        """``foresee`` gives the operations to come, in order; None for what changes the node whatever it finds."""
        self._foresee = foresee
        self._looks: Sequence[Looks | None] | None = None
        self._at = self._asked = 0
        self._width = WIDEST
        self._answers: Mapping[str, CommandAnswer] = {}
        self._options: Options = {}
        self._exchange = -1

    def answer(self, command: str, options: Options, exchange: int) -> CommandAnswer | None:
        """Return what is known to be the answer to a command; None when it has to be asked.

        Args:
            command: as a shell gets it.
            options: who runs it.
            exchange: the number of the node's last exchange; what was learned in another may no longer hold.
        """
        if exchange != self._exchange or options != self._options:
            return None
        return self._answers.get(command)

    def keep(self, answers: Mapping[str, CommandAnswer], options: Options, exchange: int) -> None:
        """Keep answers of an exchange, in place of all earlier ones."""
        self._answers, self._options, self._exchange = answers, options, exchange

    def together_with(self, command: str) -> dict[str, str]:
        """Return what is best asked in one exchange with a command, itself first; {} when it was not foreseen."""
        if self._looks is None:
            self._looks = self._foresee()
        at = next((at for at, looks in enumerate(self._ahead(), self._at) if looks and command in looks.scripts), None)
        if at is None:
            return {}
        # What was asked before is asked again: something was changed, so what follows is likely to change as well.
        self._width = 1 if at < self._asked else min(2 * self._width, WIDEST)
        window = list(self._window(at))
        self._at, self._asked = at, at + len(window)
        together = dict(dropwhile(lambda one: one[0] != command, window[0].scripts.items()))
        for looks in window[1:]:
            together |= looks.scripts
        return together

    def _ahead(self) -> Sequence[Looks | None]:
        return (self._looks or ())[self._at :]

    def _window(self, at: int) -> Iterator[Looks]:
        looks = (self._looks or ())[at : at + self._width]
        for one in looks:
            if one is None or (looks[0] and one.options != looks[0].options):
                return
            yield one


def asking_all(scripts: Iterable[str]) -> tuple[str, str]:
    """Return a script that runs others, each in a shell of its own, and the word by which its output is divided."""
    # Drawn anew each time, so that no output holds it.
    divider = secrets.token_hex(16)
    parts = (
        f"(\n{script}\n)\ndtk=$?; echo; echo {divider} $dtk; {{ echo; echo {divider}; }} >&2" for script in scripts
    )
    return "{\n" + "\n".join(parts) + "\n}", divider


def answers_in(answer: CommandAnswer, divider: str, commands: Collection[str]) -> dict[str, CommandAnswer]:
    """Return each command's answer; none when the script did not come to its end."""
    printed = list(_divided(answer.stdout, divider))
    errors = list(_divided(answer.stderr, divider))
    if not len(printed) == len(errors) == len(commands):
        return {}
    return {
        command: CommandAnswer(int(code), lines, error_lines)
        for command, (lines, code), (error_lines, _) in zip(commands, printed, errors, strict=True)
    }


def _divided(lines: Iterable[str], divider: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield what stands before each divider, and what stands behind the word in its line."""
    piece: list[str] = []
    for line in lines:
        word, _, rest = line.partition(" ")
        if word != divider:
            piece.append(line)
            continue
        # The empty line in front of the divider: it ends a last line that has no end of its own, and is else too many.
        yield tuple(piece[:-1] if piece and not piece[-1] else piece), rest
        piece = []
