"""Units projected back to pixels: a recording, targets and a method -> projections."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, ParamSpec

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from vizcnn.basics.errors import ModelError, VizcnnError, check_kind, check_number, quote
from vizcnn.projection.active_units import Compare, Comparison, check_compare, compare_with_active
from vizcnn.projection.artist import find_artist
from vizcnn.projection.full_image import Finish
from vizcnn.projection.methods import ProjectionMethod, Unruled, find_method
from vizcnn.projection.parts import PARTS, Part, find_common_part
from vizcnn.projection.rules import Rule, Seed
from vizcnn.projection.targets import Position, Targets, choose_targets
from vizcnn.recording.recording import Recording
from vizcnn.zoo.preprocessing import Preprocessing

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Scene:
    """What a picture of a projection needs beside it: the photos, and the net that saw them.

    Attributes:
        photos: What the net saw, (N, 3, H, W), RGB 0..1.
        names: What each photo is called, (N,).
        net: Title of the net.
        weights: Where its weights come from, in a line.
        units: Names of the layer's units, where they have any: those of the classes.
        preprocessing: From pixels to the net's input.
    """

    photos: Tensor
    names: tuple[str, ...]
    net: str
    weights: str
    units: tuple[str, ...]
    preprocessing: Preprocessing


@dataclass(frozen=True, eq=False, repr=False)
class Projection:
    """Units projected back to pixels; every tensor has one row per unit and image.

    A unit's projection is zero outside its receptive field, so that a window as large as the
    field holds all of it. In nets of signals (N, C, L) and volumes (N, C, D, H, W) windows are
    always the whole input, and positions, corners, boxes and sizes have a number for each of its
    dimensions in the place of two.

    Attributes:
        windows: The projections (R, 3, h, w) in windows of one size, which lie in the image and
            hold the whole receptive field; in the units of the input times the activation;
            signed, not scaled.
        corners: Top and left of the windows in the input's pixels, (R, 2), on the CPU.
        size: Height and width of the input in pixels.
        images: Index of the image in the batch, (R,).
        units: Unit (feature map) numbers, (R,).
        activations: The unit's activation that was projected, (R,); for ``position="all"`` its
            maximum over the map.
        positions: Row and column in the feature map, (R, 2); -1 for ``position="all"``.
        boxes: Receptive fields (R, 4): top, left, bottom, right in pixels, the last two exclusive,
            cut at the image's edge.
        field: Height and width of an uncut receptive field in pixels.
        layer: The layer's name, as asked for.
        method: The method's name.
        seed: What the backward pass started with: the unit's activation, or 1.
        computed: How: ``"windows"`` (in the receptive fields only) or ``"full image"``.
        part: Which part of the pictures the windows hold.
        comparison: What they have in common with the other active units of their places; None
            unless that was asked for.
        scene: The photos and the net that they are of, for pictures; None where photos were not
            what was projected.

    Example:
        >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
        >>> from vizcnn.projection.deconvnet import Deconvnet
        >>> found = Deconvnet(net).project(torch.rand(1, 3, 8, 8), "1", count=2)
        >>> [one.array.shape for one in found], found[:1].units.shape
        ([(3, 3, 3), (3, 3, 3)], torch.Size([1]))
    """

    windows: Tensor
    corners: Tensor
    size: tuple[int, ...]
    images: Tensor
    units: Tensor
    activations: Tensor
    positions: Tensor
    boxes: Tensor
    field: tuple[int, ...]
    layer: str
    method: str
    seed: Seed
    computed: Literal["windows", "full image"]
    part: Part = "whole"
    comparison: Comparison | None = None
    scene: Scene | None = None

    def __len__(self) -> int:
        return len(self.units)

    def __getitem__(
        self, rows: int | slice | Sequence[int] | Sequence[bool] | Tensor | NDArray[Any]
    ) -> "Projection":
        """Give one projection, or some of them, as a projection of its own.

        Args:
            rows: Number of a row, counted from the end if it is below zero; a slice; several
                numbers; or a mask that says of each row whether it is wanted, such as
                ``found.activations > 1``.

        Raises:
            VizcnnError: If there is no such row, or the mask is of another length.
        """
        if isinstance(rows, slice):
            numbers = list(range(len(self)))[rows]
        else:
            numbers = self._number_rows(rows)
        chosen = torch.tensor([n % len(self) for n in numbers], dtype=torch.int64)

        def take(values: Tensor) -> Tensor:
            return values[chosen.to(values.device)]

        return replace(
            self,
            windows=take(self.windows),
            corners=take(self.corners),
            images=take(self.images),
            units=take(self.units),
            activations=take(self.activations),
            positions=take(self.positions),
            boxes=take(self.boxes),
            comparison=self.comparison and self.comparison.take(chosen),
        )

    def _number_rows(self, rows: Any) -> list[int]:
        if isinstance(rows, Tensor) and (rows.is_meta or rows.layout != torch.strided):
            raise VizcnnError(f"got {quote(rows)} as row; needed: a dense tensor, with values")
        given = rows.tolist() if isinstance(rows, np.ndarray | Tensor) else rows
        if not isinstance(given, Sequence) or isinstance(given, str | bytes):
            return [check_number("row", given, -len(self), len(self) - 1)]
        if given and all(isinstance(one, bool | np.bool_) for one in given):
            if len(given) != len(self):
                raise VizcnnError(
                    f"got {quote(rows)}, a mask of length {len(given)}; needed: one of "
                    f"{len(self)}, as many as there are projections"
                )
            return [row for row, wanted in enumerate(given) if wanted]
        return [check_number("row", row, -len(self), len(self) - 1) for row in given]

    def __iter__(self) -> Iterator["Projection"]:
        return (self[row] for row in range(len(self)))

    def __repr__(self) -> str:
        """Say in a line what was projected; the fields hold the numbers."""
        units = ", ".join(map(str, self.units[:9].tolist())) + (", ..." if len(self) > 9 else "")
        net = f"{self.scene.net} " if self.scene else ""
        return f"Projection of {net}{self.layer} by {self.method}: {len(self)} of units {units}"

    @property
    def array(self) -> NDArray[np.float32]:
        """The bare pictures as an array (H, W, 3) of 0..1; several in a grid.

        Each picture is the unit's window, scaled by its own contrast with zero as mid grey, as on
        the pages. A single one is ``projection[0].array``; the values themselves are in
        :attr:`windows`.

        Raises:
            VizcnnError: If the net's inputs are no pictures.
        """
        return find_artist().paint_projection(self)

    def to_pil(self) -> Image.Image:
        """Give the bare pictures as a PIL image, a pixel for each pixel of :attr:`array`.

        Raises:
            VizcnnError: As for :attr:`array`.
        """
        return Image.fromarray((self.array * 255 + 0.5).astype(np.uint8))

    def figure(self) -> "Figure":
        """Draw the pictures with their units, activations and, of photos, the patches below.

        Returns:
            A matplotlib figure, which notebooks show by itself.

        Raises:
            VizcnnError: As for :attr:`array`.
        """
        return find_artist().draw_projection(self)

    def save(self, path: Path | str) -> None:
        """Write the :meth:`figure` as PNG, SVG or PDF, by the ending of the name.

        For the bare pictures: ``projection.to_pil().save(path)``.

        Raises:
            VizcnnError: If the name has another ending, or the file cannot be written.
        """
        check_kind("a file", path, Path | str, "a path that ends in .png, .svg or .pdf")
        artist = find_artist()
        artist.save_figure(artist.draw_projection(self), Path(path))

    def show(self) -> None:
        """Show the :meth:`figure`: below a notebook's cell, elsewhere in a window."""
        artist = find_artist()
        artist.show_figure(artist.draw_projection(self))

    def _repr_png_(self) -> bytes:
        artist = find_artist()
        return artist.encode_figure(artist.draw_projection(self))

    @cached_property
    def pixels(self) -> Tensor:
        """The projections over the whole input, (R, 3, H, W).

        Put together once, at the first reading, unless the windows are the whole input already.
        """
        if tuple(self.windows.shape[2:]) == self.size:
            return self.windows
        height, width = self.windows.shape[-2:]
        pixels = self.windows.new_zeros((*self.windows.shape[:2], *self.size))
        for row, (top, left) in enumerate(self.corners.tolist()):
            pixels[row, :, top : top + height, left : left + width] = self.windows[row]
        return pixels

    def cut(self, row: int) -> Tensor:
        """Give one projection within its receptive field, (3, bottom - top, right - left).

        It is a part of the windows: the whole input is not put together for it.

        Raises:
            VizcnnError: If there is no such row.
        """
        row = check_number("row", row, -len(self), len(self) - 1)
        (top, left), box = self.corners[row].tolist(), self.boxes[row].tolist()
        return self.windows[row, :, box[0] - top : box[2] - top, box[1] - left : box[3] - left]

    @cached_property
    def own(self) -> "Projection":
        """The units' own parts: without what the active units of their places share.

        P - (P.C)C, with the common picture C of :func:`~vizcnn.projection.parts.find_common`.

        Raises:
            VizcnnError: If the projections were not compared.
        """
        return replace(self, windows=self.windows - self._find_common_parts(), part="own")

    @cached_property
    def common(self) -> "Projection":
        """What the projections share with the other active units of their places: (P.C)C.

        Raises:
            VizcnnError: If the projections were not compared.
        """
        return replace(self, windows=self._find_common_parts(), part="common")

    def take_part(self, part: Part) -> "Projection":
        """Give the whole, the own or the common part.

        Raises:
            VizcnnError: If there is no such part, or the projections were not compared.
        """
        if not isinstance(part, str) or part not in PARTS:
            raise VizcnnError(f"no part {quote(part)}; needed: {', '.join(PARTS)}")
        return self if part == "whole" else self.own if part == "own" else self.common

    @property
    def selectivity(self) -> Tensor:
        """1 - cos²(P, C) of each whole projection, (R,), on the CPU.

        0: the picture that all active units of the place share. 1: nothing of it is shared. nan:
        no other unit is active there, or the projection is all zero.

        Raises:
            VizcnnError: If the projections were not compared.
        """
        return self._need_comparison().selectivity

    @property
    def compared(self) -> Tensor:
        """From how many active units of the place C was found, (R,).

        Raises:
            VizcnnError: If the projections were not compared.
        """
        return self._need_comparison().compared

    @property
    def effective_number(self) -> Tensor:
        """How many different pictures the active units of each projection's place make, (R,).

        Raises:
            VizcnnError: If the projections were not compared.
        """
        return self._need_comparison().effective_number

    def _need_comparison(self) -> Comparison:
        if self.comparison is None:
            raise VizcnnError(
                "the projections were not compared with the other active units of their places: "
                'project with compare="all"'
            )
        return self.comparison

    def _find_common_parts(self) -> Tensor:
        comparison = self._need_comparison()
        parts = torch.empty_like(self.windows)
        for row, place in enumerate(comparison.places.tolist()):
            parts[row] = find_common_part(self.windows[row], comparison.directions[place])
        return parts


Arguments = ParamSpec("Arguments")


def _take_former_arguments(
    project: Callable[Arguments, Projection],
) -> Callable[Arguments, Projection]:
    """Let calls of the former form, with a rule and a unit, go on to work."""

    @wraps(project)
    def take(*given: Any, **named: Any) -> Projection:
        if "rule" not in named and not any(isinstance(item, Rule) for item in given[2:3]):
            return project(*given, **named)
        warnings.warn(
            "project(recording, layer, rule, unit, position, ...) is now project(recording, layer, "
            "targets, method), with targets from strongest, units_at or places",
            DeprecationWarning,
            stacklevel=2,
        )
        return _project_as_before(*given, **named)

    return take


@_take_former_arguments
def project(
    recording: Recording,
    layer: str,
    targets: Targets,
    method: str | Rule | ProjectionMethod,
    finish: Finish | None = None,
    compare: Compare | None = None,
) -> Projection:
    """Project targets of a recorded layer back to the recording's input.

    Args:
        recording: From :func:`vizcnn.record`, after the forward pass.
        layer: Module path of the layer.
        targets: Which units at which places: from :func:`~vizcnn.projection.targets.strongest`,
            :func:`~vizcnn.projection.targets.units_at` or
            :func:`~vizcnn.projection.targets.places`.
        method: A name (``"deconvnet"``), a rule, or a method with choices of its own.
        finish: From the input's channels to those of the result, place by place; else the pixels
            are those of the net's input.
        compare: Whether to compare each projection with those of the other active units of its
            place, which gives its selectivity and parts: ``"all"``, or at most how many others,
            evenly spread by number. It takes a projection for each of them.

    Returns:
        The projections, one row per target, in their order.

    Raises:
        LayerError: If the layer does not exist.
        UnsupportedOperationError: If an operation on the way has no rule.
        ModelError: If an activation or a projection is not finite: there is no picture of that.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from vizcnn.projection.targets import strongest
        >>> from vizcnn.recording.recording import record
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        >>> with record(net) as recording:
        ...     _ = net(torch.rand(2, 3, 8, 8))
        >>> targets = strongest(recording.find_output("1"), count=3)
        >>> project(recording, "1", targets, "guided").windows.shape
        torch.Size([6, 3, 3, 3])
    """
    compare = None if compare is None else check_compare(compare)
    method = find_method(method)
    projection = method.project(recording, layer, targets, finish)
    _refuse_infinite(projection, layer)
    if compare is None:
        return projection

    def project_others(others: Targets) -> Projection:
        projected = method.project(recording, layer, others, finish)
        _refuse_infinite(projected, layer)
        return projected

    maps = recording.find_output(layer)
    comparison = compare_with_active(maps, targets, projection, project_others, compare)
    return replace(projection, comparison=comparison)


def _refuse_infinite(projection: Projection, layer: str) -> None:
    # most often, and many times as fast as looking at each; a device is asked once
    if (projection.activations.sum() + projection.windows.sum()).isfinite():
        return
    for what, values in (
        ("activation", projection.activations[:, None]),
        ("projection", projection.windows),
    ):
        good = values.isfinite().flatten(1).all(dim=1)
        if not good.all():
            unit = int(projection.units[good.logical_not()][0])
            raise ModelError(
                f"layer {layer!r}: the {what} of unit {unit} is not finite: the net's weights are "
                f"too large for {str(values.dtype).removeprefix('torch.')}, or damaged"
            )


def _project_as_before(
    recording: Recording,
    layer: str,
    rule: Rule,
    unit: int | Sequence[int] | Literal["top"] = "top",
    position: Position = "max",
    count: int = 9,
    passes_over_normalisation: bool | None = None,
    unruled: Unruled = "refuse",
    name: str | None = None,
    finish: Finish | None = None,
) -> Projection:
    targets = choose_targets(recording.find_output(layer), unit, position, count)
    method = find_method(rule, passes_over_normalisation, unruled)
    return replace(project(recording, layer, targets, method, finish), layer=name or layer)
