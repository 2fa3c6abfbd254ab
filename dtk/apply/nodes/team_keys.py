"""The team's public keys on the nodes: installs those of the target's ``authorized_keys``, removes earlier ones."""

from __future__ import annotations

from pathlib import Path

from dtk.apply.session.node_session import NodeSession, Prepared
from dtk.errors import DtkError
from dtk.model import settings
from dtk.model.access import PUBLIC_KEY, SETTING
from dtk.model.target import Target

_MARK = "dtk:team"
"""Suffix of the lines that dtk manages; it leaves all others alone."""
_SCRIPT = """\
set -eu
umask 077
mkdir -p "$HOME/.ssh"
keys=$HOME/.ssh/authorized_keys
touch "$keys"
{{ grep -v ' {mark}$' "$keys" || true; cat <<'DTK_KEYS'
{lines}DTK_KEYS
}} > "$keys.dtk"
if cmp -s "$keys" "$keys.dtk"; then rm "$keys.dtk"; else mv -f "$keys.dtk" "$keys"; fi
"""


def read_team_keys(target: Target, root: Path) -> tuple[str, ...] | None:
    """Return the public keys that a target names, as text or as files relative to the workspace; None if not set.

    Raises:
        DtkError: a file can't be read, or contains something other than public keys.
    """
    if target.settings.get(SETTING) is None:
        return None
    return tuple(line for text in settings.texts(target.settings, SETTING) for line in _keys_of(text, root))


def _keys_of(text: str, root: Path) -> list[str]:
    if PUBLIC_KEY.fullmatch(text.strip()):
        return [_marked(text, text)]
    try:
        content = (root / Path(text).expanduser()).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        hint = "name a public key's file, for example alice.pub"
        raise DtkError(f"{SETTING}: {text} can't be read: {reason}", hint=hint) from None
    lines = (line.strip() for line in content.splitlines())
    return [_marked(line, text) for line in lines if line and not line.startswith("#")]


def _marked(line: str, source: str) -> str:
    found = PUBLIC_KEY.fullmatch(line.strip())
    if found is None:
        raise DtkError(f"{SETTING}: {source} is not a public key", hint="ssh-keygen -y -f KEY prints the public half")
    kind, key, comment = found.groups()
    return " ".join([kind, key, *([comment] if comment else []), _MARK])


def keys_script(keys: tuple[str, ...]) -> str:
    """Return the script that installs exactly these keys; ``keys`` are lines as ``read_team_keys`` returns them."""
    return _SCRIPT.format(mark=_MARK, lines="".join(f"{key}\n" for key in keys))


def put_team_keys(session: NodeSession, keys: tuple[str, ...], mark: str) -> None:
    """Install exactly these keys, besides those that dtk does not manage; the connection must be open.

    Args:
        session: the node's session.
        keys: lines as ``read_team_keys`` returns them.
        mark: the mark of the command's processes.

    Raises:
        DtkError: the node's authorized_keys can't be written.
    """
    answer = session.ask(Prepared.script("install the team's keys", keys_script(keys).encode()), mark)
    if answer.code:
        raise DtkError(f"cannot install the team's keys on {session.node}: {' '.join(answer.stderr)}")
