"""A finished gallery in words and numbers: its manifest."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from statistics import median, median_low
from typing import TypeVar

from vizcnn.drawing.unit_sheets import measure_strip, plan_strip
from vizcnn.gallery.manifest import Failure, Manifest, Photo
from vizcnn.mining.photo_sets import find_framing, find_source, list_left_out
from vizcnn.mining.ranks import PERCENTILES
from vizcnn.pages.layers.job import Job
from vizcnn.pages.layers.pooled_units import list_kinds
from vizcnn.pages.layers.projecting import name_photo, name_photo_file
from vizcnn.pages.layers.records import (
    LayerEvidence,
    LayerSheets,
    PercentilePlace,
    PhotoData,
    Place,
    UnitRange,
    UnitSheets,
    find_median,
)
from vizcnn.pages.layers.sheet_files import (
    list_places,
    list_range,
    name_posters,
    name_range,
    name_sheets,
    plan_forms,
)
from vizcnn.pages.layers.site_pages import LayersResults
from vizcnn.pages.layers.wording import describe_contrast, list_notes
from vizcnn.pages.page import describe_run
from vizcnn.photos.folders import SHOWN_NAMES
from vizcnn.photos.framing import Framing
from vizcnn.projection.methods import describe_method

AnyPlace = TypeVar("AnyPlace", bound=Place)

UnitCommand = Callable[[str, int], str]
"""Gives the command that repeats one unit of a layer."""


UnitPython = Callable[[str, int, str, tuple[int, int] | None], str]
"""Gives lines of Python for a unit of a layer, in a photo by its name, at a place if it has one."""


def describe_gallery(
    job: Job, command: str, unit_command: UnitCommand, unit_python: UnitPython
) -> Manifest[LayersResults]:
    """Describe what was made.

    Args:
        job: The gallery; all its files are written.
        command: The command that repeats the run.
        unit_command: Gives the command that repeats one unit of a layer.
        unit_python: Gives the lines of Python for one unit.
    """
    method, index = job.projector.method, job.index
    left_out = list_left_out(job.photos)
    framings = _frame_padded(job)
    kinds = list_kinds(job)
    results = LayersResults(
        method=method.name,
        part=job.settings.part,
        rank=job.settings.rank,
        seed=job.settings.seed if job.settings.rank == "random" else 0,
        method_source=describe_method(method),
        data=PhotoData(
            describe=job.photos.describe(),
            count=len(index.photos) - len(index.failures),
            left_out=len(left_out),
            left_out_names=left_out[:SHOWN_NAMES],
            unclassed=index.unclassed,
            machines=index.machines,
        ),
        machines=kinds if len(kinds) > 1 else (),
        layers=tuple(
            _describe_layer(job, number, unit_command, unit_python, framings)
            for number in range(len(job.layers))
        ),
    )
    names = job.photos.names  # sorted, as those of every set
    settings = asdict(job.settings)
    del settings["workers"]  # it changes nothing in the result
    for name, usual in {"rank": "activation", "ranges": False}.items():
        if settings[name] == usual:  # as in galleries from before there was a choice
            del settings[name]
    photos = [
        Photo(
            name=index.photos[photo],
            source=find_source(job.photos, bisect_left(names, index.photos[photo])),
            sha256=job.ledger.need(name_photo(number)).digest,
            image=name_photo_file(number),
        )
        for number, photo in enumerate(job.shown)
    ]
    failures = [Failure(source=name, error=error) for name, error in index.failures]
    return describe_run(results, job.model.title, [job.model], settings, command, photos, failures)


def _frame_padded(job: Job) -> list[Framing | None]:
    """Tell where shown photos lie in the net's input, if there is padding around them."""
    if job.model.preprocessing.fitting != "pad":
        return [None] * len(job.shown)
    names = job.photos.names
    numbers = (bisect_left(names, job.index.photos[photo]) for photo in job.shown)
    return [find_framing(job.photos, number) for number in numbers]


def _describe_layer(
    job: Job,
    number: int,
    unit_command: UnitCommand,
    unit_python: UnitPython,
    framings: Sequence[Framing | None],
) -> LayerSheets:
    plan = job.layers[number]
    small, large = plan_forms(job, number)
    units = tuple(
        _describe_unit(job, number, row, unit_command(plan.name, unit), unit_python, framings)
        for row, unit in enumerate(plan.units)
    )
    return LayerSheets(
        name=plan.name,
        path=plan.path,
        folder=plan.folder,
        units_total=plan.units_total,
        map_size=plan.map_size,
        receptive_field=plan.field,
        stride=plan.stride,
        window=plan.window,
        computed=plan.computed,
        scaling=describe_contrast(job.settings.scaling, job.settings.top),
        grid=(large.rows, large.columns),
        small_px=small.size,
        large_px=large.size,
        large_gaps=(large.gap, large.middle),
        evidence=_describe_evidence(units),
        units=units,
        posters=name_posters(job, number),
        notes=list_notes(job, number),
        range_px=measure_strip(plan_strip(plan.window, len(PERCENTILES)))
        if job.settings.ranges
        else None,
    )


def _describe_unit(
    job: Job,
    layer: int,
    row: int,
    command: str,
    unit_python: UnitPython,
    framings: Sequence[Framing | None],
) -> UnitSheets:
    plan = job.layers[layer]
    unit = plan.units[row]
    places = tuple(_find_padding(place, framings) for place in list_places(job, layer, row))
    ranged = tuple(_find_padding(place, framings) for place in list_range(job, layer, row))
    small, large = name_sheets(job, layer, unit) if places else (None, None)
    python = ""
    best = next((place for place in places if not place.silent), None)
    if best:
        photo = job.index.photos[job.shown[best.photo]]
        python = unit_python(plan.name, unit, photo, best.position)
    return UnitSheets(
        unit=unit,
        name=plan.classes[unit] if plan.classes else "",
        spread=measure_spread([place.activation for place in places])
        if job.settings.rank == "activation"
        else None,
        selectivity=find_median(places),
        places=places,
        command=command,
        python=python,
        small=small,
        large=large,
        range=_describe_range(job, layer, unit, ranged) if ranged else None,
    )


def _find_padding(place: AnyPlace, framings: Sequence[Framing | None]) -> AnyPlace:
    framing = framings[place.photo]
    return replace(place, padding=framing.find_padding(place.box)) if framing else place


def _describe_range(
    job: Job, layer: int, unit: int, places: tuple[PercentilePlace, ...]
) -> UnitRange:
    silent = int(job.index.ranges[job.layers[layer].name].silent[unit])
    return UnitRange(
        places=places,
        silent=silent / (len(job.index.photos) - len(job.index.failures)),
        image=name_range(job, layer, unit),
    )


def measure_spread(activations: list[float]) -> float | None:
    """Give (strongest - weakest) / strongest; None where nothing is to be compared.

    Example:
        >>> measure_spread([4.0, 3.0]), measure_spread([4.0]), measure_spread([-1.0, -2.0])
        (0.25, None, None)
    """
    if len(activations) < 2 or activations[0] <= 0:
        return None
    return (activations[0] - activations[-1]) / activations[0]


def _describe_evidence(units: Sequence[UnitSheets]) -> LayerEvidence | None:
    """Give the medians over a layer's different places; None where nothing can be compared."""
    places = {(place.photo, place.position): place for unit in units for place in unit.places}
    told = [
        (place.effective_number, place.compared, place.active)
        for place in places.values()
        if place.effective_number is not None and place.compared and (place.active or 0) > 1
    ]
    if not told:
        return None
    numbers, compared, active = zip(*told, strict=True)
    known = [unit.selectivity for unit in units if unit.selectivity is not None]
    return LayerEvidence(
        effective_number=median(numbers),
        places=len(told),
        compared=median_low(compared),
        active=median_low(active),
        selectivity=median(known) if known else None,
        sampled=sum(some < every for some, every in zip(compared, active, strict=True)),
    )
