"""Notebooks as pages: every cell is run, and what it prints and draws stands below it.

They are run when the manual is built (under a minute for the three), so that what is shown is what
the code gives; the notebooks themselves are kept without outputs.
"""

import ast
import io
import json
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

RESOLUTION = 100
"""Dots per inch of the figures."""


def run_notebook(path: Path) -> tuple[str, dict[str, bytes]]:
    """Run a notebook from start to end.

    Returns:
        The page as Markdown, and its pictures (PNG) by file name.
    """
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    names: dict[str, Any] = {"__name__": "__main__"}
    with mpl.rc_context():
        for cell in json.loads(path.read_text("utf-8"))["cells"]:
            source = "".join(cell["source"])
            if cell["cell_type"] != "code":
                parts.append(source)
                continue
            parts.append(f"```python\n{source}\n```")
            printed, value = _run_cell(source, names, f"{path.name} {cell['id']}")
            if isinstance(value, Figure):
                name = f"{path.stem}-{cell['id']}.png"
                pictures[name] = _save_figure(value)
                parts.append(f"![Figure of the cell above]({name})")
            elif value is not None:
                printed += f"{value!r}\n"
            if printed:
                parts.append(f"```text\n{printed.rstrip()}\n```")
    return "\n\n".join(parts) + "\n", pictures


def _run_cell(source: str, names: dict[str, Any], where: str) -> tuple[str, Any]:
    """Run a cell; gives what it printed, and the value of its last line if that is one."""
    body = ast.parse(source).body
    last = body[-1] if body else None
    printed, value = io.StringIO(), None
    with redirect_stdout(printed):
        if isinstance(last, ast.Expr):
            exec(compile(ast.Module(body[:-1], []), where, "exec"), names)
            value = eval(compile(ast.Expression(last.value), where, "eval"), names)
        else:
            exec(compile(ast.Module(body, []), where, "exec"), names)
    return printed.getvalue(), value


def _save_figure(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=RESOLUTION)
    return file.getvalue()
