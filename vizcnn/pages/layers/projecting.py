"""Photos -> projections of the places that they hold, lot by lot, into a spool on the disk."""

import hashlib
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vizcnn.basics.errors import DataError, ImageError
from vizcnn.basics.progress import Progress
from vizcnn.drawing.saving import save_image
from vizcnn.mining.index import hash_pixels
from vizcnn.pages.layers.job import Job, refuse_changed
from vizcnn.pages.layers.layer_plans import LayerPlan
from vizcnn.pages.layers.pieces import Piece
from vizcnn.pages.layers.places import NOWHERE, Part, Portion, find_slots
from vizcnn.pages.layers.spool import EVIDENCE, Spool, open_spool
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

LOT_KIND = "lot"
"""First word of the names of lots among the finished pieces."""

Slot = tuple[int, int, int]
"""Index of the photo in its lot, row in the layer, rank."""


def project_portion(job: Job, portion: Portion, progress: Progress) -> None:
    """Project the places of a portion's units whose sheets are missing, lot by lot.

    A lot is projected as a whole or not at all, so that each projection has always the same
    company, on which its last digits may depend.

    Args:
        job: The gallery.
        portion: Units of which the places are projected.
        progress: Shows how far it is.

    Raises:
        DataError: If a photo is gone, cannot be read any more, or is another than was mined.
    """
    job.work.clear_spool([_name_spool(part) for part in portion])
    spools = open_spools(job, portion)
    wanted = {
        photo
        for part in portion
        for row in list_missing(job, part)
        for photo in job.places[part.layer].photos[row].tolist()
    }
    needed = [lot for lot in cut_lots(job, portion) if wanted & set(lot)]
    lots = [lot for lot in needed if not _is_projected(job, portion, spools, lot)]
    damaged = sum(job.ledger.find(_name_lot(portion, lot)) is not None for lot in lots)
    if damaged:
        job.notice(f"{damaged} lot(s) of projections are missing or damaged: they are made anew")
    initial = len(needed) - len(lots)
    with closing(_read_ahead(job, lots)) as pixels:
        for lot in progress(lots, label="project", total=len(needed), unit="lot", initial=initial):
            recorded = _record(job, portion, lot, next(pixels))
            for part, spool in zip(portion, spools, strict=True):
                _project_part(job, part, spool, recorded)
            digest = _hash_lot(job, portion, spools, lot)
            job.ledger.add(Piece(name=_name_lot(portion, lot), digest=digest))


def list_missing(job: Job, part: Part) -> list[int]:
    """List the rows of a part's units that are to be drawn: neither silent nor finished."""
    units = job.layers[part.layer].units
    return [
        row
        for row in range(part.first, part.last)
        if job.places[part.layer].count(row)
        and not job.ledger.find(name_unit(part.layer, units[row]))
    ]


def name_unit(layer: int, unit: int) -> str:
    """Name a unit among the finished pieces."""
    return f"unit {layer} {unit}"


def _name_lot(portion: Portion, lot: Sequence[int]) -> str:
    """Name a lot: a photo is in one lot of a portion, a unit in one portion."""
    return f"{LOT_KIND} {portion[0].layer} {portion[0].first} {lot[0]}"


def _is_projected(job: Job, portion: Portion, spools: Sequence[Spool], lot: Sequence[int]) -> bool:
    piece = job.ledger.find(_name_lot(portion, lot))
    return piece is not None and piece.digest == _hash_lot(job, portion, spools, lot)


def _hash_lot(job: Job, portion: Portion, spools: Sequence[Spool], lot: Sequence[int]) -> str:
    """Compute the SHA-256 of all that a lot gave."""
    sha256 = hashlib.sha256()
    for part, spool in zip(portion, spools, strict=True):
        for _, row, rank in find_slots(job.places[part.layer], part, lot):
            for content in spool.read_bytes(row - part.first, rank):
                sha256.update(content)
    return sha256.hexdigest()


def open_spools(job: Job, portion: Portion) -> list[Spool]:
    """Open the spool of each part of a portion."""
    return [
        open_spool(
            job.work.spool,
            _name_spool(part),
            part.last - part.first,
            job.settings.top,
            job.layers[part.layer].window,
        )
        for part in portion
    ]


def _name_spool(part: Part) -> str:
    return f"{part.layer}-{part.first}"


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
        if hash_pixels(pixels) != job.index.digests[photo].numpy().tobytes():
            refuse_changed([name])
        _keep_photo(job, photo, pixels)
        return pixels

    if not lots:
        return
    with ThreadPoolExecutor(READERS) as readers:
        waiting = [readers.submit(read, photo) for photo in lots[0]]
        for following in (*lots[1:], ()):
            reading = [readers.submit(read, photo) for photo in following]
            yield torch.stack([future.result() for future in waiting])
            waiting = reading


def _keep_photo(job: Job, photo: int, pixels: Tensor) -> None:
    """Write what the net saw of a photo, and its checksum, unless they are there."""
    number = job.find_shown(photo)
    if job.ledger.find(name_photo(number)):
        return
    path = job.work.site / name_photo_file(number)
    shown = pixels.permute(1, 2, 0).numpy()
    save_image(shown, path, exact=False)
    digest = hashlib.sha256(np.ascontiguousarray(shown).tobytes()).hexdigest()
    job.ledger.add(Piece(name=name_photo(number), digest=digest), [path])


def keep_photos(job: Job) -> None:
    """Write those photos anew that are missing though all their projections are there."""
    missing = [
        (photo,)
        for number, photo in enumerate(job.shown)
        if not job.ledger.find(name_photo(number))
    ]
    for _ in _read_ahead(job, missing):
        pass


def name_photo(number: int) -> str:
    """Name a shown photo among the finished pieces."""
    return f"photo {number}"


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
        job.settings.compare,
    )
    _check_activations(job, part, projection, lot.photos, slots)
    windows, corners = _cut_windows(job, plan, projection.take_part(job.settings.part))
    evidence = _list_evidence(projection)
    boxes, (height, width) = projection.boxes.cpu().numpy(), plan.window
    for number, (photo, row, rank) in enumerate(slots):
        top, left = corners[number].tolist()
        patch = lot.pixels[photo, :, top : top + height, left : left + width]
        spool.store(row - part.first, rank, windows[number], patch.permute(1, 2, 0).numpy())
        spool.boxes[row - part.first, rank] = boxes[number]
        spool.corners[row - part.first, rank] = corners[number]
        spool.evidence[row - part.first, rank] = evidence[number]


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


def _list_evidence(projection: Projection) -> NDArray[np.float64]:
    """Give what each projection is compared with, as :data:`EVIDENCE` names it, (R, 4).

    To six decimals: what is beyond depends on the company in which it was projected.
    """
    if projection.comparison is None:
        return np.full((len(projection), len(EVIDENCE)), np.nan)
    found = [getattr(projection.comparison, name).double().numpy() for name in EVIDENCE]
    return np.column_stack(found).round(6)


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
