"""Plain cloud images: their Python cannot create virtual environments, and the login user is not the files' owner."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from tests.testbed.site import SERVICE, Site

SCRIPT = """#!/bin/sh
stat -c '%U %a' "$0" >/var/tmp/script
"""


def test_what_comes_from_pypi_and_files_for_others_are_put_there_and_then_left_alone(site: Site) -> None:
    folder = site.dtk.root / "modules" / "acme" / "plain"
    shutil.copytree(Path(__file__).parent / "plain", folder)
    content = bytes(range(256)) * 20_000  # more than one chunk of an upload
    (folder / "files").mkdir()
    (folder / "files" / "large").write_bytes(content)
    (folder / "files" / "script").write_text(SCRIPT)
    site.dtk.run("deploy", "acme:plain/two", SERVICE)

    assert (
        site.on("dask", "dask/dask-*/bin/python -c 'import distributed; print(distributed.__name__)'") == "distributed"
    )
    assert "17." in site.on("bigtop", "bigtop/java/bin/java --version")
    digest = hashlib.sha256(content).hexdigest()
    for path, owner in (("/etc/large", "root"), ("/var/tmp/large", "games"), ("large", "admin")):
        assert site.on("dask", f"sha256sum <{path}; stat -c '%U %a' {path}").split() == [digest, "-", owner, "644"]
    assert site.on("dask", "cat /var/tmp/script") == "games 711"
    assert site.on("dask", "find / -xdev -name 'pyinfra-*' 2>/dev/null || true") == ""

    again = site.dtk.run("converge", SERVICE, "--yes").stdout
    done = [
        event for event in site.dtk.events(SERVICE, 2) if event["type"] == "operation.finished" and event["changed"]
    ]
    assert [event["name"] for event in done] == ["server.script"], again
