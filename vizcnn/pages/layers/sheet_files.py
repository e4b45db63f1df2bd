"""Projections on the disk -> the sheets of a portion's units, and the blocks of their posters."""

import os
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from math import isnan, nan
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

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
    draw_silent,
    fit_photo,
    lay_out,
    make_sheet,
    make_strip,
    plan_large,
    plan_small,
    plan_strip,
    show_projections,
)
from vizcnn.drawing.words import describe_part, explain_selectivity
from vizcnn.mining.ranks import PERCENTILES
from vizcnn.pages.layers.job import Job, TopSettings
from vizcnn.pages.layers.pieces import Piece
from vizcnn.pages.layers.places import NOWHERE, Part, Portion
from vizcnn.pages.layers.projecting import (
    list_missing,
    name_photo_file,
    name_unit,
    open_spools,
)
from vizcnn.pages.layers.records import PercentilePlace, Place, write_median
from vizcnn.pages.layers.spool import EVIDENCE, Spool
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


def name_range(job: Job, layer: int, unit: int) -> str:
    """Name the picture of a unit's range, relative to the gallery."""
    return f"{job.layers[layer].folder}/unit-{unit:04d}-range.webp"


def name_block(job: Job, layer: int, unit: int) -> Path:
    """Give the file of a unit's block for the poster."""
    return job.work.blocks / f"{job.layers[layer].folder}-{unit:04d}.npy"


def _write_unit(job: Job, part: Part, spool: Spool, drawn: set[int], row: int) -> Piece:
    unit = job.layers[part.layer].units[row]
    slots = job.places[part.layer].list_slots(row)
    top, window = job.settings.top, job.layers[part.layer].window
    checksums = {}

    def save(image: Pixels, name: str, form: SheetForm) -> None:
        path = job.work.site / name
        exact = form.tile[0] >= CRISP_TIMES * window[0]
        checksums[job.work.name_file(path)] = save_image(image, path, exact, flush=False)

    listed = _load_tiles(job, part, spool, row, [slot for slot in slots if slot < top])
    if listed.whole or listed.projections:
        forms = plan_forms(job, part.layer)
        for name, form in zip(name_sheets(job, part.layer, unit), forms, strict=True):
            save(make_sheet(*listed.fit(form), form), name, form)
        if unit in drawn:
            halves = np.stack([lay_out(tiles, forms[1]) for tiles in listed.fit(forms[1])])
            block = name_block(job, part.layer, unit)
            _save_block(halves, block)
            checksums[job.work.name_file(block)] = hash_file(block)
    ranged = _load_tiles(job, part, spool, row, [slot for slot in slots if slot >= top])
    if ranged.whole or ranged.projections:
        form = plan_strip(window, len(PERCENTILES))
        labels = [_label(job, part, row, slot) for slot in ranged.slots]
        strip = make_strip(*ranged.fit(form), labels, form)
        save(strip, name_range(job, part.layer, unit), form)
    size = job.model.input_size
    boxes, corners, evidence = [], [], []
    for slot in slots:
        at, is_silent = (row - part.first, slot), slot in listed.whole or slot in ranged.whole
        boxes.append((0, 0, size, size) if is_silent else tuple(spool.boxes[at].tolist()))
        corners.append((0, 0) if is_silent else tuple(spool.corners[at].tolist()))
        facts = [nan] * len(EVIDENCE) if is_silent else spool.evidence[at].tolist()
        evidence.append(tuple(None if isnan(fact) else fact for fact in facts))
    return Piece(
        name=name_unit(part.layer, unit),
        files=checksums,
        boxes=tuple(boxes),
        corners=tuple(corners),
        evidence=tuple(evidence),
    )


@dataclass(frozen=True)
class _Tiles:
    """What some slots of a unit show.

    Attributes:
        slots: Their numbers.
        projections, patches: Of those in which the unit is not silent, in their order.
        whole: Of the others the photos.
    """

    slots: Sequence[int]
    projections: Sequence[Pixels]
    patches: Sequence[Pixels]
    whole: Mapping[int, Pixels]

    def fit(self, form: SheetForm) -> tuple[list[Pixels], list[Pixels]]:
        """Give the tiles of both halves of a sheet, in the order of the slots."""
        shown = zip(self.projections, self.patches, strict=True)
        tiles = [
            (draw_silent(form.tile), fit_photo(self.whole[slot], form.tile))
            if slot in self.whole
            else next(shown)
            for slot in self.slots
        ]
        return [left for left, _ in tiles], [right for _, right in tiles]


def _load_tiles(job: Job, part: Part, spool: Spool, row: int, slots: Sequence[int]) -> _Tiles:
    places = job.places[part.layer]
    whole = {
        slot: _read_photo(job, int(places.silent[row, slot]))
        for slot in slots
        if places.silent[row, slot] != NOWHERE
    }
    projected = [slot for slot in slots if slot not in whole]
    projections, patches = spool.load(row - part.first, projected)
    shown = show_projections(projections, job.settings.scaling)
    return _Tiles(slots, shown, patches, whole)


def _label(job: Job, part: Part, row: int, slot: int) -> str:
    """Say which percentile a slot of a range is, and what the maximum is there."""
    places = job.places[part.layer]
    percentile = f"{PERCENTILES[slot - places.top]} %"
    if places.silent[row, slot] != NOWHERE:
        return percentile
    return f"{percentile}: {places.activations[row, slot]:.3g}"


def _read_photo(job: Job, photo: int) -> Pixels:
    """Read what the net saw of a photo, as it was kept for the pages."""
    with Image.open(job.work.site / name_photo_file(job.find_shown(photo))) as image:
        return np.asarray(image.convert("RGB"))


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
    """List the places of a unit whose sheets are written, by their rank; none if it is silent.

    Args:
        job: The gallery.
        layer: Number of the layer.
        row: Row of the unit among the layer's chosen ones.
    """
    places = job.places[layer]
    return tuple(
        Place(**_describe_slot(job, layer, row, number, slot))
        for number, slot in enumerate(places.list_slots(row))
        if slot < places.top
    )


def list_range(job: Job, layer: int, row: int) -> tuple[PercentilePlace, ...]:
    """List the photos of a unit's range; none if there is none, or the unit is silent.

    Args:
        job: The gallery.
        layer: Number of the layer.
        row: Row of the unit among the layer's chosen ones.
    """
    places = job.places[layer]
    return tuple(
        PercentilePlace(
            percentile=PERCENTILES[slot - places.top],
            **_describe_slot(job, layer, row, number, slot),
        )
        for number, slot in enumerate(places.list_slots(row))
        if slot >= places.top
    )


def _describe_slot(job: Job, layer: int, row: int, number: int, slot: int) -> dict[str, Any]:
    """Give the fields of a place's record; the slot is the unit's so many-th that is shown."""
    plan, places = job.layers[layer], job.places[layer]
    piece = job.ledger.need(name_unit(layer, plan.units[row]))
    is_silent = bool(places.silent[row, slot] != NOWHERE)
    photo = places.find(row, slot)
    facts: dict[str, Any] = {}
    if places.relevances is not None and slot < places.top:
        facts["relevance"] = float(places.relevances[row, slot])
        facts["true_class"] = job.name_class(photo)
    has_place = plan.map_size and not is_silent
    return {
        "photo": job.find_shown(photo),
        "activation": float(places.activations[row, slot]),
        "position": tuple(places.positions[row, slot].tolist()) if has_place else None,
        "box": piece.boxes[number],
        "corner": piece.corners[number],
        "silent": is_silent,
        **facts,
        **piece.read_evidence(number),
    }


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
        f"for each {_describe_places(settings)} · "
        f"each sees {plan.field[0]} × {plan.field[1]} px",
        caption,
        name_pictures(settings.part),
    )
    files = [job.work.site / name for name in name_posters(job, layer)]
    for path in files:
        save_figure(figure, path, POSTER_DPI)
    job.ledger.add(Piece(name=f"poster {layer}"), files)


def _describe_places(settings: TopSettings) -> str:
    return describe_places(settings.top, settings.per_photo, settings.rank, settings.seed)


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
