"""One large filter against a stack of small ones: parameters, field, sizes (VGG, section 2.3)."""

from dataclasses import dataclass
from functools import partial

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import nn

from vizcnn.drawing.labels import COLOURS
from vizcnn.drawing.sheet import BODY, MARGIN, QUIET, Slide
from vizcnn.drawing.style import letter_size, plain_style, points, tone
from vizcnn.drawing.tables import Table
from vizcnn.lecture.studio import Made, Studio, exhibit
from vizcnn.receptive import measure_fields
from vizcnn.recording.layer_rows import trace_layers

INPUT = 28
"""Side of the input that stacks are run on."""


@dataclass(frozen=True)
class Stack:
    """Equal convolutions on top of each other, C maps in and out, stride 1.

    Attributes:
        size: Side of a filter.
        count: How many.
        padding: Zeros at each side.
    """

    size: int
    count: int
    padding: int = 1

    def __repr__(self) -> str:
        return f"{self.count} × {self.size}×{self.size}"

    @property
    def words(self) -> str:
        """What it is called."""
        many = {1: "one", 2: "two", 3: "three"}.get(self.count, str(self.count))
        return f"{many} {self.size}×{self.size}, pad {self.padding}"


SEVEN, THREE = Stack(7, 1), Stack(3, 3)
"""The two that the lecture compares."""


def build_stack(stack: Stack, maps: int, rectified: bool = True) -> nn.Sequential:
    """Build a stack without weights, each convolution with its ReLU, without biases."""
    layers: list[nn.Module] = []
    for _ in range(stack.count):
        layers.append(
            nn.Conv2d(maps, maps, stack.size, padding=stack.padding, bias=False, device="meta")
        )
        layers += [nn.ReLU()] if rectified else []
    return nn.Sequential(*layers)


def count_weights(stack: Stack, maps: int) -> int:
    """Count a stack's weights, biases left out.

    Example:
        >>> count_weights(SEVEN, 256) / 256**2, count_weights(THREE, 256) / 256**2
        (49.0, 27.0)
    """
    return sum(value.numel() for value in build_stack(stack, maps).parameters())


def give_factor(stack: Stack, maps: int = 16) -> float:
    """Give a stack's weights as a multiple of C^2.

    Example:
        >>> give_factor(SEVEN), give_factor(THREE)
        (49.0, 27.0)
    """
    return count_weights(stack, maps) / maps**2


def find_output_change(stack: Stack) -> int:
    """Give by how much the side of the output differs from that of the input.

    Example:
        >>> find_output_change(SEVEN), find_output_change(THREE)
        (-4, 0)
    """
    return find_output(stack) - INPUT


def find_output(stack: Stack, inputs: int = INPUT) -> int:
    """Give the side of a stack's output.

    Example:
        >>> find_output(SEVEN, 28), find_output(THREE, 28)
        (24, 28)
    """
    return trace_layers(build_stack(stack, 1), (1, inputs, inputs))[-1].outputs[-1]


def find_fields(stack: Stack) -> list[int]:
    """Give the receptive field after each convolution, in pixels of a side.

    Example:
        >>> find_fields(SEVEN), find_fields(THREE)
        ([7], [3, 5, 7])
    """
    net = build_stack(stack, 1, rectified=False).to_empty(device="cpu")
    for layer in net:
        nn.init.ones_(layer.weight)  # type: ignore[arg-type]
    names = [str(number) for number in range(stack.count)]
    return [field.size[0] for field in measure_fields(net, names, INPUT)]


def make_stack_table(maps: int = 256) -> Table:
    """Compare the lecture's two stacks in numbers."""
    rows = []
    for stack in (SEVEN, THREE):
        weights = count_weights(stack, maps)
        rows.append(
            (
                stack.words,
                f"{weights // maps**2} C²",
                weights,
                find_fields(stack)[-1],
                stack.count,
                f"{INPUT} → {find_output(stack)}",
            )
        )
    return Table(
        "One 7×7 against three 3×3",
        ("layers", "weights", f"C = {maps}", "field (px)", "ReLUs", "output side"),
        tuple(rows),
        notes=("C maps in and out, stride 1, biases left out. Counted on the built layers.",),
    )


def draw_stacks(caption: str) -> Figure:
    """Draw how three 3 x 3 layers come to see 7 x 7 pixels, and what both stacks cost."""
    with plain_style():
        slide = Slide(5.0, "One 7×7 against three 3×3: the same field, fewer weights", caption)
        for column, stack in enumerate((SEVEN, THREE)):
            left = MARGIN + column * slide.room / 2
            _draw_stack(slide, stack, left)
    return slide.figure


def _draw_stack(slide: Slide, stack: Stack, left: float) -> None:
    fields = find_fields(stack)
    weights = count_weights(stack, 8) // 64
    slide.say(stack.words, left, slide.top, weight="bold", size=BODY + 4)
    told = f"{weights} C² weights · sees {fields[-1]}×{fields[-1]} px · {stack.count} ReLU"
    slide.say(told, left, slide.top + 0.42)
    axes = slide.canvas(left, slide.top + 0.85, slide.room / 2 - 0.3, 3.5)
    sides = [fields[-1] - field + 1 for field in [1, *fields]]
    cell, gap = 0.29, 0.5
    x = 0.0
    for number, side in enumerate(sides):
        _draw_grid(axes, x, side, cell, stack.size if number + 1 < len(sides) else 0)
        name = "input" if number == 0 else f"layer {number}"
        axes.text(x + side * cell / 2, 2.75, name, fontsize=letter_size(BODY - 1), ha="center")
        x += side * cell + gap
    size = f"output of {INPUT} × {INPUT} px: {find_output(stack)} × {find_output(stack)}"
    slide.say(size, left, slide.top + 4.2, color=tone(QUIET))


def _draw_grid(axes: Axes, left: float, side: int, cell: float, window: int) -> None:
    """Draw the places that one unit on top depends on, the window of its first part marked."""
    top = 1.3 - side * cell / 2
    for row in range(side):
        for column in range(side):
            inside = row < window and column < window
            colour = COLOURS[1] if inside else "#cccccc"
            place = (left + column * cell, top + row * cell)
            axes.add_patch(
                Rectangle(
                    place,
                    cell,
                    cell,
                    facecolor=tone(colour),
                    edgecolor=tone("white"),
                    linewidth=points(1.2),
                )
            )


@exhibit("vgg-filters", "vgg", "One 7×7 against three 3×3")
def make_stacks(studio: Studio) -> Made:
    """Draw one 7 x 7 against three 3 x 3."""
    table = make_stack_table()
    seven, three = table.rows
    caption = (
        f"{seven[1]} against {three[1]} weights (C maps in and out, no biases), so "
        f"{1 - int(str(three[2])) / int(str(seven[2])):.0%} fewer, with {three[4]} rectifiers "
        "instead of "
        f"{seven[4]}. Grey: what a unit on top sees; orange: one window of the next layer. With "
        "pad 1 "
        "the three keep the size of their input and the one does not."
    )
    return Made(caption, partial(draw_stacks, caption), table, "Nested windows of 3×3 that see 7×7")
