"""Notebooks run from start to end as a reader runs them, and show their figures."""

import base64
import json
import re
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))

PICTURES = {"aliasing": 2, "deconvnet": 5, "explorer": 2, "lecture": 3, "zeiler_fergus": 5}
"""How many cells of each show a picture."""

IS_PICTURE = re.compile(r"<\w*Figure|^Projection of")
"""How a figure and a projection are written where they are not shown."""


def read_cells(path: Path) -> list[dict]:
    cells: list[dict] = json.loads(path.read_text("utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_and_shows_its_figures(path, tmp_path, monkeypatch):
    pytest.importorskip("nbclient", reason="pip install 'vizcnn[test]'")
    pytest.importorskip("ipykernel", reason="pip install 'vizcnn[test]'")
    if path.stem == "explorer":
        pytest.importorskip("anywidget", reason="pip install 'vizcnn[widget]'")
    from docs.tools.notebooks import run_notebook, write_page

    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    notebook = run_notebook(path)
    shown = 0
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            assert output.output_type in ("stream", "execute_result", "display_data"), output
            data = output.get("data", {})
            if IS_PICTURE.search(data.get("text/plain", "")):
                assert "image/png" in data, f"{path.stem}, cell {cell.id} shows no picture"
            if "image/png" in data:
                with Image.open(BytesIO(base64.b64decode(data["image/png"]))) as picture:
                    assert min(picture.size) > 100
                    assert len(set(picture.convert("RGB").get_flattened_data())) > 20
                shown += 1
    assert shown == PICTURES[path.stem]
    page, files = write_page(notebook, path.stem)
    assert page.startswith("# ")
    assert sum(name.endswith(".png") for name in files) == shown
    assert all(name in page for name in files)
    copy = json.loads(files[f"{path.stem}.ipynb"])
    assert any(cell.get("outputs") for cell in copy["cells"])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_stored_without_outputs(path):
    for cell in read_cells(path):
        assert cell["outputs"] == []
        assert cell["execution_count"] is None
        assert "._" not in "".join(cell["source"])  # private names are not for notebooks


def test_every_notebook_is_counted():
    assert {path.stem for path in NOTEBOOKS} == PICTURES.keys()
