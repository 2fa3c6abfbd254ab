"""Semantic checks of actions: pyinfra operations and their arguments, templates, module files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dtk.dsl.build.action import condition_text, is_block, operation_cursor, provider_of
from dtk.dsl.check import pyinfra_signatures as pyinfra
from dtk.dsl.check.item_ids import id_problems
from dtk.dsl.check.python_code import deploy_problems
from dtk.dsl.check.template import Names, template_problems
from dtk.dsl.template.rendering import is_template
from dtk.dsl.yaml.cursor import Cursor
from dtk.dsl.yaml.document import shown_file
from dtk.errors import Location, Problem
from dtk.model.arguments import (
    FILE_ARGUMENTS,
    FOLDER_OPERATION,
    SHELL_ARGUMENTS,
    TEMPLATE_BLANKS,
    TEMPLATE_SETTINGS,
)
from dtk.model.loop import ITEM
from dtk.model.module import PUPPET_FOLDER
from dtk.model.suggestion import nearest

GLOBAL_ARGUMENTS = (
    "_sudo",
    "_sudo_user",
    "_use_sudo_login",
    "_preserve_sudo_env",
    "_su_user",
    "_env",
    "_shell_executable",
    "_chdir",
)
"""pyinfra's global arguments that a module may use. ``name`` is one too, but has no effect and is always allowed."""

_TEMPLATE_FILES = ("files.template", "server.script_template")
_LOOP = 'a list, a hash, or a template that returns one, e.g. "{{ names }}"'
_ORDER = "nodes are configured independently; order and parallelism come from the workflow's stages"
_REFUSED = {
    "_serial": _ORDER,
    "_run_once": _ORDER,
    "_parallel": _ORDER,
    "_if": "write if or unless beside the operation",
    "_timeout": "write timeout in the action",
    "_retries": "write retries in the action",
    "_retry_delay": "write retry_delay in the action",
    "_retry_until": "write retries in the action",
    "_ignore_errors": "write on_failure: continue in the action",
    "_continue_on_error": "write on_failure: continue in the action",
    "_sudo_password": "modules must not contain passwords; configure passwordless sudo for the user on the node",
    "_su_password": "modules must not contain passwords",
}


class ActionChecker:
    """Checks the actions of one component and collects problems in ``problems``."""

    def __init__(self, folder: Path, names: Names, problems: list[Problem], display_root: Path | None) -> None:
        self.folder = folder
        self.attributes = names.attributes
        self.names = names
        self.problems = problems
        self.display_root = display_root

    def check(self, action: Cursor) -> None:
        """Check one action."""
        self._parameters(action)
        if provider_of(action) == "compute":
            self.names = Names(self.names.attributes, on_node=False, complete=self.names.complete)
            for entry in action.entries("compute"):
                self._template(entry)
            return
        for entry in action.entries("defaults"):
            self._templates(entry)
        self.problems += id_problems(action)
        for item in action.entries("operations"):
            self._operation(item)
        for item in action.entries("commands"):
            self._command(item)
        deploy = action.get("deploy")
        if deploy:
            self.problems += deploy_problems(deploy, self.folder, self.names)
        resource = action.get("puppet_class", "puppet_definition")
        if resource and action.text("puppet_code") != "node":
            self._puppet(resource)
        for entry in action.entries("outputs"):
            self._output(entry)

    def _parameters(self, action: Cursor) -> None:
        """Check the action's parameters, and make them known to its templates."""
        parameters = list(action.entries("parameters"))
        for entry in parameters:
            if entry.name in self.attributes:
                message = f"parameter '{entry.name}' has the same name as an attribute: templates would be ambiguous"
                self._report(entry.key_problem(message))
        self.names = self.names.with_names(entry.name for entry in parameters)

    def _condition(self, item: Cursor) -> None:
        when = item.get("when")
        if when is None:
            return
        text = condition_text(when.value)
        if text not in ("true", "false") and not is_template(text):
            self._report(_no_condition(when, text))
            return
        self._template(when)

    def _puppet(self, resource: Cursor) -> None:
        """Check that the manifest exists if the module contains the Puppet module; others may be on the node."""
        first, _, rest = str(resource.value).partition("::")
        if not (self.folder / PUPPET_FOLDER / first).is_dir():
            return
        path = f"{PUPPET_FOLDER}/{first}/manifests/{rest.replace('::', '/') or 'init'}.pp"
        if not (self.folder / path).is_file():
            message = f"file '{path}', which defines '{resource.value}', does not exist in the module"
            self._report(resource.problem(message, near=self._near_file(path)))

    @contextmanager
    def _loop(self, item: Cursor) -> Iterator[None]:
        """Check what an item's loop iterates over, and make the element known to the item's templates."""
        loop, outside = item.get("for"), self.names
        if loop is not None:
            self._templates(loop)
            if isinstance(loop.value, str) and not is_template(loop.value):
                self._report(loop.problem(f"'{loop.value}' is neither a list nor a hash", expected=_LOOP))
            if ITEM in self.attributes:
                message = f"the loop variable '{ITEM}' has the same name as an attribute; rename the attribute"
                self._report(loop.key_problem(message))
            self.names = self.names.with_names([ITEM])
        try:
            yield
        finally:
            self.names = outside

    def _operation(self, item: Cursor) -> None:
        if is_block(item, "operations"):
            self._condition(item)
            self._block(item, "operations")
            for inner in item.entries("operations"):
                self._operation(inner)
            return
        with self._loop(item):
            self._condition(item)
            self._guards(item)
            self._single_operation(item)

    def _single_operation(self, item: Cursor) -> None:
        operation = operation_cursor(item)
        if operation is None:
            return
        signature = pyinfra.operation(operation.name)
        if operation.name.startswith("python."):
            self._report(
                operation.key_problem(f"'{operation.name}' takes Python objects, which a module cannot express as data")
            )
        elif signature is None:
            near = nearest(operation.name, pyinfra.operations_near(operation.name))
            self._report(operation.key_problem(f"pyinfra has no operation '{operation.name}'", near=near))
        elif signature.instead:
            message = f"pyinfra has removed operation '{operation.name}'"
            self._report(operation.key_problem(message, expected=signature.instead))
        else:
            self._arguments(operation, signature)
        for argument in operation.entries():
            self._templates(argument, shell=SHELL_ARGUMENTS.get(operation.name) == argument.name)

    def _arguments(self, operation: Cursor, signature: pyinfra.Signature) -> None:
        given = operation.value or {}
        missing = [name for name in signature.required if name not in given]
        for argument in operation.entries():
            if argument.name.startswith("_"):
                self._global_argument(argument)
            elif argument.name not in (*signature.names, "name") and not signature.takes_any:
                message = f"operation '{operation.name}' takes no argument '{argument.name}'"
                near = nearest(argument.name, [name for name in signature.names if name not in given])
                self._report(argument.key_problem(message, expected=", ".join(signature.names), near=near))
                missing = [name for name in missing if name != near]
        for name in missing:
            self._report(operation.key_problem(f"operation '{operation.name}' needs the argument '{name}'"))
        source = operation.get(FILE_ARGUMENTS.get(operation.name, ""))
        if source is not None:
            further = [name for name in given if name not in signature.names]
            takes_folder = operation.name == FOLDER_OPERATION
            self._file(
                source,
                is_template_file=operation.name in _TEMPLATE_FILES,
                takes_folder=takes_folder,
                further=further,
            )
        self.problems += _environment_problems(operation)

    def _global_argument(self, argument: Cursor) -> None:
        if argument.name in GLOBAL_ARGUMENTS:
            return
        message = f"global argument '{argument.name}' can't be used in a module"
        if argument.name in _REFUSED:
            self._report(argument.key_problem(f"{message}: {_REFUSED[argument.name]}"))
        else:
            near, expected = nearest(argument.name, GLOBAL_ARGUMENTS), ", ".join(GLOBAL_ARGUMENTS)
            self._report(argument.key_problem(message, expected=expected, near=near))

    def _command(self, item: Cursor) -> None:
        if isinstance(item.value, str):
            self._template(item, shell=True)
            return
        if is_block(item, "commands"):
            self._condition(item)
            for inner in item.entries("commands"):
                self._command(inner)
            return
        with self._loop(item):
            self._condition(item)
            self._guards(item)
            self._single_command(item)

    def _single_command(self, item: Cursor) -> None:
        run = item.get("RUN")
        if run:
            self._template(run, shell=True)
        for key in ("target", "owner", "mode"):
            entry = item.get(key)
            if entry:
                self._templates(entry)
        source = item.get("source")
        if source:
            self._file(source, is_template_file=item.flag("template"))

    def _output(self, entry: Cursor) -> None:
        if isinstance(entry.value, str):
            self._template(entry)
        command, fact, arguments = entry.get("command"), entry.get("fact"), entry.get("arguments")
        if command:
            self._template(command, shell=True)
        if fact:
            self._fact(fact, arguments)
        if arguments:
            self._templates(arguments)

    def _fact(self, fact: Cursor, arguments: Cursor | None) -> None:
        signature = pyinfra.fact(str(fact.value))
        if signature is None:
            near = nearest(str(fact.value), pyinfra.facts_near(str(fact.value)))
            self._report(fact.problem(f"pyinfra has no fact '{fact.value}'", near=near))
            return
        given = list(arguments.entries()) if arguments else []
        for argument in given:
            if argument.name not in signature.names and not signature.takes_any:
                message = f"fact '{fact.value}' takes no argument '{argument.name}'"
                self._report(argument.key_problem(message, near=nearest(argument.name, signature.names)))
        for name in signature.required:
            if name not in [argument.name for argument in given]:
                self._report(fact.problem(f"fact '{fact.value}' needs the argument '{name}'"))

    def _block(self, item: Cursor, key: str) -> None:
        """Check that a block has a condition and items, and nothing else."""
        for entry in item.entries():
            if entry.name not in ("when", key):
                self._report(entry.key_problem(f"'{entry.name}' is not allowed in a block", expected=f"when and {key}"))
        if item.get("when") is None:
            self._report(item.problem("the block has no condition", expected=f"when and {key}"))

    def _guards(self, item: Cursor) -> None:
        for key in ("if", "unless"):
            guard = item.get(key)
            if guard:
                self._template(guard, shell=True)

    def _templates(self, cursor: Cursor, *, shell: bool = False) -> None:
        """Check every text in a value."""
        if isinstance(cursor.value, str):
            self._template(cursor, shell=shell)
        for entry in cursor.entries():
            self._templates(entry, shell=shell)

    def _template(self, cursor: Cursor, *, shell: bool = False) -> None:
        for found in template_problems(str(cursor.value), self.names, shell=shell):
            report = cursor.problem_inside(
                found.message, found.line, found.word, expected=found.expected, near=found.nearest
            )
            self._report(report)

    def _file(
        self, source: Cursor, *, is_template_file: bool, takes_folder: bool = False, further: Sequence[str] = ()
    ) -> None:
        text: Any = source.value
        if not isinstance(text, str) or is_template(text):
            # The plan contains the digests of files, so it must be known which file it is.
            self._report(
                source.problem("the name of a module's file can't be a template", expected="a path in the module")
            )
            return
        if Path(text).is_absolute() or ".." in Path(text).parts:
            self._report(source.problem(f"file '{text}' is outside the module", expected="a path in the module"))
            return
        file = self.folder / text
        if not file.exists():
            self._report(source.problem(f"file '{text}' does not exist in the module", near=self._near_file(text)))
        elif file.is_dir() != takes_folder:
            self._report(_wrong_kind_of_source(source, is_folder=file.is_dir()))
        elif is_template_file:
            self._template_file(file, self.names.with_names(further))

    def _near_file(self, text: str) -> str:
        files = (path.relative_to(self.folder) for path in self.folder.rglob("*") if path.is_file())
        return nearest(text, [path.as_posix() for path in files if ".git" not in path.parts])

    def _template_file(self, file: Path, names: Names) -> None:
        name = shown_file(file, self.display_root)
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            self._report(Problem("a template must be UTF-8 text", Location(name, 1, 1)))
            return
        for found in template_problems(text, names, shell=False):
            self._report(found.at(Location(name, max(found.line, 1), 1)))

    def _report(self, problem: Problem) -> None:
        self.problems.append(problem)


_FOLDED_TO_TEXT = ("yes", "no", "on", "off")
"""Words that YAML 1.1 reads as booleans; YAML 1.2 does not."""


def _no_condition(when: Cursor, text: str) -> Problem:
    if text.lower() in _FOLDED_TO_TEXT:
        meant = "true" if text.lower() in ("yes", "on") else "false"
        return when.problem(f"'{text}' is text: in YAML 1.2, only true and false are booleans", expected=meant)
    expected = f'a template that returns true or false, e.g. "{{{{ {text} }}}}"'
    return when.problem(f"'{text}' is not a condition", expected=expected)


def _wrong_kind_of_source(source: Cursor, *, is_folder: bool) -> Problem:
    if is_folder:
        return source.problem(f"'{source.value}' is a folder", expected=f"a file; {FOLDER_OPERATION} takes a folder")
    return source.problem(f"'{source.value}' is a file", expected="a folder; files.put takes a file")


def _environment_problems(operation: Cursor) -> Iterator[Problem]:
    """Yield problems of Jinja2 settings that pyinfra supports but dtk does not."""
    given = operation.get(TEMPLATE_SETTINGS) if operation.name == "files.template" else None
    if given is None:
        return
    expected = f"{' and '.join(TEMPLATE_BLANKS)}, each true or false"
    if not isinstance(given.value, dict):
        yield given.problem(f"{TEMPLATE_SETTINGS} is not a map", expected=expected)
    for entry in given.entries():
        if entry.name not in TEMPLATE_BLANKS:
            yield entry.key_problem(f"'{entry.name}' can't be set for a template", expected=expected)
        elif not isinstance(entry.value, bool):
            yield entry.problem(f"'{entry.value}' is not true or false", expected=expected)


def check_actions(
    component: Cursor, folder: Path, names: Names, problems: list[Problem], display_root: Path | None
) -> None:
    """Check all actions of a component.

    Args:
        component: its definition.
        folder: the module's folder.
        names: the names that its templates may use.
        problems: the list to append problems to.
        display_root: messages name files relative to this folder.
    """
    for action in component.entries("actions"):
        ActionChecker(folder, names, problems, display_root).check(action)
