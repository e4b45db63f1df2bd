"""The search of one lot of photos after the other, for an index or in memory."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from vizcnn.basics.errors import DataError, LayerError
from vizcnn.basics.progress import Progress, silent
from vizcnn.mining.index import LayerRanking
from vizcnn.mining.lots import LOT
from vizcnn.mining.passes import Forward, measure_layers, takes_channels_last, watch_layers
from vizcnn.mining.ranking import (
    Places,
    find_hopeful,
    find_peaks,
    find_places,
    make_ranking,
    update_ranking,
)
from vizcnn.recording.layers import find_layer
from vizcnn.zoo.model import ZooModel


@contextmanager
def search_layers(model: ZooModel, layers: Mapping[str, str]) -> Iterator["Search"]:
    """Make a net ready to be searched lot by lot; on leaving it is as it was.

    Args:
        model: A net of the zoo.
        layers: Names and module paths, checked by :func:`~vizcnn.mining.passes.measure_layers`.
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

    def find(
        self,
        pixels: Tensor,
        usable: Tensor,
        rankings: Mapping[str, LayerRanking],
        per_photo: int,
        names: Sequence[str],
    ) -> dict[str, Places]:
        """Find each layer's places that may be stronger than those found before.

        Args:
            pixels: A lot, (LOT, 3, S, S), RGB: uint8, or 0..1.
            usable: Which of them are photos, (LOT,), some of them.
            rankings: What was found before in earlier photos, on the net's device.
            per_photo: Places of one photo, at most.
            names: What to call the photos.

        Returns:
            The places by layer.

        Raises:
            DataError: If an activation is not finite.
            LayerError: If a layer puts out something else than one map per photo and unit.
        """
        found: dict[str, Places] = {}
        usable = usable.to(next(self.model.module.parameters()).device)

        def see(layer: str, maps: Tensor) -> None:
            if len(maps) != LOT:
                raise LayerError(f"layer {layer!r} puts out maps of {len(maps)} photos for {LOT}")
            peaks = find_peaks(maps)
            good = peaks.isfinite().all(dim=1) | ~usable
            if not good.all():
                raise DataError(
                    f"layer {layer!r} puts out values that are not finite for the photo "
                    f"{names[good.tolist().index(False)]!r}: check the net's weights"
                )
            hopeful = find_hopeful(rankings[layer].values, peaks, usable)
            found[layer] = find_places(maps, hopeful, per_photo)

        self.forward(self.prepare(pixels), see)
        return found

    def prepare(self, pixels: Tensor) -> Tensor:
        """Turn pixels (N, 3, S, S), uint8 or 0..1, into the net's input."""
        like = next(self.model.module.parameters())
        moved = pixels.to(like.device, non_blocking=True)
        shares = moved if moved.is_floating_point() else moved.to(torch.float32).div(255)
        inputs = self.model.preprocessing.normalise(shares.to(like.dtype))
        return inputs.contiguous(memory_format=self.memory_format)


def make_black(model: ZooModel) -> Tensor:
    """Make one black photo as the net's input, (1, channels, S, S)."""
    like = next(model.module.parameters())
    size = model.input_size
    return model.preprocessing.normalise(like.new_zeros((1, 3, size, size)))


def rank_pixels(
    model: ZooModel,
    pixels: Tensor,
    layers: Sequence[str],
    top: int = 9,
    per_photo: int = 1,
    progress: Progress = silent,
) -> dict[str, LayerRanking]:
    """Find the strongest places of every unit of some layers in photos that are in memory.

    As :func:`vizcnn.mining.run.mine` does it, without a file.

    Args:
        model: A net of the zoo.
        pixels: (N, 3, S, S), RGB 0..1, of the net's input size.
        layers: Canonical names or module paths.
        top: Places kept per unit.
        per_photo: How many of them may be of one photo.
        progress: Shows how far it is.

    Returns:
        The rankings by layer, on the net's device; photos by their number in ``pixels``, ties to
        the earlier one.

    Raises:
        DataError: If an activation is not finite.
        LayerError: If a layer does not exist or puts out no units.

    Example:
        >>> import vizcnn
        >>> model = vizcnn.load("lenet", weights=None)
        >>> rank_pixels(model, torch.rand(4, 3, 32, 32), ["conv1"], top=2)["conv1"].values.shape
        torch.Size([6, 2])
    """
    paths = {name: find_layer(model, name) for name in layers}
    shapes = measure_layers(model.module, make_black(model), paths)
    device = next(model.module.parameters()).device
    rankings = {
        name: make_ranking(name, path, shapes[name], top, device) for name, path in paths.items()
    }
    starts = range(0, len(pixels), LOT)
    with search_layers(model, paths) as search:
        for first in progress(
            starts, label=f"search {', '.join(paths)}", total=len(starts), unit="lot"
        ):
            some = pixels[first : first + LOT]
            lot = torch.cat([some, some.new_zeros(LOT - len(some), *some.shape[1:])])
            names = [f"{number}" for number in range(first, first + len(some))]
            usable = torch.arange(LOT) < len(some)
            found = search.find(lot, usable, rankings, per_photo, names)
            rankings = {
                name: update_ranking(ranking, found[name], first)
                for name, ranking in rankings.items()
            }
    return rankings
