"""Every picture of every command's figures, read off SVG, PDF and PNG: its pixels and its scale."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.pages.test_aliasing_page import SETTINGS as LAB
from tests.pages.test_aliasing_page import make_net
from tests.support.small_zoo import SIZE, make_model, paint_photo
from tests.support.stored_panels import StoredPanel, cut_panel, read_panels
from vizcnn.basics.output import FigureFormat
from vizcnn.drawing.net_colours import find_net_colour
from vizcnn.drawing.saving import saving_further
from vizcnn.drawing.style import PAPER, use_style
from vizcnn.measures.checks import CheckSettings
from vizcnn.pages.aliasing import make_aliasing_page
from vizcnn.pages.check import make_check_page
from vizcnn.pages.compare import CompareSettings, make_compare_page
from vizcnn.pages.deconv import DeconvSettings, make_deconv_gallery
from vizcnn.pages.filters import FilterSettings, make_filter_gallery
from vizcnn.pages.receptive import ReceptiveSettings, make_receptive_gallery

pytestmark = pytest.mark.slow

MODEL = make_model()
KINDS: tuple[FigureFormat, ...] = ("svg", "pdf", "png")


def load(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    return paint_photo(tmp_path_factory.mktemp("photos") / "a.png")


def seen_pixels(photo) -> np.ndarray:
    """What the net sees of a photo, 8 bits."""
    values = MODEL.read(photo)[0].permute(1, 2, 0).numpy()
    return np.floor(values.astype(np.float64) * 255 + 0.5).astype(np.uint8)


def make_deconv(photo, folder):
    settings = DeconvSettings(layers=("conv1", "conv3"), top=3, compare=3)
    return make_deconv_gallery(MODEL, [photo], settings, folder)


def make_filters(photo, folder):
    return make_filter_gallery(MODEL, folder, FilterSettings())


def make_blocks(photo, folder):
    settings = FilterSettings(layers=("conv2",))
    return make_filter_gallery(MODEL, folder, settings)


def make_receptive(photo, folder):
    return make_receptive_gallery(MODEL, photo, folder, ReceptiveSettings())


def make_compare(photo, folder):
    settings = CompareSettings(steps=2, side=4, stride=4, methods=("deconvnet", "layer-cam"))
    return make_compare_page(MODEL, [photo], settings, folder)


def make_check(photo, folder):
    settings = CheckSettings(
        layers=("conv2",), methods=("guided",), photos=2, compare=3, top="conv3"
    )
    return make_check_page([MODEL], folder, [photo.parent], settings)


def make_aliasing(photo, folder):
    nets = [make_net("Coarse", 11, 4), make_net("Fine", 7, 2)]
    return make_aliasing_page(nets, folder, [photo], LAB)


MAKERS = {
    maker.__name__: maker
    for maker in (
        *(make_deconv, make_filters, make_blocks, make_receptive),
        *(make_compare, make_check, make_aliasing),
    )
}


@pytest.fixture(scope="module")
def folders(photo, tmp_path_factory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("runs")
    made = {}
    with saving_further(KINDS):
        for name, make in MAKERS.items():
            made[name] = home / name
            make(photo, made[name])
    return made


def list_figures(folders, name) -> list[str]:
    """Name the figures of a run that hold pictures, without their endings."""
    folder = folders[name]
    files = sorted(folder.rglob("*.svg"))
    return [
        file.relative_to(folder).with_suffix("").as_posix() for file in files if read_panels(file)
    ]


@pytest.mark.parametrize("name", MAKERS)
def test_svg_and_pdf_store_the_same_pixels_in_the_same_places(folders, name):
    figures = list_figures(folders, name)
    assert figures
    for figure in figures:
        svg, pdf = (read_panels(folders[name] / f"{figure}.{kind}") for kind in ("svg", "pdf"))
        assert len(svg) == len(pdf)
        for one, other in zip(svg, pdf, strict=True):
            assert np.array_equal(one.pixels, other.pixels)
            for value in ("left", "top", "width", "height"):
                assert getattr(one, value) == pytest.approx(getattr(other, value), abs=0.01)


@pytest.mark.parametrize("name", MAKERS)
def test_a_png_smooths_nothing_that_it_enlarges(folders, name):
    checked = 0
    for figure in list_figures(folders, name):
        png = load(folders[name] / f"{figure}.png")
        for panel in read_panels(folders[name] / f"{figure}.svg"):
            if min(panel.scale) * 150 / 72 < 1 or panel.width < 8:
                continue
            shown, wanted = cut_panel(png, panel, 150)
            same = (shown == wanted).all(axis=2).mean()
            # frames and labels lie over some
            assert same > (0.5 if figure.endswith(("fields", "corner", "places")) else 0.97), figure
            checked += 1
    assert checked


@pytest.mark.parametrize("name", MAKERS)
def test_pixels_are_square_but_on_a_scale_of_colours(folders, name):
    for figure in list_figures(folders, name):
        for panel in read_panels(folders[name] / f"{figure}.svg"):
            across, down = panel.scale
            if panel.pixels.shape[0] > 1:
                assert across == pytest.approx(down, rel=1e-3), figure


def is_cut_from(photo: np.ndarray, pixels: np.ndarray) -> bool:
    windows = np.lib.stride_tricks.sliding_window_view(photo, pixels.shape)
    return bool((windows == pixels).all(axis=(-3, -2, -1)).any())


def find(panels: list[StoredPanel], wanted: np.ndarray) -> bool:
    return any(np.array_equal(panel.pixels, wanted) for panel in panels)


@pytest.mark.parametrize("kind", ["svg", "pdf"])
def test_units_are_stored_as_in_their_own_files(folders, photo, kind):
    folder = folders["make_deconv"]
    summary = read_panels(folder / f"photo-001/summary.{kind}")
    assert np.array_equal(summary[0].pixels, seen_pixels(photo))
    for layer, side in (("conv1", 3), ("conv3", 12)):
        home = folder / "photo-001" / layer
        strip = read_panels(home / f"strip.{kind}")
        files = sorted(home.glob("unit-????-projection.png"))
        assert len(strip) == 2 * len(files) == 6
        for file in files:
            patch = load(Path(str(file).replace("projection", "patch")))
            assert max(patch.shape[:2]) <= side + 2
            for panels in (strip, summary):
                assert find(panels, load(file)) and find(panels, patch)
        control = read_panels(home / f"control.{kind}")
        for file in home.glob("control-*.png"):
            if not file.stem.endswith("-large"):
                assert find(control, load(file))
        places = read_panels(home / f"places.{kind}")
        assert np.array_equal(places[0].pixels, seen_pixels(photo))
        overlay = load(home / "overlay.png")
        times = overlay.shape[0] // SIZE
        assert np.array_equal(places[1].pixels.repeat(times, 0).repeat(times, 1), overlay)


@pytest.mark.parametrize("kind", ["svg", "pdf"])
def test_filters_are_stored_weight_by_weight(folders, kind):
    (grid,) = read_panels(folders["make_filters"] / f"filters.{kind}")
    weight = MODEL.module.get_parameter("0.weight").detach()
    shown = MODEL.preprocessing.to_pixel_gradient(weight).double()
    limit = shown.abs().amax(dim=(1, 2, 3), keepdim=True)
    wanted = ((0.5 + shown / (2 * limit)) * 255 + 0.5).floor().permute(0, 2, 3, 1).numpy()
    columns = (grid.pixels.shape[1] + 1) // 4
    for index, filter in enumerate(wanted):
        top, left = 4 * (index // columns), 4 * (index % columns)
        cut = grid.pixels[top : top + 3, left : left + 3].astype(int)
        assert np.abs(cut - filter).max() <= 1  # float32 against float64
    blocks = read_panels(folders["make_blocks"] / f"filters.{kind}")
    files = sorted(folders["make_blocks"].glob("net-1/filter-????.png"))
    assert len(files) == len(blocks) == 10
    for panel, file in zip(blocks, files, strict=True):
        assert np.array_equal(panel.pixels, load(file))


@pytest.mark.parametrize("kind", ["svg", "pdf"])
def test_methods_and_photos_are_stored_as_in_their_own_files(folders, photo, kind):
    folder = folders["make_compare"]
    panels = read_panels(folder / f"methods.{kind}")
    for name in ("patch", "deconvnet", "layer-cam"):
        assert find(panels, load(folder / "photo-001" / f"{name}.png"))
    for name in ("fields", "corner"):
        (panel,) = read_panels(folders["make_receptive"] / f"{name}.{kind}")
        assert np.array_equal(panel.pixels, seen_pixels(photo))


@pytest.mark.parametrize("kind", ["svg", "pdf"])
def test_the_checks_show_the_photo_and_pictures_pixel_by_pixel(folders, photo, kind):
    folder = folders["make_check"]
    for name in ("cascade-recomputed", "control"):
        panels = read_panels(folder / f"{name}.{kind}")
        assert any(is_cut_from(seen_pixels(photo), panel.pixels) for panel in panels)
        assert all(panel.pixels.shape[0] <= SIZE for panel in panels)
    place = read_panels(folder / f"place.{kind}")
    shapes = {panel.pixels.shape for panel in place}
    assert len(shapes) == 1 and max(shapes.pop()) < SIZE


@pytest.mark.parametrize("kind", ["svg", "pdf"])
def test_patterns_are_stored_as_the_net_makes_them(folders, kind):
    folder = folders["make_aliasing"]
    panels = read_panels(folder / f"zone-plate.{kind}")
    assert len(panels) == 8
    rows = torch.arange(129, dtype=torch.float64) - 64
    distance = rows[:, None] ** 2 + rows[None] ** 2
    plate = 0.5 + 0.5 * torch.cos(torch.pi * distance / 129)
    plate[distance > 64.5**2] = 0.5
    for row in (0, 4):
        assert np.abs(panels[row].pixels[..., 0] / 255 - plate.numpy()).max() < 0.003
        one, two, four = (panel.pixels for panel in panels[row + 1 : row + 4])
        # a stride takes every second, or every fourth, of the same responses
        assert np.array_equal(one[::2, ::2], two) and np.array_equal(one[::4, ::4], four)
        for panel in panels[row : row + 4]:
            times = panel.scale[0] * 150 / 72
            assert times == pytest.approx(round(times), abs=1e-3) and round(times) >= 3
    for panel in read_panels(folder / f"spectra.{kind}"):
        assert panel.pixels.shape[0] == panel.pixels.shape[1]


def test_a_paper_stores_the_same_pixels_at_its_own_size(folders, photo, tmp_path):
    with use_style(PAPER), saving_further(["svg"]):
        make_deconv(photo, tmp_path)
    name = "photo-001/conv3/strip.svg"
    usual, paper = read_panels(folders["make_deconv"] / name), read_panels(tmp_path / name)
    for one, other in zip(usual, paper, strict=True):
        assert np.array_equal(one.pixels, other.pixels)
        assert other.width == pytest.approx(one.width * PAPER.scale, rel=1e-3)


def test_a_nets_curves_have_its_colour_in_every_figure(folders):
    for name in ("shares", "shifts", "cure"):
        text = (folders["make_aliasing"] / f"{name}.svg").read_text()
        for net in ("coarse", "fine"):
            assert find_net_colour(net) in text, name
