"""MkDocs hook: adds the repository's other pages to the site, and checks and rewrites the links between all pages.

Pages link to one another by their paths in the repository, so that the links work on the forge as well. On the site, a
link to a page of the site leads to that page; a link to any other file of the repository leads to the forge. A broken
link fails a strict build.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
PROJECT_PAGES = {
    "CHANGELOG.md": "project/changelog.md",
    "CODE_OF_CONDUCT.md": "project/conduct.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
}
LINK = re.compile(r"(?P<before>!?\[[^\]]*\]\()(?P<target>(?![a-z]+:|#)[^)\s#]+)(?P<anchor>#[^)]*)?\)")
FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)


def module_pages() -> dict[str, str]:
    """Return the site's page of each module's README, by the README's path in the repository."""
    files = sorted(ROOT.glob("modules/*/*/README.md"))
    return {file.relative_to(ROOT).as_posix(): f"modules/{'-'.join(file.parts[-3:-1])}.md" for file in files}


def pages() -> dict[str, str]:
    """Return the site's page of each file outside of docs/, by its path in the repository."""
    return {**PROJECT_PAGES, **module_pages()}


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages that are outside of docs/."""
    for path, uri in pages().items():
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / path)))
    files.append(File.generated(config, "catalog.md", content=catalog()))
    return files


def catalog() -> str:
    """Return the page that lists the modules that come with dtk, each with its description."""
    rows = []
    for path, uri in module_pages().items():
        text = (ROOT / path).with_name("dtk.module.yaml").read_text()
        description = re.search(r"^description: *(.+)$", text, re.MULTILINE)
        rows.append(f"| [{'/'.join(Path(path).parts[1:3])}]({uri}) | {description[1] if description else ''} |")
    head = "# Modules\n\nThese modules come with dtk.\n\n| module | |\n|---|---|"
    return "\n".join([head, *rows]) + "\n"


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, **_: object) -> str:
    """Rewrite the links of a page; leave code blocks unchanged."""
    parts = FENCE.split(markdown)
    if page.file.src_uri == "catalog.md":
        return markdown
    text = [part if part.startswith("```") else rewritten(part, page.file.src_uri, config) for part in parts]
    return "".join(text)


def rewritten(markdown: str, uri: str, config: MkDocsConfig) -> str:
    """Return a part of a page with its links rewritten for the site."""
    origin = {uri: path for path, uri in pages().items()}.get(uri, f"docs/{uri}")

    def link(match: re.Match[str]) -> str:
        return f"{match['before']}{destination(origin, match['target'], uri, config)}{match['anchor'] or ''})"

    return LINK.sub(link, markdown)


def destination(origin: str, target: str, uri: str, config: MkDocsConfig) -> str:
    """Return where a link of the page ``uri``, written in the file ``origin``, leads on the site.

    Raises:
        PluginError: the repository has no such file.
    """
    path = posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))
    if not (ROOT / path).exists():
        raise PluginError(f"{origin}: link to '{target}', which does not exist")
    on_site = pages().get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else "")
    if on_site:
        return posixpath.relpath(on_site, posixpath.dirname(uri) or ".")
    return f"{config.repo_url}/{'tree' if (ROOT / path).is_dir() else 'blob'}/main/{path}"
