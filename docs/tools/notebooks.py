"""Notebooks as pages: every cell is run by Jupyter's own kernel, and its output stands below it.

They are run when the manual is built (under a minute for the three), so that what is shown is what
the code gives; the notebooks themselves are kept without outputs. A copy with them lies beside the
page.
"""

import base64
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]

LONGEST = 600
"""Seconds that a cell may take."""


def run_notebook(path: Path) -> Any:
    """Run a notebook from start to end, as a reader does.

    Returns:
        The notebook with its outputs, a ``NotebookNode``.

    Raises:
        CellExecutionError: If a cell fails.
    """
    notebook = nbformat.read(path, as_version=4)
    # at the root: what is imported is this checkout
    place = {"metadata": {"path": str(ROOT)}}
    return NotebookClient(
        notebook, timeout=LONGEST, kernel_name="python3", resources=place
    ).execute()


def write_page(notebook: Any, name: str) -> tuple[str, dict[str, bytes]]:
    """Write a notebook that was run as a page.

    Args:
        notebook: With outputs.
        name: What the names of its pictures begin with, and that of its copy is.

    Returns:
        The page as Markdown, and the files beside it by name: pictures (PNG) and the copy.
    """
    parts = [f"[This notebook with its outputs]({name}.ipynb), to open in Jupyter"]
    files = {f"{name}.ipynb": nbformat.writes(notebook).encode()}
    for cell in notebook.cells:
        if cell.cell_type != "code":
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        for number, output in enumerate(cell.outputs):
            data = output.get("data", {"text/plain": output.get("text", "")})
            if "image/png" in data:
                picture = f"{name}-{cell.id}-{number}.png"
                files[picture] = base64.b64decode(data["image/png"])
                parts.append(f"![Figure of the cell above]({picture})")
            elif "text/html" in data:
                parts.append(data["text/html"])
            else:
                parts.append(f"```text\n{data['text/plain'].rstrip()}\n```")
    # the heading first
    return "\n\n".join([parts[1], parts[0], *parts[2:]]) + "\n", files
