"""Stand-ins for Apache Bigtop's packages, which are built for Ubuntu and take 2 GB.

They have the same names, paths, users and init scripts, contain the HDFS and Spark from PyPI, and come from an apt
repository that is signed and laid out like Bigtop's.

The behaviour was read from Bigtop's sources (bigtop-packages/src of release 3.5): a daemon's package registers an init
script and starts it; the configuration is behind an alternative, /etc/hadoop/conf and /etc/spark/conf; Spark's package
fails to install if its daemon does not start. The scripts here are written from scratch and log each start.
"""

from __future__ import annotations

import functools
import hashlib
import http.server
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

RELEASE = "3.5.0"
DISTRIBUTION = f"releases/{RELEASE}/ubuntu/24.04/amd64"
STARTS = "/var/log/starts"
"""The file on a host that logs each start of a daemon: its name, and the HDFS address that it had at that time."""
DAEMON = """#!/bin/bash
# pidfile: /var/run/{folder}/{name}.pid
### BEGIN INIT INFO
# Provides:          {name}
# Short-Description: stand-in for Bigtop's {name}
# Required-Start:    $syslog $remote_fs
# Required-Stop:     $syslog $remote_fs
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
### END INIT INFO
export JAVA_HOME={software}/java-17
pidfile=/var/run/{folder}/{name}.pid
for settings in /etc/default/{name} /etc/spark/conf/spark-env.sh; do [ ! -f $settings ] || . $settings; done
runs() {{ kill -0 "$(cat "$pidfile" 2>/dev/null)" 2>/dev/null; }}
start() {{
    ! runs || return 0
    install -d -o {user} -g {user} /var/run/{folder}
    echo "{name} $(sed -n 's:.*<value>\\(hdfs.*\\)</value>:\\1:p' /etc/hadoop/conf/core-site.xml)" >>{starts}
    runuser -s /bin/bash {user} -c 'nohup {command} >{log} 2>&1 & echo $!' >"$pidfile"
    sleep 3
    runs
}}
stop() {{
    ! runs || kill "$(cat "$pidfile")"
    while runs; do sleep 0.2; done
    rm -f "$pidfile"
}}
case $1 in
    start) start ;;
    stop) stop ;;
    restart | force-reload) stop; start ;;
    status) runs || exit 3 ;;
    *) exit 1 ;;
esac
"""
STARTED = "update-rc.d {name} defaults >/dev/null\ninvoke-rc.d {name} start || {otherwise}\n"
USER = "getent passwd {name} >/dev/null || useradd --system --create-home --home {home} --shell /bin/false {name}\n"
ALTERNATIVE = "update-alternatives --install /etc/{name}/conf {name}-conf /etc/{name}/{folder} 30 >/dev/null\n"
NO_SETTINGS = '<?xml version="1.0"?>\n<configuration/>\n'
LOG = """log4j.rootLogger=WARN,console
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.target=System.err
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%p %c: %m%n
"""
HDFS = """#!/bin/sh
# PyPI's HDFS with the settings of Bigtop's packages, but for the one thing that its daemons lack.
conf=/etc/hadoop/conf
case $1 in
    namenode) class=org.apache.hadoop.hdfs.server.namenode.NameNode ;;
    datanode) class=org.apache.hadoop.hdfs.server.datanode.DataNode ;;
    dfs) class=org.apache.hadoop.fs.FsShell ;;
    dfsadmin) class=org.apache.hadoop.hdfs.tools.DFSAdmin ;;
    fsck) class=org.apache.hadoop.hdfs.tools.DFSck ;;
esac
case $1 in
    namenode | datanode)
        conf=/var/lib/hadoop-hdfs/conf
        mkdir -p $conf
        cp /etc/hadoop/conf/*.xml /etc/hadoop/conf/*.properties $conf
        without="<property><name>dfs.webhdfs.enabled</name><value>false</value></property>"
        sed -i "s:</configuration>:$without</configuration>:" $conf/hdfs-site.xml
        ;;
esac
shift
opens=
for package in java.base/java.lang java.base/java.nio java.base/sun.nio.ch java.security.jgss/sun.security.krb5; do
    opens="$opens --add-opens=$package=ALL-UNNAMED"
done
exec {software}/java-17/bin/java $opens -Xmx128m -XX:TieredStopAtLevel=1 -Djava.net.preferIPv4Stack=true \\
    -cp "$conf:{software}/hdfs-2.7.4/web:{software}/hdfs-2.7.4/lib/*" "$class" "$@"
"""


class Package:
    """A package to build: its files, its dependencies, and what its scripts do on installation."""

    def __init__(self, name: str, *needs: str, script: str = "", files: Mapping[str, str] | None = None) -> None:
        self.name, self.needs, self.script = name, needs, script
        self.files = dict(files or {})
        self.links: dict[str, str] = {}

    def build(self, pool: Path) -> str:
        """Build it; return its paragraph in the package index."""
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            for path, text in self.files.items():
                file = root / path.lstrip("/")
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
                file.chmod(0o755)
            for path, aim in self.links.items():
                (root / path.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
                (root / path.lstrip("/")).symlink_to(aim)
            root.chmod(0o755)
            control = f"Package: {self.name}\nVersion: {RELEASE}-1\nArchitecture: all\nMaintainer: dtk's tests\n"
            control += f"Depends: {', '.join(self.needs)}\n" if self.needs else ""
            control += "Description: stand-in\n"
            (root / "DEBIAN").mkdir()
            (root / "DEBIAN" / "control").write_text(control)
            (root / "DEBIAN" / "postinst").write_text(f"#!/bin/sh\nset -e\n{self.script}")
            (root / "DEBIAN" / "postinst").chmod(0o755)
            file = pool / f"{self.name}.deb"
            command = ["dpkg-deb", "--root-owner-group", "-Znone", "--build", folder, str(file)]
            subprocess.run(command, check=True, capture_output=True)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        return f"{control}Filename: pool/{file.name}\nSize: {file.stat().st_size}\nSHA256: {digest}\n"


def packages(software: Path) -> Iterator[Package]:
    """Yield the stand-ins; they run what ``software`` holds on the host: java-17, hdfs-2.7.4, spark-3.5.9."""
    java = Package("openjdk-8-jdk-headless")
    java.links["/usr/bin/java"] = f"{software}/java-17/bin/java"
    yield java
    yield Package("bigtop-utils", files={"/usr/lib/bigtop-utils/bigtop-detect-javahome": "export JAVA_HOME\n"})
    yield Package(
        "hadoop",
        "bigtop-utils",
        script="groupadd -f -r hadoop\n" + ALTERNATIVE.format(name="hadoop", folder="conf.empty"),
        files={
            "/etc/hadoop/conf.empty/core-site.xml": NO_SETTINGS,
            "/etc/hadoop/conf.empty/log4j.properties": LOG,
            "/usr/bin/hadoop": "#!/bin/sh\n",
        },
    )
    yield Package(
        "hadoop-hdfs",
        "hadoop",
        script=USER.format(name="hdfs", home="/var/lib/hadoop-hdfs") + "install -d -o hdfs /var/log/hadoop-hdfs\n",
        files={
            "/etc/hadoop/conf.empty/hdfs-site.xml": NO_SETTINGS,
            "/usr/bin/hdfs": HDFS.replace("{software}", str(software)),
        },
    )
    yield Package("hadoop-client", "hadoop-hdfs")
    for kind in ("namenode", "datanode"):
        log = f"/var/log/hadoop-hdfs/hadoop-hdfs-{kind}.log"
        yield daemon(software, f"hadoop-hdfs-{kind}", "hadoop-hdfs", "hdfs", f"hdfs {kind}", log)
    yield spark_core(software)
    python = Package("spark-python", "spark-core")
    python.links["/usr/lib/spark/python"] = f"{software}/spark-3.5.9/pyspark/python"
    yield python
    classes = {
        "spark-master": 'org.apache.spark.deploy.master.Master --ip "$SPARK_MASTER_IP"',
        "spark-worker": "org.apache.spark.deploy.worker.Worker $SPARK_MASTER_URL",
        "spark-history-server": "org.apache.spark.deploy.history.HistoryServer",
    }
    for name, command in classes.items():
        yield daemon(software, name, "spark-core", "spark", f"/usr/lib/spark/bin/spark-class {command}", "")


def daemon(software: Path, name: str, needs: str, user: str, command: str, log: str) -> Package:
    """Return a daemon's package; Spark's fail to install if the daemon does not start."""
    folder = "spark" if user == "spark" else "hadoop-hdfs"
    script = DAEMON.format(
        name=name,
        folder=folder,
        user=user,
        command=command,
        log=log or f"/var/log/spark/{name}.out",
        software=software,
        starts=STARTS,
    )
    started = STARTED.format(name=name, otherwise="exit 1" if user == "spark" else ":")
    return Package(name, needs, script=started, files={f"/etc/init.d/{name}": script})


def spark_core(software: Path) -> Package:
    """Return the package of Spark's programs."""
    package = Package(
        "spark-core",
        "bigtop-utils",
        "hadoop-client",
        script=USER.format(name="spark", home="/var/lib/spark") + ALTERNATIVE.format(name="spark", folder="conf.dist"),
        files={"/etc/spark/conf.dist/spark-env.sh": "export SPARK_MASTER_PORT=7077\n"},
    )
    for part in ("bin", "jars", "sbin"):
        package.links[f"/usr/lib/spark/{part}"] = f"{software}/spark-3.5.9/pyspark/{part}"
    package.links["/usr/lib/spark/conf"] = "/etc/spark/conf"
    return package


def make_repository(folder: Path, software: Path) -> str:
    """Create the repository and the file KEYS; return the id of the signing key."""
    home = folder / "gpg"
    home.mkdir(mode=0o700)
    gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet"]
    for name in ("another", "bigtop"):
        command = [*gpg, "--passphrase", "", "--quick-generate-key", f"{name} <{name}@dtk.invalid>", "ed25519", "sign"]
        subprocess.run(command, check=True, capture_output=True)
    listed = subprocess.run([*gpg, "--with-colons", "-K", "bigtop@dtk.invalid"], check=True, capture_output=True)
    key = next(line.split(":")[9] for line in listed.stdout.decode().splitlines() if line.startswith("fpr"))
    keys = subprocess.run([*gpg, "--armor", "--export"], check=True, capture_output=True).stdout
    web = folder / "web"
    base = web / DISTRIBUTION
    (base / "pool").mkdir(parents=True)
    (web / "KEYS").write_bytes(keys)
    index = base / "dists" / "bigtop" / "contrib" / "binary-amd64" / "Packages"
    index.parent.mkdir(parents=True)
    index.write_text("\n".join(package.build(base / "pool") for package in packages(software)))
    digest = hashlib.sha256(index.read_bytes()).hexdigest()
    release = base / "dists" / "bigtop" / "Release"
    release.write_text(
        "Origin: Bigtop\nSuite: bigtop\nCodename: bigtop\nArchitectures: amd64\nComponents: contrib\n"
        f"SHA256:\n {digest} {index.stat().st_size} contrib/binary-amd64/Packages\n"
    )
    signed = ["--local-user", key, "--clearsign", "--output", str(release.with_name("InRelease")), str(release)]
    subprocess.run([*gpg, *signed], check=True, capture_output=True)
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "gpg-agent"], check=True, capture_output=True)
    shutil.rmtree(home)
    return key


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def served(folder: Path, host: str) -> Iterator[str]:
    """Serve a folder over HTTP; yield its URL."""
    handler = functools.partial(_Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer((host, 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://{host}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
