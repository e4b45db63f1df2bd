"""Effective receptive fields: how much the pixels of a receptive field really count.

Luo et al. 2016 (arXiv 1701.04128): the gradient of a layer's middle unit at the pixels. Inside the
theoretical field, which :func:`vizcnn.receptive.fields.measure_fields` gives exactly, it falls off
from the middle; how fast depends on the weights and on the photos.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vizcnn.attribution.readout import read_layers
from vizcnn.basics.codec import unwritten
from vizcnn.basics.errors import ImageError, LayerError, ModelError, VizcnnError, check_kind, quote
from vizcnn.basics.progress import Progress, silent
from vizcnn.measures.gaussian_fit import GaussianFit, fit_gaussian
from vizcnn.photos.arrays import Photo, list_photos
from vizcnn.photos.pixels import Box
from vizcnn.receptive.fields import ReceptiveField, Span, find_centre, measure_fields
from vizcnn.recording.arithmetic import chosen_arithmetic
from vizcnn.recording.layers import list_layers, select_layers, select_stages
from vizcnn.zoo.model import ZooModel

Values = NDArray[np.float64]

Normalise = Literal["none", "photo"]
"""Whether each photo's map is divided by its sum, so that all photos weigh alike."""
NORMALISES: tuple[Normalise, ...] = get_args(Normalise)

SHARES = (0.2, 0.5, 0.9, 0.95)
"""Shares of an effective field of which squares are told."""
AT_ONCE = 8
"""Photos that go through the net as one batch."""


@dataclass(frozen=True)
class HeldShare:
    """What holds a share of an effective field.

    Attributes:
        share: The share, 0..1.
        side: Side in pixels of the smallest square around the field's middle that holds it; where
            it reaches beyond the image, as if the image went on.
        area: The least pixels that together hold it, wherever they lie, as a share 0..1 of the
            pixels that the units can see.
    """

    share: float
    side: int
    area: float


@dataclass(frozen=True, kw_only=True)
class EffectiveField:
    """How much the pixels count that the middle unit of a layer depends on.

    Of a map with an even number of rows or columns there is no middle unit: the mean of the middle
    two, or four, takes its place, and the field is what they see together.

    Attributes:
        name: The layer's name, as asked for.
        path: Module path.
        size: Height and width in pixels of the theoretical field, before the image cuts it.
        box: What of it lies in the image: top, left, bottom, right, the last two exclusive.
        exact: Whether the theoretical field is exact; else it may be too large.
        places: How many places of the map are taken together: 1, 2 or 4.
        centre: Row and column of the field's middle; pixels have theirs at whole numbers.
        photos: Over how many photos the mean is.
        silent: In how many of them no pixel counts: the middle is inactive there.
        peak: Largest value of the map: |d unit / d pixel|, pixels 0..1; a share of a photo's sum
            where photos are normalised.
        outside: Largest value outside of the box, over the peak: 0, but for a GPU's rounding.
        held: Squares and areas that hold :data:`SHARES` of it; none where all photos are silent.
        ratio: Side of the square that holds 95 % over the theoretical field's longer side.
        gaussian: The Gaussian that fits the map in the box best; None where there is none.
        map: The mean over photos, (H, W), float64; not in manifests.
    """

    name: str
    path: str
    size: tuple[int, int]
    box: Box
    exact: bool
    places: int
    centre: tuple[float, float]
    photos: int
    silent: int
    peak: float
    outside: float
    held: tuple[HeldShare, ...]
    ratio: float | None
    gaussian: GaussianFit | None
    map: Values = unwritten()

    @property
    def is_cut(self) -> bool:
        """Whether the image's edge cuts the theoretical field."""
        top, left, bottom, right = self.box
        return (bottom - top, right - left) != self.size

    def find_share(self, share: float) -> HeldShare | None:
        """Give what holds a share; None where nothing does."""
        return next((held for held in self.held if held.share == share), None)


def measure_effective_fields(
    model: ZooModel,
    photos: Photo | Iterable[Photo],
    layers: Sequence[str] | None = None,
    normalise: Normalise = "none",
    progress: Progress = silent,
) -> tuple[EffectiveField, ...]:
    """Measure how much the pixels count that the middle units of layers depend on.

    The mean over photos of |d y / d pixel|, summed over the colours, where y is the sum over all
    feature maps of the layer's middle unit (Luo et al. 2016, arXiv 1701.04128, section 1.1).

    Args:
        model: A net that :func:`vizcnn.load` or :func:`vizcnn.wrap` gave.
        photos: One or several, as for :meth:`~vizcnn.zoo.model.ZooModel.to_pixels`.
        layers: Canonical names or module paths; the stages conv1, conv2, ... when None.
        normalise: ``"none"``, or ``"photo"``: each photo's map is divided by its sum.
        progress: Shows how far it is.

    Returns:
        One per layer, in the order of the net.

    Raises:
        LayerError: If a layer does not exist, has no feature maps or is cut off from the pixels.
        ImageError: If a photo cannot be read, or the net does not take its size.
        VizcnnError: If there are no photos, or no such normalisation.

    Example:
        >>> import vizcnn
        >>> (field,) = measure_effective_fields(vizcnn.load("lenet"), ["coffee"], ["conv1"])
        >>> field.size, field.box, field.places, [held.side for held in field.held]
        ((6, 6), (13, 13, 19, 19), 4, [4, 4, 6, 6])
    """
    check_kind("a net", model, ZooModel, "a net that vizcnn.load or vizcnn.wrap gave", ModelError)
    check_normalise(normalise)
    names = choose_layers(model, layers)
    given = photos if isinstance(photos, Tensor) else list_photos(photos)
    pixels = model.to_pixels(given)
    if not len(pixels):
        raise VizcnnError("no photos were given")
    try:
        fields = find_middles(model, names, (pixels.shape[2], pixels.shape[3]))
    except ModelError as error:
        raise ImageError(f"photos of shape {tuple(pixels.shape)}: {error}") from None
    firsts = range(0, len(pixels), AT_ONCE)
    sums = [
        sum_gradients(model, pixels[first : first + AT_ONCE], names, normalise)
        for first in progress(firsts, label="photos", total=len(firsts), unit="batch")
    ]
    return describe_fields(fields, sums, len(pixels))


def check_normalise(normalise: str) -> None:
    """Make sure that there is such a normalisation.

    Raises:
        VizcnnError: If there is none.
    """
    if not isinstance(normalise, str) or normalise not in NORMALISES:
        raise VizcnnError(
            f"normalise={quote(normalise)} is not known; needed: {' or '.join(NORMALISES)}"
        )


def choose_layers(model: ZooModel, layers: Sequence[str] | None) -> tuple[str, ...]:
    """Choose the layers asked for, or else the stages of a net.

    Raises:
        LayerError: If a layer does not exist, or none is named and the net's have no names.
    """
    wanted: list[Any] = [] if layers is None else list_layers(layers)
    if not wanted:
        return select_stages(model)
    for layer in wanted:
        check_kind("a layer", layer, str, "its name", LayerError)
    return select_layers(model, wanted)


@dataclass(frozen=True)
class Middle:
    """The middle unit of a layer, or the two or four middle ones.

    Attributes:
        field: The layer's receptive field.
        rows: What each of the middle rows sees.
        columns: What each of the middle columns sees.
    """

    field: ReceptiveField
    rows: tuple[Span, ...]
    columns: tuple[Span, ...]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of what they see together, uncut."""
        down, across = (
            max(span.stop for span in spans) - min(span.start for span in spans)
            for spans in (self.rows, self.columns)
        )
        return down, across

    @property
    def box(self) -> Box:
        """What they see of the image together: top, left, bottom, right; of nothing all zero."""
        seen = [
            [span for span in spans if span.seen_start < span.seen_stop]
            for spans in (self.rows, self.columns)
        ]
        if not all(seen):
            return 0, 0, 0, 0
        (top, bottom), (left, right) = (
            (min(span.seen_start for span in spans), max(span.seen_stop for span in spans))
            for spans in seen
        )
        return top, left, bottom, right

    @property
    def centre(self) -> tuple[float, float]:
        """Row and column of the middle of what they see."""
        row, column = (
            sum(map(find_centre, spans)) / len(spans) for spans in (self.rows, self.columns)
        )
        return row, column


def find_middles(
    model: ZooModel, layers: Sequence[str], size: tuple[int, int] | None = None
) -> tuple[Middle, ...]:
    """Find the middle units of layers and what they can see at most."""
    return tuple(
        Middle(field, _pick_middle(field.rows), _pick_middle(field.columns))
        for field in measure_fields(model, layers, size)
    )


def _pick_middle(spans: Sequence[Span]) -> tuple[Span, ...]:
    return tuple(spans[_list_middle(len(spans))])


def _list_middle(count: int) -> slice:
    """Give the middle one of so many, or the middle two.

    Example:
        >>> list(range(5))[_list_middle(5)], list(range(4))[_list_middle(4)]
        ([2], [1, 2])
    """
    return slice((count - 1) // 2, count // 2 + 1)


def sum_gradients(
    model: ZooModel, pixels: Tensor, layers: Sequence[str], normalise: Normalise = "none"
) -> dict[str, NDArray[Any]]:
    """Sum the maps of a batch of photos.

    Args:
        model: The net.
        pixels: (N, 3, H, W), RGB 0..1.
        layers: Names of layers.
        normalise: Whether each photo's map is divided by its sum.

    Returns:
        ``"maps"``: sums over the photos of |d y / d pixel|, colours added up, (layers, H, W),
        float64; ``"silent"``: in how many photos a layer's map is zero everywhere, (layers,).

    Raises:
        LayerError: If a layer has no feature maps, or is cut off from the pixels.
        ModelError: If a gradient is not finite.
    """
    like = next(model.module.parameters())
    maps, silent = [], []
    with torch.inference_mode(False), torch.enable_grad(), chosen_arithmetic():
        shown = pixels.detach().to(like.device, like.dtype).clone().requires_grad_()
        found = read_layers(model, shown, layers)
        for place, layer in enumerate(layers):
            output = found[layer].maps
            if not output.requires_grad:
                raise LayerError(
                    f"layer {quote(layer)} is cut off from the pixels (detached or under no_grad)"
                )
            (gradient,) = torch.autograd.grad(
                _take_middle(output).sum(), shown, retain_graph=place + 1 < len(layers)
            )
            each = gradient.detach().abs().sum(dim=1).double().cpu()
            if not each.isfinite().all():
                raise ModelError(
                    f"the gradient of layer {quote(layer)} is not finite: the net's weights are "
                    "damaged, or too large for its precision"
                )
            totals = each.sum(dim=(1, 2), keepdim=True)
            if normalise == "photo":
                each = each / torch.where(totals > 0, totals, 1)
            maps.append(each.sum(dim=0).numpy())
            silent.append(int((totals == 0).sum()))
    return {"maps": np.stack(maps), "silent": np.array(silent, dtype=np.int64)}


def _take_middle(output: Tensor) -> Tensor:
    """Give the middle unit of maps (N, C, h, w), the mean of the middle ones if even: (N, C)."""
    if output.ndim == 2:
        return output
    rows, columns = map(_list_middle, output.shape[2:])
    return output[:, :, rows, columns].mean(dim=(2, 3))


def describe_fields(
    middles: Sequence[Middle], sums: Sequence[Mapping[str, NDArray[Any]]], photos: int
) -> tuple[EffectiveField, ...]:
    """Turn the sums of batches into effective fields.

    Args:
        middles: From :func:`find_middles`.
        sums: From :func:`sum_gradients`, of the same layers; in the order of the photos.
        photos: How many photos there are.
    """
    total = sum((batch["maps"] for batch in sums[1:]), start=sums[0]["maps"])
    silent = sum((batch["silent"] for batch in sums[1:]), start=sums[0]["silent"])
    return tuple(
        _describe(middle, mean, photos, int(count))
        for middle, mean, count in zip(middles, total / photos, silent, strict=True)
    )


def _describe(middle: Middle, mean: Values, photos: int, silent: int) -> EffectiveField:
    field, box = middle.field, middle.box
    top, left, bottom, right = box
    inside = mean[top:bottom, left:right]
    beyond = mean.copy()
    beyond[top:bottom, left:right] = 0
    peak = float(mean.max())
    held = hold_shares(mean, middle.centre, inside.size) if peak else ()
    return EffectiveField(
        name=field.name,
        path=field.path,
        size=middle.size,
        box=box,
        exact=field.exact,
        places=len(middle.rows) * len(middle.columns),
        centre=middle.centre,
        photos=photos,
        silent=silent,
        peak=peak,
        outside=float(beyond.max()) / peak if peak else 0.0,
        held=held,
        ratio=held[-1].side / max(middle.size) if held else None,
        gaussian=fit_gaussian(inside, (top, left)) if peak else None,
        map=mean,
    )


def hold_shares(
    mean: Values,
    centre: tuple[float, float],
    area: int | None = None,
    shares: Sequence[float] = SHARES,
) -> tuple[HeldShare, ...]:
    """Find the squares around a middle, and the least areas, that hold shares of a map.

    Args:
        mean: (H, W), none negative, not all zero.
        centre: Row and column of the middle, at whole or half numbers.
        area: Of how many pixels the areas are told as shares; all when None.
        shares: The shares, 0..1.

    Example:
        >>> flat = np.ones((5, 5))
        >>> [held.side for held in hold_shares(flat, (2.0, 2.0))]
        [3, 5, 5, 5]
    """
    held = hold_by_side(mean, centre)
    # cumulative sums end within rounding of the whole
    sorted_sums = np.cumsum(np.sort(mean, axis=None)[::-1])
    slack = 1 - 1e-12
    return tuple(
        HeldShare(
            share=share,
            side=next(side for side, part in held if part >= share * slack),
            area=(int(np.searchsorted(sorted_sums, share * slack * sorted_sums[-1])) + 1)
            / (area or mean.size),
        )
        for share in shares
    )


def hold_by_side(mean: Values, centre: tuple[float, float]) -> list[tuple[int, float]]:
    """Give the share of a map that each square around a middle holds: (side, share), rising.

    Example:
        >>> hold_by_side(np.ones((3, 3)), (1.0, 1.0))
        [(1, 0.1111111111111111), (3, 1.0)]
    """
    rows, columns = (np.arange(size) for size in mean.shape)
    distances = np.maximum(np.abs(rows - centre[0])[:, None], np.abs(columns - centre[1])[None, :])
    sides = (2 * distances + 1).round().astype(np.int64)
    sums = np.bincount(sides.ravel(), weights=mean.ravel())
    shares = np.cumsum(sums) / sums.sum()
    return [(int(side), float(shares[side])) for side in np.unique(sides)]
