"""Figures of the checks: all texts readable, none over another, for few and for many of all."""

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.patches import Rectangle

from tests.drawing.test_figures import LONG_CAPTION, check_layout
from vizcnn.drawing.check_pictures import draw_cascade, draw_drops, draw_place
from vizcnn.drawing.check_plots import draw_agreements, draw_curves, draw_sameness
from vizcnn.measures.bootstrap import Estimate, estimate
from vizcnn.measures.cascade import SWITCHES, Shown
from vizcnn.measures.checks import CascadeRow, CheckTables, ControlRow, SamenessRow
from vizcnn.measures.method_pictures import CHECKED_METHODS
from vizcnn.measures.occlusion_control import ShownControl, place_squares
from vizcnn.measures.sameness import ShownPlace

RNG = np.random.default_rng(0)
NONE = estimate([])


def noise(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def guess() -> Estimate:
    return estimate(RNG.random(6))


def make_tables(nets: int, layers: tuple[str, ...]) -> CheckTables:
    return CheckTables(
        sameness=tuple(
            SamenessRow(
                net=net, layer=layer, method=method, cosine=guess(), effective=guess(), active=9.0
            )
            for net in range(nets)
            for layer in layers
            for method in CHECKED_METHODS
        ),
        cascade=tuple(
            CascadeRow(
                net=net,
                top=layers[-1],
                shuffled=layers[::-1][:count],
                method=method,
                switches=switches,
                rank=guess(),
                magnitude=guess(),
                similarity=NONE if count == 1 else guess(),
            )
            for net in range(nets)
            for method in CHECKED_METHODS
            for switches in SWITCHES
            for count in range(len(layers) + 1)
        ),
        edges=(),
        control=tuple(
            ControlRow(net=net, layer="conv2", method=method, own=guess(), other=NONE, gap=NONE)
            for net in range(nets)
            for method in CHECKED_METHODS
        ),
    )


MANY = tuple(f"inception{stage}{part}" for stage in (3, 4, 5) for part in "abcd")


@pytest.mark.parametrize(("nets", "layers"), [(1, ("conv1", "conv2", "fc6")), (3, MANY)])
def test_plots_keep_their_texts_apart(nets, layers):
    titles = [f"A net with a long name, trained ${k}" for k in range(nets)]
    tables, last = make_tables(nets, layers), [layers[-1]] * nets
    figures = (
        draw_sameness(tables, titles, last, "A title", LONG_CAPTION),
        draw_curves(tables, titles, "A title", LONG_CAPTION),
        draw_agreements(tables, titles, "A title", LONG_CAPTION),
    )
    for figure in figures:
        texts = check_layout(figure)
        assert "gradient × input" in texts and "95 %" in texts


def test_bars_and_curves_are_the_numbers():
    tables = make_tables(1, ("conv1", "fc6"))
    upper = draw_sameness(tables, ["A net"], ["fc6"], "", "").axes[len(CHECKED_METHODS)]
    heights = [bar.get_height() for bar in upper.patches if isinstance(bar, Rectangle)]
    rows = sorted(tables.sameness, key=lambda row: CHECKED_METHODS.index(row.method))
    assert heights == pytest.approx([row.cosine.value for row in rows])
    assert [label.get_text() for label in upper.get_xticklabels()] == ["conv1", "class"]
    curves = draw_curves(tables, ["A net"], "", "").axes[len(CHECKED_METHODS)].lines
    shown = curves[0].get_ydata()
    method, switches = CHECKED_METHODS[0], SWITCHES[0]
    expected = [
        row.rank.value for row in tables.cascade if (row.method, row.switches) == (method, switches)
    ]
    assert shown == pytest.approx(expected)


@pytest.mark.parametrize("count", [1, 10])
def test_a_place_has_a_tile_for_each_unit_and_part(count):
    pictures = {method: noise(count, 3, 20, 14) for method in CHECKED_METHODS}
    values = dict.fromkeys(CHECKED_METHODS, (0.25,) * (count - 1) + (float("nan"),))
    shown = ShownPlace(
        layer="conv5",
        position=(3, 4),
        units=tuple(range(1000, 1000 + count)),
        patch=np.abs(noise(3, 20, 14)) % 1,
        pictures=pictures,
        own=pictures,
        selectivity=values,
        active=count,
        compared=count,
    )
    figure = draw_place(shown, lambda picture: picture, "A title", LONG_CAPTION)
    texts = check_layout(figure)
    assert len(figure.axes) == 1 + 2 * count * len(CHECKED_METHODS)
    assert "unit 1000" in texts and "–" in texts and texts.count("own parts") == 4


@pytest.mark.parametrize("layers", [("fc",), ("fc", *MANY[::-1])])
def test_a_cascade_goes_from_the_photo_to_its_edges(layers):
    pictures = {
        (method, kind): [noise(3, 30, 30) for _ in range(len(layers) + 1)]
        for method in CHECKED_METHODS
        for kind in SWITCHES
    }
    photo, edges = np.abs(noise(3, 30, 30)) % 1, np.abs(noise(30, 30))
    shown = Shown(photo, edges, pictures, 7)
    figure = draw_cascade(
        shown, layers, "trained", lambda picture: picture, "A title", LONG_CAPTION
    )
    texts = check_layout(figure)
    assert len(figure.axes) == len(CHECKED_METHODS) * (len(layers) + 3)
    assert "photo" in texts and "edges" in texts and "1.00" in texts
    first = np.asarray(figure.axes[0].images[0].get_array())
    assert np.abs(first[15, 15] / 255 - photo[:, 15, 15]).max() < 0.51 / 255


def test_a_control_sets_the_drop_beside_what_was_foretold():
    squares = place_squares((2, 0, 30, 32))
    drops = RNG.normal(size=len(squares.corners))
    shown = ShownControl(
        unit=3,
        other=12,
        box=(2, 0, 30, 32),
        photo=np.abs(noise(3, 32, 32)) % 1,
        drops=drops,
        squares=squares,
        pictures={method: noise(2, 3, 32, 32) for method in CHECKED_METHODS},
    )
    figure = draw_drops(shown, lambda picture: picture, "A title", LONG_CAPTION)
    texts = check_layout(figure)
    assert "unit 3" in texts and "unit 12" in texts
    (image,) = figure.axes[1].images
    limit = np.percentile(np.abs(drops), 99.5)
    wanted = colormaps["RdBu_r"](np.clip(drops / limit, -1, 1) / 2 + 0.5, bytes=True)[:, :3]
    shown_colours = np.asarray(image.get_array()).reshape(-1, 3).astype(int)
    assert np.abs(shown_colours - wanted).max() <= 3  # a step of the map, of single precision
