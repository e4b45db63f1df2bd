"""Pictures in figures: stored as they are, and never smoothed where they are drawn larger."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from PIL import Image

import vizcnn
from tests.support.stored_panels import cut_panel, read_panels
from vizcnn.drawing.aliasing_pictures import find_whole_side
from vizcnn.drawing.panels import colour_pixels, show_panel
from vizcnn.drawing.saving import save_figure
from vizcnn.drawing.sheet import Sheet
from vizcnn.drawing.style import DARK, PAPER, SLIDE, Style, plain_style, use_style

NOISE = np.random.default_rng(0)
SIZES = ((7, 5), (11, 29), (97, 97))


def draw(pixels, side=1.3, style: Style | None = None, method="add_image"):
    with use_style(style or Style()), plain_style():
        sheet = Sheet(4.0, 2.0, "title", "caption")
        if method == "add_tile":
            sheet.add_tile(pixels, 0.337, sheet.top + 0.123, side)
        else:
            sheet.add_image(pixels, 0.337, sheet.top + 0.123, side, side)
    return sheet.figure


@pytest.mark.parametrize("kind", ["svg", "pdf"])
@pytest.mark.parametrize("size", SIZES[:2])
@pytest.mark.parametrize("style", [DARK, PAPER, SLIDE])
def test_a_picture_is_stored_in_its_own_pixels(tmp_path, size, kind, style):
    pixels = NOISE.integers(0, 256, (*size, 3), dtype=np.uint8)
    path = tmp_path / f"a.{kind}"
    save_figure(draw(pixels, style=style), path)
    (panel,) = read_panels(path)
    assert np.array_equal(panel.pixels, pixels)
    side = 72 * 1.3 * style.scale
    assert (panel.width, panel.height) == pytest.approx((side, side), rel=1e-4)


@pytest.mark.parametrize("kind", ["svg", "pdf"])
def test_few_colours_and_a_single_one_are_stored_too(tmp_path, kind):
    for pixels in (
        np.full((5, 5, 3), 77, np.uint8),
        np.eye(9, dtype=np.uint8)[..., None] * [1, 2, 3],
    ):
        save_figure(draw(pixels.astype(np.uint8)), tmp_path / f"a.{kind}")
        assert np.array_equal(read_panels(tmp_path / f"a.{kind}")[0].pixels, pixels)


@pytest.mark.parametrize("kind", ["svg", "pdf"])
def test_a_tile_keeps_pixels_square_in_the_middle_of_mid_grey(tmp_path, kind):
    pixels = NOISE.integers(0, 256, (4, 10, 3), dtype=np.uint8)
    save_figure(draw(pixels, method="add_tile"), tmp_path / f"a.{kind}")
    (panel,) = read_panels(tmp_path / f"a.{kind}")
    assert np.array_equal(panel.pixels, pixels)
    assert panel.scale == pytest.approx((72 * 0.13, 72 * 0.13), rel=1e-4)
    save_figure(draw(pixels, method="add_tile"), tmp_path / "a.png")
    png = np.asarray(Image.open(tmp_path / "a.png").convert("RGB"))
    middle = int((panel.left + panel.width / 2) / 72 * 150)
    assert abs(int(png[int((panel.top - 9) / 72 * 150), middle].mean()) - 127.5) < 1


@pytest.mark.parametrize("dpi", [97, 150])
@pytest.mark.parametrize("size", SIZES)
def test_a_png_shows_the_nearest_pixel_however_little_it_is_enlarged(tmp_path, size, dpi):
    pixels = NOISE.integers(0, 256, (*size, 3), dtype=np.uint8)
    style = Style(dpi=dpi)
    for kind in ("png", "svg"):
        with use_style(style):
            save_figure(draw(pixels, style=style), tmp_path / f"a.{kind}")
    (panel,) = read_panels(tmp_path / "a.svg")
    png = np.asarray(Image.open(tmp_path / "a.png").convert("RGB"))
    assert min(1.3 * dpi / side for side in size) >= 1
    shown, wanted = cut_panel(png, panel, dpi)
    assert wanted.any() and np.array_equal(shown, wanted)


def test_what_is_drawn_smaller_is_averaged_and_makes_no_pattern(tmp_path):
    board = np.indices((399, 399)).sum(axis=0) % 2 * 255
    pixels = np.repeat(board[..., None], 3, axis=2).astype(np.uint8)
    for kind in ("png", "svg"):
        save_figure(draw(pixels), tmp_path / f"a.{kind}")
    (panel,) = read_panels(tmp_path / "a.svg")
    assert np.array_equal(panel.pixels, pixels)
    shown, _ = cut_panel(np.asarray(Image.open(tmp_path / "a.png").convert("RGB")), panel, 150)
    assert np.abs(shown[shown.any(axis=2)].astype(float) - 127.5).max() < 30


@pytest.mark.parametrize("cmap", ["gray", "viridis", "RdBu_r"])
@pytest.mark.parametrize("limits", [(-1.0, 1.0), (None, None), (0.0, 3.0)])
def test_values_get_the_colours_that_matplotlib_gives_them(cmap, limits):
    values = NOISE.normal(size=(9, 8)).astype(np.float32)
    low, high = limits
    norm = Normalize(values.min() if low is None else low, values.max() if high is None else high)
    wanted = ScalarMappable(norm, cmap).to_rgba(values, bytes=True)[..., :3]
    table = mpl.colormaps[cmap](range(256), bytes=True)[:, :3].astype(int)
    # at the edge between two colours matplotlib's float32 and our float64 may take either
    step = np.abs(np.diff(table, axis=0)).max()
    assert np.abs(colour_pixels(values, cmap, low, high).astype(int) - wanted).max() <= step
    assert mpl.colormaps[cmap](0.0, bytes=True)[:3] == tuple(
        colour_pixels(values * 0, cmap, 0)[0, 0]
    )


@pytest.mark.parametrize("pixels", [33, 65, 129, 133])
@pytest.mark.parametrize("style", [Style(), PAPER, SLIDE, Style(dpi=97)])
def test_a_whole_side_is_the_largest_of_whole_pixels(pixels, style):
    with use_style(style):
        side = find_whole_side(pixels, 2.7)
    times = side * (style.dpi or 150) * style.scale / pixels
    assert times == pytest.approx(round(times)) and round(times) >= 1
    assert round(times) == 1 or side <= 2.7 + 1e-9
    assert side + pixels / ((style.dpi or 150) * style.scale) > 2.7


def test_axes_keep_their_limits_and_are_fitted_where_they_have_none():
    sheet = Sheet(4.0, 2.0, "", "")
    free, held = (sheet.add_axes(1, 1, 1, 1) for _ in range(2))
    held.set(xlim=(0, 9), ylim=(9, 0))
    for axes in (free, held):
        show_panel(axes, np.zeros((4, 6, 3), np.uint8), extent=(1, 7, 5, 1))
    assert (free.get_xlim(), free.get_ylim()) == ((1, 7), (5, 1))
    assert (held.get_xlim(), held.get_ylim()) == ((0, 9), (9, 0))


def test_every_picture_goes_through_one_function():
    sources = Path(vizcnn.__file__).parent.rglob("*.py")
    words = ("imshow(", "matshow(", "pcolor", "figimage(", "(AxesImage")
    users = {path.name for path in sources if any(word in path.read_text() for word in words)}
    assert users == {"panels.py"}
