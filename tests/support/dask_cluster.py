"""A real Dask cluster on this machine, with TLS and an authority of its own."""

from __future__ import annotations

import datetime
import ipaddress
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from urllib.request import urlopen

import psutil
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from dtk.model.executor import DaskCluster
from dtk.ssh.shards.shard_process import PROCESS
from tests.support.waiting import eventually


def write_certificate(folder: Path) -> None:
    """Write a certificate for this machine that is its own authority, and its key."""
    folder.mkdir(parents=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _is_shard(process: psutil.Process) -> bool:
    try:
        return PROCESS in process.cmdline()
    except psutil.Error:
        return False  # it has just ended


class Cluster:
    """A scheduler and its workers; their output is in ``logs``, and ``environment`` is added to theirs."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        write_certificate(folder / "tls")
        self.folder, self.logs = folder, folder / "logs"
        self.environment = {**os.environ, **(environment or {})}
        self.logs.mkdir()
        self.certificate, self.key = folder / "tls/cert.pem", folder / "tls/key.pem"
        self.processes: list[subprocess.Popen[bytes]] = []
        pages = ("--dashboard-address", "127.0.0.1:0")
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0", *pages)
        self.address = self._said("scheduler", "Scheduler at:")
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        tls = (str(self.certificate), str(self.certificate), str(self.key))
        self.settings = DaskCluster(self.address, *tls)

    def add_workers(self, *names: str) -> None:
        """Start workers and wait until the scheduler knows them."""
        for name in names:
            options = ("--host", "127.0.0.1", "--no-nanny", "--no-dashboard", "--nthreads", "1")
            scratch = ("--local-directory", str(self.folder / name))
            self.workers[name] = self._start("worker", self.address, "--name", name, *options, *scratch, log=name)
        for name in names:
            self._said(name, "Registered to:")

    def executor(self) -> str:
        """Return the lines of dtk.yaml with which tasks use this cluster."""
        lines = "".join(f"  {name}: {value}\n" for name, value in asdict(self.settings).items())
        return f"executor:\n  type: dask\n{lines}"

    def address_of(self, worker: subprocess.Popen[bytes]) -> str:
        """Return the address of a worker."""
        (name,) = (name for name, one in self.workers.items() if one is worker)
        return self._said(name, "Start worker at:")

    def holder_of(self, host: str, port: int) -> subprocess.Popen[bytes]:
        """Return the worker whose shard has a connection to an address."""

        def found() -> subprocess.Popen[bytes] | None:
            for worker in self.workers.values():
                for shard in psutil.Process(worker.pid).children():
                    if (host, port) in [tuple(one.raddr) for one in shard.net_connections("tcp")]:
                        return worker
            return None

        return eventually(found, f"a shard with a connection to {host}:{port}")

    def shards(self) -> list[psutil.Process]:
        """Return the shards on all workers that run."""
        alive = [psutil.Process(worker.pid) for worker in self.workers.values() if worker.poll() is None]
        return [child for worker in alive for child in worker.children() if _is_shard(child)]

    def _start(self, kind: str, *arguments: str, log: str = "") -> subprocess.Popen[bytes]:
        tls = ("--tls-ca-file", self.certificate, "--tls-cert", self.certificate, "--tls-key", self.key)
        words = [sys.executable, "-m", "distributed.cli.dask_" + kind, *arguments, *map(str, tls)]
        if kind == "scheduler":
            words += ["--protocol", "tls"]
        with (self.logs / (log or kind)).open("wb") as output:
            process = subprocess.Popen(words, stdout=output, stderr=output, cwd=self.folder, env=self.environment)
        self.processes.append(process)
        return process

    def _said(self, log: str, words: str) -> str:
        def line() -> str:
            text = (self.logs / log).read_text()
            return next((line for line in text.splitlines() if words in line), "")

        return eventually(line, f"{words} in the log of {log}").rpartition(" ")[2]

    def pages(self) -> str:
        """Return what the scheduler's web pages show of it, its workers and their logs."""
        place = self._said("scheduler", "dashboard at:").removesuffix("/status")
        names = ("info/main/workers.html", "info/main/logs.html", "json/identity.json", "metrics")
        found = [urlopen(f"{place}/{name}", timeout=20).read().decode() for name in names]
        workers = re.findall(r"/?logs/([^\"']+)\.html", found[0])
        for worker in workers:
            found += [
                urlopen(f"{place}/info/{kind}/{worker}.html", timeout=20).read().decode()
                for kind in ("worker", "logs", "call-stacks")
            ]
        assert workers
        return "\n".join(found)

    def close(self) -> None:
        """Kill all processes."""
        for process in self.processes:
            process.kill()
            process.wait()
