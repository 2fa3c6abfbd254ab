"""Modules installed from real repositories: refs, subfolders, dependencies, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from dtk.dsl.yaml.shipped import data_folder
from tests.sources.repositories import Place, Repo

MakeRepo = Callable[[str], Repo]
LEVEL = "  base:\n    attributes: {level: {type: integer, default: 1}}\n"


def test_a_tag_a_branch_and_a_commit_install_the_commit_they_name(repo: MakeRepo, place: Place) -> None:
    source = repo("base")
    source.module("acme/base", body=LEVEL)
    first = source.commit(tag="v1")
    source.git("branch", "stable")
    second = source.commit("another")
    for ref, commit in (("@v1", first), ("@stable", first), (f"@{second[:10]}", second), ("", second)):
        place.run("install", f"../base{ref}")
        assert place.pins()["acme/base"].commit == commit
    assert f"{second}/acme/base/dtk.module.yaml" in {
        path.relative_to(place.workspace.installed).as_posix()
        for path in place.workspace.installed.glob("*/*/*/dtk.module.yaml")
    }


def test_the_lock_follows_its_schema_and_names_no_folder_of_this_machine(repo: MakeRepo, place: Place) -> None:
    source = repo("base")
    source.module("acme/base", body=LEVEL)
    source.commit(tag="v1")
    place.run("install", "../base@v1")
    text = place.workspace.lock_file.read_text()
    schema = json.loads((data_folder("schemas") / "lock.schema.json").read_text())
    assert list(Draft202012Validator(schema).iter_errors(json.loads(text))) == []
    assert str(place.workspace.root.parent) not in text + place.workspace.file.read_text()


def test_a_repository_with_several_modules_gives_all_or_those_below_a_path(repo: MakeRepo, place: Place) -> None:
    source = repo("many")
    source.module("acme/base", "modules/base", body=LEVEL)
    source.module("acme/web", "modules/web", needs={"acme/base": ">=1"})
    source.module("acme/case", "modules/web/tests/cases/first")
    source.module("acme/extra", "modules/extra")
    source.commit()
    output = place.run("install", "../many", "--path", "modules/web")
    assert output.splitlines() == [
        "Auto-installing missing module(s)",
        "Installing module 'acme:base' ... Done.",
        "Resuming install of module 'acme:web' ... Done.",
    ]
    assert set(place.pins()) == {"acme/base", "acme/web"}
    place.run("install", "../many")
    assert set(place.pins()) == {"acme/base", "acme/web", "acme/extra"}
    assert "acme/nothing" not in place.run("install", "../many", "--path", "modules/none", code=2)


def test_a_moved_tag_changes_nothing_until_update_says_so(repo: MakeRepo, place: Place) -> None:
    source = repo("base")
    source.module("acme/base", body=LEVEL)
    first = source.commit(tag="v1")
    place.run("install", "../base@v1")
    source.module("acme/base", body=LEVEL.replace("integer", "string"), version="1.1")
    second = source.commit("retype the level", tag="v1")
    assert place.run("install") == "Using module 'acme:base'\n"
    place.run("install", "--locked")
    assert place.pins()["acme/base"].commit == first
    output = place.run("update")
    assert "warning: tag 'v1' was moved" in output
    assert "retype the level" in output
    assert "attribute base/level type changed: integer -> string" in output
    assert place.pins()["acme/base"].commit == second
    assert place.run("update") == "Everything is up to date\n"


def test_update_shows_components_and_attributes_that_come_and_go(repo: MakeRepo, place: Place) -> None:
    source = repo("base")
    source.module("acme/base", body=LEVEL + "  old: {}\n")
    source.commit("first")
    place.run("install", "../base")
    source.module("acme/base", body="  base:\n    attributes: {depth: {required: true}}\n  new: {}\n", version="2")
    source.commit("second")
    document = json.loads(place.run("update", "acme:base", "--dry-run", "--json"))
    assert document[0]["differences"] == [
        "- component old removed",
        "+ component new added",
        "- attribute base/level removed",
        "+ attribute base/depth added (string, required)",
    ]
    assert [commit.partition(" ")[2] for commit in document[0]["commits"]] == ["second"]
    assert place.pins()["acme/base"].version == "1.0.0", "--dry-run writes nothing"


def test_update_moves_one_module_to_another_ref(repo: MakeRepo, place: Place) -> None:
    source = repo("base")
    source.module("acme/base")
    source.commit(tag="v1")
    source.module("acme/base", version="2.0.0")
    second = source.commit(tag="v2")
    place.run("install", "../base@v1")
    place.run("update", "acme:base", "--ref", "v2")
    assert place.pins()["acme/base"].commit == second
    assert 'ref: "v2"' in place.workspace.file.read_text()


def test_dependencies_come_from_the_sources_of_their_namespace_in_the_newest_version_that_suits(
    repo: MakeRepo, place: Place
) -> None:
    base = repo("acme-base")
    for version in ("1.0.0", "1.9.0", "1.10.0", "2.0.0"):
        base.module("acme/base", version=version)
        base.commit(tag=f"v{version}")
    web, shop = repo("web"), repo("shop")
    web.module("acme/web", needs={"acme/base": ">=1.0"})
    web.commit()
    shop.module("acme/shop", needs={"acme/base": "<2", "acme/web": ">=1"})
    shop.commit()
    place.workspace.file.write_text('format_version: 1\nmodule_sources: {acme: "../{namespace}-{name}"}\n')
    place.run("install", "../web")
    assert place.pins()["acme/base"].version == "2.0.0"
    place.run("install", "../shop")
    assert place.pins()["acme/base"].version == "1.10.0", "a later constraint moves what was only needed"


def test_a_conflict_names_both_sides(repo: MakeRepo, place: Place) -> None:
    source = repo("many")
    source.module("acme/base", "base", version="1.5.0")
    source.module("acme/web", "web", version="1.2", needs={"acme/base": ">=2"})
    source.module("acme/shop", "shop", version="0.3", needs={"acme/base": "<2"})
    source.commit()
    output = place.run("install", "../many", code=3)
    assert "no version of module 'acme/base' satisfies all requirements; available: 1.5.0" in output
    assert "acme/web 1.2 needs acme/base >=2" in output
    assert "acme/shop 0.3 needs acme/base <2" in output
    assert not place.workspace.lock_file.exists()


def test_a_module_that_is_nowhere_is_told_with_who_needs_it(repo: MakeRepo, place: Place) -> None:
    source = repo("web")
    source.module("acme/web", needs={"other/base": ">=1"})
    source.commit()
    output = place.run("install", "../web", code=3)
    assert "module 'other/base' was not found" in output
    assert "acme/web 1.0.0 needs other/base >=1" in output


def test_installed_modules_work_offline_and_are_restored_from_the_lock(repo: MakeRepo, place: Place) -> None:
    source = repo("base")
    source.module("acme/base", body=LEVEL)
    source.commit(tag="v1")
    place.run("install", "../base@v1")
    away = source.folder.rename(source.folder.parent / "away")
    assert "../base@v1" in place.run("list-modules")
    place.run("install", "--locked")
    place.run("validate")
    (kept,) = place.workspace.installed.glob("*/acme")
    shutil.rmtree(kept)
    place.run("install")
    away.rename(source.folder)
    shutil.rmtree(place.workspace.installed)
    assert "in dtk.lock but not installed" in place.run("info", "acme:base", code=3)
    place.run("install", "--locked")
    assert "level" in place.run("info", "acme:base")


def test_a_changed_installed_module_is_noticed_and_put_right(repo: MakeRepo, place: Place) -> None:
    source = repo("base")
    source.module("acme/base", body=LEVEL)
    source.commit(tag="v1")
    place.run("install", "../base@v1")
    (file,) = place.workspace.installed.glob("*/acme/base/dtk.module.yaml")
    file.write_text(file.read_text().replace("integer", "string"))
    assert "does not match dtk.lock" in place.run("info", "acme:base", code=3)
    place.run("install")
    assert "type: integer" in place.run("info", "acme:base")


@pytest.mark.parametrize("what", ["yaml", "lock", "missing"])
def test_locked_fails_on_any_difference(what: str, repo: MakeRepo, place: Place) -> None:
    source = repo("base")
    source.module("acme/base")
    source.commit(tag="v1")
    source.commit(tag="v2")
    place.run("install", "../base@v1")
    file = place.workspace.file if what == "yaml" else place.workspace.lock_file
    if what == "missing":
        file.unlink()
    elif what == "yaml":
        file.write_text(file.read_text().replace("v1", "v2"))
    else:
        pin = place.pins()["acme/base"]
        file.write_text(file.read_text().replace(pin.tree, f"sha256:{'0' * 64}"))
    assert "acme/base" in place.run("install", "--locked", code=3)


def test_uninstall_removes_a_module_and_what_only_it_needed(repo: MakeRepo, place: Place) -> None:
    source = repo("many")
    source.module("acme/base", "base")
    source.module("acme/web", "web", needs={"acme/base": ">=1"})
    source.commit()
    place.run("install", "../many", "--path", "web")
    assert "is used by module 'acme:web'" in place.run("uninstall", "acme:base", code=2)
    output = place.run("uninstall", "acme:web")
    assert output == "Uninstalled module 'acme:base'\nUninstalled module 'acme:web'\n"
    assert place.pins() == {}
    assert "acme" not in place.workspace.file.read_text()
    assert list(place.workspace.installed.glob("*/acme")) == []


def test_a_plain_folder_is_installed_by_its_digest(place: Place, tmp_path: Path) -> None:
    folder = tmp_path / "with blanks"
    Repo(folder).module("acme/base", body=LEVEL)
    place.run("install", "../with blanks")
    assert place.pins()["acme/base"].commit == ""
    Repo(folder).module("acme/base", body=LEVEL, version="1.2")
    assert "Using module" in place.run("install")
    assert "1.2" in place.run("update")


def test_an_invalid_module_is_refused_and_nothing_changes(repo: MakeRepo, place: Place) -> None:
    source = repo("base")
    source.module("acme/base", body="  base: {attributes: {level: {typo: integer}}}\n")
    source.commit()
    assert "unknown key 'typo'" in place.run("install", "../base", code=3)
    assert not place.workspace.lock_file.exists()
    assert "acme" not in place.workspace.file.read_text()


def test_submodules_symlinks_and_odd_paths_are_refused(repo: MakeRepo, place: Place) -> None:
    inner, source = repo("inner"), repo("base")
    inner.module("acme/inner")
    inner.commit()
    source.module("acme/base")
    source.git("submodule", "--quiet", "add", str(inner.folder), "inner")
    source.commit()
    assert "inner:1:1: a submodule can't be part of a module" in place.run("install", "../base", code=3)
    source.git("rm", "--quiet", "-r", "inner")
    (source.folder / "passwords").symlink_to("/etc/passwd")
    source.commit()
    assert "passwords:1:1: a symlink can't be part of a module" in place.run("install", "../base", code=3)
    source.git("rm", "--quiet", "passwords")
    blob = source.git("hash-object", "-w", "dtk.module.yaml")
    tree = source.git("rev-parse", "HEAD^{tree}")
    (source.folder / "odd").write_text(f"100644 blob {blob}\t..\n100644 blob {blob}\tdtk.module.yaml\n")
    with (source.folder / "odd").open() as lines:
        import subprocess  # noqa: PLC0415

        made = subprocess.run(
            ["git", "mktree"], cwd=source.folder, stdin=lines, capture_output=True, text=True, check=True
        ).stdout.strip()
    assert made != tree
    odd = source.git("commit-tree", "-m", "odd", made)
    source.git("update-ref", "refs/heads/odd", odd)
    assert "the path leaves the module" in place.run("install", "../base@odd", code=3)
    assert not place.workspace.lock_file.exists()


def test_hooks_and_filters_of_a_repository_never_run(repo: MakeRepo, place: Place, tmp_path: Path) -> None:
    source, mark = repo("base"), tmp_path / "mark"
    source.module("acme/base")
    (source.folder / ".gitattributes").write_text("* filter=evil\n")
    source.commit()
    for hook in ("post-checkout", "post-merge", "reference-transaction", "post-fetch", "pre-auto-gc"):
        file = source.folder / ".git" / "hooks" / hook
        file.write_text(f"#!/bin/sh\ntouch {mark}\n")
        file.chmod(0o755)
    configuration = tmp_path / "gitconfig"
    configuration.write_text(
        f"[core]\n hooksPath = {source.folder}/.git/hooks\n"
        f'[filter "evil"]\n smudge = "touch {mark}; cat"\n[protocol "ext"]\n allow = always\n'
    )
    place.run("install", "../base", GIT_CONFIG_GLOBAL=str(configuration))
    assert not mark.exists()
    assert "not a supported module source" in place.run("install", f"ext::sh -c touch% {mark}", code=2)
    assert not mark.exists()


@pytest.mark.parametrize(
    "source",
    [
        "--upload-pack=touch x",
        "../base@--output=x",
        "../base@-x",
        "ssh://-oProxyCommand=x/base",
        "-oProxyCommand=x:base",
        "git@-oProxyCommand=x:base",
        "http://example.com/base",
        "git://example.com/base",
        "https://user:s3cret@example.com/base",
        "../base@a..b",
        "../base@a@{1}",
        "../base@a:b",
        "../base@",
    ],
)
def test_what_git_could_take_for_something_else_is_refused(source: str, place: Place) -> None:
    output = place.run("install", "--", source, code=2)
    assert "s3cret" not in output
    assert not place.workspace.installed.exists()


def test_a_repository_that_asks_for_a_password_fails_at_once(place: Place) -> None:
    output = place.run("install", "ssh://nobody@127.0.0.1:9/base.git", code=1)
    assert "cannot fetch" in output


def test_a_private_repository_that_cannot_be_read_is_named(repo: MakeRepo, place: Place) -> None:
    source = repo("private")
    assert "cannot fetch" in place.run("install", "../private", code=1)
    source.module("acme/base")
    source.commit()
    assert "no tag, branch or commit 'v9'" in place.run("install", "../private@v9", code=2)


def test_two_sources_of_one_name_are_refused(repo: MakeRepo, place: Place) -> None:
    for name in ("one", "two"):
        source = repo(name)
        source.module("acme/base")
        source.commit()
    place.run("install", "../one")
    output = place.run("install", "../two", code=2)
    assert "'acme:base' is already installed from ../one; ../two also has one" in output
    Repo(place.workspace.root).module("acme/own", "modules/acme/own")
    source.module("acme/own")
    source.commit()
    assert "already exists in this workspace" in place.run("install", "../two", code=2)


def test_a_broken_lock_is_told_and_a_newer_one_refused(place: Place) -> None:
    place.workspace.lock_file.write_text("{")
    assert "dtk.lock is broken" in place.run("list-modules", code=3)
    place.workspace.lock_file.write_text('{"format_version": 2, "modules": {}}')
    assert "dtk.lock was written by a newer dtk (lock file format 2)" in place.run("list-modules", code=1)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("../../../etc", {}),
        ("acme/..", {}),
        ("acme/base", {"commit": "../../.."}),
        ("acme/base", {"tree": "sha256:../.."}),
        ("acme/base", {"path": 3, "commit": None}),
    ],
)
def test_a_lock_that_would_lead_out_of_the_store_is_refused(
    name: str, changes: dict[str, object], place: Place
) -> None:
    pin = {"url": "../base", "ref": "HEAD", "path": "", "commit": "a" * 40, "tree": f"sha256:{'b' * 64}", **changes}
    place.workspace.lock_file.write_text(json.dumps({"format_version": 1, "modules": {name: pin}}))
    assert "dtk.lock is broken" in place.run("list-modules", code=3)
    assert "dtk.lock is broken" in place.run("install", code=3)


def test_a_lock_with_a_source_that_git_could_misread_is_refused(place: Place) -> None:
    pin = {"url": "ext::sh -c x", "ref": "HEAD", "path": "", "commit": "a" * 40, "tree": f"sha256:{'b' * 64}"}
    place.workspace.lock_file.write_text(json.dumps({"format_version": 1, "modules": {"acme/base": pin}}))
    Repo(place.workspace.root).module("acme/own", "modules/acme/own", needs={"acme/base": ">=0"})
    assert "is not a supported module source" in place.run("install", code=2)


def test_list_modules_says_which_can_be_parsed(place: Place) -> None:
    Repo(place.workspace.root).module("acme/good", "modules/acme/good")
    Repo(place.workspace.root).module("acme/bad", "modules/acme/bad", body="  x: 3\n")
    document = json.loads(place.run("list-modules", "--json"))
    parsed = {entry["module"]: (entry["dsl_parsed"], entry["remote"]) for entry in document}
    assert parsed["acme/bad"] == (False, "")
    assert parsed["acme/good"] == (True, "")
    assert parsed["dtk/dask"] == (True, "built-in")
    output = place.run("list-modules").splitlines()
    assert [cell.strip() for cell in output[1].split("|")] == ["", "ID", "NAME", "REMOTE(S)", "DSL PARSED", ""]


def test_the_markdown_reference_names_every_attribute_and_action(place: Place) -> None:
    output = place.run("info", "dtk:dask", "--markdown")
    for word in (
        "## Component dask::scheduler",
        "| `port` | port | `8786` |",
        "| `smoke_test` | commands |",
        "## Assembly cluster",
    ):
        assert word in output
    assert "dtk:dask/cluster" in place.run("info", "dtk:dask/cluster")
    assert "did you mean 'cluster'?" in place.run("info", "dtk:dask/clutser", code=2)


def test_an_installed_module_is_staged_and_planned_and_the_plan_says_which_commit(repo: MakeRepo, place: Place) -> None:
    source = repo("web")
    source.module("acme/web", body="  web: {actions: {create: {commands: [RUN true]}}}\n")
    file = source.folder / "dtk.module.yaml"
    file.write_text(file.read_text() + "assemblies:\n  one: {nodes: {main: {components: [web]}}}\n")
    commit = source.commit(tag="v1")
    place.run("install", "../web@v1")
    place.run("stage", "acme:web/one", "web1")
    plan = json.loads(place.run("plan", "web1", "--json"))
    assert [module["source"] for module in plan["modules"]] == [f"../web@v1 at {commit}"]
    assert "service 'web1'" in place.run("uninstall", "acme:web", code=2)
    assert "web" in place.run("list-components", "acme:web")
