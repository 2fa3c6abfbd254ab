"""What bigtop:spark installs from PyPI, prepared once for a machine and kept for the next run."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

INSTALLER = Path(__file__).resolve().parents[2] / "modules" / "bigtop" / "bigtop_base" / "files" / "install.py"


def software_folder() -> Path:
    """Where the examples keep it as well; root's local nodes run as nobody, who can't look into root's home."""
    if os.geteuid() == 0:
        return Path("/var/cache/dtk/bigtop")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dtk" / "bigtop"


def installed_software() -> Path:
    """Return the folder of Spark, HDFS and Java, this machine's own Java where it has one."""
    return _installed(software_folder())


def software_without_java() -> Path:
    """Return one as on a machine without Java: that is PyPI's; Spark and HDFS are the other's, a download less."""
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
