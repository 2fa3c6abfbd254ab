"""Tests of single files and commands of modules, without nodes."""

from __future__ import annotations

import re
from pathlib import Path

MODULES = Path(__file__).resolve().parents[2] / "modules" / "dtk"


def test_no_setting_of_the_server_logs_the_passwords_of_roles() -> None:
    statements = (MODULES / "postgresql-ha" / "files" / "roles.sql").read_text()
    silenced = re.findall(r"^SET (\w+) = (\S+);$", statements.partition("PASSWORD")[0], re.MULTILINE)
    assert dict(silenced) == {
        "log_statement": "'none'",
        "log_min_error_statement": "'panic'",
        "log_min_duration_statement": "-1",
    }
