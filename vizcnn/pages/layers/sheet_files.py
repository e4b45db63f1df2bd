"""Projections on the disk -> the sheets of a portion's units, and the blocks of their posters."""

import os
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np

from vizcnn.files import replacing
from vizcnn.progress import Progress
from vizcnn.saving import save_image
from vizcnn.top_gallery.job import Job
from vizcnn.top_gallery.places import Part, Portion
from vizcnn.top_gallery.poster import choose_units
from vizcnn.top_gallery.projecting import open_spools
from vizcnn.top_gallery.sheets import (
    Pixels,
    SheetForm,
    lay_out,
    make_sheet,
    plan_large,
    plan_small,
    show_projections,
)
from vizcnn.top_gallery.spool import Spool

AT_ONCE = 64
"""Units that are handed to the writers at a time, so that a Ctrl-C need not wait for all."""
CRISP_TIMES = 4
"""Whole pixels that a sheet is enlarged by from which on it is small without any loss."""


def write_sheets(job: Job, portion: Portion, progress: Progress) -> None:
    """Write the sheets of a portion's units; those that are there already stay.

    Args:
        job: The gallery.
        portion: Units whose projections are in the spool.
        progress: Shows how far it is.
    """
    count = sum(part.last - part.first for part in portion)
    # closed at once on an exception: no thread writes on behind the next run's back
    with closing(_write_each(job, portion)) as written:
        for _ in progress(written, label="draw", total=count, unit="unit"):
            pass


def _write_each(job: Job, portion: Portion) -> Generator[None, None, None]:
    with ThreadPoolExecutor(os.cpu_count()) as writers:
        for part, spool in zip(portion, open_spools(job, portion), strict=True):
            drawn = set(choose_poster_units(job, part.layer)) if job.settings.poster else set()
            write = partial(_write_unit, job, part, spool, drawn)
            for first in range(part.first, part.last, AT_ONCE):
                yield from writers.map(write, range(first, min(first + AT_ONCE, part.last)))


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


def _write_unit(job: Job, part: Part, spool: Spool, drawn: set[int], row: int) -> None:
    unit = job.layers[part.layer].units[row]
    count = job.places[part.layer].count(row)
    small, large = (job.work.site / name for name in name_sheets(job, part.layer, unit))
    if not count or (small.exists() and large.exists()):
        return
    projections, patches = spool.load(row - part.first, count)
    shown = show_projections(projections, job.settings.scaling)
    small_form, large_form = plan_forms(job, part.layer)
    if unit in drawn:  # before the sheets: where they are, it is too
        halves = np.stack([lay_out(shown, large_form), lay_out(patches, large_form)])
        _save_block(halves, name_block(job, part.layer, unit))
    window = job.layers[part.layer].window
    for path, form in ((small, small_form), (large, large_form)):
        exact = form.tile[0] >= CRISP_TIMES * window[0]
        save_image(make_sheet(shown, patches, form), path, exact)


def _save_block(halves: Pixels, path: Path) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, halves, allow_pickle=False)
