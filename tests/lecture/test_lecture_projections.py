"""Slides of projections: what they say of the pictures, computed again by numpy."""

import re
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg

from tests.support.command_line import fail
from tests.support.small_zoo import make_model, paint_photo
from vizcnn.drawing.style import LIGHT, use_style
from vizcnn.lecture.inclusions import UNITS, median_cosine
from vizcnn.lecture.run import LectureSettings, choose_exhibits, make_lecture
from vizcnn.lecture.studio import Studio
from vizcnn.pages.attached import make_attached_figure
from vizcnn.projection.deconvnet import Projector

MODEL = replace(make_model(), title="Tiny net")


class SmallStudio(Studio):
    """A studio whose ZFNet is a net of five small convolutions."""

    @property
    def zfnet(self):
        return MODEL


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    return paint_photo(tmp_path_factory.mktemp("photos") / "a.png")


def make(photo, name, **settings):
    (exhibit,) = choose_exhibits([name])
    return exhibit.make(SmallStudio(photo, **settings))


def list_texts(figure):
    return [text.get_text() for text in figure.texts]


def project_place(photo, layer):
    """Pictures of all active units of the place of a layer's strongest unit, strongest first."""
    projector, pixels = Projector(MODEL, "deconvnet"), MODEL.read(photo)
    strongest = projector.project(pixels, layer, count=1)
    place = tuple(strongest.positions[0].tolist())
    found = projector.project(pixels, layer, "top", place, count=99)
    active = found.activations > 0
    return found.units[active].tolist(), found.pixels[active].flatten(1).double().numpy()


@pytest.mark.parametrize("name", ["zfnet-deconvnet", "zfnet-own-parts"])
@pytest.mark.parametrize("part", ["whole", "own"])
def test_captions_and_labels_hold_computed_numbers(photo, name, part):
    made = make(photo, name, part=part)
    units, pictures = project_place(photo, "conv5")
    rows = pictures / np.linalg.norm(pictures, axis=1, keepdims=True)
    _, values, vectors = np.linalg.svd(rows, full_matrices=False)
    shares = values**2 / (values**2).sum()
    selectivity = 1 - (rows @ vectors[0]) ** 2
    with use_style(LIGHT):
        texts = list_texts(made.draw())
    assert f"{units[0]} · {selectivity[0]:.2f}" in texts
    assert "1 − cos² between a unit's whole picture" in made.caption
    assert "from at most 32 others of these units" in made.caption
    if name == "zfnet-deconvnet":
        assert made.caption.startswith(
            "A projection shows what the net kept of the photo at a place, not what the unit "
            f"wants: in conv5, the {len(units)} active units make {1 / (shares**2).sum():.1f} "
            "different pictures by the deconvnet at the place of "
        )
        assert f"· {part} part" in made.caption or (
            part == "whole" and "· whole pictures ·" in made.caption
        )
        assert ("Tiny net: own parts of units, by deconvnet" in texts) == (part == "own")
        return
    shown = pictures[:UNITS]
    own = shown - np.outer(shown @ vectors[0], vectors[0])
    whole, others = (
        np.median([a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in combinations(some, 2)])
        for some in (shown, own)
    )
    told = re.search(r"cosine is (\S+) of the whole pictures and (\S+) of the own", made.caption)
    assert float(told[1]) == pytest.approx(whole, abs=0.0051)
    assert float(told[2]) == pytest.approx(others, abs=0.0051)
    for unit, value in zip(units[:UNITS], selectivity, strict=False):
        assert f"{unit} · {value:.2f}" in texts


def test_a_part_stands_in_titles_and_in_the_manifest(tmp_path, photo):
    # in a section that needs no trained nets
    exhibits = [replace(chosen, section="vgg") for chosen in choose_exhibits(["zfnet-guided"])]
    studio = SmallStudio(photo, part="common")
    settings = LectureSettings(formats=("png",))
    manifest = make_lecture(tmp_path / "out", studio, settings, exhibits=exhibits)
    assert manifest.settings["part"] == "common"
    (section,) = manifest.results.sections
    assert "common parts: only what the active units of a place have" in section.exhibits[0].caption
    assert "guided backprop at the place of" in section.exhibits[0].caption


@pytest.mark.parametrize("name", ["zfnet-guided", "zfnet-own-parts"])
def test_no_label_is_cut_or_over_another(photo, name):
    with use_style(LIGHT):
        figure = make(photo, name).draw()
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        texts = [
            text
            for text in [*figure.texts, *(text for axes in figure.axes for text in axes.texts)]
            if text.get_text().strip()
        ]
        boxes = [text.get_window_extent(canvas.get_renderer()) for text in texts]
    for text, box in zip(texts, boxes, strict=True):
        assert box.x0 > -1 and box.x1 < figure.bbox.width + 1, text
    for (one, a), (two, b) in combinations(zip(texts, boxes, strict=True), 2):
        apart = a.x1 <= b.x0 + 1 or b.x1 <= a.x0 + 1 or a.y1 <= b.y0 + 1 or b.y1 <= a.y0 + 1
        assert apart, (one, two)


def test_median_cosines_leave_empty_pictures_out():
    pictures = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0], [0.0, 2.0]])
    assert median_cosine(pictures) == pytest.approx(2**-0.5)
    assert median_cosine(pictures[:2]) is None


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--part", "half"), "'half' is not one of 'whole', 'own', 'common'"),
        (("--claims", "--part", "own"), "--claims only prints: leave --part out"),
    ],
)
def test_the_part_is_checked(tmp_path, arguments, told):
    assert told in fail("lecture", *arguments)


def test_the_attached_deconvnet_is_that_of_the_net_and_photo(photo):
    made = make(photo, "zfnet-attached")
    found = make_attached_figure(MODEL, photo)
    assert made.caption == found.caption
    assert made.caption.startswith("Zeiler & Fergus 2013, Figure 1, with the numbers of one window")
    assert f"maximum, {found.pair.maximum:#.3g}, is at row {found.pair.switch[0]}" in made.caption
    with use_style(LIGHT):
        texts = list_texts(made.draw())
    assert "Tiny net: a deconvnet attached to conv1" in texts
