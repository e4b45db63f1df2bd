"""Styles: what a block changes, and that it ends with it."""

import matplotlib as mpl
import pytest

from vizcnn.drawing.style import (
    DARK,
    LIGHT,
    PAPER,
    find_style,
    larger_letters,
    letter_size,
    plain_style,
    points,
    tone,
    use_style,
)


def test_a_style_ends_with_its_block():
    with pytest.raises(ZeroDivisionError), use_style(PAPER), larger_letters(2.0):
        assert letter_size(10) == pytest.approx(2 * 10 * PAPER.scale * PAPER.narrow)
        assert points(3) == 3 * PAPER.scale
        raise ZeroDivisionError
    assert find_style() == LIGHT
    assert (letter_size(10), points(3)) == (10, 3)


def test_only_greys_are_mirrored_and_only_in_the_dark():
    colours = ("#000000", "white", "#777777", "#0072b2", "#e69f00")
    assert tuple(map(tone, colours)) == colours
    with use_style(DARK):
        dark = tuple(map(tone, colours))
    assert dark == ("#f2f2f2", "#171717", "#8c8c8c", *colours[3:])


def test_the_light_style_draws_with_matplotlibs_own_sizes():
    with plain_style():
        ours = dict(mpl.rcParams)
    changed = {name for name, value in mpl.rcParamsDefault.items() if ours[name] != value}
    assert changed <= {
        *("font.family", "svg.hashsalt", "pdf.fonttype", "legend.edgecolor"),
        *("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"),
        *("patch.edgecolor", "figure.facecolor", "axes.facecolor", "backend"),
    }
    assert (ours["legend.edgecolor"], ours["axes.edgecolor"]) == ("#cccccc", "#000000")
