"""First layers at several moments of a training: chosen, written beside weights, read again."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from vizcnn.basics.codec import Share, Text, check, parse
from vizcnn.basics.errors import VizcnnError, WeightsError, nearest_names, quote, shorten
from vizcnn.basics.files import replacing
from vizcnn.zoo.cache import check_hash
from vizcnn.zoo.files import (
    BUNDLE,
    FIRST_LAYERS_KEY,
    Name,
    read_expected_hash,
    read_record,
)
from vizcnn.zoo.state_dicts import check_file, read_state

SNAPSHOTS_SUFFIX = ".first_layers.safetensors"
"""How the name of such a file ends, after the net's."""


@dataclass(frozen=True)
class Snapshots:
    """A first layer at several moments of its training.

    Attributes:
        model: Name of the net.
        epochs: Epochs done at each moment, rising; 0 is before the first.
        weights: The filters at each moment, (filters, channels, height, width), float32.
        top1: Top-1 on the validation photos at each moment (0..1); None where not measured.
        note: The photos, and what the training began with.
    """

    model: str
    epochs: tuple[int, ...]
    weights: tuple[Tensor, ...]
    top1: tuple[float | None, ...]
    note: str


def choose_epochs(kept: Iterable[int]) -> tuple[int, ...]:
    """Choose the moments worth keeping: epochs 0, 1, 2, 4, 8, 16, ... and the last.

    Filters change most in the first epochs.

    Args:
        kept: Epochs after which the first layer was kept.

    Example:
        >>> choose_epochs(range(25))
        (0, 1, 2, 4, 8, 16, 24)
    """
    there = sorted(kept)
    return tuple(epoch for epoch in there if epoch & (epoch - 1) == 0 or epoch == there[-1])


def save_first_layers(path: Path, layers: Mapping[int, Tensor], record: Mapping[str, Any]) -> None:
    """Write first layers in 16 bits, named ``epoch-000``, ``epoch-001``, ...

    Args:
        path: A file whose name ends with :data:`SNAPSHOTS_SUFFIX`; moved into place whole.
        layers: (filters, channels, height, width) by epoch.
        record: What the file says of itself: ``model``, ``data``, ``epochs`` (of the recipe),
            ``start`` (sha256 of the weights that the run began with, or empty), ``top1`` (by
            epoch, 0..1 or None) and ``note``.

    Raises:
        WeightsError: If the file cannot be written.
    """
    tensors = {_name(epoch): layer.half().contiguous() for epoch, layer in layers.items()}
    top1 = {_name(epoch): record["top1"].get(epoch) for epoch in layers}
    text = json.dumps({**record, "top1": top1})
    with replacing(path, WeightsError) as temporary:
        temporary.write_bytes(save(tensors, metadata={FIRST_LAYERS_KEY: text}))


def read_first_layers(name: str | Path, folder: Path = BUNDLE) -> Snapshots:
    """Read the first layers that a training kept.

    Args:
        name: A net's name, for those that come with the package; or the path of a
            ``<net>.first_layers.safetensors`` that ``vizcnn train`` wrote.
        folder: Where those of the package lie, with their checksums.

    Raises:
        WeightsError: If there are none, or the file is damaged or another one.

    Example:
        >>> read_first_layers("vgg16")
        Traceback (most recent call last):
        WeightsError: no first layers of 'vgg16' come with this installation: ...
    """
    if str(name).endswith(".safetensors"):
        path = Path(name)
        check_file(path)
        return _read(path)
    path = folder / f"{name}{SNAPSHOTS_SUFFIX}"
    if not path.is_file():
        there = sorted(
            file.name.removesuffix(SNAPSHOTS_SUFFIX) for file in folder.glob(f"*{SNAPSHOTS_SUFFIX}")
        )
        raise WeightsError(
            f"no first layers of {str(name)!r} come with this installation: "
            f"{nearest_names(str(name), there)}; or give the file of a run (*{SNAPSHOTS_SUFFIX})"
        )
    check_hash(path, read_expected_hash(path))
    return _read(path)


@dataclass(frozen=True)
class _Record:
    """What a file of first layers says of itself, as far as it is used."""

    model: Name
    top1: dict[str, Share | None]
    note: Text


def _read(path: Path) -> Snapshots:
    text = read_record(path, FIRST_LAYERS_KEY)
    if text is None:
        raise WeightsError(
            f"{str(path)!r} holds no first layers of a training; needed: a file "
            f"*{SNAPSHOTS_SUFFIX}, as vizcnn train writes it beside the weights"
        )
    state = read_state(path)
    try:
        record = check(_Record, parse(text), "record", WeightsError)
        layers = sorted((_parse(name), name) for name in state)
        snapshots = Snapshots(
            model=record.model,
            epochs=tuple(epoch for epoch, _ in layers),
            weights=tuple(state[name] for _, name in layers),
            top1=tuple(record.top1[name] for _, name in layers),
            note=record.note,
        )
    except (VizcnnError, ValueError, KeyError) as error:
        told = error if isinstance(error, VizcnnError) else shorten(repr(error), 120)
        raise WeightsError(f"the first layers in {quote(path)} are damaged: {told}") from None
    shapes = {layer.shape for layer in snapshots.weights}
    if len(shapes) != 1 or any(len(shape) != 4 for shape in shapes):
        raise WeightsError(f"the first layers in {str(path)!r} are damaged: not of one shape")
    return snapshots


def _name(epoch: int) -> str:
    return f"epoch-{epoch:03d}"


def _parse(name: str) -> int:
    match = re.fullmatch(r"epoch-([0-9]{3,9})", name)
    if match is None:
        raise ValueError(f"no epoch: {quote(name)}")
    return int(match[1])
