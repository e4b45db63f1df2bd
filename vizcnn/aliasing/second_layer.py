"""Top-9 projections of a layer and the grid in each: ZF's Figure 6 (d) and (e)."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vizcnn.aliasing.grid_artefact import measure_grid
from vizcnn.aliasing.patches import spread
from vizcnn.deconvnet import Deconvnet
from vizcnn.errors import ImageError, LayerError
from vizcnn.progress import Progress, silent
from vizcnn.tiles import Box
from vizcnn.zoo.model import ZooModel

NINE = 9
"""Photos per unit, as in ZF's figures."""
BATCH = 16
"""Photos in a forward pass."""


@dataclass(frozen=True)
class StrongPatch:
    """One of the places where a unit is strongest.

    Attributes:
        photo: Index of the photo.
        activation: The unit's activation there.
        box: Receptive field in pixels: top, left, bottom, right, cut at the photo's edge.
        projection: (3, h, w), the deconvnet's projection in the box, signed.
        grid: Grid artefact of the projection (see :func:`measure_grid`); None where the box is
            too small to tell.
    """

    photo: int
    activation: float
    box: Box
    projection: Tensor
    grid: float | None


@dataclass(frozen=True)
class StrongUnit:
    """A unit with the photos that make it strongest.

    Attributes:
        unit: Number of the feature map.
        patches: Strongest first, one per photo; none for a unit that is silent on all photos.
    """

    unit: int
    patches: tuple[StrongPatch, ...]

    @property
    def grid(self) -> float | None:
        """Median grid artefact of the unit's projections; None if none could be measured."""
        known = [patch.grid for patch in self.patches if patch.grid is not None]
        return torch.tensor(known).quantile(0.5).item() if known else None


def project_strongest(
    model: ZooModel,
    pixels: Tensor,
    layer: str = "conv2",
    units: Sequence[int] | int | None = None,
    count: int = NINE,
    period: int = 4,
    progress: Progress = silent,
) -> tuple[StrongUnit, ...]:
    """Find the photos that excite units most and project the units back from each.

    Args:
        model: A net of the zoo.
        pixels: (N, 3, S, S), RGB 0..1, of the net's input size.
        layer: Canonical name or module path.
        units: Unit numbers; or how many, spread evenly over the layer; all when None.
        count: Photos per unit, each photo at most once.
        period: Period of the grid that is looked for, in pixels.
        progress: Shows how far it is.

    Returns:
        The units in the order asked for. Ties go to the earlier photo.

    Raises:
        LayerError: If the layer or a unit does not exist.
        UnsupportedOperationError: If the deconvnet has no rule for an operation on the way.
    """
    projector = Deconvnet(model)
    strongest = find_peaks(projector, pixels, layer, progress)
    wanted = _choose_units(units, strongest.shape[1], layer)
    ranked = strongest.sort(dim=0, descending=True, stable=True).indices[:count]
    order = {
        unit: [p for p in ranked[:, unit].tolist() if strongest[p, unit] > 0] for unit in wanted
    }
    by_photo: dict[int, list[int]] = defaultdict(list)
    for unit in wanted:
        for photo in order[unit]:
            by_photo[photo].append(unit)
    found: dict[tuple[int, int], StrongPatch] = {}
    shown = progress(sorted(by_photo), label=f"project {model.name} {layer}", total=len(by_photo))
    for photo in shown:
        found |= _project_photo(projector, pixels, layer, photo, by_photo[photo], period)
    return tuple(
        StrongUnit(unit, tuple(found[photo, unit] for photo in order[unit])) for unit in wanted
    )


def _choose_units(units: Sequence[int] | int | None, maps: int, layer: str) -> list[int]:
    if units is None or isinstance(units, int):
        return spread(maps, maps if units is None else units)
    for unit in units:
        if not 0 <= unit < maps:
            raise LayerError(f"no unit {unit} in {layer}: it has 0..{maps - 1}")
    return list(units)


@torch.no_grad()
def find_peaks(
    projector: Deconvnet, pixels: Tensor, layer: str, progress: Progress = silent
) -> Tensor:
    """Find each unit's largest activation in each photo.

    Returns:
        (N, units), float32 on the CPU.
    """
    path = projector.find_path(layer)
    starts = range(0, len(pixels), BATCH)
    peaks = []
    for start in progress(starts, label=f"search {layer}", total=len(starts), unit="batch"):
        recording = projector.record(pixels[start : start + BATCH], [layer])
        output = recording.find_output(path).detach()
        if output.dim() != 4:
            raise LayerError(f"{layer} has no feature maps: give a convolutional layer")
        peaks.append(output.amax(dim=(2, 3)).float().cpu())
    return torch.cat(peaks)


def _project_photo(
    projector: Deconvnet,
    pixels: Tensor,
    layer: str,
    photo: int,
    units: list[int],
    period: int,
) -> dict[tuple[int, int], StrongPatch]:
    projection = projector.project(pixels[photo : photo + 1], layer, units)
    patches = {}
    for row, unit in enumerate(projection.units.tolist()):
        top, left, bottom, right = projection.boxes[row].tolist()
        cut = projection.pixels[row, :, top:bottom, left:right].float().cpu().clone()
        patches[photo, unit] = StrongPatch(
            photo=photo,
            activation=projection.activations[row].item(),
            box=(top, left, bottom, right),
            projection=cut,
            grid=_try_grid(cut, period),
        )
    return patches


def _try_grid(projection: Tensor, period: int) -> float | None:
    try:
        value = measure_grid(projection, period)
    except ImageError:
        return None
    return value if value == value else None  # NaN: nothing to measure
