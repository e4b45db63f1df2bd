"""The search of one lot of photos after the other, for an index or in memory."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vizcnn.basics.errors import DataError, LayerError
from vizcnn.mining.index import LayerRanking
from vizcnn.mining.lots import LOT
from vizcnn.mining.passes import Forward, measure_layers, takes_channels_last, watch_layers
from vizcnn.mining.ranking import (
    Places,
    find_hopeful,
    find_maxima,
    find_peaks,
    find_places,
    look_up,
    make_ranking,
    update_ranking,
)
from vizcnn.mining.ranks import Rank
from vizcnn.mining.relevance import (
    UNCLASSED,
    RelevancePass,
    show_outputs,
    watch_relevance,
)
from vizcnn.recording.layers import find_layer
from vizcnn.zoo.model import ZooModel


@contextmanager
def search_layers(
    model: ZooModel, layers: Mapping[str, str], rank: Rank = "activation", maxima: bool = False
) -> Iterator["Search"]:
    """Make a net ready to be searched lot by lot; on leaving it is as it was.

    Args:
        model: A net of the zoo.
        layers: Names and module paths, checked by :func:`~vizcnn.mining.passes.measure_layers`.
        rank: By what places are ranked.
        maxima: Whether each photo's maximum of each unit is wanted, too.
    """
    device = next(model.module.parameters()).device
    fits = device.type == "cpu" and takes_channels_last(model.module, make_black(model), layers)
    memory_format = torch.channels_last if fits else torch.contiguous_format
    copying = torch.cuda.Stream(device) if device.type == "cuda" else None
    with ExitStack() as stack:
        back = None
        if rank == "relevance":
            back = stack.enter_context(watch_relevance(model.module, layers, len(model.classes)))
            forward = show_outputs(back)
        else:
            forward = stack.enter_context(watch_layers(model.module, layers))
        yield Search(model, forward, back, rank, maxima, memory_format, copying)


LOTS_AT_A_TIME = 16
"""Lots that a GPU is given, at most, before it is waited for: to see that all was finite."""


class FiniteCheck:
    """Makes sure that what layers put out is finite, some lots at a time.

    To look at a value on a GPU is to wait until it has done all that it was given, so it is asked
    once for many lots; a CPU after each.

    Args:
        device: Where the net is.
    """

    def __init__(self, device: torch.device) -> None:
        self._lots = 1 if device.type == "cpu" else LOTS_AT_A_TIME
        self._waiting: list[tuple[Sequence[str], dict[str, Tensor]]] = []

    def add(self, names: Sequence[str], finite: dict[str, Tensor]) -> None:
        """Remember what has to be looked at.

        Args:
            names: What to call the photos of a lot.
            finite: By layer, whether all of each photo is finite, (LOT,), on the device.
        """
        self._waiting.append((names, finite))

    @property
    def is_due(self) -> bool:
        """Whether there are as many lots as are looked at together, or there is nothing to see."""
        return not self._waiting or len(self._waiting) >= self._lots

    def look(self) -> None:
        """Look at all lots that wait.

        Raises:
            DataError: If an activation is not finite, of the first such photo.
        """
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        flags = [finite for _, layers in waiting for finite in layers.values()]
        rows = iter(torch.stack(flags).tolist())
        for names, layers in waiting:
            for layer in layers:
                row = next(rows)
                if not all(row):
                    raise DataError(
                        f"layer {layer!r} puts out values that are not finite for the photo "
                        f"{names[row.index(False)]!r}: check the net's weights"
                    )


@dataclass(frozen=True)
class Found:
    """What a lot holds, on the net's device.

    Attributes:
        places: By layer, what may be among the first; none of a rank that needs all photos.
        finite: By layer, whether all that it puts out for each photo is finite, (LOT,).
        maxima: By layer, each unit's maximum in each photo and where it is, (LOT, units); none
            where they are not wanted.
    """

    places: dict[str, Places]
    finite: dict[str, Tensor]
    maxima: dict[str, tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Search:
    """Finds the places of a lot that may be among the first.

    Attributes:
        model: The net.
        forward: Runs it and shows the layers' outputs.
        back: Runs it and back, and shows relevances too; None with another rank.
        rank: By what places are ranked.
        wants_maxima: Whether each photo's maximum of each unit is wanted, too.
        memory_format: How the net's input lies in memory.
        copying: The stream that pixels come to a CUDA device on; None of another.
    """

    model: ZooModel
    forward: Forward
    back: RelevancePass | None
    rank: Rank
    wants_maxima: bool
    memory_format: torch.memory_format
    copying: torch.cuda.Stream | None

    def find(
        self,
        pixels: Tensor,
        usable: Tensor,
        rankings: Mapping[str, LayerRanking],
        per_photo: int,
        keys: Mapping[str, Tensor] | None = None,
        classes: Tensor | None = None,
    ) -> Found:
        """Find each layer's places that may go before those found before.

        A GPU is given all that and not waited for.

        Args:
            pixels: A lot, (LOT, 3, S, S), RGB: uint8, or 0..1.
            usable: Which of them are photos, (LOT,), some of them.
            rankings: What was found before in earlier photos, on the net's device.
            per_photo: Places of one photo, at most.
            keys: Of the draw at random, by layer (LOT, units); only with that rank.
            classes: The true class of each photo, or UNCLASSED, (LOT,); only with relevance.

        Raises:
            LayerError: If a layer puts out something else than one map per photo and unit.
            ModelError: If the net puts out no logits to be relevant to.
        """
        found = Found({}, {}, {})
        usable = self._upload(usable)

        def look(layer: str, maps: Tensor) -> Tensor:
            if len(maps) != LOT:
                raise LayerError(f"layer {layer!r} puts out maps of {len(maps)} photos for {LOT}")
            peaks = find_peaks(maps)
            found.finite[layer] = peaks.isfinite().all(dim=1) | ~usable
            if self.wants_maxima:
                found.maxima[layer] = find_maxima(maps)
            return peaks

        def see(layer: str, maps: Tensor) -> None:
            peaks = look(layer, maps)
            ranked = rankings[layer].values
            if self.rank == "activation":
                slots, hopeful = find_hopeful(ranked, peaks, usable)
                found.places[layer] = find_places(maps, slots, hopeful, per_photo)
            elif self.rank != "median":  # which no lot tells
                scores = -peaks.float() if keys is None else self._upload(keys[layer])
                slots, hopeful = find_hopeful(ranked, scores, usable)
                places = find_places(maps, slots, hopeful, 1)
                found.places[layer] = _score(places, scores, hopeful)

        def see_relevance(layer: str, maps: Tensor, relevance: Tensor) -> None:
            look(layer, maps)
            peaks = find_peaks(relevance)
            found.finite[layer] &= peaks.isfinite().all(dim=1) | ~usable
            slots, hopeful = find_hopeful(rankings[layer].values, peaks, with_class)
            places = find_places(relevance, slots, hopeful, per_photo)
            found.places[layer] = replace(places, activations=look_up(maps, places))

        inputs = self.prepare(pixels)
        if self.back is not None and classes is not None:
            classes = self._upload(classes)
            with_class = usable & (classes != UNCLASSED)
            self.back(inputs, classes, see_relevance)
        else:
            self.forward(inputs, see)
        return found

    def prepare(self, pixels: Tensor) -> Tensor:
        """Turn pixels (N, 3, S, S), uint8 or 0..1, into the net's input.

        Bytes go to the device as they are and become numbers there.
        """
        like = next(self.model.module.parameters())
        moved = self._upload(pixels)
        shares = moved if moved.is_floating_point() else moved.to(torch.float32).div(255)
        inputs = self.model.preprocessing.normalise(shares.to(like.dtype))
        return inputs.contiguous(memory_format=self.memory_format)

    def _upload(self, tensor: Tensor) -> Tensor:
        """Copy to the device, on a stream of its own: while the lot before is computed."""
        device = next(self.model.module.parameters()).device
        if self.copying is None:
            return tensor.to(device)
        with torch.cuda.stream(self.copying):
            moved = tensor.to(device, non_blocking=True)
        current = torch.cuda.current_stream(device)
        current.wait_stream(self.copying)
        moved.record_stream(current)  # its memory may not go back to the copies before it was used
        return moved


def _score(places: Places, scores: Tensor, hopeful: Tensor) -> Places:
    """Rank places by what their photos are ranked by, (LOT, units), not by their activations."""
    ranked = scores.t().gather(1, places.slots).masked_fill(~hopeful, -torch.inf) + 0.0
    return replace(places, values=ranked[:, :, None], activations=places.values)


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
) -> dict[str, LayerRanking]:
    """Find the strongest places of every unit of some layers in photos that are in memory.

    As :func:`vizcnn.mining.run.mine` does it, without a file.

    Args:
        model: A net of the zoo.
        pixels: (N, 3, S, S), RGB 0..1, of the net's input size.
        layers: Canonical names or module paths.
        top: Places kept per unit.
        per_photo: How many of them may be of one photo.

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
    check = FiniteCheck(device)
    with search_layers(model, paths) as search:
        for first in range(0, len(pixels), LOT):
            some = pixels[first : first + LOT]
            lot = torch.cat([some, some.new_zeros(LOT - len(some), *some.shape[1:])])
            names = [f"{number}" for number in range(first, first + len(some))]
            usable = torch.arange(LOT) < len(some)
            found = search.find(lot, usable, rankings, per_photo)
            check.add(names, found.finite)
            if check.is_due:
                check.look()
            rankings = {
                name: update_ranking(ranking, found.places[name], first)
                for name, ranking in rankings.items()
            }
    check.look()
    return rankings
