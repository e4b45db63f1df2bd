"""Figures of probes in every style: nothing over another, the paper's numbers where they belong."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer

from tests.drawing.test_figures import CAPTION, check_layout
from vizcnn.drawing.probe_plots import (
    MOST_PAIRS,
    PairOfPhotos,
    draw_count_accuracies,
    draw_layer_accuracies,
    draw_pairs,
)
from vizcnn.drawing.style import make_style, use_style
from vizcnn.measures.probe_study import ProbeRow
from vizcnn.measures.published import read_published

LAYERS = ("conv1", "conv2", "conv5", "fc7")
ROW = ProbeRow(
    untrained=False,
    layer="conv1",
    dimensions=9,
    classifier="svm",
    per_class=15,
    accuracy=0.5,
    deviation=None,
    folds=(0.5,),
    fresh=None,
    seen=None,
    strengths=(1.0,),
)
ROWS = [
    replace(
        ROW,
        untrained=untrained,
        layer=layer,
        classifier=classifier,
        per_class=count,
        accuracy=0.2 * (1 + place) - 0.1 * untrained,
        deviation=0.02,
    )
    for untrained in (False, True)
    for place, layer in enumerate(LAYERS)
    for classifier in ("svm", "softmax")
    for count in (15, 30)
]


def read_points(figure, words):
    """The points of the line whose label holds some words, (x, y)."""
    (axes,) = figure.axes
    (found,) = [
        container
        for container in axes.containers
        if isinstance(container, ErrorbarContainer) and words in str(container.get_label())
    ]
    return [tuple(point) for point in np.asarray(found.lines[0].get_xydata()).tolist()]


@pytest.mark.parametrize("style", ["page", "slide", "paper"])
@pytest.mark.parametrize("draw", [draw_layer_accuracies, draw_count_accuracies])
def test_texts_stand_apart(style, draw):
    with use_style(make_style(style, "dark")):
        figure = draw(ROWS, LAYERS, 0.1, "ZFNet: $1 & $2", CAPTION, "10 classes")
        figure.canvas.draw()  # which places the labels of axes
        assert "ZFNet: $1 & $2" in check_layout(figure)


def test_the_papers_numbers_stand_at_their_layers_and_counts():
    figure = draw_layer_accuracies(ROWS, LAYERS, 0.1, "ZFNet", CAPTION)
    printed = {row[:2]: float(row[2] or 0) for row in read_published().table("zfnet-layers").rows}
    points = read_points(figure, "Caltech-101, linear SVM")
    assert points == [
        (place, printed[number, "svm"] / 100) for place, number in enumerate((1, 2, 5, 7))
    ]
    ours = read_points(figure, "untrained net, softmax, 30 photos")
    assert ours == [(place, pytest.approx(0.2 * (1 + place) - 0.1)) for place in range(4)]
    counts = draw_count_accuracies(ROWS, LAYERS, 0.1, "ZFNet", CAPTION)
    assert read_points(counts, "Table 4: Caltech-101, fc7, trained on") == [
        (15, 0.838),
        (30, 0.865),
    ]
    assert read_points(counts, "conv2, softmax") == [(15, 0.4), (30, 0.4)]


def test_of_many_pairs_the_first_are_drawn():
    photo = np.random.default_rng(0).random((16, 16, 3), dtype=np.float32)
    pairs = [
        PairOfPhotos(photo, photo, f"photo-{number}.jpg\n0.990, same set") for number in range(12)
    ]
    figure = draw_pairs(pairs, "12 near-duplicates", CAPTION)
    assert len([axes for axes in figure.axes if axes.images]) == 2 * MOST_PAIRS
    texts = check_layout(figure)
    assert "photo-7.jpg" in texts and "photo-8.jpg" not in texts
