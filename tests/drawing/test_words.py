"""Words for numbers: which way a measure went, and that nothing is hidden by rounding."""

import math

import pytest

from vizcnn.drawing.words import (
    describe_effective_number,
    describe_selectivity,
    judge,
    judge_change,
    percent,
    show_decimal,
)


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
    assert show_decimal(None) == "–"


def test_percent_never_hides_a_trace():
    assert percent(1e-9).startswith("<")
    assert percent(0.0) == "0.0\N{NO-BREAK SPACE}%"
    assert not math.isnan(float(percent(0.5).split("\N{NO-BREAK SPACE}")[0]))


def find_share(sentence):
    """What a sentence says of the common picture's share of a picture's energy: its bounds."""
    bounds = {"Nearly all": (0.85, 1), "Most of": (0.5, 0.85), "Less than half": (0.15, 0.5)}
    for start, (least, most) in {**bounds, "Hardly any": (0, 0.15)}.items():
        if sentence.startswith(start):
            return least, most
    raise AssertionError(sentence)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.2, 0.49, 0.51, 0.8, 0.9, 1.0])
def test_the_sentence_is_true_at_the_selectivity(share):
    least, most = find_share(describe_selectivity(1 - share, 51))
    assert least <= share <= most


@pytest.mark.parametrize("cosine", [0.0, 0.3, 0.6])
def test_two_or_three_unlike_pictures_are_not_said_to_have_most_in_common(cosine):
    # two units: C is their sum, and each has (1 + cosine) / 2 of its energy along it
    said = describe_selectivity(1 - (1 + cosine) / 2, 2)
    assert said == "Too few units are compared here (2) to tell what they share from chance."
    assert "Too few" in describe_selectivity(0.6, 3)
    assert describe_selectivity(0.05, 2).startswith("Nearly all")  # these are alike


def test_nothing_to_compare_is_told_as_what_it_is():
    alone = "No other unit is active at this place: nothing to compare with."
    assert describe_selectivity(None, 1) == alone
    assert describe_selectivity(None, 0, is_active=False) == alone
    for compared, is_active in ((1, False), (7, True)):
        said = describe_selectivity(None, compared, is_active)
        assert (
            said == "Nothing to compare: this picture, or every other one of this place, is empty."
        )


def test_effective_numbers_are_plain_sentences():
    said = describe_effective_number(1.04, 51, 51, "guided")
    assert said == "the 51 active units make 1.0 different picture by guided backprop"
    said = describe_effective_number(17.26, 33, 170, "gradient")
    assert said == "the 170 active units make about 17.3 different pictures by the gradient"
    assert describe_effective_number(1.0, 1, 1, "deconvnet") == "a single unit is active"
