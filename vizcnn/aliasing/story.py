"""The page's story: each picture with a caption whose numbers come from the run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from matplotlib.figure import Figure

from vizcnn.aliasing import pictures, plots
from vizcnn.aliasing.signals import find_frequency, fold_frequency, point_frequency
from vizcnn.aliasing.study import BLURS, NetStudy, mean_distance
from vizcnn.aliasing.sweep import respond_to_grating
from vizcnn.aliasing.words import Better, judge, judge_change, percent, say_each

ZF = "Zeiler & Fergus"
STRONGEST_BLUR = BLURS[-1]


@dataclass(frozen=True)
class Chapter:
    """A picture of the story.

    Attributes:
        name: File name without ending.
        title: Heading on the page.
        text: What is to be seen, for those who cannot see it.
        caption: What the run showed.
        draw: Makes the figure, given its small print.
    """

    name: str
    title: str
    text: str
    caption: str
    draw: Callable[[str], Figure]


def tell_story(studies: Sequence[NetStudy], layer: str) -> tuple[Chapter, ...]:
    """Write the chapters of the page.

    Args:
        studies: The nets.
        layer: Name of the layer whose projections are shown.

    Returns:
        Chapters in order; each caption states only what these studies hold.
    """
    tellers = (
        _tell_filters,
        _tell_spectra,
        _tell_shares,
        _tell_zone_plate,
        _tell_grating,
        _tell_sweep,
        _tell_shifts,
        _tell_cure,
    )
    chapters = [tell(studies) for tell in tellers]
    return (*chapters, _tell_second_layer(studies, layer), _tell_grids(studies, layer))


def _judge(
    studies: Sequence[NetStudy], values: Sequence[float | None], better: Better, source: str = ZF
) -> str:
    return judge([study.layer.stride for study in studies], values, better, source)


def _tell_filters(studies: Sequence[NetStudy]) -> Chapter:
    dead = say_each(studies, lambda study: f"{study.dead} of {len(study.layer.weight)}")
    return Chapter(
        "filters",
        "The first layers",
        "Grids of the first layers' filters, side by side",
        f"What each net looks at pixels with. Dead filters: {dead}.",
        lambda caption: pictures.draw_first_layers(studies, caption),
    )


def _tell_spectra(studies: Sequence[NetStudy]) -> Chapter:
    shares = [study.predicted[None].layer_share for study in studies]
    limits = say_each(studies, lambda study: f"{study.layer.limit:g}")
    folded = say_each(studies, lambda study: percent(study.predicted[None].layer_share))
    return Chapter(
        "spectra",
        "What a stride folds",
        "Spectra of the filters, of their responses, and of what stays and what folds",
        "A stride of s keeps frequencies up to 1/(2s) cycles per pixel, the orange square "
        f"({limits}); what the filters pass beyond folds back onto it. Of the energy of the "
        f"responses to natural images (power 1/f²) fold: {folded}. "
        f"{_judge(studies, shares, 'less')}",
        lambda caption: pictures.draw_spectra(studies, caption),
    )


def _tell_shares(studies: Sequence[NetStudy]) -> Chapter:
    measured = [study.measured[None].layer_share for study in studies]
    worst = say_each(studies, lambda study: percent(study.measured[None].shares.max().item()))
    median = say_each(
        studies, lambda study: percent(study.measured[None].shares.quantile(0.5).item())
    )
    return Chapter(
        "shares",
        "Filter by filter, in theory and on photos",
        "Curves of the alias share of every filter, sorted",
        f"On the photos the layers fold {say_each(studies, _say_measured)} of their response "
        f"energy; the median filter {median}, the worst {worst}. "
        f"{_judge(studies, measured, 'less')}",
        lambda caption: plots.draw_shares(studies, caption),
    )


def _say_measured(study: NetStudy) -> str:
    return percent(study.measured[None].layer_share)


def _tell_zone_plate(studies: Sequence[NetStudy]) -> Chapter:
    chosen = say_each(studies, _say_filter)
    return Chapter(
        "zone-plate",
        "A zone plate through the filters",
        "A zone plate, and one filter's response to it at stride 1, 2 and 4",
        "Every ring has its own frequency, from none in the middle to 1/2 cycle per pixel at the "
        "edges: rings elsewhere are aliases. The filter that passes most above its layer's limit, "
        "and the share of its answer to grey noise that stride 2 and stride 4 fold: "
        f"{chosen}. Framed: the net's own stride.",
        lambda caption: pictures.draw_pattern(studies, "zone plate", caption),
    )


def _say_filter(study: NetStudy) -> str:
    unit = pictures.choose_filter(study)
    two, four = (pictures.white_share(study, unit, stride) for stride in (2, 4))
    return f"no. {unit}: {percent(two)} and {percent(four)}"


def _tell_grating(studies: Sequence[NetStudy]) -> Chapter:
    radial, angle = pictures.GRATING
    place = point_frequency(radial, angle)
    folded = {stride: fold_frequency(place, stride) for stride in (1, 2, 4)}
    told = ", ".join(
        f"({across:.3f}, {-down:.3f}) at stride {stride}"
        for stride, (down, across) in folded.items()
    )
    return Chapter(
        "gratings",
        "A grating through the filters",
        "A grating, and one filter's response to it at stride 1, 2 and 4",
        f"A grating of {radial:g} cycles per pixel, {angle:g}° from the horizontal. By theory its "
        f"frequency (across, up) becomes {told}. Farthest that the responses are from it: "
        f"{say_each(studies, lambda study: f'{_miss(study):.0e}')} cycles per pixel.",
        lambda caption: pictures.draw_pattern(studies, "grating", caption),
    )


def _miss(study: NetStudy) -> float:
    """Find how far the strongest responses to the grating are from where theory folds them."""
    place = point_frequency(*pictures.GRATING)
    unit, farthest = pictures.choose_filter(study), 0.0
    for stride in (1, 2, 4):
        found = find_frequency(respond_to_grating(study.layer, place, stride)[unit], stride)
        folded = fold_frequency(place, stride)
        farthest = max(farthest, *(abs(a - b) for a, b in zip(found, folded, strict=True)))
    return farthest


def _tell_sweep(studies: Sequence[NetStudy]) -> Chapter:
    shares = [study.sweep.aliased_share for study in studies]
    miss = max(study.sweep.worst_miss for study in studies)
    count = studies[0].sweep.strided.numel()
    aliased = say_each(studies, lambda study: percent(study.sweep.aliased_share))
    return Chapter(
        "sweep",
        "Gratings of every frequency",
        "Amplitude of the response by frequency, and the frequency at which it was found",
        f"{count} gratings, each sent through the real layers. All were found within {miss:.0e} "
        "cycles per pixel of where theory folds them. Of the answers' energy an ideal low-pass "
        f"layer would not have given: {aliased}. {_judge(studies, shares, 'less')}",
        lambda caption: plots.draw_sweep(studies, caption),
    )


def _tell_shifts(studies: Sequence[NetStudy]) -> Chapter:
    first = [mean_distance(study, None, 0) for study in studies]
    distance = say_each(studies, lambda study: f"{mean_distance(study, None, 0):.2f}")
    same = say_each(studies, lambda study: percent(study.shifts[None].consistency))
    photos = len(studies[0].shifts[None].distances)
    farthest = studies[0].shifts[None].shifts[-1]
    name = studies[0].shifts[None].layers[0]
    consistency = [study.shifts[None].consistency for study in studies]
    return Chapter(
        "shifts",
        "The photo moves",
        "Relative distance of each layer's features by shift, and the change of the class score",
        f"{photos} photos, moved by 0 to {farthest} pixels. How far {name} is from its own "
        f"features moved along, on average: {distance}. "
        f"{_judge(studies, first, 'less', 'Nyquist and Zhang')} In deep layers new pixels at the "
        "edges add to the distance, the more the farther the photo moves. Pairs of shifts with the "
        f"same first class: {same}. {_judge(studies, consistency, 'more', 'Nyquist and Zhang')}",
        lambda caption: plots.draw_shifts(studies, caption),
    )


def _tell_cure(studies: Sequence[NetStudy]) -> Chapter:
    shares = ", ".join(
        f"{study.title} {percent(study.measured[None].layer_share)} → "
        f"{percent(study.measured[STRONGEST_BLUR].layer_share)}"
        for study in studies
    )
    same = ", ".join(
        judge_change(
            study.title,
            study.shifts[None].consistency,
            study.shifts[STRONGEST_BLUR].consistency,
            "more",
        )
        for study in studies
    )
    return Chapter(
        "cure",
        "The cure",
        "Alias share, distances and consistency without a blur, with one of 3 and of 5 taps",
        "A binomial blur before every subsampling (Zhang's BlurPool), the weights as they were, "
        f"not trained anew. With {STRONGEST_BLUR} taps the first layers fold of their responses to "
        f"the photos: {shares}. Consistency of the class: {same}.",
        lambda caption: plots.draw_cure(studies, caption),
    )


def _tell_second_layer(studies: Sequence[NetStudy], layer: str) -> Chapter:
    counts = say_each(studies, lambda study: str(sum(len(unit.patches) for unit in study.units)))
    return Chapter(
        "second-layer",
        f"What {layer} sees",
        f"Deconvnet projections of units of {layer}, nine photos to a unit",
        f"The photos that excite units of {layer} most, projected back to pixels as in ZF's Figure "
        f"6 (d) and (e). Projections made: {counts}; {pictures.SHOWN_UNITS} units, evenly spread, "
        "are shown. Each projection at its own contrast, zero as mid grey.",
        lambda caption: pictures.draw_second_layer(studies, layer, caption),
    )


def _tell_grids(studies: Sequence[NetStudy], layer: str) -> Chapter:
    medians = [study.grid for study in studies]
    period = studies[0].period
    told = say_each(studies, lambda study: "–" if study.grid is None else f"{study.grid:.2f}")
    counts = say_each(studies, lambda study: f"{len(study.grids)}")
    frequencies = " and ".join(str(Fraction(k, period)) for k in range(1, period // 2 + 1))
    return Chapter(
        "grids",
        "The grid in the projections",
        "Share of the units whose grid artefact is above a value",
        f"Energy of the projections at {frequencies} cycles per pixel over that of the "
        f"surroundings: 1 is no grid. Median over the units ({counts}): {told}. "
        f"{_judge(studies, medians, 'less')}",
        lambda caption: plots.draw_grids(studies, caption),
    )
