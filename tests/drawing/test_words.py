"""Words for numbers: which way a measure went, and that nothing is hidden by rounding."""

import math

import pytest

from vizcnn.drawing.words import judge, judge_change, number, percent


@pytest.mark.parametrize(
    ("strides", "values", "better", "said"),
    [
        ([4, 2], [0.2, 0.1], "less", "The finer stride has less, as ZF say."),
        ([2, 4], [0.1, 0.2], "less", "The finer stride has less, as ZF say."),
        ([4, 2], [0.1, 0.2], "less", "The finer stride has more, unlike what ZF say."),
        ([4, 2], [0.1, 0.2], "more", "The finer stride has more, as ZF say."),
        ([4, 2, 2], [0.2, 0.1, 0.3], "less", "Strides alone do not order the nets here, unlike"),
        ([4, 2], [0.2, 0.2], "less", "Strides alone do not order the nets here"),
        ([4, 2, 1], [0.3, 0.2, 0.1], "less", "The finer the stride, the less, as ZF say."),
        ([4, 2, 1], [0.1, 0.3, 0.05], "less", "Strides alone do not order the nets here"),
        ([2, 2], [0.1, 0.2], "less", ""),
        ([4, 2], [None, 0.2], "less", ""),
    ],
)
def test_judge(strides, values, better, said):
    sentence = judge(strides, values, better, "ZF say")
    assert sentence.startswith(said) if said else sentence == ""


def test_judge_change_says_when_it_got_worse():
    assert judge_change("A", 0.5, 0.6, "more") == "A 0.50 → 0.60"
    assert judge_change("A", 0.5, 0.4, "more") == "A 0.50 → 0.40 (worse)"
    assert judge_change("A", None, 0.4, "more") == "A –"
    assert judge_change("A", 0.5, 0.6, "less", percent).endswith("(worse)")
    assert judge_change("A", 0.501, 0.502, "less") == "A 0.50 → 0.50"  # the same, as it is told
    assert number(None) == "–"


def test_percent_never_hides_a_trace():
    assert percent(1e-9).startswith("<")
    assert percent(0.0) == "0.0\N{NO-BREAK SPACE}%"
    assert not math.isnan(float(percent(0.5).split("\N{NO-BREAK SPACE}")[0]))
