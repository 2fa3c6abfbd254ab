"""Asks for the passphrases of private keys once, before a task begins: its worker has no terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from dtk.errors import DtkError
from dtk.ssh.passphrases import unlock
from dtk.ssh.private_keys import fits, needs_passphrase

_TRIES = 3


def ask_passphrases(files: Iterable[str], ask: Callable[[str], str]) -> None:
    """Ask once per key for the passphrases that this process needs; keys in the SSH agent need none.

    Args:
        files: private key files.
        ask: asks a person the given question and returns the answer.

    Raises:
        DtkError: three answers were wrong.
    """
    for file in dict.fromkeys(files):
        if needs_passphrase(file):
            unlock({file: _asked(file, ask)})


def _asked(file: str, ask: Callable[[str], str]) -> str:
    for _ in range(_TRIES):
        answer = ask(f"Passphrase for {file}")
        if fits(file, answer):
            return answer
    raise DtkError(f"the passphrase does not open {file}", hint=f"try it by hand: ssh-keygen -y -f {file}")
