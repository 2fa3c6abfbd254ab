"""The cache of valid documents: each is parsed once; changed or untrusted entries are parsed again."""

from __future__ import annotations

import hashlib
import os
import pickle
import pwd
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dtk.dsl import cache
from dtk.dsl.catalog import Catalog
from dtk.dsl.service import load_service
from dtk.errors import InvalidError
from dtk.service.planned_nodes import planned_nodes
from dtk.state.model import State
from dtk.state.workspace import Workspace

MOST_MODULES_OF_LS = 101
"""An upper limit for dtk's own Python modules that `dtk ls` imports; each costs time, so only ever lower it."""
MODULE = """\
dsl_version: 1.0.0
module: acme/web
version: 1.0.0
components:
  server:
    attributes:
      port: {type: port, default: 8080}
    actions:
      create:
        commands: ["RUN echo {{ port }}"]
"""
SERVICE = "format_version: 1\nservice: web1\nassembly: acme/web/farm\nattributes: {server/version: 2.70}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "dtk" / "documents"


def write_module(root: Path, text: str = MODULE, name: str = "acme/web") -> Catalog:
    file = root / "modules" / name / "dtk.module.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return Catalog([root / "modules"], root)


def write_service(root: Path, text: str = SERVICE) -> Path:
    file = root / "services" / "web1" / "service.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_what_is_kept_equals_what_was_read(tmp_path: Path) -> None:
    first = write_module(tmp_path).find("acme/web")
    again = Catalog([tmp_path / "modules"], tmp_path).find("acme/web")
    assert again == first
    assert again is not first
    file = write_service(tmp_path)
    assert load_service(file, tmp_path) == load_service(file, tmp_path)
    assert str(load_service(file, tmp_path).attributes["server/version"].value) == "2.70"


def test_a_second_reading_loads_no_parser(tmp_path: Path) -> None:
    file = write_service(tmp_path)
    program = (
        "import sys; from pathlib import Path; from dtk.dsl.service import load_service\n"
        f"load_service(Path({str(file)!r}))\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules} & {'ruamel', 'jsonschema', 'jinja2'}))\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    runs = [
        subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    assert [run.stdout.strip() for run in runs] == ["jsonschema ruamel", ""]


def test_a_second_listing_of_what_is_planned_loads_no_compiler(tmp_path: Path) -> None:
    write_module(tmp_path, MODULE + "assemblies:\n  farm:\n    nodes:\n      n: {components: [web::server]}\n")
    (tmp_path / "dtk.yaml").write_text("format_version: 1\ntargets:\n  here: {type: local}\n")
    write_service(tmp_path, SERVICE.partition("attributes")[0] + "target: here\n")
    program = (
        "import sys\nfrom dtk.__main__ import run\n"
        f"run(['ls', '--workspace', {str(tmp_path)!r}, '--json'])\n"
        "heavy = {'ruamel', 'jsonschema', 'jinja2', 'pydantic', 'gevent', 'dtk.plan.compile'}\n"
        "print(*sorted({name for name in sys.modules} & heavy))\n"
        "print(len([name for name in sys.modules if name.startswith('dtk.')]))\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    runs = [
        subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    assert all('"nodes": 1' in run.stdout for run in runs), runs
    first, second = (run.stdout.splitlines()[-2:] for run in runs)
    assert "jinja2" in first[0]
    assert second[0] == ""
    assert int(second[1]) <= MOST_MODULES_OF_LS


def test_a_changed_service_is_counted_anew(tmp_path: Path) -> None:
    assembly = (
        "assemblies:\n  farm:\n    nodes:\n"
        "      n: {attributes: {type: group, cardinality: 2}, components: [web::server]}\n"
    )
    write_module(tmp_path, MODULE + assembly)
    (tmp_path / "dtk.yaml").write_text("format_version: 1\ntargets:\n  here: {type: local}\n")
    workspace, state = Workspace(tmp_path), State("web1", "")
    text = SERVICE.partition("attributes")[0] + "target: here\n"
    for count, more in ((2, ""), (2, ""), (3, "attributes: {n/cardinality: 3}\n")):
        write_service(tmp_path, text + more)
        assert len(planned_nodes(workspace, "web1", state)) == count
    write_module(tmp_path, MODULE + assembly.replace("cardinality: 2", "cardinality: 5"))
    write_service(tmp_path, text)
    assert len(planned_nodes(workspace, "web1", state)) == 5


def test_a_changed_module_is_read_again(tmp_path: Path) -> None:
    write_module(tmp_path).find("acme/web")
    changed = write_module(tmp_path, MODULE.replace("8080", "9090")).find("acme/web")
    assert changed.components["server"].attributes["port"].default == 9090
    (tmp_path / "modules/acme/web/extra").write_text("more")
    assert Catalog([tmp_path / "modules"], tmp_path).find("acme/web").digest != changed.digest


def test_a_module_is_checked_again_when_what_it_depends_on_changed(tmp_path: Path) -> None:
    user = "dsl_version: 1.0.0\nmodule: acme/user\ndependencies: {acme/web: '>=0'}\ncomponents:\n  client:\n"
    user += "    dependencies: [web::server]\n"
    write_module(tmp_path)
    assert write_module(tmp_path, user, "acme/user").find("acme/user").name == "acme/user"
    write_module(tmp_path, MODULE.replace("server:", "daemon:"))
    with pytest.raises(InvalidError):
        Catalog([tmp_path / "modules"], tmp_path).find("acme/user")


def test_what_is_invalid_is_refused_each_time(tmp_path: Path, folder: Path) -> None:
    broken = MODULE.replace("{{ port }}", "{{ prot }}")
    for _ in range(2):
        with pytest.raises(InvalidError):
            write_module(tmp_path, broken).find("acme/web")
    assert not folder.exists() or list(folder.iterdir()) == []


@pytest.mark.parametrize("damage", ["cut", "other", "empty"])
def test_a_damaged_entry_is_read_anew(tmp_path: Path, folder: Path, damage: str) -> None:
    file = write_service(tmp_path)
    service = load_service(file)
    (entry,) = folder.iterdir()
    content = entry.read_bytes()
    entry.write_bytes({"cut": content[:-3], "other": content[:40] + b"x" + content[41:], "empty": b""}[damage])
    assert load_service(file) == service


def test_a_folder_that_others_may_write_to_is_not_used(tmp_path: Path, folder: Path) -> None:
    file = write_service(tmp_path)
    service = load_service(file)
    folder.chmod(0o777)
    (entry,) = folder.iterdir()
    before = entry.read_bytes()
    assert load_service(file) == service
    cache.keep(entry.name, "something else")
    assert entry.read_bytes() == before


class Hostile:
    """An object whose pickle calls a function with an argument when it is loaded."""

    def __init__(self, call: Callable[[str], object], argument: str) -> None:
        self.call, self.argument = call, argument

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return self.call, (self.argument,)


@pytest.mark.parametrize("call", [os.mkdir, os.system, eval], ids=lambda call: call.__name__)
def test_no_code_in_the_folder_runs(tmp_path: Path, folder: Path, call: Callable[[str], object]) -> None:
    file = write_service(tmp_path)
    service = load_service(file)
    (entry,) = folder.iterdir()
    made = tmp_path / "made"
    arguments = {os.system: f"touch {made}", eval: f"__import__('os').mkdir({str(made)!r})"}
    kept = pickle.dumps((service, Hostile(call, arguments.get(call, str(made)))))
    entry.write_bytes(hashlib.sha256(kept).digest() + kept)
    assert load_service(file) == service
    assert not made.exists()


@pytest.mark.parametrize("name", ["os", "load_pins", "Catalog.find", "Path.touch"])
def test_a_pickle_gets_at_nothing_that_a_module_only_uses(folder: Path, name: str) -> None:
    cache.keep("key", "text")
    kept = b"\x80\x04\x8c\x0fdtk.dsl.catalog\x8c" + bytes([len(name)]) + name.encode() + b"\x93."
    (folder / "key").write_bytes(hashlib.sha256(kept).digest() + kept)
    assert cache.recall("key", object) is None


def test_a_value_of_another_kind_is_not_taken(folder: Path) -> None:
    cache.keep("key", "text")
    assert cache.recall("key", str) == "text"
    assert cache.recall("key", int) is None
    assert pickle.loads((folder / "key").read_bytes()[32:]) == "text"


def test_old_entries_go(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_MOST_ENTRIES", 3)
    for number in range(6):
        cache.keep(f"key{number}", number)
        os.utime(folder / f"key{number}", (number, number))
    assert sorted(entry.name for entry in folder.iterdir()) == ["key3", "key4", "key5"]


def test_without_a_place_for_it_everything_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert load_service(write_service(tmp_path)).name == "web1"


def test_without_a_home_folder_nothing_is_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", lambda user: dict[int, Any]()[user])
    cache.keep("key", 1)
    assert cache.recall("key", int) is None
    assert write_module(tmp_path).find("acme/web")
