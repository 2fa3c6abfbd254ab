"""The broken modules of tests/dsl/broken, each with all its error messages in expected.txt.

``python -m tests.dsl.broken_modules`` rewrites the expected files, for review in the diff.
"""

from __future__ import annotations

from pathlib import Path

from dtk.dsl.module import load_module
from dtk.errors import InvalidError

FOLDER = Path(__file__).parent / "broken"
EXPECTED = "expected.txt"


def cases() -> list[Path]:
    """Return the folders of all cases."""
    return sorted(path for path in FOLDER.iterdir() if path.is_dir())


def said_about(folder: Path) -> str:
    """Return the problems of a broken module, one a line; "valid" if dtk finds none."""
    try:
        load_module(folder, folder)
    except InvalidError as error:
        return "".join(f"{problem}\n" for problem in error.problems)
    return "valid\n"


def main() -> None:
    """Rewrite every case's expected file."""
    for folder in cases():
        (folder / EXPECTED).write_text(said_about(folder), encoding="utf-8")


if __name__ == "__main__":
    main()
