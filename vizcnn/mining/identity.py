"""What an index was made with: described from a net, and compared."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor, nn

from vizcnn.mining.index import Identity, StrongestIndex
from vizcnn.mining.ranks import Rank
from vizcnn.recording.arithmetic import Precision, find_precision
from vizcnn.recording.layers import find_layer
from vizcnn.zoo.model import ZooModel

SHOWN_DIGITS = 12
"""Digits of a checksum in a message."""

_LABELS = {
    "model": "net",
    "options": "net's options",
    "sha256": "weights' sha256",
    "classes": "net's classes",
}


def describe_identity(
    model: ZooModel,
    layers: tuple[str, ...],
    top: int,
    per_photo: int,
    precision: Precision | None = None,
    rank: Rank = "activation",
    seed: int = 0,
    ranges: bool = False,
) -> Identity:
    """Describe a net and what is asked of it.

    Args:
        model: A net of the zoo.
        layers: Canonical names or module paths.
        top: Places kept per unit.
        per_photo: Places of one photo, at most, among them.
        precision: Of the net's arithmetic; what was chosen (:func:`use_precision`) when None.
        rank: By what places are ranked.
        seed: Of a draw at random; with another rank it says nothing and is not kept.
        ranges: Whether each unit's range over all photos is kept, too.

    Raises:
        LayerError: If a layer does not exist.
    """
    return Identity(
        model=model.name,
        options=_to_plain(model.options),
        weights=model.provenance.describe(),
        sha256=hash_module(model.module),
        preprocessing=_to_plain(model.preprocessing.to_dict()),
        layers=tuple((name, find_layer(model, name)) for name in dict.fromkeys(layers)),
        top=top,
        per_photo=per_photo,
        precision=precision or find_precision(),
        rank=rank,
        seed=seed if rank == "random" else 0,
        ranges=ranges,
        classes=hash_texts(model.classes) if rank == "relevance" else "",
    )


def _to_plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Give values as they come back from JSON, so that equal ones compare equal."""
    plain: dict[str, Any] = json.loads(json.dumps(dict(values), default=str))
    return plain


def hash_texts(texts: Sequence[str]) -> str:
    """Compute the SHA-256 of texts in their order, 64 hexadecimal digits."""
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


def hash_module(module: nn.Module) -> str:
    """Compute the SHA-256 of all parameters and buffers: names, types, shapes and values.

    Where the weights came from, the device and the layout in memory make no difference.

    Returns:
        64 hexadecimal digits.

    Example:
        >>> one, other = nn.Linear(2, 2), nn.Linear(2, 2)
        >>> _ = other.load_state_dict(one.state_dict())
        >>> hash_module(one) == hash_module(other)
        True
    """
    sha256 = hashlib.sha256()
    for name, value in sorted(_list_tensors(module)):
        sha256.update(f"{name}\0{value.dtype}\0{tuple(value.shape)}\0".encode())
        flat = value.detach().cpu().contiguous().flatten()
        sha256.update(flat.view(torch.uint8).numpy().data)
    return sha256.hexdigest()


def _list_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()


def list_differences(former: Identity, wanted: Identity) -> list[str]:
    """Say in what two identities differ, a phrase each.

    Example:
        >>> old = Identity(
        ...     model="zfnet", options={}, weights="random weights (untrained)", sha256="0" * 64,
        ...     preprocessing={}, layers=(("conv1", "features.relu1"),), top=9, per_photo=1,
        ... )
        >>> from dataclasses import replace
        >>> list_differences(old, replace(old, model="alexnet", top=5))
        ["net: 'zfnet', not 'alexnet'", 'top: 9, not 5']
    """
    phrases = []
    for part in fields(Identity):
        there, here = getattr(former, part.name), getattr(wanted, part.name)
        if there != here:
            label = _LABELS.get(part.name, part.name)
            phrases.append(f"{label}: {_show(part.name, there)}, not {_show(part.name, here)}")
    return phrases


def _show(name: str, value: Any) -> str:
    if name in ("sha256", "classes"):
        return f"{value[:SHOWN_DIGITS]}..."
    if name == "layers":
        return ", ".join(layer if layer == path else f"{layer} ({path})" for layer, path in value)
    return repr(value)


def list_photo_differences(
    index: StrongestIndex, names: tuple[str, ...], sizes: tuple[int, ...]
) -> list[str]:
    """Say in what an index's list of photos differs from another, a phrase each.

    Args:
        index: What a file holds.
        names: The photos now.
        sizes: The bytes of each.
    """
    if index.photos == names and index.sizes == sizes:  # two tables of a million are large
        return []
    former = dict(zip(index.photos, index.sizes, strict=True))
    wanted = dict(zip(names, sizes, strict=True))
    kinds = {
        "new": [name for name in wanted if name not in former],
        "gone": [name for name in former if name not in wanted],
        "of another size": [
            name for name in wanted if former.get(name, wanted[name]) != wanted[name]
        ],
    }
    return [
        f"{len(found)} photo(s) {kind}, such as {found[0]!r}"
        for kind, found in kinds.items()
        if found
    ]


def list_shape_differences(former: StrongestIndex, wanted: StrongestIndex) -> list[str]:
    """Say which layers are of other units or maps than those of another index, a phrase each."""
    return [
        f"{name}: {layer.units} units with maps of {layer.map_size}, not {found.units} of "
        f"{found.map_size}"
        for name, layer in former.layers.items()
        if (found := wanted.layers[name]).units != layer.units or found.map_size != layer.map_size
    ]
