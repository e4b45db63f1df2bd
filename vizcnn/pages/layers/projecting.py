"""Photos -> projections of the places that they hold, lot by lot, into a spool on the disk."""

import hashlib
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vizcnn.basics.errors import DataError, ImageError
from vizcnn.basics.progress import Progress
from vizcnn.drawing.saving import save_image
from vizcnn.pages.layers.job import Job, refuse_changed
from vizcnn.pages.layers.layer_plans import LayerPlan
from vizcnn.pages.layers.places import NOWHERE, Part, Portion, find_slots
from vizcnn.pages.layers.spool import Spool, open_spool
from vizcnn.photos.pixels import Array
from vizcnn.projection.projection import Projection
from vizcnn.projection.windows import Windows, move
from vizcnn.recording.recording import Recording

LOT_PIXELS, LOT_PHOTOS = 16 * 128 * 128, 16
"""Pixels of a lot, whose forward pass is kept in memory, and the most photos in it."""
TOLERANCE = 1e-3
"""Relative difference to the index's activation that other batches and devices explain."""
ROUNDING = 1e-5
"""The same of the layer's largest activation, for units whose large sums all but cancel."""
READERS = 4
"""Threads that read the next lot's photos."""

Slot = tuple[int, int, int]
"""Index of the photo in its lot, row in the layer, rank."""


def project_portion(job: Job, portion: Portion, number: int, done: int, progress: Progress) -> None:
    """Project all places of a portion; what a lot gave is on the disk before the next begins.

    Args:
        job: The gallery.
        portion: Units of which the places are projected.
        number: The portion's number.
        done: Lots that a run before this one has done.
        progress: Shows how far it is.

    Raises:
        DataError: If a photo is gone, cannot be read any more, or is another than was mined.
    """
    spools = open_spools(job, portion)
    lots = cut_lots(job, portion)
    with closing(_read_ahead(job, lots[done:])) as pixels:
        rest = range(done, len(lots))
        for lot in progress(rest, label="project", total=len(lots), unit="lot", initial=done):
            recorded = _record(job, portion, lots[lot], next(pixels))
            for part, spool in zip(portion, spools, strict=True):
                _project_part(job, part, spool, recorded)
                spool.flush()
            job.facts.flush()
            job.work.write_done(number, lot + 1)


def open_spools(job: Job, portion: Portion) -> list[Spool]:
    """Open the spool of each part of a portion."""
    return [
        open_spool(
            job.work.spool,
            f"{part.layer}-{part.first}",
            part.last - part.first,
            job.settings.top,
            job.layers[part.layer].window,
        )
        for part in portion
    ]


def cut_lots(job: Job, portion: Portion) -> list[tuple[int, ...]]:
    """Cut the photos of a portion into lots, in their order; the machine has no say in it."""
    used = {
        int(photo)
        for part in portion
        for photo in np.unique(job.places[part.layer].photos[part.first : part.last])
    }
    photos = sorted(used - {NOWHERE})
    size = min(max(LOT_PIXELS // job.model.input_size**2, 1), LOT_PHOTOS)
    return [tuple(photos[start : start + size]) for start in range(0, len(photos), size)]


def _read_ahead(job: Job, lots: Sequence[Sequence[int]]) -> Generator[Tensor, None, None]:
    """Give the pixels of lots (N, 3, S, S), uint8, the next being read meanwhile."""
    numbers = {name: number for number, name in enumerate(job.photos.names)}

    def read(photo: int) -> Tensor:
        name = job.index.photos[photo]
        try:
            pixels = job.photos.read(numbers[name])
        except ImageError as error:
            raise DataError(f"{error}; when it was mined it could be read") from None
        _keep_photo(job, photo, pixels)
        return pixels

    with ThreadPoolExecutor(READERS) as readers:
        waiting = [readers.submit(read, photo) for photo in (lots[0] if lots else ())]
        for following in (*lots[1:], ()):
            reading = [readers.submit(read, photo) for photo in following]
            yield torch.stack([future.result() for future in waiting])
            waiting = reading


def _keep_photo(job: Job, photo: int, pixels: Tensor) -> None:
    """Write what the net saw of a photo, and note its checksum."""
    number = job.find_shown(photo)
    path = job.work.site / name_photo_file(number)
    shown = pixels.permute(1, 2, 0).numpy()
    if not path.exists():
        save_image(shown, path, exact=False)
    digest = hashlib.sha256(np.ascontiguousarray(shown).tobytes()).digest()
    job.facts.digests[number] = np.frombuffer(digest, dtype=np.uint8)


def name_photo_file(number: int) -> str:
    """Name the image of a shown photo.

    Example:
        >>> name_photo_file(0)
        'photos/00001.webp'
    """
    return f"photos/{number + 1:05d}.webp"


@dataclass(frozen=True, eq=False)
class _Lot:
    """Some photos: their numbers in the index, pixels (N, 3, S, S) in uint8, and forward pass."""

    photos: Sequence[int]
    pixels: Tensor
    recording: Recording


def _record(job: Job, portion: Portion, photos: Sequence[int], pixels: Tensor) -> _Lot:
    layers = dict.fromkeys(job.layers[part.layer].name for part in portion)
    return _Lot(photos, pixels, job.projector.record(pixels.float() / 255, list(layers)))


def _project_part(job: Job, part: Part, spool: Spool, lot: _Lot) -> None:
    height, width = job.layers[part.layer].window
    size = max(job.room.call // (12 * height * width), 1)
    slots = list(find_slots(job.places[part.layer], part, lot.photos))
    for first in range(0, len(slots), size):
        _project_slots(job, part, spool, lot, slots[first : first + size])


def _project_slots(job: Job, part: Part, spool: Spool, lot: _Lot, slots: Sequence[Slot]) -> None:
    plan, places = job.layers[part.layer], job.places[part.layer]
    projection = job.projector.project_places(
        lot.recording,
        plan.name,
        torch.tensor([photo for photo, _, _ in slots]),
        torch.tensor([plan.units[row] for _, row, _ in slots]),
        torch.tensor(np.stack([places.positions[row, rank] for _, row, rank in slots])),
    )
    _check_activations(job, part, projection, lot.photos, slots)
    windows, corners = _cut_windows(job, plan, projection)
    boxes, (height, width) = projection.boxes.cpu().numpy(), plan.window
    for number, (photo, row, rank) in enumerate(slots):
        top, left = corners[number].tolist()
        patch = lot.pixels[photo, :, top : top + height, left : left + width]
        spool.store(row - part.first, rank, windows[number], patch.permute(1, 2, 0).numpy())
        job.facts.boxes[part.layer][row, rank] = boxes[number]
        job.facts.corners[part.layer][row, rank] = corners[number]


def _check_activations(
    job: Job, part: Part, projection: Projection, photos: Sequence[int], slots: Sequence[Slot]
) -> None:
    """Compare with what was mined: another photo under the same name has other activations."""
    mined = job.places[part.layer].activations
    wanted = np.array([mined[row, rank] for _, row, rank in slots])
    got = projection.activations.detach().float().cpu().numpy()
    rounding = ROUNDING * np.abs(mined[np.isfinite(mined)]).max()
    wrong = np.abs(got - wanted) > TOLERANCE * np.abs(wanted) + rounding
    if wrong.any():
        names = (job.index.photos[photos[slots[k][0]]] for k in np.flatnonzero(wrong).tolist())
        refuse_changed(list(dict.fromkeys(names)))


def _cut_windows(job: Job, plan: LayerPlan, projection: Projection) -> tuple[Array, Tensor]:
    """Give the projections (R, h, w, 3) in the layer's windows, and the windows' corners (R, 2)."""
    windows = job.model.preprocessing.to_visible(projection.windows).detach().float().cpu()
    corners, boxes = projection.corners.cpu(), projection.boxes.cpu()
    if windows.shape[-2:] != plan.window:
        # projections over the full image, or places whose fields are all smaller
        limits = torch.tensor(projection.size) - torch.tensor(plan.window)
        goal = Windows(boxes[:, :2].minimum(limits), plan.window)
        windows, corners = move(windows, corners, goal), goal.corners
    return windows.permute(0, 2, 3, 1).numpy(), corners
