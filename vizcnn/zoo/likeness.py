"""Which net a state dict looks like, by the names and shapes of the tensors of all nets at hand."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from vizcnn.basics.errors import quote
from vizcnn.zoo.catalogue import CATALOGUE
from vizcnn.zoo.model import find_last_layer
from vizcnn.zoo.state_dicts import list_prefixes
from vizcnn.zoo.torchvision_nets import TORCHVISION_NETS, import_torchvision

LEAST_SHARE = 0.5
"""Share of tensors that have to fit for a net to be named."""
_ENOUGH = 0.95
"""Share at which no further nets are looked at."""
_FEWEST = 8
"""Tensors that every net has."""

Shapes = Mapping[str, tuple[int | None, ...]]
"""Shapes of a net's tensors by name; None stands for the number of classes, which may be any."""


@dataclass(frozen=True)
class Likeness:
    """A net whose tensors have names and shapes like those of a file.

    Attributes:
        spec: What one loads it by.
        title: Name for headings.
        variant: Form of the net; None for its only or default one.
        share: Share of tensors, of either, that have name and shape in common (0..1).
    """

    spec: str
    title: str
    variant: str | None
    share: float


def read_shapes(module: nn.Module) -> Shapes:
    """Read the names and shapes of a net's tensors, but for counts of batches."""
    last, _ = find_last_layer(module)
    return {
        name: (None, *value.shape[1:]) if name.rpartition(".")[0] == last else tuple(value.shape)
        for name, value in module.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }


def measure_likeness(shapes: Shapes, state: Mapping[str, Tensor]) -> float:
    """Give the share of tensors (0..1), of either side, that have name and shape in common.

    Args:
        shapes: A net's.
        state: Tensors of a file, whose names may have a prefix.
    """
    prefix = list_prefixes(state, shapes)[0]
    found = {
        name.removeprefix(prefix): tuple(value.shape)
        for name, value in state.items()
        if name.startswith(prefix) and not name.endswith("num_batches_tracked")
    }
    same = sum(_fits(shape, found[name]) for name, shape in shapes.items() if name in found)
    return same / max(len(shapes.keys() | found.keys()), 1)


def _shares_names(shapes: Shapes, state: Mapping[str, Tensor]) -> bool:
    prefix = list_prefixes(state, shapes)[0]
    return any(prefix + name in state for name in shapes)


def _fits(needed: tuple[int | None, ...], shape: tuple[int, ...]) -> bool:
    return len(needed) == len(shape) and all(
        side in (None, other) for side, other in zip(needed, shape, strict=True)
    )


def find_likeness(state: Mapping[str, Tensor]) -> Likeness | None:
    """Find the net whose tensors are most like those of a file; None if none is like enough.

    The nets of the catalogue in all their forms are compared, then torchvision's other
    classifiers. Of equal ones the first counts.

    Args:
        state: Tensors of the file by name.
    """
    best: Likeness | None = None
    strangers: set[str] = set()
    known: set[str] = set()
    for net in _list_nets() if len(state) >= _FEWEST else ():
        if net.family in strangers:
            continue
        shapes = _build_shapes(net)
        share = measure_likeness(shapes, state)
        if net.family not in known and not _shares_names(shapes, state):
            strangers.add(net.family)  # no net of this class has a name in common with it
        known.add(net.family)
        if share >= LEAST_SHARE and (best is None or share > best.share):
            best = Likeness(net.spec, net.title, net.variant, share)
            if share >= _ENOUGH:
                break
    return best


def describe_likeness(module: nn.Module, state: Mapping[str, Tensor], location: str) -> str:
    """Say which net tensors look like that do not fit into a net, and how to load them.

    Args:
        module: The net that they do not fit.
        state: The tensors by name.
        location: Their file.

    Returns:
        Some words; empty if no other net is more like them.
    """
    found = find_likeness(state)
    if found is None or found.share <= measure_likeness(read_shapes(module), state):
        return ""
    form = f" --variant {found.variant}" if found.variant else ""
    command = f"--model {found.spec}{form} --weights {quote(Path(location))}"
    variant = f", variant={found.variant!r}" if found.variant else ""
    return f"they look like {found.title}'s: load {found.spec!r}{variant} ({command})"


@dataclass(frozen=True)
class _Net:
    """A net to compare with; of one family are those of one class, which name tensors alike."""

    spec: str
    title: str
    variant: str | None
    family: str
    make: Callable[[], nn.Module]


@lru_cache(maxsize=1)
def _list_nets() -> tuple[_Net, ...]:
    nets = []
    for name, entry in CATALOGUE.items():
        for variant, form in entry.variants.items():
            told = None if variant == entry.default_variant else variant
            make = partial(entry.make, **form.options)
            nets.append(_Net(name, entry.title, told, entry.kind, make))
    known = {name.removeprefix("torchvision-") for name in TORCHVISION_NETS}
    models = import_torchvision().models
    for name in models.list_models(module=models):
        if name not in known:
            family = models.get_model_builder(name).__module__
            make = partial(models.get_model, name, weights=None)
            nets.append(_Net(f"torchvision:{name}", f"torchvision's {name}", None, family, make))
    return tuple(nets)


@cache
def _build_shapes(net: _Net) -> Shapes:
    with _WithoutMemory():
        return read_shapes(net.make())


class _WithoutMemory(TorchFunctionMode):
    """Makes parameters that take no memory; a net whose class computes with tensors still can."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (torch.empty, torch.ones, torch.zeros):
            kwargs = {"device": "meta"} | {k: v for k, v in (kwargs or {}).items() if v is not None}
        return func(*args, **(kwargs or {}))


def read_catalogue(name: str, variant: str) -> Shapes:
    """Read the names and shapes of the tensors of a net of the catalogue, which is built once."""
    told = None if variant == CATALOGUE[name].default_variant else variant
    return next(
        _build_shapes(net) for net in _list_nets() if (net.spec, net.variant) == (name, told)
    )
