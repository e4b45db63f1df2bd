"""What ``mkdocs build`` adds to the pages in docs/.

That is the README, the texts beside it, the descriptions of the rooms, and the notebooks, run.
"""

import re
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # mkdocs looks beside this file only

from docs.tools.notebooks import run_notebook, write_page  # noqa: E402
from docs.tools.rooms import list_rooms  # noqa: E402

TEXTS = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
}
"""Files at the root, and the pages that they are."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in docs/."""
    for name, page in TEXTS.items():
        text = (ROOT / name).read_text("utf-8")
        files.append(File.generated(config, page, content=_move_links(text)))
    for room in list_rooms():
        page = f"api/{room}.md"
        files.append(File.generated(config, page, content=f"# vizcnn.{room}\n\n::: vizcnn.{room}"))
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        text, beside = "# Not run\n", dict[str, bytes]()
        if config.extra["notebooks"]:
            text, beside = write_page(run_notebook(path), path.stem)
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=text))
        for name, content in beside.items():
            files.append(File.generated(config, f"notebooks/{name}", content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links that leave docs/ for the root, or for a notebook, lead to their pages."""
    up = "../" * page.file.src_uri.count("/")
    markdown = re.sub(r"\]\((?:\.\./)+notebooks/(\w+)\.ipynb", rf"]({up}notebooks/\1.md", markdown)
    for name, target in TEXTS.items():
        markdown = re.sub(rf"\]\((?:\.\./)+{re.escape(name)}", f"]({up}{target}", markdown)
    return markdown


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Let the search of pages that are opened from disk load what comes with them."""
    return _bring_search(output, "../" * page.file.src_uri.count("/"))


def on_post_template(output_content: str, template_name: str, config: MkDocsConfig) -> str:
    """Do the same for the page that a server shows where there is none."""
    return _bring_search(output_content, "/")


def _bring_search(html: str, up: str) -> str:
    return html.replace("https://unpkg.com/iframe-worker/shim", f"{up}search-from-disk.js")


def _move_links(text: str) -> str:
    """Move a text of the root into docs/: its links into docs/ lose that folder."""
    text = re.sub(r"\]\(notebooks/(\w+)\.ipynb", r"](notebooks/\1.md", text)
    for name, target in TEXTS.items():
        text = text.replace(f"]({name}", f"]({target}")
    return text.replace("](docs/", "](")
