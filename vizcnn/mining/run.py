"""One pass over a set of photos, saved at intervals and gone on with after a break."""

import os
import warnings
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vizcnn.basics.errors import DataError, LayerError, VizcnnWarning, quote
from vizcnn.basics.memory import format_bytes, require_memory
from vizcnn.basics.progress import Progress, silent
from vizcnn.mining.draws import Draw
from vizcnn.mining.identity import (
    describe_identity,
    list_differences,
    list_photo_differences,
    list_shape_differences,
)
from vizcnn.mining.index import (
    DIGEST_BYTES,
    LARGEST_INDEX,
    PLACE_BYTES,
    Identity,
    StrongestIndex,
    compare_digests,
    read_index,
)
from vizcnn.mining.index_writer import IndexWriter
from vizcnn.mining.lots import (
    LARGEST_WORKERS,
    LOT,
    Lot,
    LotReader,
    choose_workers,
    read_lots,
)
from vizcnn.mining.machine_kinds import describe_kind, refuse_mixed, unite_kinds
from vizcnn.mining.maxima import LayerMaxima, Maxima, name_maxima
from vizcnn.mining.passes import measure_layers
from vizcnn.mining.photo_sets import PhotoSet
from vizcnn.mining.ranges import finish_index
from vizcnn.mining.ranking import make_ranking, move_ranking, update_ranking
from vizcnn.mining.ranks import Rank, check_rank
from vizcnn.mining.relevance import UNCLASSED, list_true_classes
from vizcnn.mining.search import FiniteCheck, Search, make_black, search_layers
from vizcnn.recording.arithmetic import (
    Precision,
    check_precision,
    use_precision,
)
from vizcnn.recording.layers import find_layer
from vizcnn.zoo.model import ZooModel

SAVING_SHARE = 20
"""Saving may take one part in so many of the time: a long list of photos is saved more rarely."""

MOST_PLACES = LARGEST_INDEX // PLACE_BYTES
"""Places of a unit that an index of a single one could hold."""

COPIES = 7
"""So many times an index's rankings are in memory while they are sorted and saved."""


@dataclass(frozen=True)
class MiningSettings:
    """What to keep, and how to work; workers and interval change nothing in the result.

    Attributes:
        layers: Canonical names or module paths.
        top: Places kept per unit.
        per_photo: How many of them may be of one photo.
        workers: Processes that read photos; None chooses by the machine, 0 reads in this process.
        interval: Seconds between two savings.
        precision: Of the net's arithmetic; what was chosen
            (:func:`~vizcnn.recording.arithmetic.use_precision`, else exact) when None.
        rank: By what places are ranked; see :data:`~vizcnn.mining.ranks.Rank`.
        ranges: Whether to keep each unit's range over all photos, too: those at percentiles of its
            maxima (:class:`~vizcnn.mining.index.LayerRange`).
        seed: Of the draw of photos at random.

    Raises:
        LayerError: If there is no layer.
        DataError: If another value is impossible.
    """

    layers: tuple[str, ...] = ("conv1", "conv2", "conv3", "conv4", "conv5")
    top: int = 9
    per_photo: int = 1
    workers: int | None = None
    interval: float = 30.0
    precision: Precision | None = None
    rank: Rank = "activation"
    ranges: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.layers:
            raise LayerError("no layer is named; needed: at least one, for example conv1")
        if self.top < 1:
            raise DataError(f"the strongest {self.top} were asked for; needed: 1 or more")
        if self.top > MOST_PLACES:
            raise DataError(
                f"the strongest {quote(self.top)} were asked for, more than an index can hold: ask "
                f"for fewer places (--top), at most {MOST_PLACES:,}"
            )
        if not 1 <= self.per_photo <= self.top:
            raise DataError(
                f"{quote(self.per_photo)} of one photo among the strongest {self.top} were asked "
                f"for; needed: 1..{self.top}"
            )
        check_rank(self.rank, self.per_photo)
        if not 0 <= (self.workers or 0) <= LARGEST_WORKERS:
            raise DataError(
                f"{quote(self.workers)} workers were asked for; needed: 0 to {LARGEST_WORKERS}"
            )


def mine(
    model: ZooModel,
    photos: PhotoSet,
    file: Path,
    settings: MiningSettings,
    progress: Progress = silent,
    strict: bool = False,
) -> StrongestIndex:
    """Find the strongest places of every unit of some layers over a set of photos.

    The index in ``file`` is the same to the last byte whether the run went through or was broken
    off and gone on with, whatever the number of workers, and whether the photos were mined in one
    run or in parts that were merged; provided that the machines are of one kind, which the index
    records (:mod:`vizcnn.mining.machine_kinds`, :data:`~vizcnn.mining.lots.LOT`). Memory does not
    grow with the number of photos, their names and the list of unreadable ones aside. Ranges and
    rank ``"median"`` need the maxima of all photos: they are kept in a file beside the index
    (:mod:`vizcnn.mining.maxima`).

    Args:
        model: A net of the zoo, on the device to compute on.
        photos: The photos; those that cannot be read are listed, the others go through.
        file: The index: a new file, or one of the same net, layers, settings and photos to go on
            with.
        settings: What to keep, and how to work.
        progress: Shows how far it is.
        strict: Whether to refuse an index that machines of several kinds compute.

    Returns:
        The complete index.

    Raises:
        DataError: If the file is of another run, damaged or cannot be written, a worker dies, an
            activation is not finite, or places are ranked by relevance and no photo has a class.
        LayerError: If a layer does not exist or cannot be mined.
        ModelError: If the net's device cannot compute so, or it has no logits to be relevant to.

    Example:
        >>> import tempfile
        >>> import vizcnn
        >>> from vizcnn.mining.photo_sets import SamplePatches
        >>> model = vizcnn.load("lenet", weights="bundled")
        >>> file = Path(tempfile.mkdtemp()) / "strongest.safetensors"
        >>> settings = MiningSettings(layers=("conv1",), top=3, workers=0)
        >>> index = mine(model, SamplePatches(model.preprocessing), file, settings)
        >>> index.complete, index.layers["conv1"].values.shape
        (True, torch.Size([6, 3]))
    """
    return MiningRun(model, photos, file, settings, strict=strict).run(progress)


class MiningRun:
    """A run that can be broken off at any time.

    Args:
        model: A net of the zoo, on the device to compute on.
        photos: The photos.
        file: The index; gone on with if it is there.
        settings: What to keep, and how to work.
        saving_share: Saving may take one part in so many of the time, however short the interval.
        strict: Whether to refuse an index that machines of several kinds compute.
        identity: Of the net and settings, where it is known: the net's checksum takes as long as
            many photos on a GPU.

    Attributes:
        index: What was found so far; :attr:`StrongestIndex.done` says how far the run is.
        writer: What saves it.
        check: What makes sure that all activations are finite.
        precision: Of the net's arithmetic.

    Raises:
        DataError: If the file is of another run or damaged, the photos are none or not in order, or
            the run is strict and the file is, or would be, of several kinds of machines.
        LayerError: If a layer does not exist or cannot be mined.
        ModelError: If the net's device cannot compute so.
    """

    def __init__(
        self,
        model: ZooModel,
        photos: PhotoSet,
        file: Path,
        settings: MiningSettings,
        saving_share: float = SAVING_SHARE,
        strict: bool = False,
        identity: Identity | None = None,
    ) -> None:
        self.model, self.photos, self.file, self.settings = model, photos, file, settings
        self.device = next(model.module.parameters()).device
        self.writer = IndexWriter(settings.interval, saving_share)
        self.check = FiniteCheck(self.device)
        self.precision = check_precision(settings.precision, self.device)
        _check_names(photos)
        self._saved, self._former = -1, 0
        self._maxima: Maxima | None = None
        self._rows: list[tuple[int, Tensor, dict[str, tuple[Tensor, Tensor]]]] = []
        self._draws: dict[str, Draw] = {}
        self._classes: NDArray[np.int32] | None = None
        if settings.rank == "relevance":
            self._classes = list_true_classes(model, photos)
        with ThreadPoolExecutor(1) as beside:  # the net's checksum, while all else begins
            described = beside.submit(
                _describe_unless_known,
                identity,
                model,
                settings.layers,
                settings.top,
                settings.per_photo,
                self.precision,
                settings.rank,
                settings.seed,
                settings.ranges,
            )
            former = read_index(file) if os.path.lexists(file) else None
            if former is None or former.holds_nothing:
                self.index = self._begin(described)
            else:
                self.index = self._go_on(former, described)
                self._saved = self._former = former.done
        here = describe_kind(self.device)
        self._tell_mixed(here, strict)
        self._machines = unite_kinds(self.index.machines, [here])
        self._latest = self.index
        if settings.rank == "random":
            self._draws = {
                name: Draw(settings.seed, layer.path, layer.units)
                for name, layer in self.index.layers.items()
            }

    def _go_on(self, index: StrongestIndex, described: Future[Identity]) -> StrongestIndex:
        differences = list_differences(index.identity, described.result())
        differences += list_photo_differences(
            index, tuple(self.photos.names), tuple(self.photos.sizes)
        )
        differences = differences or list_shape_differences(index, self._begin(described))
        if differences:
            raise DataError(
                f"{str(self.file)!r} is the index of another run ({'; '.join(differences)}): give "
                "another file, or delete it"
            )
        return _move(index, self.device)

    def _tell_mixed(self, here: str, strict: bool) -> None:
        """Warn of going on on another kind of machine than before, or refuse that."""
        kinds = dict.fromkeys(self.index.machines, "so far")
        is_new = bool(kinds) and here not in kinds and not self.index.complete
        if is_new:
            kinds[here] = "here"
        if strict:
            refuse_mixed(
                quote(self.file),
                kinds,
                "go on with it on the former kind, give another file, or leave --strict out",
            )
        elif is_new:
            warnings.warn(
                f"{quote(self.file)} goes on on another kind of machine than before, whose last "
                f"digits may differ: {here}",
                VizcnnWarning,
                stacklevel=3,
            )

    def _begin(self, described: Future[Identity]) -> StrongestIndex:
        layers = {name: find_layer(self.model, name) for name in self.settings.layers}
        shapes = measure_layers(self.model.module, make_black(self.model), layers)
        _require_room(sum(shape[0] for shape in shapes.values()), self.settings.top)
        return StrongestIndex(
            identity=described.result(),
            photos=tuple(self.photos.names),
            sizes=tuple(self.photos.sizes),
            done=0,
            machines=(),
            digests=torch.zeros(len(self.photos.names), DIGEST_BYTES, dtype=torch.uint8),
            layers={
                name: make_ranking(
                    name, path, shapes[name], self.settings.top, self.device, self.settings.rank
                )
                for name, path in layers.items()
            },
        )

    def run(self, progress: Progress = silent) -> StrongestIndex:
        """Go on to the end, saving at intervals, and on an exception (Ctrl-C too) what there is.

        Photos that a former run has looked at are read once more before that, without the net,
        and compared with what it saw: a small part of the time that they took then.

        Returns:
            The complete index, on the CPU.
        """
        self._check_former(progress)
        if not self.index.complete:
            with use_precision(self.precision):
                self._mine_rest(progress)
        return _move(self.index, "cpu")

    def _check_former(self, progress: Progress) -> None:
        """Refuse to go on over photos that changed since a former run looked at them."""
        if not self._former:
            return
        with closing(self._read_lots(0, self._former)) as lots:
            for _ in progress(self._compare(lots), label="check", total=self._former, unit="photo"):
                pass
        self._former = 0

    def _compare(self, lots: Iterator[Lot]) -> Iterator[int]:
        """Compare lot after lot with its checksums; gives the number of each photo."""
        for lot in lots:
            numbers = range(lot.first, lot.first + lot.count)
            changed = compare_digests(self.index.digests[numbers.start : numbers.stop], lot.digests)
            if changed:
                names = ", ".join(quote(self.index.photos[numbers[row]]) for row in changed)
                raise DataError(
                    f"{quote(self.file)} is the index of other photos: since they were mined, "
                    f"{names} changed (or the version of Pillow that decodes them): put the "
                    "former back, give another file, or delete it"
                )
            yield from numbers

    def _mine_rest(self, progress: Progress) -> None:
        self._latest = self.index
        layers, identity = dict(self.index.identity.layers), self.index.identity
        if identity.keeps_maxima:
            self._maxima = self._open_maxima()
        # the workers read while all else begins; they start before there is another thread
        with closing(self._read_lots(self.index.done)) as lots:
            try:
                self._save_new()
                with search_layers(
                    self.model, layers, identity.rank, identity.keeps_maxima
                ) as search:
                    self.writer.wait()  # a file that cannot be written is no surprise at the end
                    shown = progress(
                        self._mine_lots(lots, search),
                        label="mine",
                        total=len(self.index.photos),
                        unit="photo",
                        initial=self.index.done,
                    )
                    for _ in shown:
                        pass
            finally:
                try:
                    self._settle()
                finally:
                    self._save_new()
                    self.writer.wait()

    def _open_maxima(self) -> Maxima:
        """Open the file of the maxima; rows that a former run wrote have to be as they were."""
        done = self.index.done
        maxima = Maxima(name_maxima(self.file), self.index, writable=True, is_new=not done)
        for _ in maxima.check(done):
            pass
        return maxima

    def _read_lots(self, first: int, last: int | None = None) -> LotReader:
        size, workers = self.model.input_size, self.settings.workers
        if workers is None:
            workers = choose_workers(self.device.type)
        pin = self.device.type == "cuda" and last is None
        return read_lots(self.photos, first, size, workers, pin, last)

    def _mine_lots(self, lots: Iterator[Lot], search: Search) -> Iterator[int]:
        """Look at lot after lot; gives the number of each photo that is done."""
        for lot in lots:
            self._latest = self._take(lot, search)  # all layers at once, or none of them
            if self.check.is_due:
                self._settle()
            yield from range(lot.first, lot.first + lot.count)
            if self.writer.is_due:
                self._settle()
                self._save_new()

    def _take(self, lot: Lot, search: Search) -> StrongestIndex:
        """Give the latest index with a lot of photos in it."""
        index = self._latest
        layers, unclassed = index.layers, index.unclassed
        names = index.photos[lot.first : lot.first + lot.count]
        maxima: dict[str, tuple[Tensor, Tensor]] = {}
        if lot.usable.any():
            classes = self._find_classes(lot)
            if classes is not None:
                unclassed += int((lot.usable & (classes == UNCLASSED)).sum())
            found = search.find(
                lot.pixels,
                lot.usable,
                layers,
                index.identity.per_photo,
                self._draw_keys(names),
                classes,
            )
            self.check.add(names, found.finite)
            layers = {
                name: update_ranking(layer, found.places[name], lot.first)
                if name in found.places
                else layer
                for name, layer in layers.items()
            }
            maxima = found.maxima
        if self._maxima is not None:
            self._rows.append((lot.first, lot.usable[: lot.count], maxima))
        failures = tuple((index.photos[number], why) for number, why in lot.failures)
        # in place, as there may be a million: what is not done yet says nothing
        index.digests[lot.first : lot.first + lot.count] = lot.digests
        return replace(
            index,
            done=lot.first + lot.count,
            failures=index.failures + failures,
            layers=layers,
            unclassed=unclassed,
            machines=self._machines,
        )

    def _draw_keys(self, names: tuple[str, ...]) -> dict[str, Tensor] | None:
        """Draw the keys of a lot's photos, by layer (LOT, units); None where nothing is drawn."""
        if not self._draws:
            return None
        missing = LOT - len(names)
        return {
            name: torch.from_numpy(np.pad(draw.find_keys(names), ((0, missing), (0, 0))))
            for name, draw in self._draws.items()
        }

    def _find_classes(self, lot: Lot) -> Tensor | None:
        """Give the true classes of a lot's photos, (LOT,); None where they do not matter."""
        if self._classes is None:
            return None
        some = self._classes[lot.first : lot.first + lot.count].astype(np.int64)
        return torch.from_numpy(np.pad(some, (0, LOT - lot.count), constant_values=UNCLASSED))

    def _settle(self) -> None:
        """Take over what was found since the last time, once all of it is known to be finite.

        Raises:
            DataError: If an activation is not; nothing is taken over.
        """
        latest, self._latest = self._latest, self.index
        rows, self._rows = self._rows, []
        self.check.look()
        if self._maxima is not None:
            for first, usable, found in rows:
                self._maxima.write(first, _take_rows(latest, usable, found))
            if rows and latest.complete:
                latest = _move(finish_index(_move(latest, "cpu"), self._maxima), self.device)
        self.index = self._latest = latest

    def _save_new(self) -> None:
        """Begin to write the index, unless the file holds it already."""
        if self._saved != self.index.done:
            if self._maxima is not None:
                self._maxima.flush()  # an index never names rows that are not there
            self.writer.save(self.index, self.file)
            self._saved = self.index.done


def _describe_unless_known(identity: Identity | None, *asked: Any) -> Identity:
    return identity or describe_identity(*asked)


def _take_rows(
    index: StrongestIndex, usable: Tensor, found: dict[str, tuple[Tensor, Tensor]]
) -> dict[str, LayerMaxima]:
    """Give the maxima of a lot's photos; -inf of those that could not be read."""
    rows = {}
    for name, layer in index.layers.items():
        values = np.full((len(usable), layer.units), -np.inf, np.float32)
        spots = np.zeros((len(usable), layer.units), np.int64)
        if found:
            read = usable.numpy()
            maxima, places = (part[: len(usable)].cpu().numpy() for part in found[name])
            values[read], spots[read] = maxima[read], places[read]
        rows[name] = LayerMaxima(values, spots if layer.map_size else None)
    return rows


def _move(index: StrongestIndex, device: torch.device | str) -> StrongestIndex:
    layers = {name: move_ranking(layer, device) for name, layer in index.layers.items()}
    return replace(index, layers=layers)


def _require_room(units: int, top: int) -> None:
    """Refuse more places than can be kept, before anything is made.

    Raises:
        DataError: If the memory or an index's file would not hold them.
    """
    size = units * top * PLACE_BYTES
    what = f"{quote(top)} places for each of {units} units"
    way_out = "ask for fewer places (--top) or layers"
    if size > LARGEST_INDEX:
        raise DataError(
            f"{what} take {format_bytes(size)}, an index {format_bytes(LARGEST_INDEX)} at most: "
            f"{way_out}"
        )
    require_memory(COPIES * size, what, way_out)


def _check_names(photos: PhotoSet) -> None:
    names = list(photos.names)
    if not names:
        raise DataError("there are no photos to mine")
    if names != sorted(set(names)):
        raise DataError("the photos of a set have to be sorted by name, none of them twice")
