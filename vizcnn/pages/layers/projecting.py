"""Photos -> projections of the places that they hold, lot by lot, into a spool on the disk."""

import hashlib
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor

from vizcnn.basics.errors import DataError, ImageError
from vizcnn.basics.progress import Progress
from vizcnn.basics.workers import limit_workers, work_through
from vizcnn.drawing.saving import save_image
from vizcnn.drawing.unit_sheets import Pixels
from vizcnn.mining.index import hash_pixels
from vizcnn.mining.mined_photos import refuse_changed
from vizcnn.pages.layers.job import Job
from vizcnn.pages.layers.layer_plans import LayerPlan
from vizcnn.pages.layers.pieces import Piece
from vizcnn.pages.layers.places import NOWHERE, Part, Portion, find_slots
from vizcnn.pages.layers.spool import EVIDENCE, Facts, Numbers, Spool, open_spool
from vizcnn.photos.pixels import Array
from vizcnn.projection.projection import Projection
from vizcnn.projection.windows import Windows, move
from vizcnn.recording.recording import Recording

TOLERANCE = 1e-3
"""Relative difference to the index's activation that other batches and devices explain."""
ROUNDING = 1e-5
"""The same of the layer's largest activation, for units whose large sums all but cancel."""
READERS = 4
"""Threads that read the next lot's photos."""

LOT_KIND = "lot"
"""First word of the names of lots among the finished pieces."""

LOTS = 16
"""Lots that photos are cut into, at least, so that workers end at about the same time."""
LEAST_PHOTOS = 16
"""Photos of a lot, at least, even if there are fewer lots then."""
WORKER_BYTES = 2 << 30
"""Memory that a worker may take: a lot's forward pass, and the pictures of its places."""


def project_portion(job: Job, portion: Portion, progress: Progress) -> None:
    """Project the places of a portion's units whose sheets are missing, lot by lot.

    A lot is projected as a whole or not at all, so that each projection has always the same
    company, on which its last digits may depend. On a CPU each worker takes whole lots: with one
    thread each, all cores are busy all the time, which they are not with many threads on one lot.

    Args:
        job: The gallery.
        portion: Units of which the places are projected.
        progress: Shows how far it is.

    Raises:
        DataError: If a photo is gone, cannot be read any more, or is another than was mined.
        VizcnnError: If a worker is ended from outside.
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
    with closing(_make_lots(job, portion, spools, lots)) as made:
        for pieces in progress(
            made, label="project", total=len(needed), unit="lot", initial=initial
        ):
            for piece in pieces:
                job.ledger.add(piece)


def _make_lots(
    job: Job, portion: Portion, spools: Sequence[Spool], lots: Sequence[Sequence[int]]
) -> Generator[list[Piece], None, None]:
    """Project lots, each as it comes; gives the pieces that are finished with it."""
    workers = min(count_projectors(job), len(lots))
    if workers < 2:
        return _project_lots(job, portion, spools, lots)

    def project(lot: Sequence[int]) -> list[Piece]:
        return [piece for pieces in _project_lots(job, portion, spools, [lot]) for piece in pieces]

    return work_through(project, lots, workers, "projects")


def count_projectors(job: Job) -> int:
    """Choose how many workers project; 0 leaves it to this process, as on a GPU."""
    if next(job.model.module.parameters()).device.type != "cpu":
        return 0
    asked = job.settings.workers
    return limit_workers(torch.get_num_threads() if asked is None else asked, WORKER_BYTES)


def _project_lots(
    job: Job, portion: Portion, spools: Sequence[Spool], lots: Sequence[Sequence[int]]
) -> Generator[list[Piece], None, None]:
    with closing(_read_ahead(job, lots)) as read:
        for photos, (pixels, pieces) in zip(lots, read, strict=True):
            lot = _record(job, portion, photos, pixels)
            for part, spool in zip(portion, spools, strict=True):
                _project_part(job, part, spool, lot)
            digest = _hash_lot(job, portion, spools, photos)
            yield [*pieces, Piece(name=_name_lot(portion, photos), digest=digest)]


def list_missing(job: Job, part: Part) -> list[int]:
    """List the rows of a part's units that are to be drawn: neither silent nor finished."""
    units = job.layers[part.layer].units
    return [
        row
        for row in range(part.first, part.last)
        if job.places[part.layer].list_slots(row)
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
        for _, row, rank in find_slots(job.places[part.layer], part, lot).tolist():
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
            job.settings.slots,
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
    size = min(job.lot, max(len(photos) // LOTS, LEAST_PHOTOS))
    return [tuple(photos[start : start + size]) for start in range(0, len(photos), size)]


def _read_ahead(
    job: Job, lots: Sequence[Sequence[int]]
) -> Generator[tuple[Tensor, list[Piece]], None, None]:
    """Give the pixels of lots (N, 3, S, S), uint8, the next being read meanwhile.

    With them come the pieces of those photos that were not kept yet, and are now.
    """
    numbers = {name: number for number, name in enumerate(job.photos.names)}

    def read(photo: int) -> tuple[Tensor, Piece | None]:
        name = job.index.photos[photo]
        try:
            pixels = job.photos.read(numbers[name])
        except ImageError as error:
            raise DataError(f"{error}; when it was mined it could be read") from None
        if hash_pixels(pixels) != job.index.digests[photo].numpy().tobytes():
            refuse_changed([name])
        return pixels, _keep_photo(job, photo, pixels)

    if not lots:
        return
    with ThreadPoolExecutor(READERS) as readers:
        waiting = [readers.submit(read, photo) for photo in lots[0]]
        for following in (*lots[1:], ()):
            reading = [readers.submit(read, photo) for photo in following]
            read_now = [future.result() for future in waiting]
            yield torch.stack([pixels for pixels, _ in read_now]), [p for _, p in read_now if p]
            waiting = reading


def _keep_photo(job: Job, photo: int, pixels: Tensor) -> Piece | None:
    """Write what the net saw of a photo, and its checksum, unless they are there."""
    number = job.find_shown(photo)
    if job.ledger.find(name_photo(number)):
        return None
    path = job.work.site / name_photo_file(number)
    shown = np.ascontiguousarray(pixels.permute(1, 2, 0).numpy())
    return Piece(
        name=name_photo(number),
        files={job.work.name_file(path): save_image(shown, path, exact=False, flush=False)},
        digest=hashlib.sha256(shown.data).hexdigest(),
    )


def keep_photos(job: Job) -> None:
    """Write those photos anew that are missing though all their projections are there."""
    missing = [
        (photo,)
        for number, photo in enumerate(job.shown)
        if not job.ledger.find(name_photo(number))
    ]
    for _, pieces in _read_ahead(job, missing):
        for piece in pieces:
            job.ledger.add(piece)


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
    slots = find_slots(job.places[part.layer], part, lot.photos)
    for first in range(0, len(slots), size):
        _project_slots(job, part, spool, lot, slots[first : first + size])


def _project_slots(job: Job, part: Part, spool: Spool, lot: _Lot, slots: Numbers) -> None:
    plan, places = job.layers[part.layer], job.places[part.layer]
    photos, rows, ranks = slots.T
    projection = job.projector.project_places(
        lot.recording,
        plan.name,
        torch.tensor(photos),
        torch.tensor(np.array(plan.units)[rows]),
        torch.tensor(places.positions[rows, ranks]),
        job.settings.compare,
    )
    _check_activations(job, part, projection, lot.photos, slots)
    windows, corners = _cut_windows(job, plan, projection.take_part(job.settings.part))
    facts = Facts(projection.boxes.cpu().numpy(), corners.numpy(), _list_evidence(projection))
    patches = _cut_patches(lot.pixels, photos, corners, plan.window)
    spool.store(rows - part.first, ranks, windows, patches, facts)


def _cut_patches(
    pixels: Tensor, photos: Numbers, corners: Tensor, window: tuple[int, int]
) -> Pixels:
    """Cut windows of one size out of photos (N, 3, S, S): (R, h, w, 3)."""
    views = sliding_window_view(pixels.numpy(), window, axis=(2, 3))  # of every corner; no copy
    tops, lefts = corners.numpy().T
    return views[photos, :, tops, lefts].transpose(0, 2, 3, 1)


def _check_activations(
    job: Job, part: Part, projection: Projection, photos: Sequence[int], slots: Numbers
) -> None:
    """Compare with what was mined: another photo under the same name has other activations."""
    places = job.places[part.layer]
    wanted = places.activations[slots[:, 1], slots[:, 2]]
    got = projection.activations.detach().float().cpu().numpy()
    wrong = np.abs(got - wanted) > TOLERANCE * np.abs(wanted) + ROUNDING * places.largest
    if wrong.any():
        names = (job.index.photos[photos[photo]] for photo in slots[wrong, 0].tolist())
        refuse_changed(list(dict.fromkeys(names)))


def _list_evidence(projection: Projection) -> NDArray[np.float64]:
    """Give what each projection is compared with, as :data:`EVIDENCE` names it, (R, 4).

    To four decimals: what is beyond depends on the company in which it was projected.
    """
    if projection.comparison is None:
        return np.full((len(projection), len(EVIDENCE)), np.nan)
    found = [getattr(projection.comparison, name).double().numpy() for name in EVIDENCE]
    return np.column_stack(found).round(4)


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
