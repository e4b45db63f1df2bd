"""A net's colour: its own in every figure, stable, and to be seen on both grounds."""

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex, to_rgb

from vizcnn.drawing.filter_charts import ChartedNet, draw_numbers
from vizcnn.drawing.net_colours import NET_COLOURS, find_net_colour
from vizcnn.lecture.studio import REGISTERED, Studio
from vizcnn.measures.filter_numbers import number_filters
from vizcnn.zoo.catalogue import CATALOGUE


def contrast(one: str, other: str) -> float:
    """Contrast of two colours, as WCAG 2 defines it: 1..21."""

    def lightness(colour):
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((lightness(one), lightness(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", [*CATALOGUE, "my-net", "timm:resnet18", "", "naïve 猫"])
def test_every_net_has_a_colour_that_is_seen_on_both_grounds(name):
    colour = find_net_colour(name)
    assert re.fullmatch("#[0-9a-f]{6}", colour) and colour == find_net_colour(name)
    assert min(contrast(colour, "#ffffff"), contrast(colour, "#171717")) > 1.9


def test_colours_of_others_are_fixed_for_good():
    # of SHA-256, so that no run, machine or Python changes them
    assert find_net_colour("my-net") == "#557a1e"


def test_well_known_nets_are_told_apart():
    assert set(NET_COLOURS) <= set(CATALOGUE)
    names = [name for name in NET_COLOURS if name != "googlenet-paper"]
    for one, other in combinations(names, 2):
        assert NET_COLOURS[one] != NET_COLOURS[other]


@pytest.mark.parametrize("turn", [1, -1])
def test_the_chart_of_filters_has_the_nets_colours_in_any_order(turn):
    generator = torch.Generator().manual_seed(0)
    nets = [
        ChartedNet(
            f"title {name}", number_filters(torch.randn(9, 3, 7, 7, generator=generator)), name
        )
        for name in ("alexnet", "zfnet", "my-net")
    ][::turn]
    figure = draw_numbers(nets, "cycles/px", "title", "caption")
    (points,) = (
        [to_hex(np.asarray(c.get_facecolor())[0].tolist()) for c in a.collections]
        for a in figure.axes
        if a.collections
    )
    assert points == [find_net_colour(net.model) for net in nets]
    assert {find_net_colour("alexnet"), find_net_colour("zfnet")} == {"#0072b2", "#009e73"}


def test_the_lectures_bars_have_the_nets_colours():
    draw = REGISTERED["depth"].make(Studio(Path("no photo"))).draw
    assert draw
    (axes,) = (axes for axes in draw().axes if axes.patches)
    bars = {
        label.get_text().split("\n")[0]: to_hex(bar.get_facecolor())
        for label, bar in zip(axes.get_xticklabels(), axes.patches, strict=True)
    }
    wanted = {"AlexNet": "alexnet", "ZFNet (Clarifai)": "zfnet", "VGG": "vgg19"}
    wanted |= {"GoogLeNet": "googlenet-paper", "ResNet": "resnet152"}
    assert {name: bars[name] for name in wanted} == {
        name: find_net_colour(net) for name, net in wanted.items()
    }
    assert {colour for name, colour in bars.items() if name not in wanted} == {"#999999"}
