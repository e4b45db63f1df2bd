"""A finished gallery in words and numbers: its manifest."""

from collections.abc import Callable
from dataclasses import asdict

from vizcnn.gallery.manifest import Failure, Manifest, Photo
from vizcnn.mining.photo_sets import list_left_out
from vizcnn.pages.layers.job import Job
from vizcnn.pages.layers.pieces import Piece
from vizcnn.pages.layers.projecting import name_photo, name_photo_file, name_unit
from vizcnn.pages.layers.records import LayerSheets, PhotoData, Place, UnitSheets
from vizcnn.pages.layers.sheet_files import name_posters, name_sheets, plan_forms
from vizcnn.pages.layers.site_pages import LayersResults
from vizcnn.pages.layers.wording import describe_contrast, list_notes
from vizcnn.pages.page import describe_run
from vizcnn.photos.folders import SHOWN_NAMES
from vizcnn.projection.methods import describe_method

UnitCommand = Callable[[str, int], str]
"""Gives the command that repeats one unit of a layer."""


def describe_gallery(job: Job, command: str, unit_command: UnitCommand) -> Manifest[LayersResults]:
    """Describe what was made.

    Args:
        job: The gallery; all its files are written.
        command: The command that repeats the run.
        unit_command: Gives the command that repeats one unit of a layer.
    """
    method, index = job.projector.method, job.index
    left_out = list_left_out(job.photos)
    results = LayersResults(
        method=method.name,
        method_source=describe_method(method),
        data=PhotoData(
            describe=job.photos.describe(),
            count=len(index.photos) - len(index.failures),
            left_out=len(left_out),
            left_out_names=left_out[:SHOWN_NAMES],
        ),
        layers=tuple(
            _describe_layer(job, number, unit_command) for number in range(len(job.layers))
        ),
    )
    settings = asdict(job.settings)
    del settings["workers"]  # it changes nothing in the result
    photos = [
        Photo(
            name=index.photos[photo],
            sha256=_find_piece(job, name_photo(number)).digest,
            image=name_photo_file(number),
        )
        for number, photo in enumerate(job.shown)
    ]
    failures = [Failure(source=name, error=error) for name, error in index.failures]
    return describe_run(results, job.model.title, [job.model], settings, command, photos, failures)


def _describe_layer(job: Job, number: int, unit_command: UnitCommand) -> LayerSheets:
    plan = job.layers[number]
    small, large = plan_forms(job, number)
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
        units=tuple(
            _describe_unit(job, number, row, unit_command(plan.name, unit))
            for row, unit in enumerate(plan.units)
        ),
        posters=name_posters(job, number),
        notes=list_notes(job, number),
    )


def _describe_unit(job: Job, layer: int, row: int, command: str) -> UnitSheets:
    plan = job.layers[layer]
    unit = plan.units[row]
    count = job.places[layer].count(row)
    piece = _find_piece(job, name_unit(layer, unit)) if count else Piece(name="silent")
    places = tuple(_describe_place(job, layer, row, rank, piece) for rank in range(count))
    small, large = name_sheets(job, layer, unit) if places else (None, None)
    return UnitSheets(
        unit=unit,
        name=plan.classes[unit] if plan.classes else "",
        spread=measure_spread([place.activation for place in places]),
        places=places,
        command=command,
        small=small,
        large=large,
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


def _find_piece(job: Job, name: str) -> Piece:
    piece = job.ledger.find(name)
    assert piece is not None, name  # all are finished before they are described
    return piece


def _describe_place(job: Job, layer: int, row: int, rank: int, piece: Piece) -> Place:
    places = job.places[layer]
    photo = int(places.photos[row, rank])
    position = places.positions[row, rank].tolist()
    return Place(
        photo=job.find_shown(photo),
        activation=float(places.activations[row, rank]),
        position=(position[0], position[1]) if job.layers[layer].map_size else None,
        box=piece.boxes[rank],
        corner=piece.corners[rank],
    )
