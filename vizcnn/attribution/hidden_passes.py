"""Passes of a photo through a net with one square after the other hidden."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from vizcnn.attribution.gradients import AT_ONCE
from vizcnn.attribution.patchwork import look, paste
from vizcnn.attribution.window_batch import Course, WindowBatch
from vizcnn.basics.errors import LayerError, quote
from vizcnn.basics.memory import find_shortage
from vizcnn.basics.progress import Progress, silent
from vizcnn.photos.pixels import Box
from vizcnn.projection.cone import find_budget
from vizcnn.projection.windows import Windows, cut
from vizcnn.recording.arithmetic import chosen_arithmetic
from vizcnn.recording.layers import LayerReference, find_layer, parse_call
from vizcnn.recording.watch import AllRecorded, evaluating, watch
from vizcnn.zoo.model import ZooModel

MOST_AT_ONCE = 1024
"""Images of a batch in windows, at most; at least as many as of a full batch."""
PROCESSOR_BUDGET = 128 * 2**20
"""Bytes that a step may take on a processor; more is no faster there."""
MAPS_OF_A_STEP = 4
"""Maps of an image that a step has in memory, by the bytes of the largest."""
MAPS_IN_FULL = 16
"""The same once a batch is in full, whose later maps are not known beforehand."""
ROUNDING = 100
"""Steps of a type's rounding, of the largest value, that batches of other sizes may differ by."""


@dataclass(frozen=True)
class Squares:
    """Squares of a photo that are hidden one by one.

    Attributes:
        side: Their side in pixels.
        corners: Row and column of each one's upper left pixel.
    """

    side: int
    corners: tuple[tuple[int, int], ...]

    def keep_inside(self, box: Box) -> "Squares":
        """Keep those that lie in a box; all where none does."""
        top, left, bottom, right = box
        inside = tuple(
            (row, column)
            for row, column in self.corners
            if top <= row <= bottom - self.side and left <= column <= right - self.side
        )
        return replace(self, corners=inside) if inside else self

    def pick(self, numbers: Sequence[int]) -> "Squares":
        """Pick some of them."""
        return Squares(self.side, tuple(self.corners[number] for number in numbers))


@dataclass(frozen=True, eq=False)
class Reading:
    """What was read in passes of k images.

    Attributes:
        values: The units' values at the place, (k, R); None if no layer was asked for.
        sums: Their maps summed over all places, (k, R), float64.
        logits: (k, classes); None if they were not asked for.
    """

    values: Tensor | None
    sums: Tensor | None
    logits: Tensor | None

    def take(self, count: int) -> "Reading":
        """Take the first images."""
        values, sums, logits = (
            None if one is None else one[:count] for one in (self.values, self.sums, self.logits)
        )
        return Reading(values, sums, logits)

    def list_values(self) -> list[Tensor]:
        """List what there is."""
        every = (self.values, self.sums, self.logits)
        return [values for values in every if values is not None]


@dataclass
class HiddenPasses:
    """Passes of one photo with squares hidden, each of which changes a window of each map.

    Only the windows are computed, through all operations that are known
    (:mod:`~vizcnn.attribution.window_batch`). Whether that gives what full passes give is tried
    first, on three of the squares; if it does not, all passes are full ones.

    Attributes:
        model: The net.
        pixels: The photo, (1, 3, H, W), RGB 0..1.
        squares: K squares.
        filling: What is seen in their place, (1, 3, H, W).
        layer: Canonical name or module path of the layer to read; none when None.
        units: Numbers of R of its units, on the CPU.
        position: Row and column in their maps.
        logits: Whether to read the net's own output.
        windows: Whether to try windows.
        computed: How the passes were computed, in words; known after the first.

    Example:
        >>> import torch, vizcnn
        >>> net, photo = vizcnn.load("lenet", weights=None), torch.rand(1, 3, 32, 32)
        >>> squares = Squares(4, ((0, 0), (10, 20)))
        >>> gray = torch.full_like(photo, 0.5)
        >>> passes = HiddenPasses(net, photo, squares, gray, "conv2", torch.tensor([3]))
        >>> for numbers, reading in passes.run():
        ...     print(numbers, tuple(reading.values.shape))
        [0, 1] (2, 1)
        >>> passes.computed
        'windows only'
    """

    model: ZooModel
    pixels: Tensor
    squares: Squares
    filling: Tensor
    layer: str | None = None
    units: Tensor | None = None
    position: tuple[int, int] = (0, 0)
    logits: bool = False
    windows: bool = True
    computed: str = ""
    _course: Course = field(default_factory=Course, repr=False)

    def __post_init__(self) -> None:
        like = next(self.model.module.parameters())
        normalise = self.model.preprocessing.normalise
        self._photo = normalise(self.pixels.detach().to(like.device, like.dtype))
        self._hidden = normalise(self.filling.detach().to(like.device, like.dtype))
        self._path = None if self.layer is None else find_layer(self.model, self.layer)

    @torch.no_grad()
    def read_photo(self) -> Reading:
        """Read the untouched photo: k = 1."""
        return self._pass(self._photo.clone())

    @torch.no_grad()
    def run(self, progress: Progress = silent) -> Iterator[tuple[list[int], Reading]]:
        """Hide the squares.

        Args:
            progress: Shows how far it is.

        Yields:
            Numbers of some squares, in order, and what was read with each of them hidden.
        """
        count = len(self.squares.corners)
        at_once = self._choose_way() if self.windows and count > 1 else 0
        if not at_once:
            self.computed = "full passes" if not self.computed else self.computed
        numbers = list(range(count))
        step = at_once or AT_ONCE
        starts = range(0, count, step)
        for first in progress(starts, label="hide squares", total=len(starts), unit="batch"):
            some = numbers[first : first + step]
            read = self._pass_windows if at_once else self._pass_full
            yield some, read(self.squares.pick(some))

    def _choose_way(self) -> int:
        """Try windows; gives how many squares to hide at once, 0 where windows do not do."""
        count = len(self.squares.corners)
        some = self.squares.pick(sorted({0, count // 2, count - 1}))
        wanted = self._pass_full(some)
        try:
            found = self._pass_windows(some)
        except Exception as error:  # of any kind: torch's own, or the net's; full passes will tell
            if find_shortage(error):
                raise
            self.computed = "full passes: the net cannot be followed on windows"
            return 0
        step = torch.finfo(self._photo.dtype).eps
        pairs = zip(found.list_values(), wanted.list_values(), strict=True)
        if not all(_agree(one, other, step) for one, other in pairs):
            self.computed = "full passes: windows alone would not give the same"
            return 0
        spread = self._course.spread
        self.computed = f"windows only, in full from {spread[0]} on" if spread else "windows only"
        device, course = self._photo.device, self._course
        budget = PROCESSOR_BUDGET if device.type == "cpu" else find_budget(device)
        each = max(MAPS_OF_A_STEP * course.peak, MAPS_IN_FULL * course.fullest, 1)
        return min(max(budget // each, AT_ONCE), MOST_AT_ONCE)

    def _pass_full(self, squares: Squares) -> Reading:
        corners = np.array(squares.corners)
        return self._pass(paste(self._photo, self._cut_squares(squares), corners).contiguous())

    def _pass_windows(self, squares: Squares) -> Reading:
        count = len(squares.corners)
        # a batch of one could not be told from what is the same for all images
        some = squares if count > 1 else squares.pick([0, 0])
        self._course.begin()
        batch = WindowBatch(
            self._course, self._photo, self._cut_squares(some), np.array(some.corners)
        )
        reading = self._pass(batch)
        return reading.take(count)

    def _cut_squares(self, squares: Squares) -> Tensor:
        side = squares.side
        return torch.cat(
            [
                self._hidden[:, :, row : row + side, column : column + side]
                for row, column in squares.corners
            ]
        )

    def _pass(self, inputs: Tensor) -> Reading:
        seen: list[tuple[Tensor, Tensor]] = []
        call = parse_call(self._path or "")

        def see(calls: LayerReference, args: object, output: object) -> None:
            if calls == call and isinstance(output, Tensor):
                seen[:] = [self._read(output)]

        logits: Tensor | None = None
        module, wanted = self.model.module, [] if self._path is None else [self._path]
        # a layer of the zoo is called once, or has the number of its call in its path
        stops = not self.logits and self.layer in self.model.layers
        with (
            evaluating(module),
            watch(module, wanted, see, stops=stops),
            chosen_arithmetic(),
            suppress(AllRecorded),
        ):
            output = module(inputs)
            if self.logits:
                logits = output.spread("output") if isinstance(output, WindowBatch) else output
        if wanted and not seen:
            raise LayerError(
                f"layer {quote(self.layer)} puts out no feature maps in this net's pass"
            )
        values, sums = seen[0] if seen else (None, None)
        return Reading(values, sums, logits)

    def _read(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """Give the units' values at the place and the sums of their maps, each (k, R)."""
        if output.ndim not in (2, 4) or self.units is None:
            raise LayerError(
                f"layer {quote(self.layer)} puts out no feature maps in this net's pass"
            )
        units = self.units.to(output.device)
        if isinstance(output, WindowBatch) and output.full is not None:
            output = output.full
        if not isinstance(output, WindowBatch):
            maps = output[:, units]
            if maps.ndim == 2:
                return maps, maps.double()
            return maps[:, :, self.position[0], self.position[1]], maps.double().sum((2, 3))
        whole, windows = output.whole[:, units], output.pick_windows(units)
        there = np.tile(np.array(self.position), (len(windows), 1))
        values = look(whole, windows, output.corners, there, (1, 1))[:, :, 0, 0]
        here = cut(
            whole,
            torch.zeros(len(windows), dtype=torch.int64),
            Windows(torch.from_numpy(output.corners), output.extent),
        )
        changes = (windows.double() - here.double()).sum((2, 3))
        return values, whole.double().sum((2, 3)) + changes


def _agree(found: Tensor, wanted: Tensor, step: float) -> bool:
    """Tell whether values are the same but for rounding by steps of a size."""
    if found.shape != wanted.shape:
        return False
    allowed = ROUNDING * step * float(wanted.abs().max())
    return float((found - wanted).abs().nan_to_num(torch.inf).max()) <= allowed
