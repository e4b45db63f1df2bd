"""How far feature maps and class scores follow when the photo moves by a few pixels."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from vizcnn.basics.errors import ImageError, LayerError, ModelError
from vizcnn.measures.blur import insert_blur
from vizcnn.photos.images import read_photo
from vizcnn.photos.stored import PhotoFile
from vizcnn.receptive import find_boxes
from vizcnn.recording.arithmetic import chosen_arithmetic
from vizcnn.recording.layers import LayerReference, find_layer, parse_call
from vizcnn.recording.recording import Recording, record
from vizcnn.recording.watch import evaluating, watch
from vizcnn.zoo.model import ZooModel

_SILENCE = 1e-9
"""Part of the whole map's norm up to which what stays in sight is rounding of the interpolation."""


def move_photo(model: ZooModel, photo: PhotoFile | Image.Image, shifts: Sequence[int]) -> Tensor:
    """Move a photo to the right under the net's window, over pixels that it really has.

    The shorter side is brought to the preprocessing's ``resize``, or to the input size plus the
    largest shift if that is more; no border is filled and nothing comes in again on the other
    side. In the middle of the range (8 of 0..16) the picture is that of
    :meth:`~vizcnn.zoo.model.ZooModel.read`, unless the photo had to be made larger.

    Args:
        model: A net of the zoo.
        photo: A file, or an image of any mode.
        shifts: K movements in pixels, 0 or more.

    Returns:
        Pixels (K, 3, S, S), RGB 0..1, on the module's device and of its type.

    Raises:
        ImageError: If the file cannot be read.

    Example:
        >>> import vizcnn
        >>> net = vizcnn.load("zfnet", weights=None, hidden=8, input_size=64)
        >>> one, two = move_photo(net, Image.radial_gradient("L"), (0, 1))
        >>> torch.equal(two[..., 1:], one[..., :-1])
        True
    """
    image = read_photo(photo)
    size, reach = model.input_size, max(shifts)
    scale = min(image.size) / max(model.preprocessing.resize, size + reach)
    width, height = (size + reach) * scale, size * scale
    left, top = (image.width - width) / 2, (image.height - height) / 2
    strip = image.resize(
        (size + reach, size),
        Image.Resampling.LANCZOS,
        box=_keep_inside((left, top, left + width, top + height), image.size),
    )
    like = next(model.module.parameters())
    pixels = torch.from_numpy(np.array(strip)).permute(2, 0, 1).to(like.device, like.dtype) / 255
    return torch.stack([pixels[..., reach - step : reach - step + size] for step in shifts])


def _keep_inside(
    box: tuple[float, float, float, float], size: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Take rounding errors off a box, which Pillow refuses even if they are of 1e-14 pixels."""
    return max(box[0], 0.0), max(box[1], 0.0), min(box[2], size[0]), min(box[3], size[1])


def find_distances(maps: Tensor, jump: int, shifts: Sequence[int]) -> Tensor:
    """Compare maps of a photo that moved with maps that moved themselves.

    Per shift d: ``|F_d - M_d F_0| / |M_d F_0|``, the norm over all features and rows and over the
    columns from ``ceil(d / jump)`` on. M_d moves a map by d / jump columns, by band-limited
    (Fourier) interpolation of the map continued evenly on both sides, the cosine transform's way.
    A layer that commutes with the movement and subsamples without aliasing measures 0. The columns
    left out look at what lay outside the window at shift 0; those that stay look at one place of
    the photo in both maps. Where their receptive fields reach beyond the window, its edge and the
    padding cut them differently, and this counts too: it grows with the shift, and in deep layers,
    whose fields are as wide as the window, it is most of what is measured.

    Shifts that are multiples of the jump need no interpolation and show no aliasing: without
    padding they measure 0. At the others the interpolation, which does not know what lies beyond
    the rim, errs itself: on random maps of frequencies up to 80 % of the limit by about 0.03 at 6
    columns and 0.01 at 30 or more; on maps that fill the band up to the limit by 0.1 and 0.05.

    The maps compared are those of Zhang's internal feature distance (arXiv 1904.11486), the
    shifted map and the shifted photo's map, which is a cosine distance there.

    Args:
        maps: The layer's outputs, (K, C, h, w) or (K, C), in the order of the shifts.
        jump: Distance of neighbouring units in pixels; 0 compares without moving.
        shifts: K movements in pixels; the first is 0.

    Returns:
        (K,), float64, on the CPU. NaN where there is nothing to compare with: a layer that is
        silent on the photo, or in all columns that have not moved out of sight; and where maps
        are not finite.

    Raises:
        LayerError: If a shift leaves no column that can be compared.

    Example:
        >>> maps = torch.tensor([[[[5.0, 1.0, 2.0]]], [[[7.0, 5.0, 1.0]]], [[[7.0, 5.0, 3.0]]]])
        >>> find_distances(maps, 4, (0, 4, 4)).square().round(decimals=3).tolist()
        [0.0, 0.0, 0.154]
    """
    original = maps[0].cpu().double()  # first to the CPU: not every device has float64
    least = _SILENCE * original.norm()
    found = []
    for moved, step in zip(maps, shifts, strict=True):
        wanted, first = original, 0
        if jump and original.ndim == 3:
            first = math.ceil(step / jump)
            wanted = original @ move_columns(original.shape[-1], step / jump).T
        rest = moved[..., first:] if first else moved
        energy = wanted.norm()
        ratio = ((rest.cpu().double() - wanted).norm() / energy).item()
        found.append(ratio if energy > least and math.isfinite(ratio) else math.nan)
    return torch.tensor(found, dtype=torch.float64)


@lru_cache(maxsize=256)
def move_columns(columns: int, by: float) -> Tensor:
    """Make the matrix that moves a row of values to the right by Fourier interpolation.

    The row is continued evenly (mirrored beyond its outer half pixels), which repeats after twice
    its length without a step, and its Fourier series is read off elsewhere: the cosine transform
    and back.

    Args:
        columns: Length of the row.
        by: Movement in columns, 0 or more.

    Returns:
        (columns - ceil(by), columns), float64: from the row to the values at ``ceil(by)`` and
        beyond.

    Raises:
        LayerError: If no column is left.

    Example:
        >>> (move_columns(3, 1.0) @ torch.tensor([7.0, 8.0, 9.0]).double()).round().tolist()
        [7.0, 8.0]
    """
    first = math.ceil(by)
    if first >= columns:
        raise LayerError(
            f"maps of {columns} columns move by {by:g} columns out of sight; needed: smaller shifts"
        )
    places = torch.arange(columns, dtype=torch.float64) + 0.5
    wave = math.pi * torch.arange(columns, dtype=torch.float64) / columns
    analysis = torch.cos(torch.outer(wave, places)) * 2 / columns
    analysis[0] /= 2
    return torch.cos(torch.outer(places[first:] - by, wave)) @ analysis


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
            (see :func:`~vizcnn.measures.shift.find_distances`), 0 or more; NaN where a layer is
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
    photos: Sequence[PhotoFile | Image.Image],
    shifts: Iterable[int] = SHIFTS,
    layers: Sequence[str] = LAYERS,
    blur: int | None = None,
) -> ShiftMeasures:
    """Move photos under a net, pixel by pixel, and measure how its maps and scores follow.

    Args:
        model: A net of the zoo; it is not changed.
        photos: Files, or images of any mode.
        shifts: Movements in pixels of the net's input, below its size; 0 is always measured.
        layers: Names that :func:`vizcnn.recording.layers.find_layer` knows.
        blur: Taps of the binomial filter to put before every subsampling
            (:func:`vizcnn.measures.blur.insert_blur`); None measures the net as it is.

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
    net = model.module if blur is None else insert_blur(model.module, blur)
    distances: list[Tensor] = []
    outputs: list[Tensor | None] = []
    for photo in photos:
        inputs = model.preprocessing.normalise(move_photo(model, photo, steps))
        maps, output = _run(net, paths, inputs)
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
    with record(model.module, paths) as recording, chosen_arithmetic():
        black = torch.zeros(1, 3, size, size, device=like.device, dtype=like.dtype)
        model.module(model.preprocessing.normalise(black))
    return tuple(
        _find_jump(recording, path, f"{name!r} of {model.name}")
        for path, name in zip(paths, layers, strict=True)
    )


def _find_jump(recording: Recording, path: str, name: str) -> int:
    output = recording.find_output(path)
    if output.ndim == 2 or output.shape[-1] == 1:
        return 0
    neighbours = torch.tensor([[0, 0], [0, 1]])
    lefts: list[int] = find_boxes(output, recording.find_input(), neighbours, clip=False)[
        :, 1
    ].tolist()
    if lefts[1] <= lefts[0]:
        raise LayerError(
            f"layer {name} stands above an operation of unknown geometry: how far apart its units "
            "lie cannot be found; name a lower layer"
        )
    return lefts[1] - lefts[0]


@torch.no_grad()
def _run(
    net: nn.Module, layers: Sequence[str], inputs: Tensor
) -> tuple[list[Tensor], Tensor | None]:
    """Give the layers' outputs, and the net's if these can be class scores, on the CPU."""
    maps: dict[LayerReference, list[Tensor]] = {}

    def keep(call: LayerReference, args: Any, output: Tensor) -> None:
        # a copy, for the next layer may be a ReLU in place; the maps of all shifts together
        # may be too much for the device
        copied = output.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        maps.setdefault(call, []).append(copied)

    # the form in which pooling and blurring at stride 1 take half the time
    inputs = inputs.contiguous(memory_format=torch.channels_last)
    batches = inputs.tensor_split(math.ceil(len(inputs) / _AT_ONCE))
    with evaluating(net), watch(net, layers, keep), chosen_arithmetic():
        outputs = [net(some) for some in batches]
    scores = [out.cpu() for out in outputs if isinstance(out, Tensor) and out.ndim == 2]
    return [torch.cat(maps[parse_call(layer)]) for layer in layers], (
        torch.cat(scores) if len(scores) == len(outputs) else None
    )


def _read_scores(outputs: Sequence[Tensor | None]) -> tuple[Tensor | None, Tensor | None]:
    """Give, per photo and shift, the probability of the class of shift 0, and the class."""
    scores = [output.cpu().double() for output in outputs if output is not None]
    if len(scores) < len(outputs):
        return None, None
    logits = torch.stack(scores)
    if not logits.isfinite().all():
        raise ModelError(
            "the net puts out class scores that are not finite: its weights are too large for "
            "their type, or damaged"
        )
    classes = logits.argmax(dim=2)
    named = classes[:, :1, None].expand(-1, logits.shape[1], 1)
    return logits.softmax(dim=2).gather(2, named)[..., 0], classes
