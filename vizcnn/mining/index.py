"""What mining finds: the strongest places of every unit of some layers over a set of photos."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from vizcnn.basics.errors import DataError
from vizcnn.basics.files import replacing


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
    """

    model: str
    options: dict[str, Any]
    weights: str
    sha256: str
    preprocessing: dict[str, Any]
    layers: tuple[tuple[str, str], ...]
    top: int
    per_photo: int

    @property
    def input_size(self) -> int:
        """Side of the net's square input in pixels."""
        return int(self.preprocessing["input_size"])


@dataclass(frozen=True, eq=False)
class LayerRanking:
    """The strongest places of every unit of one layer.

    Stronger places go first; equally strong ones in the order of the photos, those of one photo in
    row-major order. A slot that no photo has filled holds -inf, -1 and (-1, -1).

    Attributes:
        name: The layer as asked for, such as ``"conv5"``.
        path: Its module path.
        map_size: Rows and columns of a feature map; None for a vector of units.
        values: Activations (units, top), float32, on the CPU as all of these.
        photos: Numbers of the photos in :attr:`StrongestIndex.photos`, (units, top), int64.
        positions: Row and column in the feature map, (units, top, 2), int64; -1 in a vector of
            units.
    """

    name: str
    path: str
    map_size: tuple[int, int] | None
    values: Tensor
    photos: Tensor
    positions: Tensor

    @property
    def units(self) -> int:
        """Number of units (feature maps) of the layer."""
        return len(self.values)


@dataclass(frozen=True, eq=False, kw_only=True)
class StrongestIndex:
    """The strongest places of some layers over a list of photos.

    Attributes:
        identity: What it was made with.
        photos: Names of all photos, sorted: relative to the data folder, with ``/`` between parts.
        sizes: Size of each photo's file in bytes.
        done: How many photos, from the first on, have been looked at.
        failures: Photos that could not be read, in order: name, and why in one line.
        layers: By name, in the order asked for.
    """

    identity: Identity
    photos: tuple[str, ...]
    sizes: tuple[int, ...]
    done: int
    failures: tuple[tuple[str, str], ...] = ()
    layers: dict[str, LayerRanking] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether all photos have been looked at."""
        return self.done == len(self.photos)


FORMAT_KEY, FORMAT = "vizcnn.strongest", "1"
"""The only entry of the file's metadata: with several, their order would change from run to run.

The number also stands for all that decides what is found, such as how many photos go through the
net at a time (:data:`vizcnn.mining.lots.LOT`).
"""

_TENSORS = {"values": torch.float32, "photos": torch.int64, "positions": torch.int64}
_RECORD = "record"


def write_index(index: StrongestIndex, file: Path) -> None:
    """Write an index under a temporary name and move it into place.

    Args:
        index: Complete or not.
        file: Usually ``.safetensors``; a former one is replaced.

    Raises:
        DataError: If it cannot be written; a former file is then as it was.
    """
    tensors = {
        f"layer-{number:03d}.{name}": getattr(layer, name).cpu().contiguous()
        for number, layer in enumerate(index.layers.values())
        for name in _TENSORS
    }
    record = json.dumps(_describe(index), separators=(",", ":"), sort_keys=True)
    tensors[_RECORD] = torch.frombuffer(bytearray(record.encode("ascii")), dtype=torch.uint8)
    with replacing(file, DataError) as temporary:
        temporary.write_bytes(save(tensors, metadata={FORMAT_KEY: FORMAT}))


def _describe(index: StrongestIndex) -> dict[str, Any]:
    return {
        "identity": asdict(index.identity),
        "photos": index.photos,
        "sizes": index.sizes,
        "done": index.done,
        "failures": index.failures,
        "map_sizes": [layer.map_size for layer in index.layers.values()],
    }


def read_index(file: Path) -> StrongestIndex:
    """Read an index.

    Args:
        file: What :func:`write_index` wrote.

    Raises:
        DataError: If the file is missing, damaged, or something else.

    Example:
        >>> read_index(Path("missing.safetensors"))
        Traceback (most recent call last):
        vizcnn.basics.errors.DataError: no index 'missing.safetensors': check the path
    """
    name = repr(str(file))
    if not file.exists():
        raise DataError(f"no index {name}: check the path")
    if file.is_dir():
        raise DataError(f"{name} is a folder; needed: an index that vizcnn mine wrote")
    tensors = _read_tensors(file, name)
    try:
        record = json.loads(tensors.pop(_RECORD).numpy().tobytes())
        return _rebuild(record, tensors)
    except (LookupError, ValueError, TypeError, AttributeError, RecursionError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:120]
        raise DataError(f"the index {name} is damaged ({reason}): delete it") from None


def _read_tensors(file: Path, name: str) -> dict[str, Tensor]:
    try:
        content = file.read_bytes()  # at once: a run may replace the file at any time
        found = _read_metadata(content).get(FORMAT_KEY)
        if found == FORMAT:
            return load(content)
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise DataError(
            f"{name} cannot be read as an index ({reason}): it is cut off, damaged or of another "
            "kind"
        ) from None
    if found is None:
        raise DataError(f"{name} is no index; needed: a file that vizcnn mine wrote")
    raise DataError(f"{name} is of another version of vizcnn (layout {found!r:.20}): mine it anew")


def _read_metadata(content: bytes) -> dict[str, Any]:
    """Read what a safetensors file says of itself: 8 bytes of length, then JSON.

    Raises:
        ValueError: If it is no such file.
    """
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    return metadata if isinstance(metadata, dict) else {}


def _rebuild(record: dict[str, Any], tensors: dict[str, Tensor]) -> StrongestIndex:
    values = record["identity"]
    identity = Identity(**{**values, "layers": tuple((n, p) for n, p in values["layers"])})
    index = StrongestIndex(
        identity=identity,
        photos=tuple(record["photos"]),
        sizes=tuple(record["sizes"]),
        done=record["done"],
        failures=tuple((name, error) for name, error in record["failures"]),
        layers={
            name: _rebuild_layer(number, name, path, size, tensors)
            for number, ((name, path), size) in enumerate(
                zip(identity.layers, record["map_sizes"], strict=True)
            )
        },
    )
    _check(index)
    return index


def _rebuild_layer(
    number: int, name: str, path: str, size: list[int] | None, tensors: dict[str, Tensor]
) -> LayerRanking:
    found = {part: tensors[f"layer-{number:03d}.{part}"] for part in _TENSORS}
    map_size = None if size is None else (int(size[0]), int(size[1]))
    return LayerRanking(name, path, map_size, **found)


def _check(index: StrongestIndex) -> None:
    """Make sure that the parts of an index fit each other.

    Raises:
        ValueError: If they do not.
    """
    photos = len(index.photos)
    if {str} != {type(name) for name in index.photos} | {str}:
        raise ValueError("its photos are not names")
    if len(index.sizes) != photos or not 0 <= index.done <= photos:
        raise ValueError("its list of photos contradicts itself")
    if list(index.photos) != sorted(set(index.photos)):
        raise ValueError("its photos are not in order")
    for layer in index.layers.values():
        shape = (layer.units, index.identity.top)
        shapes = {"values": shape, "photos": shape, "positions": (*shape, 2)}
        for part, dtype in _TENSORS.items():
            tensor = getattr(layer, part)
            if tuple(tensor.shape) != shapes[part] or tensor.dtype != dtype:
                raise ValueError(f"layer {layer.name}: {part} of {tuple(tensor.shape)}")
        if layer.photos.numel() and not -1 <= layer.photos.min() <= layer.photos.max() < photos:
            raise ValueError(f"layer {layer.name}: photos that are not listed")
