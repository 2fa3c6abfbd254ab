"""A model of a disk: records the writes of a command and its worker, and computes what a power cut leaves.

``strace`` sees every write by every process. The model is POSIX's, which guarantees less than most filesystems: a
file's content is safe once the file is synced, and a name in a folder is safe once the folder is synced.
"""

from __future__ import annotations

import codecs
import os
import random
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

CALLS = (
    "openat,open,creat,write,pwrite64,writev,pwritev,sendfile,copy_file_range,fallocate,fsync,fdatasync,rename,renameat,"
    "renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,rmdir,mkdir,mkdirat,ftruncate,truncate"
)
_LINE = re.compile(r"(?P<at>[\d.]+) (?P<call>\w+)\((?P<arguments>.*)\) += (?P<value>-?\d+).* <(?P<took>[\d.]+)>$")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')
_DESCRIPTOR = re.compile(r"(?:\d+|AT_FDCWD)<((?:[^<>\\]|\\.)*)>")
FORMS = ("nothing unsynced", "names alone", "contents alone", "some of it")
"""Which unsynced changes have also reached the disk."""

SYNC_BEGINS = "fsync begins"
"""What is written while a file is synced is not covered: others may write to it meanwhile."""

Left = Mapping[str, bytes | None]


@dataclass(frozen=True)
class Call:
    """One system call that changes or syncs something below the root."""

    ended: float
    name: str
    paths: tuple[str, ...]
    data: bytes = b""
    number: int = 0
    flags: str = ""


def recorded(words: Sequence[str], root: Path, traces: Path) -> tuple[int, list[Call]]:
    """Run a program and all its child processes to the end; return its exit code and the calls, in order."""
    traces.mkdir()
    tracing = ("strace", "-ff", "--seccomp-bpf", "-f", "-ttt", "-T", "-y", "-s", "100000000", "-o", traces / "t")
    done = subprocess.run(
        [*tracing, "-e", f"trace={CALLS}", *words],
        cwd=root,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    calls = [call for file in traces.iterdir() for call in _calls(file, os.fspath(root))]
    shutil.rmtree(traces)
    return done.returncode, sorted(calls, key=lambda call: call.ended)


def _calls(file: Path, root: str) -> Iterator[Call]:
    for line in file.read_text().splitlines():
        found = _LINE.match(line)
        if found is None or int(found["value"]) < 0 or root not in line:
            continue
        began = float(found["at"])
        call = _call(found["call"], found["arguments"], int(found["value"]), began + float(found["took"]))
        if call is not None and any(path == root or path.startswith(f"{root}/") for path in call.paths):
            if call.name == "fsync":
                yield Call(began, SYNC_BEGINS, call.paths)
            yield call


def _call(name: str, arguments: str, value: int, ended: float) -> Call | None:
    texts = [_plain(text) for text in _TEXT.findall(arguments)]
    open_file = _DESCRIPTOR.match(arguments)
    here = _plain(open_file[1]).decode() if open_file else ""
    last = arguments.rpartition(", ")[2]
    made: Call | None = None
    match name:
        case "write" | "pwrite64":
            offset = int(last) if name == "pwrite64" else -1
            made = Call(ended, "write", (here,), texts[0][:value], offset)
        case "fsync" | "fdatasync":
            made = Call(ended, "fsync", (here,))
        case "ftruncate":
            made = Call(ended, "truncate", (here,), number=int(last))
        case "openat" | "open":
            if {"O_WRONLY", "O_RDWR"} & set(re.split(r"\W+", arguments)):
                made = Call(ended, "open", (_absolute(texts[0], here),), flags=_TEXT.sub("", arguments))
        case "rename" | "renameat" | "renameat2" | "link" | "linkat":
            folders = [_plain(path).decode() for path in _DESCRIPTOR.findall(arguments)] or ["", ""]
            source, target = (_absolute(text, folder) for text, folder in zip(texts, folders, strict=True))
            made = Call(ended, name[:6] if name.startswith("rename") else "link", (source, target))
        case "unlink" | "unlinkat" | "rmdir":
            made = Call(ended, "unlink", (_absolute(texts[0], here),))
        case "mkdir" | "mkdirat":
            made = Call(ended, "mkdir", (_absolute(texts[0], here),))
        case _:
            raise AssertionError(f"{name}({arguments}) is not understood")
    return made


def _plain(text: str) -> bytes:
    plain: bytes = codecs.escape_decode(text.encode("latin-1"))[0]
    return plain


def _absolute(path: bytes, folder: str) -> str:
    return os.path.normpath(os.path.join(folder, path.decode()))  # noqa: PTH118 - no link is followed


@dataclass
class _File:
    """A file's changes in order, how many of them are synced, and how many the last sync that began covers.

    A change is (offset, bytes), or (size, None) for a new size in bytes.
    """

    start: bytes = b""
    changes: list[tuple[int, bytes | None]] = field(default_factory=list)
    synced: int = 0
    syncing: int = 0
    position: int = 0

    @property
    def size(self) -> int:
        return len(self.content(len(self.changes)))

    def content(self, count: int) -> bytes:
        content = bytearray(self.start)
        for offset, data in self.changes[:count]:
            if data is None:
                content = content[:offset].ljust(offset, b"\0")
            else:
                content[offset : offset + len(data)] = data
        return bytes(content)


@dataclass
class _Folder:
    """A folder's changes of names in order, and how many of them are synced. Each change is atomic."""

    start: dict[str, _Folder | _File] = field(default_factory=dict)
    changes: list[dict[str, _Folder | _File | None]] = field(default_factory=list)
    synced: int = 0
    syncing: int = 0

    def names(self, count: int) -> dict[str, _Folder | _File]:
        names: dict[str, _Folder | _File | None] = dict(self.start)
        for change in self.changes[:count]:
            names |= change
        return {name: there for name, there in names.items() if there is not None}

    @property
    def now(self) -> dict[str, _Folder | _File]:
        return self.names(len(self.changes))


class Disk:
    """A folder on a disk, to which calls are applied one by one."""

    def __init__(self, root: Path) -> None:
        self._root = os.fspath(root)
        self._top = _read(root)

    def do(self, call: Call) -> None:
        """Apply a call."""
        match call.name:
            case "open":
                self._open(call)
            case "write" | "truncate":
                self._change(call)
            case "fsync begins" | "fsync":
                self._sync(call)
            case "mkdir":
                self._name(call.paths[0], _Folder())
            case "unlink":
                self._name(call.paths[0], None)
            case "link":
                self._name(call.paths[1], self._find(call.paths[0]))
            case "rename":
                self._rename(*call.paths)

    def _sync(self, call: Call) -> None:
        there = self._find(call.paths[0])
        if there is None:
            return
        if call.name == SYNC_BEGINS:
            there.syncing = len(there.changes)
        else:
            there.synced = there.syncing

    def _open(self, call: Call) -> None:
        file = self._find(call.paths[0])
        if file is None:
            file = _File()
            self._name(call.paths[0], file)
        assert isinstance(file, _File)
        if "O_TRUNC" in call.flags and file.size:
            file.changes.append((0, None))
        # The journal and the log are opened once and appended to; all other files are written from the start.
        file.position = -1 if "O_APPEND" in call.flags else 0

    def _change(self, call: Call) -> None:
        file = self._find(call.paths[0].removesuffix(" (deleted)"))
        if not isinstance(file, _File):
            return
        if call.name == "truncate":
            file.changes.append((call.number, None))
            return
        offset = call.number
        if offset < 0:
            offset = file.size if file.position < 0 else file.position
            file.position = file.position if file.position < 0 else offset + len(call.data)
        file.changes.append((offset, call.data))

    def _rename(self, source: str, target: str) -> None:
        there = self._find(source)
        above, name = os.path.split(source)
        if os.path.dirname(target) == above:  # noqa: PTH120
            self._folder(above).changes.append({name: None, os.path.basename(target): there})  # noqa: PTH119
        else:
            self._name(target, there)
            self._name(source, None)

    def _name(self, path: str, there: _Folder | _File | None) -> None:
        above, name = os.path.split(path)
        self._folder(above).changes.append({name: there})

    def _folder(self, path: str) -> _Folder:
        found = self._find(path)
        assert isinstance(found, _Folder), path
        return found

    def _find(self, path: str) -> _Folder | _File | None:
        there: _Folder | _File | None = self._top
        for name in Path(path).relative_to(self._root).parts:
            there = there.now.get(name) if isinstance(there, _Folder) else None
        return there

    def left(self, form: str | None = None, chance: random.Random | None = None) -> Left:
        """Return what a power cut at this moment leaves: files' contents by path; folders are None.

        Args:
            form: one of ``FORMS``; None keeps everything, as without a power cut.
            chance: chooses which unsynced changes have reached the disk.
        """
        return dict(_left(self._top, "", form, chance or random.Random(0)))


def _count(there: _Folder | _File, form: str | None, chance: random.Random) -> int:
    """Return how many of the changes have reached the disk."""
    everything = len(there.changes)
    if form == "some of it":
        return chance.randint(there.synced, everything)
    whole = {"names alone": isinstance(there, _Folder), "contents alone": isinstance(there, _File), None: True}
    return everything if whole.get(form, False) else there.synced


def _left(
    there: _Folder | _File, path: str, form: str | None, chance: random.Random
) -> Iterator[tuple[str, bytes | None]]:
    count = _count(there, form, chance)
    if isinstance(there, _File):
        yield path, there.content(count)
        return
    yield path, None
    for name, inner in there.names(count).items():
        yield from _left(inner, f"{path}/{name}", form, chance)


def write(left: Left, target: Path) -> None:
    """Write what is left into a new folder."""
    for path, content in left.items():
        made = target / path.lstrip("/")
        if content is None:
            made.mkdir(mode=0o700)
        else:
            made.write_bytes(content)
            made.chmod(0o600)


def _read(path: Path) -> _Folder | _File:
    if path.is_dir():
        return _Folder({inner.name: _read(inner) for inner in path.iterdir()})
    return _File(path.read_bytes())


def tree(path: Path) -> Left:
    """Return the content of a folder, in the form of ``Disk.left``."""
    inner = {f"/{one.relative_to(path)}": None if one.is_dir() else one.read_bytes() for one in path.rglob("*")}
    return {"": None, **inner}
