"""The local copy of a git repository: fetches it, resolves refs and reads trees. Nothing is ever checked out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dtk.errors import DtkError, InvalidError, Location, Problem, UsageError
from dtk.sources.git import git, lines
from dtk.sources.source_address import DEFAULT_BRANCH, Address, check_ref, located

_HEAD = "refs/dtk/HEAD"
_COMMIT = re.compile(r"^[0-9a-f]{7,64}$")
_SYMLINK, _SUBMODULE, _EXECUTABLE = "120000", "160000", "100755"
_FORBIDDEN_PARTS = (".git", "..", ".", "")


@dataclass(frozen=True)
class TreeEntry:
    """An entry of a commit's tree: a file, symlink or submodule."""

    mode: str
    blob: str
    path: str


@dataclass(frozen=True)
class Repository:
    """A bare copy of a repository; ``url`` is passed to git to fetch from."""

    folder: Path
    url: str

    def fetch(self) -> None:
        """Update branches, tags and the default branch.

        Raises:
            DtkError: the repository can't be reached or is not a repository.
        """
        if not (self.folder / "HEAD").is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            # An empty template: hooks from this machine's git templates could run during a fetch.
            git(self.folder, "init", "--quiet", "--bare", "--template=", ".")
        requested = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*", f"+HEAD:{_HEAD}")
        # With --force and --prune: tags move and branches disappear. This is only a mirror; dtk.lock has the commit.
        self._fetch("--prune", "--force", *requested)

    def _fetch(self, *words: str) -> None:
        options = [word for word in words if word.startswith("--")]
        refs = [word for word in words if not word.startswith("--")]
        try:
            git(
                self.folder, "fetch", "--quiet", "--no-tags", "--no-recurse-submodules", *options, "--", self.url, *refs
            )
        except DtkError as error:
            raise DtkError(f"cannot fetch {self.url}: {error.message}", hint="try git ls-remote with the URL") from None

    def commit(self, ref: str) -> str:
        """Return the full commit id of a tag, branch or commit.

        Raises:
            UsageError: there is none.
        """
        check_ref(ref)
        # Like git, prefer a tag over a branch with the same name; commits come last, because a tag may look like one.
        names = [_HEAD] if ref == DEFAULT_BRANCH else [f"refs/tags/{ref}", f"refs/heads/{ref}"]
        names += [ref] if _COMMIT.match(ref) else []
        for name in names:
            found = self._verified(name)
            if found:
                return found
        raise UsageError(f"{self.url} has no tag, branch or commit '{ref}'", hint=self._refs_hint())

    def has(self, commit: str) -> bool:
        """Return whether the copy contains a commit."""
        return bool(self._verified(commit))

    def require(self, commit: str) -> None:
        """Make sure that the copy contains a commit; fetch it by id if no branch or tag contains it.

        Raises:
            DtkError: the repository no longer has it.
        """
        if self.has(commit):
            return
        self.fetch()
        if not self.has(commit):
            self._fetch(commit)

    def tags(self) -> list[str]:
        """Return the names of all tags."""
        return lines(self.folder, "for-each-ref", "--format=%(refname:strip=2)", "refs/tags/")

    def is_moving(self, ref: str) -> bool:
        """Return whether a ref is expected to move, as branches do, but not tags and commits."""
        return ref == DEFAULT_BRANCH or (not self._verified(f"refs/tags/{ref}") and not _COMMIT.match(ref))

    def subjects(self, old: str, new: str) -> list[str]:
        """Return the commits in ``new`` but not in ``old``, newest first, as ``1a2b3c4 subject``."""
        if not self.has(old):
            return []
        return lines(self.folder, "log", "--format=%h %s", "--end-of-options", f"{old}..{new}")

    def entries(self, commit: str) -> list[TreeEntry]:
        """Return all entries of a commit's tree."""
        found = git(self.folder, "ls-tree", "-r", "-z", "--full-tree", commit).decode("utf-8", "surrogateescape")
        entries = []
        for record in found.split("\0")[:-1]:
            description, _, path = record.partition("\t")
            mode, _, blob = description.split(" ")
            entries.append(TreeEntry(mode, blob, path))
        return entries

    def write(self, entries: list[TreeEntry], below: str, folder: Path) -> None:
        """Write the files below a path of a tree to a new folder.

        Raises:
            InvalidError: there is a submodule, a symlink, or a path that leaves the folder.
        """
        chosen = [entry for entry in entries if is_below(entry.path, below)]
        problems = list(_problems(chosen))
        if problems:
            raise InvalidError(f"{self.url} cannot be installed", problems)
        content = self._contents([entry.blob for entry in chosen])
        # Written from blobs instead of checked out, so that no filters, hooks or attributes of the repository apply.
        for entry in chosen:
            file = folder / PurePosixPath(entry.path).relative_to(below)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content[entry.blob])
            file.chmod(0o755 if entry.mode == _EXECUTABLE else 0o644)

    def _contents(self, blobs: list[str]) -> dict[str, bytes]:
        requested = list(dict.fromkeys(blobs))
        output = git(self.folder, "cat-file", "--batch", given="".join(f"{blob}\n" for blob in requested).encode())
        contents, at = {}, 0
        for blob in requested:
            end = output.index(b"\n", at)
            size = int(output[at:end].split()[2])
            contents[blob] = output[end + 1 : end + 1 + size]
            at = end + size + 2
        return contents

    def _verified(self, name: str) -> str:
        try:
            found = git(self.folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        except DtkError:
            return ""
        return found.decode().strip()

    def _refs_hint(self) -> str:
        tags = self.tags()[-5:]
        return f"its latest tags: {', '.join(tags)}" if tags else "it has no tags"


def is_below(path: str, folder: str) -> bool:
    """Return whether a path of a tree is below a folder; "" is the root."""
    return not folder or path.startswith(f"{folder}/")


def _problems(entries: list[TreeEntry]) -> Iterator[Problem]:
    for entry in entries:
        location = Location(entry.path, 1, 1)
        parts = [part.lower() for part in entry.path.split("/")]
        if entry.mode == _SUBMODULE:
            yield Problem("a submodule can't be part of a module", location, expected="the files themselves")
        elif entry.mode == _SYMLINK:
            yield Problem("a symlink can't be part of a module", location, expected="a plain file")
        # On Windows and case-insensitive file systems, .GIT, git~1 and a\b can leave the folder.
        elif any(part in _FORBIDDEN_PARTS or part.startswith("git~") for part in parts) or "\\" in entry.path:
            yield Problem("the path leaves the module", location)


def repository(cache: Path, address: Address, root: Path) -> Repository:
    """Return the workspace's copy of an address's repository; fetch nothing yet.

    Args:
        cache: the folder of all copies.
        address: the source.
        root: the workspace, the base of relative paths.
    """
    url = located(address, root)
    return Repository(cache / f"{hashlib.sha256(url.encode()).hexdigest()[:24]}.git", url)
