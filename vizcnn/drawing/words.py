"""Words for numbers: what a run showed, and whether it went the way that theory has it."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from vizcnn.projection.parts import Part

if TYPE_CHECKING:  # the lab loads much that most commands do without
    from vizcnn.measures.study import NetStudy


def show_number(value: float) -> str:
    """Show a number to three digits or more, without an exponent where it reads well.

    Example:
        >>> [show_number(value) for value in (1234.5, 30.0, 0.01234, 1.5e-7, 0.0)]
        ['1234', '30.0', '0.0123', '1.50e-07', '0.00']
    """
    return f"{value:.0f}" if 100 <= abs(value) < 1e6 else f"{value:#.3g}"


def show_activation(value: float) -> str:
    """Write a unit's activation: zero is silence, and what is below zero says so.

    Example:
        >>> [show_activation(value) for value in (3.0, 0.0, -2.5)]
        ['3.00', 'silent', '-2.50, below zero']
    """
    if value == 0:
        return "silent"
    return show_number(value) + (", below zero" if value < 0 else "")


Better = Literal["less", "more"]
"""Whether a finer stride should give less or more of a measure."""


def say_each(studies: Sequence["NetStudy"], say: Callable[["NetStudy"], str]) -> str:
    """Say a value of every net.

    Returns:
        ``"AlexNet 8.1 %, ZFNet 1.4 %"``.
    """
    return ", ".join(f"{study.title} {say(study)}" for study in studies)


def percent(share: float | None) -> str:
    r"""Write a share in 0..1 as a percentage, its space unbreakable; a dash where there is none.

    Example:
        >>> percent(0.0807), percent(0.00004), percent(None)
        ('8.1\xa0%', '< 0.1\xa0%', '–')
    """
    if share is None:
        return "–"
    return "< 0.1\u00a0%" if 0 < share < 0.001 else f"{share:.1%}".replace("%", "\u00a0%")


def judge(
    strides: Sequence[int], values: Sequence[float | None], better: Better, source: str
) -> str:
    """Say whether nets of finer strides fare as a source has it.

    Args:
        strides: Stride of each net's first layer.
        values: The measure of each net; None where there is none.
        better: Whether the source has less or more of it at finer strides.
        source: Who says so, with the verb: ``"theory predicts"``.

    Returns:
        A sentence that states what these numbers show; empty where strides do not differ or a
        value is missing, and so nothing can be said.

    Example:
        >>> judge([4, 2], [0.08, 0.01], "less", "theory predicts")
        'The finer stride has less, as theory predicts.'
        >>> judge([4, 2], [0.01, 0.08], "less", "theory predicts")
        'The finer stride has more, unlike what theory predicts.'
    """
    groups: dict[int, list[float]] = {}
    for stride, value in zip(strides, values, strict=True):
        if value is None:
            return ""
        groups.setdefault(stride, []).append(value)
    ordered = [groups[stride] for stride in sorted(groups)]
    if len(ordered) < 2:
        return ""
    who = "The finer stride has" if len(ordered) == 2 else "The finer the stride, the"
    for shown, sign in (("less", 1), ("more", -1)):
        signed = [[sign * value for value in group] for group in ordered]
        if all(max(finer) < min(coarser) for finer, coarser in pairwise(signed)):
            return f"{who} {shown}, {'as' if shown == better else 'unlike what'} {source}."
    return f"Strides alone do not order the nets here, unlike what {source}."


def judge_change(
    title: str,
    before: float | None,
    after: float | None,
    better: Better,
    write: Callable[[float], str] = "{:.2f}".format,
) -> str:
    """Say how a cure changed a measure of one net.

    Example:
        >>> judge_change("AlexNet", 0.67, 0.85, "more")
        'AlexNet 0.67 → 0.85'
        >>> judge_change("AlexNet", 0.67, 0.6, "more")
        'AlexNet 0.67 → 0.60 (worse)'
    """
    if before is None or after is None:
        return f"{title} –"
    shown = write(before), write(after)
    worse = (after < before if better == "more" else after > before) and shown[0] != shown[1]
    return f"{title} {shown[0]} → {shown[1]}{' (worse)' if worse else ''}"


def describe_part(part: Part) -> str:
    """Say in a caption which part of pictures is shown.

    Example:
        >>> describe_part("own")
        'own parts: without what the active units of a place have most in common'
    """
    return {
        "whole": "whole pictures",
        "own": "own parts: without what the active units of a place have most in common",
        "common": "common parts: only what the active units of a place have most in common",
    }[part]


def name_part(part: Part) -> str:
    """Name what is shown of a unit.

    Example:
        >>> [name_part(part) for part in ("whole", "own", "common")]
        ['projection', 'own part', 'common part']
    """
    return "projection" if part == "whole" else f"{part} part"


def write_selectivity(selectivity: float | None, compared: int, active: int) -> str:
    """Write a selectivity: a dash where there is none, ≈ where a sample of units was compared.

    Args:
        selectivity: 1 - cos²(P, C); None where nothing can be compared.
        compared: From how many active units of the place C was found.
        active: How many units are active there.

    Example:
        >>> [write_selectivity(*told) for told in ((0.081, 51, 51), (0.081, 33, 170), (None, 1, 1))]
        ['0.08', '≈\u00a00.08', '–']
    """
    about = "≈\u00a0" if selectivity is not None and compared < active else ""
    return about + show_decimal(selectivity)


def label_selectivity(selectivity: float | None, compared: int, active: int) -> str:
    """Write a selectivity with its name, for a tile; arguments as of :func:`write_selectivity`.

    Example:
        >>> label_selectivity(0.081, 51, 51)
        'selectivity 0.08'
    """
    return f"selectivity {write_selectivity(selectivity, compared, active)}"


def describe_compared(compared: int, active: int) -> str:
    """Say which units a common picture is of.

    Example:
        >>> describe_compared(51, 51), describe_compared(33, 170), describe_compared(1, 1)
        ('among 51 active units', 'among 33 of 170 active units', 'among 1 active unit')
    """
    sample = f"{compared} of " if compared < active else ""
    return f"among {sample}{active} active unit{'' if active == 1 else 's'}"


SAMPLED = "≈ from a sample of these units"


def explain_selectivity(found: str = "", name: str = "selectivity", sampled: str = SAMPLED) -> str:
    """Explain in a caption what a selectivity is.

    Args:
        found: The values in the figure, in words.
        name: What it is called in the figure.
        sampled: What is said of places whose units were not all compared.

    Example:
        >>> explain_selectivity("0.06 to 0.12", "s").split(" between")[0]
        's, the selectivity (here 0.06 to 0.12): 1 − cos²'
    """
    named = name if name == "selectivity" else f"{name}, the selectivity"
    return (
        f"{named}{found and f' (here {found})'}: 1 − cos² between a unit's whole picture and the "
        "one that the active units of its place have most in common, 0 for that picture, 1 for "
        f"nothing of it; {sampled}"
    )


FEW = 4
"""Fewer units than so many make a common picture by chance: of two, any has half of each."""


def describe_selectivity(
    selectivity: float | None,
    compared: int,
    is_active: bool = True,
    picture: str = "this picture",
    place: str = "this place",
) -> str:
    """Say in a sentence what a selectivity means.

    Args:
        selectivity: 1 - cos²(P, C); None where nothing can be compared.
        compared: From how many active units of the place C was found.
        is_active: Whether the unit itself is one of them.
        picture: What to call the picture.
        place: What to call the place.

    Example:
        >>> describe_selectivity(0.9, 51)
        'Hardly any of this picture is what the active units of this place have most in common; ...'
        >>> describe_selectivity(None, 1)
        'No other unit is active at this place: nothing to compare with.'
    """
    if selectivity is None:
        if compared - is_active < 1:
            return f"No other unit is active at {place}: nothing to compare with."
        return f"Nothing to compare: {picture}, or every other one of {place}, is empty."
    common = f"what the active units of {place} have most in common"
    if selectivity <= 0.15:
        return f"Nearly all of {picture} is {common}; what differs is in the own part."
    if selectivity >= 0.85:
        return f"Hardly any of {picture} is {common}; single units may still be alike."
    if compared < FEW:
        return f"Too few units are compared here ({compared}) to tell what they share from chance."
    if selectivity <= 0.5:
        return f"Most of {picture} is {common}; the rest is in the own part."
    return f"Less than half of {picture} is {common}; most of it is in the own part."


def describe_effective_number(number: float, compared: int, active: int, method: str) -> str:
    """Say how many different pictures the active units of a place make.

    Args:
        number: Their effective number.
        compared: From how many of them it was found.
        active: How many there are.
        method: Name of the method.

    Example:
        >>> describe_effective_number(1.24, 51, 51, "deconvnet")
        'the 51 active units make 1.2 different pictures by the deconvnet'
        >>> describe_effective_number(1.24, 33, 170, "guided")
        'the 170 active units make about 1.2 different pictures by guided backprop'
    """
    if active == 1:
        return "a single unit is active"
    about = "about " if compared < active else ""
    shown = f"{number:.1f}"
    plural = "" if shown == "1.0" else "s"
    return (
        f"the {active} active units make {about}{shown} different picture{plural} "
        f"by {name_method(method)}"
    )


def name_method(method: str) -> str:
    """Name a method as it is spoken of in a sentence.

    Example:
        >>> [name_method(method) for method in ("deconvnet", "guided", "mine")]
        ['the deconvnet', 'guided backprop', 'mine']
    """
    spoken = {
        "deconvnet": "the deconvnet",
        "guided": "guided backprop",
        "gradient": "the gradient",
    }
    return spoken.get(method, method)


def show_method(method: str) -> str:
    """Write a method's name in a figure or a list.

    Example:
        >>> show_method("gradient-x-input"), show_method("guided")
        ('gradient × input', 'guided')
    """
    return method.replace("-x-", " × ")


def show_decimal(value: float | None) -> str:
    """Write a number with two decimals; a dash where there is none, or NaN."""
    return "–" if value is None or math.isnan(value) else f"{value:.2f}"
