"""The software that bigtop:spark installs from PyPI, prepared once per machine and kept for later runs."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

INSTALLER = Path(__file__).resolve().parents[2] / "modules" / "bigtop" / "bigtop_base" / "files" / "install.py"


def software_folder() -> Path:
    """Return the cache folder, shared with the examples. Root's nodes run as nobody and can't read root's home."""
    if os.geteuid() == 0:
        return Path("/var/cache/dtk/bigtop")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dtk" / "bigtop"


def installed_software() -> Path:
    """Return the folder with Spark, HDFS and Java. It uses the machine's own Java if there is one."""
    return _installed(software_folder())


def software_without_java() -> Path:
    """Return a software folder as on a machine without Java, with the Java from PyPI.

    Spark and HDFS are links to the other folder, which saves a download.
    """
    shared = installed_software()
    folder = shared.with_name(f"{shared.name}-without-java")
    folder.mkdir(exist_ok=True)
    for part in (*shared.glob("spark-*"), *shared.glob("hdfs-*")):
        with suppress(FileExistsError):
            (folder / part.name).symlink_to(part)
    return _installed(folder, PATH="/nonexistent")


def _installed(folder: Path, **environment: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, INSTALLER, folder], check=True, env={**os.environ, **environment})
    return folder
