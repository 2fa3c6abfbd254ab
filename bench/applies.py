"""Benchmark of applying, beside a bare pyinfra script, pyinfra's command line and Ansible.

It runs on real SSH servers, and on many simulated machines.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.curves import Curve
from bench.hosts import ROOT, Machines, farm, servers
from bench.sampling import HEAD, Run, Sample, command, median, row, table
from bench.work import COMMANDS, FILES, module, playbook
from bench.workspaces import DTK, quietly

BARE = "bare script"
BESIDE_DTK = (
    ("ansible, first", "dtk apply, first"),
    ("ansible, second", "dtk converge, second"),
    ("ansible, second", "dtk apply, nothing to do, second"),
)
"""How much longer Ansible takes than dtk."""
CASES = ((10, "4"), (10, "10"), (30, "4"), (30, "10"))
MANY = (100, 300, 1_000)
COMMAND_SECONDS = 0.05


@dataclass(frozen=True)
class Bench:
    """A folder with everything that the same work needs in each tool."""

    folder: Path
    machines: Machines
    operations: str

    def prepare(self) -> None:
        """Write a dtk workspace, a pyinfra deploy, an Ansible playbook, and the bare script's hosts."""
        place = self.folder / "dtk"
        place.mkdir(parents=True)
        quietly(DTK, "init", folder=place)
        with (place / "dtk.yaml").open("a") as file:
            file.write(self.machines.target())
        folder = place / "modules/acme/bench"
        folder.mkdir(parents=True)
        (folder / "dtk.module.yaml").write_text(module(self.operations))
        shutil.copytree(FILES, folder / "files")
        count = f"workers/cardinality={len(self.machines.all)}"
        quietly(DTK, "stage", "acme:bench/hosts", "b", "--target", "rack", "--set", count, folder=place)
        data = self.machines.pyinfra_data()
        (self.folder / "hosts.json").write_text(json.dumps(data))
        (self.folder / "inventory.py").write_text(f"hosts = {list(data.items())!r}\n")
        (self.folder / "deploy.py").write_text(
            f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
            f"from pyinfra import host\nfrom bench.work import run_work\n\n"
            f"run_work(host.data.home, {self.operations!r})\n"
        )
        (self.folder / "inventory.ini").write_text(self.machines.ansible())
        (self.folder / "play.yaml").write_text(playbook(self.operations))

    def forget(self) -> None:
        """Delete the state of dtk's service."""
        shutil.rmtree(self.folder / "dtk/.dtk", ignore_errors=True)

    def dtk(self, verb: str, *options: str) -> Sample:
        """Run ``dtk VERB``: apply or converge."""
        return command((DTK, verb, "b", "--yes", *options), self.folder / "dtk")

    def bare(self) -> Sample:
        """Do the work with the bare script."""
        words = (sys.executable, "-m", "bench.bare", self.folder / "hosts.json", self.operations)
        return command(words, ROOT)

    def pyinfra(self) -> Sample:
        """Do the work with pyinfra's command line."""
        words = (Path(DTK).with_name("pyinfra"), "-y", "inventory.py", "deploy.py")
        return command(words, self.folder)

    def ansible(self, program: str) -> Sample:
        """Do the work with Ansible, with one fork for each host."""
        forks = str(len(self.machines.all))
        return command(
            (program, "-i", "inventory.ini", "-f", forks, "play.yaml"),
            self.folder,
            ANSIBLE_PIPELINING="1",
            ANSIBLE_HOST_KEY_CHECKING="False",
            ANSIBLE_SSH_ARGS="-o ControlMaster=auto -o ControlPersist=2s -o UserKnownHostsFile=/dev/null",
        )

    def rounds(self, count: int, others: dict[str, Run], *, wiped: bool) -> dict[str, list[Sample]]:
        """Do the work twice with each tool, in turn.

        Args:
            count: the number of rounds.
            others: the runs besides dtk's and the bare script's, by name.
            wiped: empty the machines before each first run; the second run finds everything in place.

        Returns:
            The samples, by the name of the run and "first" or "second".
        """
        taken: dict[str, list[Sample]] = {}
        for _ in range(count):
            for name, run in {BARE: self.bare, **others}.items():
                for which in ("first", "second"):
                    if which == "first" and wiped:
                        self.machines.wipe()
                    taken.setdefault(f"{name}, {which}", []).append(run())
            if wiped:
                self.machines.wipe()
            self.forget()
            for name, verb in (("dtk apply, first", "apply"), ("dtk converge, second", "converge")):
                taken.setdefault(name, []).append(self.dtk(verb))
            if wiped:
                taken.setdefault("dtk apply, nothing to do, second", []).append(self.dtk("apply"))
        return taken


def rows_of(taken: dict[str, list[Sample]]) -> list[list[str]]:
    """Return the rows of a case; each is compared with the bare script's run of the same kind."""
    rows = []
    for name, samples in taken.items():
        which = name.rpartition(", ")[2]
        anchor = taken[f"{BARE}, {which}"]
        rows.append(row(name, samples, None if name.startswith(BARE) else anchor, BARE))
    return rows


def real(folder: Path, rounds: int, ansible: str) -> str:
    """Return a table for each number of real SSH servers and of operations."""
    parts = []
    for count, operations in CASES:
        with servers(folder / f"real{count}x{operations}", count) as machines:
            bench = Bench(folder / f"bench{count}x{operations}", machines, operations)
            bench.prepare()
            others: dict[str, Run] = {"pyinfra CLI": bench.pyinfra}
            taken = bench.rounds(rounds, others, wiped=True)
            rows = rows_of(taken)
            if ansible:
                # One round: Ansible takes ten times as long as all others together.
                beside = bench.rounds(1, {"ansible": lambda bench=bench: bench.ansible(ansible)}, wiped=True)
                rows += [row(name, beside[name], beside[anchor], anchor) for name, anchor in BESIDE_DTK]
        parts.append(f"\n{count} hosts, {operations} operations:\n\n{table(HEAD, rows)}")
    return "".join(parts)


def many(folder: Path, rounds: int) -> tuple[str, list[Curve]]:
    """Return the table of many simulated machines beside the bare script, and the curves over their number."""
    rows, dtk, bare = [], [], []
    for count in MANY:
        with farm(folder / f"farm{count}", count, COMMAND_SECONDS) as machines:
            bench = Bench(folder / f"many{count}", machines, COMMANDS)
            bench.prepare()
            taken = bench.rounds(rounds, {}, wiped=False)
        for line in rows_of(taken):
            rows.append([f"{count:,} nodes: {line[0]}", *line[1:]])
        dtk.append((count, median(taken["dtk converge, second"], "cpu") / count / 4 * 1000))
        bare.append((count, median(taken[f"{BARE}, second"], "cpu") / count / 4 * 1000))
    curves = [Curve("converge: CPU ms a node's operation", dtk), Curve("bare script: CPU ms", bare)]
    return table(HEAD, rows), curves
