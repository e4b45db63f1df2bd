"""Saving: whole files or none, and the same bytes on every run."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from tests.support.small_zoo import list_files
from vizcnn.basics.errors import VizcnnError
from vizcnn.basics.output import FIGURE_FORMATS
from vizcnn.drawing.saving import save_arrays, save_figure, save_image
from vizcnn.drawing.sheet import Sheet
from vizcnn.drawing.style import plain_style

PIXELS = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
ARRAYS: dict[str, np.ndarray] = {
    "pixels": np.linspace(0, 1, 24, dtype=np.float32).reshape(2, 3, 4),
    "units": np.arange(2),
}
BEGINNINGS = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


def draw(title="naïve $1 and $2") -> Figure:
    with plain_style():
        sheet = Sheet(4.0, 1.0, title, "a caption")
        sheet.add_axes(0.1, sheet.top, 1.0, 1.0).imshow(PIXELS)
    return sheet.figure


def save_any(path: Path) -> None:
    if path.suffix == ".npz":
        save_arrays(ARRAYS, path)
    elif path.stem == "photo":
        save_image(PIXELS, path)
    else:
        save_figure(draw(), path)


NAMES = ["photo.png", "figure.png", "figure.svg", "figure.pdf", "arrays.npz"]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_files_are_the_same_bytes_on_repeat(tmp_path, name, monkeypatch):
    save_any(tmp_path / "one" / name)
    monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)
    save_any(tmp_path / "two" / name)
    one, two = list_files(tmp_path / "one"), list_files(tmp_path / "two")
    assert list(one) == [name]
    assert one == two


@pytest.mark.slow
@pytest.mark.parametrize("kind", FIGURE_FORMATS)
def test_figures_have_their_format_and_ignore_the_users_style(tmp_path, kind):
    save_figure(draw(), tmp_path / f"usual.{kind}")
    own: dict[Any, Any] = {
        "savefig.transparent": True,
        "savefig.bbox": "tight",
        "font.size": 30,
        "axes.grid": True,
    }
    own |= {"font.size": 30, "font.family": ["serif"], "text.parse_math": True}
    with mpl.rc_context(own):
        save_figure(draw(), tmp_path / f"own.{kind}")
    files = list_files(tmp_path)
    assert files[f"usual.{kind}"] == files[f"own.{kind}"]
    assert files[f"own.{kind}"].startswith(BEGINNINGS[kind])


def test_saved_values_come_back(tmp_path):
    save_image(PIXELS, tmp_path / "a.png")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), PIXELS)
    save_arrays(ARRAYS, tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as loaded:
        assert set(loaded) == set(ARRAYS)
        for name, values in ARRAYS.items():
            assert np.array_equal(loaded[name], values)
            assert loaded[name].dtype == values.dtype


@pytest.mark.parametrize("error", [RuntimeError("disk"), KeyboardInterrupt()])
@pytest.mark.parametrize("before", [None, b"former"])
@pytest.mark.parametrize("name", NAMES)
def test_an_exception_in_the_middle_leaves_things_as_they_were(
    tmp_path, monkeypatch, name, before, error
):
    if before is not None:
        (tmp_path / name).write_bytes(before)

    def fail(file, *rest, **options):
        target = rest[0] if hasattr(rest[0] if rest else None, "write") else file
        target.write(b"half")
        raise error

    monkeypatch.setattr(Figure, "savefig", fail)
    monkeypatch.setattr(Image.Image, "save", fail)
    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(type(error)):
        save_any(tmp_path / name)
    assert list_files(tmp_path) == ({} if before is None else {name: before})


@pytest.mark.parametrize("name", ["figure.jpg", "figure", "figure.pgn"])
def test_other_formats_are_refused_by_name(tmp_path, name):
    with pytest.raises(VizcnnError, match="png"):
        save_figure(draw(), tmp_path / name)
    assert list_files(tmp_path) == {}


def test_objects_are_never_pickled(tmp_path):
    with pytest.raises(VizcnnError, match="'odd' holds Python objects"):
        save_arrays({"odd": np.array([{}], dtype=object)}, tmp_path / "a.npz")
    assert list_files(tmp_path) == {}


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "name", ["猫.jpg", "\udcff.jpg", "a\nb\x07.jpg", "$\\frac$ _^ {.jpg", "🐈"]
)
def test_names_of_any_script_are_drawn_without_a_warning(tmp_path, name):
    for kind in FIGURE_FORMATS:
        save_figure(draw(name), tmp_path / f"a.{kind}")
        assert (tmp_path / f"a.{kind}").stat().st_size > 1000
