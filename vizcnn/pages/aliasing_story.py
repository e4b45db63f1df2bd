"""The page's story: each picture with a caption whose numbers come from the run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Literal

from matplotlib.figure import Figure

from vizcnn.drawing import aliasing_pictures as pictures
from vizcnn.drawing import aliasing_plots as plots
from vizcnn.drawing.aliasing_plots import list_common_stages
from vizcnn.drawing.words import Better, judge, judge_change, percent, say_each, show_decimal
from vizcnn.measures.shares import GRID
from vizcnn.measures.study import BLURS, NetStudy
from vizcnn.measures.sweep import fold_frequency, point_frequency, sweep_gratings

Form = Literal["count", "percent", "number"]
"""How a value is written."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A row of the table: one measure of every net.

    Attributes:
        name: What is measured.
        meaning: How, in a sentence.
        form: How its values are written.
        values: One per net; None where it could not be measured.
    """

    name: str
    meaning: str
    form: Form
    values: tuple[float | None, ...]


Row = tuple[str, str, Form, Callable[[NetStudy], float | None]]


def tabulate(studies: Sequence[NetStudy]) -> tuple[Measure, ...]:
    """Gather the measures of all nets in a table."""
    rows = [*_list_basics(), *_list_shares(), *_list_shifts(studies), *_list_grids()]
    return tuple(
        Measure(
            name=name, meaning=meaning, form=form, values=tuple(_call(measure, s) for s in studies)
        )
        for name, meaning, form, measure in rows
    )


def _call(measure: Callable[[NetStudy], float | None], study: NetStudy) -> float | None:
    value = measure(study)
    return None if value is None else float(value)


def _list_basics() -> list[Row]:
    top1 = "share of validation photos named rightly, as the weights tell"
    dead = "filters whose RMS is at most 5 % of the layer's median"
    return [
        ("top-1", top1, "percent", lambda study: study.model.provenance.top1),
        ("stride", "step of the first layer in pixels", "count", lambda s: s.layer.stride),
        ("dead filters", dead, "count", lambda study: study.dead),
    ]


def _list_shares() -> list[Row]:
    theory = "energy of the first layer's response to natural images (1/f²) above the limit"
    photos = "the same, measured on the photos"
    return [
        ("alias share, theory", theory, "percent", lambda s: s.predicted.layer_share),
        ("alias share, photos", photos, "percent", lambda s: s.measured[None].layer_share),
        *(
            (
                f"alias share, photos, blur of {taps}",
                f"the same after a binomial of {taps} taps",
                "percent",
                partial(_share, taps),
            )
            for taps in BLURS[1:]
        ),
        (
            "aliased answers to gratings",
            "energy that an ideal low-pass layer would not have given, over all gratings",
            "percent",
            lambda s: s.sweep.aliased_share,
        ),
    ]


def _list_shifts(studies: Sequence[NetStudy]) -> list[Row]:
    stages = list_common_stages(studies)
    far = "features of the moved photo against the moved features, mean over photos and shifts"
    rows: list[Row] = [
        (f"distance, {name}", far, "number", partial(_distance, name)) for name in stages
    ]
    pairs = "pairs of shifts of a photo with the same first class"
    for taps in BLURS:
        label = "consistency" if taps is None else f"consistency, blur of {taps}"
        rows.append((label, pairs, "percent", partial(_consistency, taps)))
    stays = "photos whose class is the same with the blur as without"
    rows += [
        (f"class kept, blur of {taps}", stays, "percent", partial(_agreement, taps))
        for taps in BLURS[1:]
    ]
    return rows


def _share(taps: int | None, study: NetStudy) -> float:
    return study.measured[taps].layer_share


def _consistency(taps: int | None, study: NetStudy) -> float | None:
    return study.shifts[taps].consistency


def _distance(name: str, study: NetStudy) -> float | None:
    return study.measure_distance(None, name)


def _agreement(taps: int | None, study: NetStudy) -> float | None:
    return study.measure_agreement(taps)


def _list_grids() -> list[Row]:
    meaning = "energy of projections at the grid's frequencies over their surroundings, median unit"
    return [("grid artefact", meaning, "number", lambda study: study.grid)]


ZF = "Zeiler & Fergus report"
THEORY = "theory predicts"
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
    studies: Sequence[NetStudy],
    values: Sequence[float | None],
    better: Better,
    source: str = THEORY,
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
    shares = [study.predicted.layer_share for study in studies]
    limits = say_each(studies, lambda study: f"{study.layer.limit:g}")
    folded = say_each(studies, lambda study: percent(study.predicted.layer_share))
    return Chapter(
        "spectra",
        "What a stride folds",
        "Spectra of the filters, of their responses, and of what stays and what folds",
        "A stride of s keeps frequencies up to 1/(2s) cycles per pixel, the orange square "
        f"({limits}); what the filters pass beyond folds back onto it. Of the energy of the "
        f"responses to natural images (power 1/f² from 1/{GRID} to 1/2 cycles per pixel, the "
        f"photos' colours) fold: {folded}. "
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
        "edges: rings elsewhere are aliases. For each net one filter, the one that passes most of "
        "what its layer's stride folds (at stride 1: most of all), and the share of its answer to "
        f"grey noise that stride 2 and stride 4 fold: {chosen}. Framed where it is the net's own.",
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
        f"frequency (across, up) becomes {told}. Farthest that the layers' strongest responses "
        f"are from it: {say_each(studies, lambda study: f'{_miss(study):.0e}')} cycles per pixel.",
        lambda caption: pictures.draw_pattern(studies, "grating", caption),
    )


def _miss(study: NetStudy) -> float:
    """Find how far the strongest responses to the grating are from where theory folds them."""
    radial, angle = pictures.GRATING
    strides = (1, 2, 4)
    return max(sweep_gratings(study.layer, [radial], [angle], s).worst_miss for s in strides)


def _tell_sweep(studies: Sequence[NetStudy]) -> Chapter:
    shares = [study.sweep.aliased_share for study in studies]
    miss = max(study.sweep.worst_miss for study in studies)
    count = studies[0].sweep.strided.numel()
    answered = say_each(studies, lambda study: str(study.sweep.answered))
    aliased = say_each(studies, lambda study: percent(study.sweep.aliased_share))
    return Chapter(
        "sweep",
        "Gratings of every frequency",
        "Amplitude of the response by frequency, and the frequency at which it was found",
        f"{count} gratings, each sent through the real layers; answered: {answered}, each found "
        f"within {miss:.0e} cycles per pixel of where theory folds it. Of the answers' energy an "
        f"ideal low-pass layer would not have given: {aliased}. {_judge(studies, shares, 'less')}",
        lambda caption: plots.draw_sweep(studies, caption),
    )


def _tell_shifts(studies: Sequence[NetStudy]) -> Chapter:
    name = plots.list_common_stages(studies)[0]
    first = [study.measure_distance(None, name) for study in studies]
    distance = say_each(studies, lambda study: show_decimal(study.measure_distance(None, name)))
    same = say_each(studies, lambda study: percent(study.shifts[None].consistency))
    photos = len(studies[0].shifts[None].distances)
    farthest = studies[0].shifts[None].shifts[-1]
    return Chapter(
        "shifts",
        "The photo moves",
        "Relative distance of each layer's features by shift, and the change of the class score",
        f"{photos} photos, moved by 0 to {farthest} pixels. How far {name} is from its own "
        f"features moved along, on average: {distance}. {_judge(studies, first, 'less')} A unit "
        "that sees the photo's edge also sees new pixels come in, which the distance includes. "
        f"Pairs of shifts with the same first class: {same}.",
        lambda caption: plots.draw_shifts(studies, caption),
    )


def _tell_cure(studies: Sequence[NetStudy]) -> Chapter:
    stages = plots.list_common_stages(studies)
    blurs = say_each(studies, lambda study: str(study.blurred))
    same = say_each(studies, lambda study: percent(study.measure_agreement(STRONGEST_BLUR)))
    shares = _say_changes(studies, _share_of, "less", percent)
    consistency = _say_changes(studies, _consistency_of, "more", percent)
    changes = [
        f"distance in {name} " + _say_changes(studies, partial(_distance_of, name=name), "less")
        for name in dict.fromkeys((stages[0], stages[-1]))
    ]
    return Chapter(
        "cure",
        "The cure",
        "Alias share, distances and consistency without a blur, with one of 3 and of 5 taps",
        "A binomial blur (Zhang's BlurPool) before every subsampling that is a module of its own "
        f"({blurs}), the weights as they were, not trained anew. Without and with "
        f"{STRONGEST_BLUR} taps: share of the first layer's linear response to the photos that "
        f"folds {shares}; {'; '.join(changes)}; consistency of the class {consistency}. Photos "
        f"whose class stays what it was without a blur: {same}.",
        lambda caption: plots.draw_cure(studies, caption),
    )


def _say_changes(
    studies: Sequence[NetStudy],
    measure: Callable[[NetStudy, int | None], float | None],
    better: Better,
    write: Callable[[float], str] = show_decimal,
) -> str:
    before_and_after = [(measure(s, None), measure(s, STRONGEST_BLUR)) for s in studies]
    return ", ".join(
        judge_change(study.title, *values, better, write)
        for study, values in zip(studies, before_and_after, strict=True)
    )


def _share_of(study: NetStudy, blur: int | None) -> float:
    return study.measured[blur].layer_share


def _consistency_of(study: NetStudy, blur: int | None) -> float | None:
    return study.shifts[blur].consistency


def _distance_of(study: NetStudy, blur: int | None, name: str) -> float | None:
    return study.measure_distance(blur, name)


def _tell_second_layer(studies: Sequence[NetStudy], layer: str) -> Chapter:
    counts = say_each(studies, lambda study: str(sum(len(unit.patches) for unit in study.units)))
    drawn = say_each(studies, lambda study: str(len(pictures.choose_units(study.units))))
    return Chapter(
        "second-layer",
        f"What {layer} sees",
        f"Deconvnet projections of units of {layer}, up to nine photos to a unit",
        f"The photos that excite units of {layer} most, projected back to pixels; ZF's Figure 6 "
        f"(d) and (e) show the second layer so. Projections made: {counts}; units drawn, evenly "
        f"spread: {drawn}. Each projection at its own contrast, zero as mid grey.",
        lambda caption: pictures.draw_second_layer(studies, layer, caption),
    )


def _tell_grids(studies: Sequence[NetStudy], layer: str) -> Chapter:
    medians = [study.grid for study in studies]
    period = studies[0].period
    told = say_each(studies, lambda study: show_decimal(study.grid))
    counts = say_each(studies, lambda study: f"{len(study.grids)}")
    frequencies = " and ".join(str(Fraction(k, period)) for k in range(1, period // 2 + 1))
    return Chapter(
        "grids",
        "The grid in the projections",
        "Share of the units whose grid artefact is above a value",
        f"Energy of {layer}'s projections at {frequencies} cycles per pixel over that of the "
        "surroundings: about 1 (0.7 for smooth pictures) where there is no grid. Median over the "
        f"units ({counts}): {told}. {_judge(studies, medians, 'less', ZF)}",
        lambda caption: plots.draw_grids(studies, caption),
    )
