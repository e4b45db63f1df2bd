"""Projections on the disk -> the sheets of a portion's units, and the blocks of their posters."""

import os
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from math import isnan
from pathlib import Path

import numpy as np
import torch

from vizcnn.basics.files import hash_file, replacing
from vizcnn.basics.output import FigureFormat
from vizcnn.basics.processes import MOST_WORKERS, count_cores
from vizcnn.basics.progress import Progress
from vizcnn.basics.workers import limit_workers, work_through
from vizcnn.drawing.poster import POSTER_DPI, PosterBlock, choose_units, draw_poster
from vizcnn.drawing.saving import save_figure, save_image
from vizcnn.drawing.unit_sheets import (
    Pixels,
    SheetForm,
    lay_out,
    make_sheet,
    plan_large,
    plan_small,
    show_projections,
)
from vizcnn.drawing.words import describe_part, explain_selectivity
from vizcnn.pages.layers.job import Job
from vizcnn.pages.layers.pieces import Piece
from vizcnn.pages.layers.places import Part, Portion
from vizcnn.pages.layers.projecting import list_missing, name_unit, open_spools
from vizcnn.pages.layers.records import Place, write_median
from vizcnn.pages.layers.spool import Spool
from vizcnn.pages.layers.wording import (
    describe_contrast,
    describe_places,
    describe_units,
    name_pictures,
)
from vizcnn.projection.methods import describe_method

WORKER_BYTES = 100 << 20
"""Memory that a worker may take beside the spool."""
AT_ONCE = 64
"""Units that are handed to threads at a time, so that a Ctrl-C need not wait for all."""
CRISP_TIMES = 4
"""Whole pixels that a sheet is enlarged by from which on it is small without any loss."""


def write_sheets(job: Job, portion: Portion, progress: Progress) -> None:
    """Write the sheets of a portion's units; those that are finished stay.

    Args:
        job: The gallery.
        portion: Units whose projections are in the spool.
        progress: Shows how far it is.
    """
    count = sum(part.last - part.first for part in portion)
    missing = [list_missing(job, part) for part in portion]
    initial = count - sum(map(len, missing))
    # closed at once on an exception: nothing writes on behind the next run's back
    with closing(_write_each(job, portion, missing)) as written:
        for _ in progress(written, label="draw", total=count, unit="unit", initial=initial):
            pass


def _write_each(
    job: Job, portion: Portion, missing: Sequence[Sequence[int]]
) -> Generator[None, None, None]:
    spools = open_spools(job, portion)
    posted = [
        set(choose_poster_units(job, part.layer)) if job.settings.poster else set()
        for part in portion
    ]

    def write(unit: tuple[int, int]) -> Piece:
        number, row = unit
        return _write_unit(job, portion[number], spools[number], posted[number], row)

    units = [(number, row) for number, rows in enumerate(missing) for row in rows]
    workers = min(count_writers(job), len(units))
    if workers > 1:
        with closing(work_through(write, units, workers, "draws")) as pieces:
            yield from map(job.ledger.add, pieces)
        return
    with ThreadPoolExecutor(os.cpu_count()) as writers:
        for first in range(0, len(units), AT_ONCE):
            some = units[first : first + AT_ONCE]
            yield from writers.map(lambda unit: job.ledger.add(write(unit)), some)


def count_writers(job: Job) -> int:
    """Choose how many workers draw; 0 leaves it to threads of this process."""
    asked = job.settings.workers
    on_cpu = next(job.model.module.parameters()).device.type == "cpu"
    usual = torch.get_num_threads() if on_cpu else min(count_cores(), MOST_WORKERS)
    return limit_workers(usual if asked is None else asked, WORKER_BYTES)


def choose_poster_units(job: Job, layer: int) -> list[int]:
    """Choose the units of a layer's poster among those that are not silent."""
    plan, settings = job.layers[layer], job.settings
    answering = [unit for row, unit in enumerate(plan.units) if job.places[layer].count(row)]
    # each layer with units of its own: equal numbers would look like a relation
    seed = f"{settings.seed} {plan.name}"
    return choose_units(answering, plan.window, seed, settings.poster_units)


def plan_forms(job: Job, layer: int) -> tuple[SheetForm, SheetForm]:
    """Lay out the small and the large sheets of a layer."""
    window, top = job.layers[layer].window, job.settings.top
    return plan_small(window, top), plan_large(window, top)


def name_sheets(job: Job, layer: int, unit: int) -> tuple[str, str]:
    """Name the small and the large sheet of a unit, relative to the gallery."""
    folder = job.layers[layer].folder
    return f"{folder}/unit-{unit:04d}-small.webp", f"{folder}/unit-{unit:04d}-large.webp"


def name_block(job: Job, layer: int, unit: int) -> Path:
    """Give the file of a unit's block for the poster."""
    return job.work.blocks / f"{job.layers[layer].folder}-{unit:04d}.npy"


def _write_unit(job: Job, part: Part, spool: Spool, drawn: set[int], row: int) -> Piece:
    unit = job.layers[part.layer].units[row]
    count = job.places[part.layer].count(row)
    files = [job.work.site / name for name in name_sheets(job, part.layer, unit)]
    forms = plan_forms(job, part.layer)
    projections, patches = spool.load(row - part.first, count)
    shown = show_projections(projections, job.settings.scaling)
    window = job.layers[part.layer].window
    checksums = {}
    for path, form in zip(files, forms, strict=True):
        exact = form.tile[0] >= CRISP_TIMES * window[0]
        sheet = make_sheet(shown, patches, form)
        checksums[job.work.name_file(path)] = save_image(sheet, path, exact, flush=False)
    if unit in drawn:
        halves = np.stack([lay_out(shown, forms[1]), lay_out(patches, forms[1])])
        block = name_block(job, part.layer, unit)
        _save_block(halves, block)
        checksums[job.work.name_file(block)] = hash_file(block)
    boxes, corners = (
        tuple(map(tuple, array[row - part.first, :count].tolist()))
        for array in (spool.boxes, spool.corners)
    )
    evidence = spool.evidence[row - part.first, :count].tolist()
    return Piece(
        name=name_unit(part.layer, unit),
        files=checksums,
        boxes=boxes,
        corners=corners,
        evidence=tuple(tuple(None if isnan(x) else x for x in place) for place in evidence),
    )


def _save_block(halves: Pixels, path: Path) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, halves, allow_pickle=False)


POSTER_FORMATS: tuple[FigureFormat, ...] = ("png", "pdf", "svg")
"""Formats of a poster, that of browsers first."""


def write_posters(job: Job, progress: Progress) -> None:
    """Draw the posters of all layers; those that are finished stay."""
    layers = range(len(job.layers)) if job.settings.poster else range(0)
    for layer in progress(layers, label="posters", total=len(layers), unit="layer"):
        if name_posters(job, layer) and not job.ledger.find(f"poster {layer}"):
            _write_poster(job, layer)


def list_places(job: Job, layer: int, row: int) -> tuple[Place, ...]:
    """List the places of a unit whose sheets are written, strongest first; none if it is silent.

    Args:
        job: The gallery.
        layer: Number of the layer.
        row: Row of the unit among the layer's chosen ones.
    """
    plan, places = job.layers[layer], job.places[layer]
    count = places.count(row)
    if not count:
        return ()
    piece = job.ledger.need(name_unit(layer, plan.units[row]))
    return tuple(
        Place(
            photo=job.find_shown(int(places.photos[row, rank])),
            activation=float(places.activations[row, rank]),
            position=tuple(places.positions[row, rank].tolist()) if plan.map_size else None,
            box=piece.boxes[rank],
            corner=piece.corners[rank],
            **piece.read_evidence(rank),
        )
        for rank in range(count)
    )


def name_posters(job: Job, layer: int) -> tuple[str, ...]:
    """Name a layer's posters, relative to the gallery; none for a layer that is silent."""
    if not job.settings.poster or not choose_poster_units(job, layer):
        return ()
    return tuple(f"posters/{job.layers[layer].folder}.{kind}" for kind in POSTER_FORMATS)


def _write_poster(job: Job, layer: int) -> None:
    plan, settings, model = job.layers[layer], job.settings, job.model
    units = choose_poster_units(job, layer)
    selectivities = [
        write_median(list_places(job, layer, plan.units.index(unit))) for unit in units
    ]
    blocks = [
        _read_block(job, layer, unit, selectivity)
        for unit, selectivity in zip(units, selectivities, strict=True)
    ]
    answering = sum(job.places[layer].count(row) > 0 for row in range(len(plan.units)))
    caption = " · ".join(
        (
            model.provenance.describe(),
            job.photos.describe(),
            f"{job.projector.method.name} ({describe_method(job.projector.method)})",
            describe_part(settings.part),
            describe_contrast(settings.scaling, settings.top),
            *_explain(selectivities),
        )
    )
    figure = draw_poster(
        blocks,
        f"{model.title} {plan.name}",
        f"{describe_units(plan, answering, len(units))}; "
        f"for each {describe_places(settings.top, settings.per_photo)} · "
        f"each sees {plan.field[0]} × {plan.field[1]} px",
        caption,
        name_pictures(settings.part),
    )
    files = [job.work.site / name for name in name_posters(job, layer)]
    for path in files:
        save_figure(figure, path, POSTER_DPI)
    job.ledger.add(Piece(name=f"poster {layer}"), files)


def _explain(selectivities: Sequence[str]) -> list[str]:
    """Explain the numbers after the units, if there are any."""
    if not any(selectivities):
        return []
    return [f"{explain_selectivity(name='after the dot')}; median of its places"]


def _read_block(job: Job, layer: int, unit: int, selectivity: str) -> PosterBlock:
    projections, patches = np.load(name_block(job, layer, unit), allow_pickle=False)
    name = job.layers[layer].classes[unit] if job.layers[layer].classes else ""
    label = f"{unit} {name}".strip() + (f" · {selectivity}" if selectivity else "")
    return PosterBlock(label, projections, patches)
