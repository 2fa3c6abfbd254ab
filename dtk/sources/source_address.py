"""Parses sources of modules, ``SOURCE[@REF]``, and refuses any that git could interpret as something else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from dtk.errors import UsageError

DEFAULT_BRANCH = "HEAD"
"""The ref of a source without one: the default branch of the repository."""

_URL = re.compile(r"^(?P<scheme>https|ssh|file)://(?P<authority>[^/]*)(?P<path>/.*)$")
_SCP = re.compile(r"^(?P<authority>[A-Za-z0-9_][^/:]*):(?P<path>(?!//)[^:].*)$")
_OTHER_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*::?(//)?")
_REF = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_./+-]*$")
_SCHEMES = "https://, ssh:// or file://, user@host:path, or a folder"


@dataclass(frozen=True)
class Address:
    """A source: ``url`` is a git URL or the path of a folder as written; ``ref`` is a tag, branch or commit."""

    url: str
    ref: str = DEFAULT_BRANCH

    @property
    def is_folder(self) -> bool:
        """Whether the source is a path on this machine."""
        return not _URL.match(self.url) and not _SCP.match(self.url)

    def __str__(self) -> str:
        return self.url if self.ref == DEFAULT_BRANCH else f"{self.url}@{self.ref}"


def parse_address(text: str) -> Address:
    """Return the source in the form ``SOURCE[@REF]``.

    Raises:
        UsageError: it begins with ``-``, contains a password, or uses an unsupported scheme.
    """
    authority_end = _authority_end(text)
    url, separator, ref = text[authority_end:].rpartition("@")
    address = Address(text[:authority_end] + url, ref) if separator else Address(text)
    check_address(address)
    return address


def check_address(address: Address) -> None:
    """Refuse an address that git, ssh or a reader of dtk.lock could interpret as something else.

    Raises:
        UsageError: as ``parse_address``.
    """
    url = address.url
    _check_plain(url, "source")
    match = _URL.match(url) or _SCP.match(url)
    if match:
        _check_authority(match["authority"], url)
        _check_plain(match["path"], "path of the source")
    elif _OTHER_SCHEME.match(url):
        raise UsageError(f"'{_without_password(url)}' is not a supported module source", hint=f"write {_SCHEMES}")
    check_ref(address.ref)


def check_ref(ref: str) -> None:
    """Refuse a ref that is not a plain tag, branch or commit.

    Raises:
        UsageError: it begins with ``-``, or contains characters that are special in git revisions.
    """
    if not _REF.match(ref) or ".." in ref or ref.endswith(("/", ".", ".lock")) or "//" in ref:
        raise UsageError(f"'{ref}' is not a tag, a branch or a commit")


def _authority_end(text: str) -> int:
    """Return the offset after user and host, from which ``@`` begins a ref."""
    match = _URL.match(text) or _SCP.match(text)
    return match.start("path") if match else 0


def _check_plain(text: str, what: str) -> None:
    if not text or text.startswith("-") or not text.isprintable():
        raise UsageError(f"invalid {what} '{text}': it is empty, starts with - or has unprintable characters")


def _check_authority(authority: str, url: str) -> None:
    user, _, host = authority.rpartition("@")
    if host.startswith("-") or user.startswith("-"):
        raise UsageError(f"invalid source '{url}': its host starts with -")
    if ":" in user:
        raise UsageError(
            f"'{_without_password(url)}' contains a password, but dtk.lock is shared",
            hint="remove it and use git's credential helpers or an SSH key",
        )


def _without_password(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//…@", url)


def located(address: Address, root: Path) -> str:
    """Return the URL or absolute path of an address; relative paths are based on the workspace."""
    return str((root / Path(address.url).expanduser()).resolve()) if address.is_folder else address.url
