"""What was read and found valid is read once; what changed, or can't be trusted, is read again."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from dtk.dsl import cache
from dtk.dsl.catalog import Catalog
from dtk.dsl.service import load_service
from dtk.errors import InvalidError

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
