"""How far feature maps and class scores follow when the photo moves by a few pixels."""

from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from vizcnn.aliasing.blur import insert_blur
from vizcnn.aliasing.moving import find_distances, move_photo
from vizcnn.errors import ImageError, LayerError
from vizcnn.full_image import exact_arithmetic
from vizcnn.layers import find_layer
from vizcnn.progress import Progress, silent
from vizcnn.receptive import find_boxes
from vizcnn.recording import Recording, record
from vizcnn.zoo.model import ZooModel

SHIFTS = tuple(range(17))
"""Movements in pixels that are measured by default."""

LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5")
"""Layers that are measured by default."""

_AT_ONCE = 16
"""Shifts of a photo that run as one batch at most."""


@dataclass(frozen=True, eq=False)
class ShiftMeasures:
    """What a net's maps and scores did while P photos moved by K shifts to the right.

    Attributes:
        shifts: Movements in pixels of the net's input, ascending, the first is 0.
        layers: Names of the L layers.
        jumps: Per layer, the horizontal distance of neighbouring units in pixels of the input;
            0 for layers that have no place (fully connected).
        distances: (P, L, K), float64, relative distance of the maps from those that moved ideally
            (see :func:`~vizcnn.aliasing.moving.find_distances`), 0 or more; NaN where a layer is
            silent on a photo.
        probabilities: (P, K), float64, 0..1, of the class that the net named at shift 0; None for
            nets without class scores.
        classes: (P, K), int64, the class named first at each shift; None for the same nets.
    """

    shifts: tuple[int, ...]
    layers: tuple[str, ...]
    jumps: tuple[int, ...]
    distances: Tensor
    probabilities: Tensor | None
    classes: Tensor | None

    @property
    def mean_distances(self) -> Tensor:
        """Distances averaged over the photos that have one, (L, K); NaN where none has."""
        return self.distances.nanmean(dim=0)

    @property
    def score_changes(self) -> Tensor | None:
        """How far the probability of the class named at shift 0 has changed, (P, K), 0..1."""
        if self.probabilities is None:
            return None
        return (self.probabilities - self.probabilities[:, :1]).abs()

    @property
    def consistency(self) -> float | None:
        """Share of all photos and pairs of different shifts with the same class, 0..1.

        Zhang's classification consistency (arXiv 1904.11486): how often two crops of one photo are
        classified the same; there the crops lie at random, here on a row.
        """
        if self.classes is None:
            return None
        one, other = torch.triu_indices(len(self.shifts), len(self.shifts), offset=1)
        return (self.classes[:, one] == self.classes[:, other]).double().mean().item()


def measure_shifts(
    model: ZooModel,
    photos: Sequence[Path | Image.Image],
    shifts: Iterable[int] = SHIFTS,
    layers: Sequence[str] = LAYERS,
    blur: int | None = None,
    progress: Progress = silent,
) -> ShiftMeasures:
    """Move photos under a net, pixel by pixel, and measure how its maps and scores follow.

    Args:
        model: A net of the zoo; it is not changed.
        photos: Files, or images of any mode.
        shifts: Movements in pixels of the net's input, below its size; 0 is always measured.
        layers: Names that :func:`vizcnn.layers.find_layer` knows.
        blur: Taps of the binomial filter to put before every subsampling
            (:func:`vizcnn.aliasing.blur.insert_blur`); None measures the net as it is.
        progress: Shows how far it is.

    Raises:
        ImageError: If there is no photo, one cannot be read, or a shift is not possible.
        LayerError: If a layer does not exist, or it is not known how far apart its units lie.

    Example:
        >>> import vizcnn
        >>> net = vizcnn.load("zfnet", weights=None, hidden=8, classes=5, input_size=64)
        >>> measures = measure_shifts(net, [Image.new("RGB", (90, 80))], range(3), ["conv1"])
        >>> measures.jumps, measures.distances.shape, measures.consistency
        ((2,), torch.Size([1, 1, 3]), 1.0)
    """
    steps = check_shifts(shifts, model.input_size)
    if not photos:
        raise ImageError("no photo to move: give one at least")
    paths = [find_layer(model, name) for name in layers]
    jumps = find_jumps(model, layers)
    # a copy of its own in any case: what watches it is thrown away with it
    net = deepcopy(model.module) if blur is None else insert_blur(model.module, blur)
    watched = _Watched(net.eval(), paths)
    distances: list[Tensor] = []
    outputs: list[Tensor | None] = []
    for photo in progress(photos, label="shift", total=len(photos), unit="photo"):
        maps, output = watched.run(model.preprocessing.normalise(move_photo(model, photo, steps)))
        rows = [find_distances(*pair, steps) for pair in zip(maps, jumps, strict=True)]
        distances.append(torch.stack(rows) if rows else torch.zeros(0, len(steps)))
        outputs.append(output)
    return ShiftMeasures(
        steps, tuple(layers), jumps, torch.stack(distances), *_read_scores(outputs)
    )


def check_shifts(shifts: Iterable[int], size: int) -> tuple[int, ...]:
    """Sort shifts, with 0 among them, and make sure that an input of ``size`` pixels allows them.

    Raises:
        ImageError: If it does not.

    Example:
        >>> check_shifts([4, 2], 32)
        (0, 2, 4)
    """
    steps = tuple(sorted({0, *shifts}))
    if steps[0] < 0 or steps[-1] >= size or len(steps) < 2:
        raise ImageError(
            f"shifts of {steps[0]} to {steps[-1]} pixels; needed: some of 1..{size - 1}, for the "
            f"net's input has {size} pixels"
        )
    return steps


def find_jumps(model: ZooModel, layers: Sequence[str]) -> tuple[int, ...]:
    """Find how far apart neighbouring units of layers lie, horizontally.

    Args:
        model: A net of the zoo.
        layers: Canonical names or module paths.

    Returns:
        Per layer, pixels of the input, exact, from the receptive fields of two neighbours; 0 for
        layers of one column or of single units.

    Raises:
        LayerError: If a layer does not exist, or an operation of unknown geometry lies below it.

    Example:
        >>> import vizcnn
        >>> find_jumps(vizcnn.load("alexnet", weights=None, hidden=8), ("conv1", "conv5", "fc6"))
        (4, 16, 0)
    """
    paths = [find_layer(model, name) for name in layers]
    like = next(model.module.parameters())
    size = model.input_size
    with record(model.module, paths) as recording, exact_arithmetic():
        black = torch.zeros(1, 3, size, size, device=like.device, dtype=like.dtype)
        model.module(model.preprocessing.normalise(black))
    return tuple(
        _find_jump(recording, path, f"{name!r} of {model.name}")
        for path, name in zip(paths, layers, strict=True)
    )


def _find_jump(recording: Recording, path: str, name: str) -> int:
    output, leaf = recording.find_output(path), recording.input
    if output.ndim == 2 or output.shape[-1] == 1 or leaf is None:
        return 0
    neighbours = torch.tensor([[0, 0], [0, 1]])
    lefts: list[int] = find_boxes(output, leaf, neighbours, clip=False)[:, 1].tolist()
    if lefts[1] <= lefts[0]:
        raise LayerError(
            f"layer {name} stands above an operation of unknown geometry: how far apart its units "
            "lie cannot be found; name a lower layer"
        )
    return lefts[1] - lefts[0]


class _Watched:
    """A net that is one's own, and what some of its modules put out."""

    def __init__(self, net: nn.Module, layers: Sequence[str]) -> None:
        self._net, self._layers = net, layers
        self._seen: dict[str, list[Tensor]] = {}
        for path in {layer.partition("#")[0] for layer in layers}:
            net.get_submodule(path).register_forward_hook(self._keep(path))

    def _keep(self, path: str) -> Any:
        def hook(module: nn.Module, args: Any, output: Tensor) -> None:
            # a copy, for the next layer may be a ReLU in place; the maps of all shifts together
            # may be too much for the device
            copy = output.detach().to("cpu", copy=True)
            self._seen.setdefault(path, []).append(copy)

        return hook

    @torch.no_grad()
    def run(self, inputs: Tensor) -> tuple[list[Tensor], Tensor | None]:
        """Give the layers' outputs, and the net's if these can be class scores, on the CPU."""
        with exact_arithmetic():
            maps, scores = zip(*map(self._run_batch, inputs.split(_AT_ONCE)), strict=True)
        found = [score for score in scores if score is not None]
        return [torch.cat(parts) for parts in zip(*maps, strict=True)], (
            torch.cat(found) if len(found) == len(scores) else None
        )

    def _run_batch(self, inputs: Tensor) -> tuple[list[Tensor], Tensor | None]:
        self._seen.clear()
        output = self._net(inputs)
        maps = []
        for layer in self._layers:
            path, _, number = layer.partition("#")
            maps.append(self._seen[path][int(number or 1) - 1])
        has_scores = isinstance(output, Tensor) and output.ndim == 2
        return maps, output.cpu() if has_scores else None


def _read_scores(outputs: Sequence[Tensor | None]) -> tuple[Tensor | None, Tensor | None]:
    """Give, per photo and shift, the probability of the class of shift 0, and the class."""
    scores = [output.cpu().double() for output in outputs if output is not None]
    if len(scores) < len(outputs):
        return None, None
    logits = torch.stack(scores)
    classes = logits.argmax(dim=2)
    named = classes[:, :1, None].expand(-1, logits.shape[1], 1)
    return logits.softmax(dim=2).gather(2, named)[..., 0], classes
