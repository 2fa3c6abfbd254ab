"""Load hours of GitHub's public events into HDFS: all of them, or nothing.

Usage: load.py NAME OWNER SOURCE DIRECTORY DAY HOURS

SOURCE is the address that holds the files, DAY-HOUR.json.gz, DIRECTORY where they go in HDFS, DAY for example
``2015-03-01``, HOURS which ones, for example ``0-3,12``. A directory that is there already is left alone: its data set
has to be cleared first.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HDFS = Path(__file__).resolve().parent / "hdfs"
DOWNLOADS_AT_ONCE = 4
TIMEOUT = 60.0  # seconds without a byte


def hours_of(text: str) -> Iterator[int]:
    """``0-3,12`` → 0, 1, 2, 3, 12."""
    for part in text.split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def hdfs(*arguments: str) -> int:
    return subprocess.run([HDFS, "dfs", *arguments], check=False).returncode


def download(address: str, file: Path) -> None:
    request = urllib.request.Request(address, headers={"User-Agent": "dtk"})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer, file.open("wb") as target:
        shutil.copyfileobj(answer, target)


def download_all(source: str, names: Sequence[str], folder: Path) -> list[Path]:
    """Download the files.

    Raises:
        SystemExit: one of them could not be had; the message says which, and why.
    """
    files = [folder / name for name in names]
    with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
        done = [pool.submit(download, f"{source.rstrip('/')}/{file.name}", file) for file in files]
        for future, file in zip(done, files, strict=True):
            try:
                future.result()
            except (OSError, ValueError) as error:
                raise SystemExit(f"{source}/{file.name}: {error}") from None
    return files


def main(name: str, owner: str, source: str, directory: str, day: str, hours: str) -> int:
    """Load the data set; return the exit code."""
    if hdfs("-test", "-e", directory) == 0:
        print(f"Clear action needed on dataset '{name}'")
        return 1
    names = [f"{day}-{hour}.json.gz" for hour in hours_of(hours)]
    # Under another name until it is complete: a load that is cut short can be repeated.
    loading = f"{directory}.loading"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # HDFS's own user, where there is one, reads them
        files = [str(file) for file in download_all(source, names, Path(folder))]
        steps = [
            ("-rm", "-r", "-f", "-skipTrash", loading),
            ("-mkdir", "-p", loading),
            ("-put", *files, loading),
            ("-chown", "-R", owner, loading),
            ("-mv", loading, directory),
        ]
        for step in steps:
            code = hdfs(*step)
            if code:
                return code
    print(f"Loaded {len(files)} files")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
