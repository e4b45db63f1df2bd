"""The places of one lot of photos that may be among the strongest."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from vizcnn.errors import DataError, LayerError
from vizcnn.mining.forward import Forward, takes_channels_last, watch_layers
from vizcnn.mining.index import StrongestIndex
from vizcnn.mining.lots import LOT, Lot
from vizcnn.mining.ranking import Places, find_hopeful, find_peaks, find_places
from vizcnn.zoo.model import ZooModel


@contextmanager
def search_layers(model: ZooModel, layers: Mapping[str, str]) -> Iterator["Search"]:
    """Make a net ready to be searched lot by lot; on leaving it is as it was.

    Args:
        model: A net of the zoo.
        layers: Names and module paths, checked by :func:`~vizcnn.mining.forward.measure_layers`.
    """
    on_cpu = next(model.module.parameters()).device.type == "cpu"
    fits = on_cpu and takes_channels_last(model.module, make_black(model), layers)
    with watch_layers(model.module, layers) as forward:
        yield Search(model, forward, torch.channels_last if fits else torch.contiguous_format)


@dataclass(frozen=True)
class Search:
    """Finds the places of a lot that may be among the strongest.

    Attributes:
        model: The net.
        forward: Runs it and shows the layers' outputs.
        memory_format: How the net's input lies in memory.
    """

    model: ZooModel
    forward: Forward
    memory_format: torch.memory_format

    def find(self, lot: Lot, index: StrongestIndex) -> dict[str, Places]:
        """Find each layer's places that may be stronger than those of an index.

        Args:
            lot: Photos, later than all of the index.
            index: What was found before, on the net's device.

        Returns:
            The places by layer; nothing if no photo of the lot can be read.

        Raises:
            DataError: If an activation is not finite.
            LayerError: If a layer puts out something else than one map per photo and unit.
        """
        found: dict[str, Places] = {}
        usable = lot.usable.to(next(self.model.module.parameters()).device)

        def see(name: str, maps: Tensor) -> None:
            peaks = find_peaks(_check_count(name, maps))
            _refuse_odd(name, peaks.isfinite().all(dim=1) | ~usable, lot, index)
            hopeful = find_hopeful(index.layers[name].values, peaks, usable)
            found[name] = find_places(maps, hopeful, index.identity.per_photo)

        if lot.usable.any():
            self.forward(self.prepare(lot.pixels), see)
        return found

    def prepare(self, pixels: Tensor) -> Tensor:
        """Turn pixels (N, 3, S, S), uint8, into the net's input."""
        like = next(self.model.module.parameters())
        shares = pixels.to(like.device, non_blocking=True).to(torch.float32).div(255)
        inputs = self.model.preprocessing.normalise(shares.to(like.dtype))
        return inputs.contiguous(memory_format=self.memory_format)


def make_black(model: ZooModel) -> Tensor:
    """Make one black photo as the net's input, (1, channels, S, S)."""
    like = next(model.module.parameters())
    size = model.input_size
    return model.preprocessing.normalise(like.new_zeros((1, 3, size, size)))


def _check_count(name: str, maps: Tensor) -> Tensor:
    if len(maps) != LOT:
        raise LayerError(f"layer {name!r} puts out maps of {len(maps)} photos for {LOT}")
    return maps


def _refuse_odd(name: str, good: Tensor, lot: Lot, index: StrongestIndex) -> None:
    if not good.all():
        photo = index.photos[lot.first + good.tolist().index(False)]
        raise DataError(
            f"layer {name!r} puts out values that are not finite for the photo {photo!r}: check "
            "the net's weights"
        )
