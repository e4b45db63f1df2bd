"""What mining finds: the strongest places of every unit of some layers over a set of photos."""

import hashlib
import json
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from operator import lt
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from vizcnn.basics.codec import ManifestError, decode
from vizcnn.basics.errors import DataError, quote
from vizcnn.basics.files import read_plain_file, replacing
from vizcnn.mining.machine_kinds import LONGEST_KIND, UNKNOWN
from vizcnn.mining.ranks import PERCENTILES, Rank
from vizcnn.recording.arithmetic import Precision

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Side = Annotated[int, msgspec.Meta(ge=1, le=2**31)]
MachineKind = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_KIND)]
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]

INDEX_NAME = "strongest.safetensors"
"""An index's name in a gallery of layers."""

NAMED_FAILURES = 3
"""Photos whose errors are told when not a single one can be read."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What an index was made with, apart from the photos.

    A run goes on only with an index of its own identity, and only indexes of one identity merge.
    Nothing in it depends on the machine, the workers or the time.

    Attributes:
        model: The net's name in the catalogue.
        options: What the net was built with, as plain values.
        weights: Where the weights come from, in one line.
        sha256: Checksum of all parameters and buffers of the net, 64 hexadecimal digits.
        preprocessing: From pixels to the net's input, as plain values.
        layers: Names as asked for, each with the module path that it stands for.
        top: Places kept per unit.
        per_photo: Places of one photo, at most, among them.
        precision: Of the net's arithmetic; indexes from before there was a choice are exact.
        rank: By what places are ranked; before there was a choice, by activation.
        seed: Of the draw of photos at random; 0 with every other rank.
        ranges: Whether each unit's range over all photos is kept, too.
        classes: SHA-256 of the names of the net's classes, which say what a photo's true one is;
            empty with every other rank than relevance.
    """

    model: str
    options: dict[str, Any]
    weights: str
    sha256: Sha256
    preprocessing: dict[str, Any]
    layers: tuple[tuple[str, str], ...]
    top: Side
    per_photo: Side
    precision: Precision = "exact"
    rank: Rank = "activation"
    seed: Count = 0
    ranges: bool = False
    classes: str = ""

    @property
    def keeps_maxima(self) -> bool:
        """Whether each photo's maximum of each unit is needed, until all photos are mined."""
        return self.ranges or self.rank == "median"

    @property
    def input_size(self) -> int:
        """Side of the net's square input in pixels."""
        return int(self.preprocessing["input_size"])


@dataclass(frozen=True, eq=False)
class LayerRanking:
    """The strongest places of every unit of one layer, or those first by another rank.

    Stronger places go first; equally strong ones in the order of the photos, those of one photo in
    row-major order. A slot that no photo has filled holds -inf, -1 and (-1, -1).

    Attributes:
        name: The layer as asked for, such as ``"conv5"``.
        path: Its module path.
        map_size: Rows and columns of a feature map; None for a vector of units.
        values: What places are ranked by, the highest first, (units, top), float32, on the CPU as
            all of these: activations; or with another rank relevances, the negative of the lowest
            maxima, keys of the draw, or minus the number of places nearer to the median.
        photos: Numbers of the photos in :attr:`StrongestIndex.photos`, (units, top), int64.
        positions: Row and column in the feature map, (units, top, 2), int64; -1 in a vector of
            units.
        activations: What the units put out there, (units, top), float32; None where places are
            ranked by that.
    """

    name: str
    path: str
    map_size: tuple[int, int] | None
    values: Tensor
    photos: Tensor
    positions: Tensor
    activations: Tensor | None = None

    @property
    def strengths(self) -> Tensor:
        """What the units put out at their places, (units, top)."""
        return self.values if self.activations is None else self.activations

    @property
    def units(self) -> int:
        """Number of units (feature maps) of the layer."""
        return len(self.values)


def drop_silent(values: NDArray[np.float32], photos: NDArray[np.int64]) -> NDArray[np.int64]:
    """Drop the places of strongest ones that say nothing of what a unit answers to.

    Where a unit puts out zero it answers to nothing: none counts from there on. Places below zero
    count only of units that are above zero nowhere.

    Args:
        values: The activations of an index that ranks by them, (units, top).
        photos: Numbers of their photos, (units, top).

    Returns:
        The same numbers, -1 where nothing counts, (units, top).

    Example:
        >>> values = np.array([[2, 0, 0], [3, 1, -1], [-1, -2, -np.inf]], np.float32)
        >>> drop_silent(values, np.array([[5, 6, 7], [5, 6, 7], [5, 6, -1]])).tolist()
        [[5, -1, -1], [5, 6, -1], [5, 6, -1]]
    """
    kept = photos.copy()
    kept[np.cumsum((values == 0) | ~np.isfinite(values), axis=1) > 0] = -1
    # a place below zero is of what the unit is short of: not among the others
    kept[(values[:, :1] > 0) & (values < 0)] = -1
    return kept


@dataclass(frozen=True, eq=False)
class LayerRange:
    """The range of every unit of one layer: photos at percentiles of its maxima over all of them.

    The maximum at a percentile p is the lowest that p % of the photos, or more, do not exceed
    (numpy's ``inverted_cdf``): always that of a photo. Of equal ones the photos are in the reversed
    order of their names.

    Attributes:
        values: The maxima, (units, :data:`~vizcnn.mining.ranks.PERCENTILES`), float32; -inf where
            no photo could be read.
        photos: Numbers of the photos, int64.
        positions: Row and column of the maxima, (units, percentiles, 2), int64; -1 in a vector of
            units.
        silent: In how many photos the unit is above zero nowhere, (units,), int64.
    """

    values: Tensor
    photos: Tensor
    positions: Tensor
    silent: Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class StrongestIndex:
    """The strongest places of some layers over a list of photos, or those first by another rank.

    Attributes:
        identity: What it was made with.
        photos: Names of all photos, sorted: relative to the data folder, with ``/`` between parts.
        sizes: Size of each photo's file in bytes.
        done: How many photos, from the first on, have been looked at.
        digests: Checksum of each photo's pixels as the net got them, (photos,
            :data:`DIGEST_BYTES`), uint8; zeros of those that have not been looked at or could not
            be read.
        failures: Photos that could not be read, in order: name, and why in one line.
        layers: By name, in the order asked for.
        ranges: By name, where they are kept; none until all photos have been looked at.
        unclassed: How many photos that could be read were left out as their folder names no class
            of the net, where places are ranked by relevance.
        machines: The kinds of machines that looked at the photos
            (:func:`~vizcnn.mining.machine_kinds.describe_kind`), sorted, each once; more than one
            where a run went on elsewhere, or parts were merged.
    """

    identity: Identity
    photos: tuple[str, ...]
    sizes: tuple[int, ...]
    done: int
    digests: Tensor
    failures: tuple[tuple[str, str], ...] = ()
    layers: dict[str, LayerRanking] = field(default_factory=dict)
    ranges: dict[str, LayerRange] = field(default_factory=dict)
    unclassed: int = 0
    machines: tuple[str, ...] = (UNKNOWN,)

    @property
    def complete(self) -> bool:
        """Whether all photos have been looked at."""
        return self.done == len(self.photos)

    @property
    def holds_nothing(self) -> bool:
        """Whether no photo that could be read has been looked at: nothing would be lost with it."""
        return self.done == len(self.failures)


DIGEST_BYTES = 8
"""Bytes of a photo's checksum: enough to tell an edited photo, not meant to stop a forger."""


def hash_pixels(pixels: Tensor) -> bytes:
    """Compute the checksum of a photo's pixels, (3, S, S), uint8: BLAKE2b, a tenth of a ms.

    Example:
        >>> len(hash_pixels(torch.zeros(3, 8, 8, dtype=torch.uint8))) == DIGEST_BYTES
        True
    """
    content = pixels.contiguous().numpy().data
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()


def compare_digests(former: Tensor, found: Tensor) -> list[int]:
    """List the rows in which checksums (N, :data:`DIGEST_BYTES`) differ."""
    return (former != found).any(dim=1).nonzero().flatten().tolist()


FORMAT_KEY, FORMAT, FORMER_FORMATS = "vizcnn.strongest", "4", ("2", "3")
"""The only entry of the file's metadata: with several, their order would change from run to run.

The number also stands for all that decides what is found, such as how many photos go through the
net at a time (:data:`vizcnn.mining.lots.LOT`). Layout 1 had no checksums. Layouts 2 and 3 (that of
other ranks than activation, and of ranges) are read: what they hold is what layout 4 holds, but for
the kinds of machines that computed it, of which they tell nothing. That is then said to be unknown,
and not guessed: nobody recorded where they were mined. A former version refuses layout 4 by its
number, as it would drop the kinds when it goes on or merges.
"""

LARGEST_INDEX = 4 << 30
"""Bytes of an index, at most: a million photos take a few per cent of it."""

_LARGEST_HEADER = 1 << 20
"""Bytes of what the file says of its tensors; that of a hundred layers has 40 kB."""

_TENSORS = {"values": torch.float32, "photos": torch.int64, "positions": torch.int64}
_ACTIVATIONS = {"activations": torch.float32}
_RANGES = {**_TENSORS, "silent": torch.int64}
_RECORD, _DIGESTS, _CHECKSUM = "record", "digests", "checksum"

PLACE_BYTES = 4 + 8 + 2 * 8
"""Bytes of a place: its value, photo, row and column."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """What an index holds beside its tensors."""

    identity: Identity
    photos: tuple[str, ...]
    sizes: tuple[Count, ...]
    done: Count
    failures: tuple[tuple[str, str], ...]
    map_sizes: tuple[tuple[Side, Side] | None, ...]
    unclassed: Count = 0
    machines: tuple[MachineKind, ...] = (UNKNOWN,)


def refuse_unreadable(index: StrongestIndex) -> None:
    """Refuse an index of photos of which not one could be read.

    Raises:
        DataError: If it is one.
    """
    if len(index.failures) == len(index.photos):
        told = "; ".join(error for _, error in index.failures[:NAMED_FAILURES])
        raise DataError(f"none of {len(index.photos)} photos can be read: {told}")


def write_index(index: StrongestIndex, file: Path) -> None:
    """Write an index under a temporary name and move it into place.

    Args:
        index: Complete or not.
        file: Usually ``.safetensors``; a former one is replaced.

    Raises:
        DataError: If it cannot be written; a former file is then as it was.
    """
    tensors = {
        _name_tensor(number, part): getattr(layer, part).cpu().contiguous()
        for number, layer in enumerate(index.layers.values())
        for part in _list_parts(index.identity)
    }
    for number, name in enumerate(index.ranges):  # of all layers, or of none
        for part in _RANGES:
            held = getattr(index.ranges[name], part)
            tensors[_name_tensor(number, f"range-{part}")] = held.contiguous()
    tensors[_DIGESTS] = index.digests
    record = json.dumps(_describe(index), separators=(",", ":"), sort_keys=True).encode("ascii")
    tensors[_RECORD] = torch.frombuffer(bytearray(record), dtype=torch.uint8)
    del record  # of a million photos 50 MB, as each copy of it is
    tensors[_CHECKSUM] = _hash_tensors(tensors)
    with replacing(file, DataError) as temporary:
        temporary.write_bytes(save(tensors, metadata={FORMAT_KEY: FORMAT}))


def _list_parts(identity: Identity) -> dict[str, torch.dtype]:
    return _TENSORS if identity.rank == "activation" else {**_TENSORS, **_ACTIVATIONS}


def _hash_tensors(tensors: dict[str, Tensor]) -> Tensor:
    """Compute the SHA-256 (32 bytes) of all tensors of an index but this one, in one order."""
    sha256 = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        sha256.update(f"{name} {tuple(tensor.shape)}\n".encode())
        sha256.update(np.ascontiguousarray(tensor.numpy()).data)
    return torch.frombuffer(bytearray(sha256.digest()), dtype=torch.uint8)


def _name_tensor(layer: int, part: str) -> str:
    return f"layer-{layer:03d}.{part}"


_SINCE = {"precision": "exact", "rank": "activation", "seed": 0, "ranges": False, "classes": ""}
"""Choices that former indexes do not name, and what they are there."""


def _describe(index: StrongestIndex) -> dict[str, Any]:
    identity = {
        name: value
        for name, value in asdict(index.identity).items()
        # as in an index from before there was a choice
        if _SINCE.get(name, value) != value or name not in _SINCE
    }
    unclassed = {"unclassed": index.unclassed} if index.identity.rank == "relevance" else {}
    return {
        **unclassed,
        "identity": identity,
        "photos": index.photos,
        "sizes": index.sizes,
        "done": index.done,
        "failures": index.failures,
        "machines": index.machines,
        "map_sizes": [layer.map_size for layer in index.layers.values()],
    }


def read_index(file: Path) -> StrongestIndex:
    """Read an index; everything in it is checked, so that what uses it can rely on it.

    Args:
        file: What :func:`write_index` wrote.

    Raises:
        DataError: If the file is missing, no plain file, damaged, of a former version, or
            something else; the error names the part that is wrong.

    Example:
        >>> read_index(Path("missing.safetensors"))
        Traceback (most recent call last):
        vizcnn.basics.errors.DataError: no index 'missing.safetensors': check the path
    """
    name = quote(file)
    tensors = _read_tensors(read_plain_file(file, "index", DataError, largest=LARGEST_INDEX), name)
    try:
        checksum = tensors.pop(_CHECKSUM, None)
        index = _rebuild(dict(tensors))
        # what else a damage can do: other values, in a form that passes
        found = _hash_tensors(tensors).tolist()
        _require(checksum is not None and checksum.tolist() == found, "its checksum differs")
        return index
    except (ManifestError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"the index {name} is damaged ({reason:.200}): delete it") from None


def _read_tensors(content: bytes, name: str) -> dict[str, Tensor]:
    """Take a file's content apart, which was read at once: a run may replace it at any time."""
    try:
        found = _read_metadata(content).get(FORMAT_KEY)
        if found in (FORMAT, *FORMER_FORMATS):
            return load(content)
    except (SafetensorError, ValueError, RecursionError, KeyError, OverflowError) as error:
        reason = quote((str(error).splitlines() or [type(error).__name__])[0], 120)
        raise DataError(
            f"{name} cannot be read as an index ({reason}): it is cut off, damaged or of another "
            "kind"
        ) from None
    if found is None:
        raise DataError(f"{name} is no index; needed: a file that vizcnn mine wrote")
    known = ", ".join(repr(layout) for layout in FORMER_FORMATS)
    raise DataError(
        f"{name} is the index of another version of vizcnn (layout {quote(found, 20)}, not "
        f"{known} or {FORMAT!r}): delete it or give another name, and mine the photos anew"
    )


def _read_metadata(content: bytes) -> dict[str, Any]:
    """Read what a safetensors file says of itself: 8 bytes of length, then JSON.

    Raises:
        ValueError: If it is no such file.
    """
    length = int.from_bytes(content[:8], "little")
    if length > _LARGEST_HEADER:
        raise ValueError(f"its header claims {length} bytes")
    header = json.loads(content[8 : 8 + length])
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    return metadata if isinstance(metadata, dict) else {}


def _rebuild(tensors: dict[str, Tensor]) -> StrongestIndex:
    """Put an index together.

    Raises:
        ManifestError, ValueError: If a part is missing, of another kind, or contradicts another.
    """
    record = _read_record(tensors.pop(_RECORD, None))
    layers = record.identity.layers
    _require(len(layers) == len(record.map_sizes), "map_sizes: not one for each layer")
    parts = _list_parts(record.identity)
    has_ranges = record.identity.ranges and record.done == len(record.photos)
    held = (*parts, *(f"range-{part}" for part in _RANGES if has_ranges))
    wanted = {_name_tensor(number, part) for number in range(len(layers)) for part in held}
    odd = sorted((wanted | {_DIGESTS}) ^ set(tensors))
    _require(not odd, f"{quote(odd[0] if odd else '')}: missing, or not of its layers")
    digests = tensors[_DIGESTS]
    shape = (len(record.photos), DIGEST_BYTES)
    _require(digests.dtype == torch.uint8 and digests.shape == shape, "digests: of another form")
    index = StrongestIndex(
        identity=record.identity,
        photos=record.photos,
        sizes=record.sizes,
        done=record.done,
        digests=digests,
        failures=record.failures,
        layers={
            name: LayerRanking(
                name, path, size, **{part: tensors[_name_tensor(number, part)] for part in parts}
            )
            for number, ((name, path), size) in enumerate(
                zip(layers, record.map_sizes, strict=True)
            )
        },
        ranges={
            name: LayerRange(
                **{part: tensors[_name_tensor(number, f"range-{part}")] for part in _RANGES}
            )
            for number, (name, _) in enumerate(layers)
            if has_ranges
        },
        unclassed=record.unclassed,
        machines=record.machines,
    )
    for layer in index.layers.values():
        _check_layer(layer, index.identity, index.done)
    for name, found in index.ranges.items():
        _check_range(found, index.layers[name], index.done)
    return index


def _read_record(stored: Tensor | None) -> Record:
    """Read an index's record and check what it says against itself.

    Raises:
        ManifestError, ValueError: If it is of another form, or contradicts itself.
    """
    if stored is None or stored.dtype != torch.uint8 or stored.ndim != 1:
        raise ValueError("record: missing, or of another form")
    record = decode(Record, stored.numpy().tobytes().decode("ascii"))
    identity, photos = record.identity, record.photos
    layers = dict(identity.layers)
    _require(len(layers) == len(identity.layers) > 0, "identity.layers: none, or one twice")
    _require(identity.per_photo <= identity.top, "identity.per_photo: more than identity.top")
    _require(len(record.sizes) == len(photos) > 0, "sizes: not one for each photo")
    _require(record.done <= len(photos), "done: more than there are photos")
    _require(_is_rising(photos), "photos: not in order, or not each once")
    failed = [name for name, _ in record.failures]
    places = [bisect_left(photos, name, hi=record.done) for name in failed]
    _require(
        _is_rising(failed)
        and all(
            place < record.done and photos[place] == name
            for place, name in zip(places, failed, strict=True)
        ),
        "failures: not in order, or of photos that have not been looked at",
    )
    machines = record.machines
    _require(list(machines) == sorted(set(machines)), "machines: not in order, or not each once")
    _require(bool(machines) or not record.done, "machines: none that looked at the photos")
    _require(all(map(str.isprintable, machines)), "machines: more than a line")
    return record


def _is_rising(names: Sequence[str]) -> bool:
    """Tell whether names are in order, each once; without a set, which a million make large."""
    return all(map(lt, names, islice(names, 1, None)))


def _check_layer(layer: LayerRanking, identity: Identity, done: int) -> None:
    """Make sure that a ranking is one: of its form, sorted, its places in the maps.

    Raises:
        ValueError: If it is not.
    """
    shape = (layer.units if layer.values.ndim else 0, identity.top)
    shapes = {"values": shape, "photos": shape, "positions": (*shape, 2), "activations": shape}
    for part, dtype in _list_parts(identity).items():
        tensor = getattr(layer, part)
        found = f"{tensor.dtype} of {tuple(tensor.shape)}"
        is_so = tuple(tensor.shape) == shapes[part] and tensor.dtype == dtype
        _require_of(layer, is_so, part, found)
    values = layer.values
    _require_of(layer, shape[0], "values", "no units")
    free = values.isneginf()
    for part in ("values", "activations"):
        numbers = getattr(layer, part)
        if numbers is not None:
            finite = torch.where(free, numbers.isneginf(), numbers.isfinite())
            _require_of(layer, finite.all(), part, "not finite")
    _require_of(layer, (values[:, :-1] >= values[:, 1:]).all(), "values", "not in order")
    _check_places(layer, free, layer.photos, layer.positions, done)


def _check_range(found: LayerRange, layer: LayerRanking, done: int) -> None:
    """Make sure that a range is one: of its form, rising, its places in the maps.

    Raises:
        ValueError: If it is not.
    """
    shape = (layer.units, len(PERCENTILES))
    shapes = {
        "values": shape,
        "photos": shape,
        "positions": (*shape, 2),
        "silent": shape[:1],
    }
    for part, dtype in _RANGES.items():
        tensor = getattr(found, part)
        is_so = tuple(tensor.shape) == shapes[part] and tensor.dtype == dtype
        _require_of(layer, is_so, f"range-{part}", f"{tensor.dtype} of {tuple(tensor.shape)}")
    values, silent = found.values, found.silent
    free = values.isneginf()
    _require_of(layer, (values.isfinite() | free).all(), "range-values", "not finite")
    _require_of(layer, (values[:, :-1] <= values[:, 1:]).all(), "range-values", "not in order")
    _require_of(layer, ((silent >= 0) & (silent <= done)).all(), "range-silent", "no count")
    _check_places(layer, free, found.photos, found.positions, done)


def _check_places(
    layer: LayerRanking, free: Tensor, photos: Tensor, positions: Tensor, done: int
) -> None:
    taken = (photos >= 0) & (photos < done)
    among = torch.where(free, photos == -1, taken).all()
    _require_of(layer, among, "photos", "not among those looked at")
    sizes = torch.tensor(layer.map_size or (0, 0))
    inside = ((positions >= 0) & (positions < sizes)).all(dim=2)
    nowhere = (positions == -1).all(dim=2)
    where = nowhere if layer.map_size is None else torch.where(free, nowhere, inside)
    _require_of(layer, where.all(), "positions", "outside the feature map")


def _require_of(layer: LayerRanking, holds: Any, part: str, reason: str) -> None:
    _require(bool(holds), f"layer {quote(layer.name)}, {part}: {reason}")


def _require(holds: bool, reason: str) -> None:
    if not holds:
        raise ValueError(reason)
