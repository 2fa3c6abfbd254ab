"""Applies a Puppet class or a resource of a defined type on a node, with the Puppet code of the module.

The manifest contains attribute values, including secrets. It is uploaded as a private file and removed afterwards.
"""

from __future__ import annotations

import io
import re
import shlex
from pathlib import Path

from pyinfra.api.command import StringCommand

from dtk.apply.items.action_run import Work
from dtk.apply.reporting.failure import ActionError
from dtk.apply.session.engine import run_operation
from dtk.model.json_data import Json, ReadOnlyObject
from dtk.model.planned_action import PlannedPuppet

_FOLDER = ".dtk/puppet"
"""Folder for Puppet code and manifests on a node, relative to the login's home."""
_UNCHANGED, _CHANGED = 0, 2
"""Exit codes of ``puppet apply --detailed-exitcodes`` for success; 1, 4 and 6 are failures."""
_SCRIPT = """PATH=$PATH:/opt/puppetlabs/bin
command -v puppet >/dev/null || {{ echo 'puppet is not installed on this node' >&2; rm -f {manifest}; exit 127; }}
puppet apply --detailed-exitcodes --color=false --modulepath={code}"$(puppet config print basemodulepath)" {manifest}
code=$?
rm -f {manifest}
exit $code"""


def apply_resource(work: Work, item: PlannedPuppet, code: Path | None) -> bool | None:
    """Apply one resource.

    Args:
        work: the action and its node.
        item: the plan's ``puppet`` item.
        code: this machine's copy of the module's Puppet code; None if the node has it.

    Returns:
        Whether it changed anything; None if it failed: the session's record has the details.
    """
    folder = f"{_FOLDER}/{work.action.module}"
    name = re.sub(r"[^A-Za-z0-9]+", "-", f"{work.action.component}-{work.action.action}").strip("-")
    manifest = f"{folder}/{name}.pp"
    if code is not None:
        run_operation(work.host, "files.sync", {**work.defaults, "src": str(code), "dest": f"{folder}/code"})
    text = io.StringIO(manifest_of(item, work.values.variables))
    run_operation(work.host, "files.put", {**work.defaults, "src": text, "dest": manifest, "mode": "600"})
    path = f"{shlex.quote(f'{folder}/code')}:" if code is not None else ""
    script = _SCRIPT.format(manifest=shlex.quote(manifest), code=path)
    done, _ = work.host.run_shell_command(
        StringCommand(script), _success_exit_codes=[_UNCHANGED, _CHANGED], **work.defaults
    )
    return work.session.record.exit_code == _CHANGED if done else None


def manifest_of(item: PlannedPuppet, values: ReadOnlyObject) -> str:
    """Return the manifest that declares the resource; parameters without a value keep Puppet's default."""
    given = {name: values[name] for name in item.parameters if values.get(name) is not None}
    parameters = "".join(f"  {name} => {literal_of(value)},\n" for name, value in given.items())
    if item.resource == "class":
        return f"class {{ {literal_of(item.name)}:\n{parameters}}}\n"
    return f"{item.name} {{ {literal_of(item.title or item.name)}:\n{parameters}}}\n"


def literal_of(value: Json) -> str:
    """Return plain data as a literal of Puppet's language.

    Raises:
        ActionError: Puppet has no such type of value.
    """
    if value is None:
        return "undef"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        # In single quotes Puppet knows only two escapes: \' and \\.
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    if isinstance(value, list):
        return f"[{', '.join(literal_of(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{literal_of(str(key))} => {literal_of(item)}' for key, item in value.items())}}}"
    raise ActionError(f"{value!r} can't be passed to Puppet")
