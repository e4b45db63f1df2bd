"""The table of the lab: every measure of every net."""

from collections.abc import Callable, Sequence
from functools import partial

from vizcnn.aliasing.plots import list_common_stages
from vizcnn.aliasing.study import BLURS, NetStudy
from vizcnn.gallery.aliasing_manifest import Form, Measure

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
