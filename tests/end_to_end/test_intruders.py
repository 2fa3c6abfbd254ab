"""No code of a module from git runs before apply: not when it is installed, checked, formatted, planned or tested."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.command_line import Dtk

MODULE = """
dsl_version: 1.0.0
module: acme/trap
version: 1.0.0
components:
  app:
    attributes:
      word: {{type: string, default: 'x'}}
    actions:
      create:
        deploy: trap.py:run
      greet:
        commands:
          - RUN touch {canary}
          - 'RUN echo {{{{ word }}}}'
assemblies:
  one:
    nodes:
      main: {{components: [trap::app]}}
"""
ESCAPES = [
    "{{{{ cycler.__init__.__globals__.os.system('touch {canary}') }}}}",
    "{{{{ ''.__class__.__mro__[1].__subclasses__() }}}}",
    "{{{{ lipsum.__globals__['os'].popen('touch {canary}').read() }}}}",
    "{{% include '/etc/passwd' %}}",
    "{{{{ self._TemplateReference__context }}}}",
]
TAGGED = "dsl_version: !!python/object/apply:os.system ['touch {canary}']\nmodule: acme/tagged\nversion: 1.0.0\n"


def git(folder: Path, *words: str) -> None:
    names = ("-c", "user.name=a", "-c", "user.email=a@b")
    subprocess.run(["git", *names, *words], cwd=folder, check=True, capture_output=True)


def make_trap(folder: Path, canary: Path) -> None:
    """Create a repository in which every file that some program might execute creates the canary file."""
    folder.mkdir()
    (folder / "dtk.module.yaml").write_text(MODULE.format(canary=canary))
    code = f"import pathlib\npathlib.Path({str(canary)!r}).touch()\n"
    names = ("trap", "conftest", "sitecustomize", "usercustomize", "setup", "__init__", "jinja2", "typing")
    for name in names:
        (folder / f"{name}.py").write_text(
            f"{code}from pyinfra.api import deploy\n@deploy('trap')\ndef run(word='x'): pass\n"
        )
    (folder / "tests/first").mkdir(parents=True)
    (folder / "tests/first/service.yaml").write_text(
        "format_version: 1\nservice: first\nassembly: acme:trap/one\ntarget: local\n"
    )
    (folder / ".gitattributes").write_text("* filter=trap diff=trap merge=trap export-subst\n")
    (folder / ".pre-commit-config.yaml").write_text("repos: []\n")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "trap")


def test_nothing_of_a_module_from_git_runs_before_apply(dtk: Dtk, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    make_trap(tmp_path / "trap", canary)
    dtk.run("install", str(tmp_path / "trap"))
    installed = next((dtk.root / ".dtk/modules").glob("*/acme/trap"))
    for words in (
        ("validate",),
        ("list-modules",),
        ("list-components", "acme/trap"),
        ("info", "acme/trap"),
        ("stage", "acme:trap/one", "trap1"),
        ("list-actions", "trap1"),
        ("plan", "trap1"),
        ("plan", "trap1", "--out", "plan.json"),
        ("graph", "trap1"),
        ("list-violations", "trap1"),
        ("fmt", "--check"),
        ("test", "acme/trap", "--update"),
        ("test", "acme/trap"),
        ("update",),
    ):
        dtk.run(*words, code=None)
        assert not canary.exists(), words
    # Also from within the module's folder, with the installed program: `python -m dtk` would import from there first.
    program = Path(sys.executable).with_name("dtk")
    for words in (("validate", "."), ("fmt", "--check", "dtk.module.yaml"), ("version",)):
        subprocess.run([program, *words], cwd=installed, check=False, capture_output=True)
        assert not canary.exists(), words
    assert not list(installed.rglob("*.pyc"))
    (dtk.root / "services/trap1/service.yaml").unlink()


def test_templates_and_tags_of_a_module_reach_no_code(dtk: Dtk, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    for number, escape in enumerate(ESCAPES):
        folder = dtk.root / f"modules/acme/escape{number}"
        folder.mkdir(parents=True)
        command = escape.format(canary=canary).replace("'", "''")
        (folder / "dtk.module.yaml").write_text(
            f"dsl_version: 1.0.0\nmodule: acme/escape{number}\nversion: 1.0.0\n"
            f"components:\n  a:\n    actions:\n      create:\n        commands: ['RUN echo {command}']\n"
            f"assemblies:\n  one:\n    nodes: {{main: {{components: ['escape{number}::a']}}}}\n"
        )
        # The check or the rendering refuses such a command; it is never executed.
        dtk.run("validate", f"modules/acme/escape{number}", code=None)
        dtk.run("stage", f"acme:escape{number}/one", f"escape{number}", code=None)
        dtk.run("plan", f"escape{number}", code=None)
        assert not canary.exists(), escape
    tagged = dtk.root / "modules/acme/tagged"
    tagged.mkdir()
    (tagged / "dtk.module.yaml").write_text(TAGGED.format(canary=canary))
    assert "tags (" in dtk.run("validate", "modules/acme/tagged", code=3).stderr
    dtk.run("fmt", code=None)
    assert not canary.exists()
