"""Indexes on disk: one safetensors file, the same bytes for the same index, no pickle.

Per layer, numbered in their order, the file holds ``layer-000.values`` (units, top) float32,
``layer-000.photos`` (units, top) int64 and ``layer-000.positions`` (units, top, 2) int64; the rest
is JSON in the tensor ``record`` (uint8), because a safetensors header is of limited length.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from vizcnn.errors import DataError
from vizcnn.files import replacing
from vizcnn.mining.index import Identity, LayerRanking, StrongestIndex

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
        vizcnn.errors.DataError: no index 'missing.safetensors': check the path
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
