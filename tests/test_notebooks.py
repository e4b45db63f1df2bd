"""Notebooks run from start to end, use the public API only, and are stored without outputs."""

import json
from pathlib import Path

import matplotlib as mpl
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def read_cells(path: Path) -> list[dict]:
    cells: list[dict] = json.loads(path.read_text("utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, capsys):
    namespace: dict = {}
    with mpl.rc_context():
        for cell in read_cells(path):
            exec(compile("".join(cell["source"]), f"{path.name} {cell['id']}", "exec"), namespace)
    assert capsys.readouterr().out


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_stored_without_outputs(path):
    for cell in read_cells(path):
        assert cell["outputs"] == []
        assert cell["execution_count"] is None
        assert "._" not in "".join(cell["source"])  # private names are not for notebooks


def test_there_is_a_notebook():
    assert NOTEBOOKS
