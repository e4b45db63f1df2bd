"""Worked size questions: the formula, the number, and the number that a layer really gives."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import nn

from vizcnn.basics.errors import ModelError
from vizcnn.drawing.labels import COLOURS
from vizcnn.drawing.sheet import BODY, MARGIN, QUIET, SMALL, Slide
from vizcnn.drawing.style import letter_size, plain_style, points, tone
from vizcnn.drawing.table_figure import draw_table
from vizcnn.drawing.tables import Table
from vizcnn.lecture.net_tables import count_layer_parameters
from vizcnn.lecture.studio import Made, Studio, exhibit


@dataclass(frozen=True)
class SizeQuestion:
    """How large is the output of a window that moves over a map?

    Attributes:
        inputs: Side of the input.
        filter: Side of the window.
        stride: Its step.
        padding: Zeros at each side.
        pools: Whether it is a pooling.
    """

    inputs: int
    filter: int
    stride: int = 1
    padding: int = 0
    pools: bool = False

    @property
    def exact(self) -> Fraction:
        """What the formula gives: a whole number where the window just fits."""
        return Fraction(self.inputs + 2 * self.padding - self.filter, self.stride) + 1

    @property
    def fits(self) -> bool:
        """Whether the last window ends at the edge."""
        return self.exact.denominator == 1

    @property
    def formula(self) -> str:
        """The formula with its numbers."""
        padded = f"{self.inputs} + 2·{self.padding}" if self.padding else f"{self.inputs}"
        return f"({padded} − {self.filter}) / {self.stride} + 1 = {show_number(self.exact)}"


def show_number(value: Fraction) -> str:
    """Write a fraction as a decimal number.

    Example:
        >>> show_number(Fraction(217, 4))
        '54.25'
    """
    return f"{float(value):g}"


def find_size(inputs: int, filter: int, stride: int = 1, padding: int = 0) -> int:
    """Give the side of a layer's output by the formula, rounded down as frameworks do.

    Raises:
        ModelError: If the window is larger than the padded input, or a number is impossible.

    Example:
        >>> find_size(227, 11, stride=4), find_size(55, 3, stride=2), find_size(27, 5, padding=2)
        (55, 27, 27)
    """
    if min(inputs, filter, stride) < 1 or padding < 0 or filter > inputs + 2 * padding:
        raise ModelError(
            f"a window of {filter} at stride {stride} does not fit an input of {inputs} with "
            f"padding {padding}: give a smaller window or more padding"
        )
    return (inputs + 2 * padding - filter) // stride + 1


def run_size(question: SizeQuestion) -> int:
    """Give the side of the output of torch's own layer, run without memory.

    Example:
        >>> run_size(SizeQuestion(224, 11, 4))
        54
    """
    size, stride, padding = question.filter, question.stride, question.padding
    layer: nn.Module = nn.Conv2d(1, 1, size, stride, padding, device="meta")
    if question.pools:
        layer = nn.MaxPool2d(size, stride, padding)
    image = torch.zeros(1, 1, question.inputs, question.inputs, device="meta")
    return int(layer(image).shape[-1])


def count_filter_parameters(count: int, size: int, maps: int, biases: bool = True) -> int:
    """Count the parameters of a convolution.

    Args:
        count: Filters.
        size: Side of a filter.
        maps: Maps that a filter sees.
        biases: Whether each has a bias.

    Example:
        >>> count_filter_parameters(96, 11, 3)
        34944
    """
    return count * (size * size * maps + biases)


TALL = 1.85
"""Inches for a question."""
BAND = 0.5
"""Inches for the windows, in as many rows as it takes that those of a row do not overlap."""


def draw_sizes(questions: Sequence[tuple[str, SizeQuestion]], title: str, caption: str) -> Figure:
    """Draw size questions below each other, each side to scale.

    Args:
        questions: What is asked, and the question; at most three fit a slide.
        title: Heading.
        caption: Small print below.
    """
    with plain_style():
        slide = Slide(TALL * len(questions), title, caption)
        for number, (words, question) in enumerate(questions):
            top = slide.top + TALL * number
            _draw_question(slide, words, question, top)
    return slide.figure


def _draw_question(slide: Slide, words: str, question: SizeQuestion, top: float) -> None:
    slide.say(words, MARGIN, top, weight="bold")
    answer = run_size(question)
    verdict = f"→ {answer}" if question.fits else f"→ {answer}: the last window does not fit"
    slide.say(f"{question.formula}  {verdict}", slide.width - MARGIN, top, ha="right")
    axes = slide.canvas(MARGIN, top + 0.38, slide.room, TALL - 0.5)
    scale = (slide.room - 0.2) / (question.inputs + 2 * question.padding)
    _draw_side(axes, question, scale)
    _draw_windows(axes, question, answer, scale)


def _draw_side(axes: Axes, question: SizeQuestion, scale: float) -> None:
    """Draw the input's pixels as a bar, its padding hatched."""
    whole = (question.inputs + 2 * question.padding) * scale
    inner = question.inputs * scale
    left = question.padding * scale
    if question.padding:
        axes.add_patch(
            Rectangle(
                (0, 0.05),
                whole,
                0.22,
                facecolor=tone("white"),
                edgecolor=tone("#777777"),
                hatch="////",
            )
        )
    axes.add_patch(Rectangle((left, 0.05), inner, 0.22, facecolor=tone("#bbbbbb"), linewidth=0))
    if question.inputs <= 64:
        for pixel in range(question.inputs + 1):
            axes.plot(
                [left + pixel * scale] * 2, [0.05, 0.27], color=tone("white"), linewidth=points(0.6)
            )
    axes.text(
        left + inner / 2,
        0.16,
        f"{question.inputs}",
        fontsize=letter_size(SMALL),
        ha="center",
        va="center",
    )


def _draw_windows(axes: Axes, question: SizeQuestion, answer: int, scale: float) -> None:
    rows = -(-question.filter // question.stride)
    step = BAND / max(rows, 2)
    for number in range(answer):
        left = number * question.stride * scale
        top = 0.4 + step * (number % rows)
        colour = COLOURS[(0, 5, 2)[number % 3]]
        width = question.filter * scale - 0.02
        axes.add_patch(Rectangle((left, top), width, 0.72 * step, facecolor=colour, linewidth=0))
    covered = (answer - 1) * question.stride + question.filter
    over = question.inputs + 2 * question.padding - covered
    if over:
        left = covered * scale
        mark = Rectangle((left, 0.03), max(over * scale, 0.03), 0.85, color=COLOURS[1], alpha=0.6)
        axes.add_patch(mark)
        words = f"{over} px at the edge: never seen"
        axes.text(
            left,
            1.12,
            words,
            fontsize=letter_size(SMALL),
            ha="right",
            va="center",
            color=tone(QUIET),
        )
    told = f"{answer} windows of {question.filter}, each {question.stride} further"
    axes.text(0, 1.12, told, fontsize=letter_size(BODY - 2), va="center")


def say_questions(questions: Sequence[tuple[str, SizeQuestion]]) -> str:
    """Say all answers in a sentence each, formula and layer side by side."""
    return " ".join(
        f"{words}: {question.formula}; torch's layer gives {run_size(question)}."
        for words, question in questions
    )


ALEXNET_INPUT = (
    ("As the paper has it: 224, filter 11, stride 4", SizeQuestion(224, 11, 4)),
    ("So that it works out: 227, filter 11, stride 4", SizeQuestion(227, 11, 4)),
)
ALEXNET_POOLS = (
    ("pool1: 55, window 3, stride 2", SizeQuestion(55, 3, 2, pools=True)),
    ("conv2: 27, filter 5, stride 1, pad 2", SizeQuestion(27, 5, 1, 2)),
    ("pool2: 27, window 3, stride 2", SizeQuestion(27, 3, 2, pools=True)),
)
ALEXNET_DEEP = (
    ("conv3 to conv5: 13, filter 3, stride 1, pad 1", SizeQuestion(13, 3, 1, 1)),
    ("pool5: 13, window 3, stride 2", SizeQuestion(13, 3, 2, pools=True)),
)
LENET = (
    ("conv1: 32, filter 5, stride 1", SizeQuestion(32, 5)),
    ("pool1: 28, window 2, stride 2", SizeQuestion(28, 2, 2, pools=True)),
    ("conv2: 14, filter 5, stride 1", SizeQuestion(14, 5)),
)
VGG = (
    ("One 7×7 with pad 1", SizeQuestion(56, 7, 1, 1)),
    ("Each 3×3 with pad 1", SizeQuestion(56, 3, 1, 1)),
    ("POOL: 2×2, stride 2", SizeQuestion(56, 2, 2, pools=True)),
)


@exhibit("alexnet-parameters", "alexnet", "How many trainable parameters?")
def make_parameter_questions(studio: Studio) -> Made:
    """Answer the lecture's questions on parameters, by formula and by counting."""
    first = count_filter_parameters(96, 11, 3)
    rows = (
        ("conv1", "96 · (11·11·3 + 1)", first, count_layer_parameters("alexnet", "conv1")),
        ("pool1", "nothing is learned", 0, count_layer_parameters("alexnet", "pool1")),
        (
            "conv2",
            "256 · (5·5·96 + 1)",
            count_filter_parameters(256, 5, 96),
            count_layer_parameters("alexnet", "conv2"),
        ),
        (
            "conv2, two towers",
            "256 · (5·5·48 + 1)",
            count_filter_parameters(256, 5, 48),
            count_layer_parameters("alexnet-towers", "conv2"),
        ),
    )
    title = "How many trainable parameters?"
    table = Table(title, ("layer", "formula", "by formula", "counted on the net"), rows)
    caption = "A filter has a weight for each pixel and map that it sees, and a bias."
    return Made(caption, partial(draw_table, table, caption), table)


def make_sizes(studio: Studio, title: str, questions: Sequence[tuple[str, SizeQuestion]]) -> Made:
    """Draw worked size questions."""
    caption = f"(input + 2·pad − filter) / stride + 1. {say_questions(questions)}"
    return Made(
        caption, partial(draw_sizes, questions, title, caption), text="Windows along an input"
    )


_QUESTIONS = {
    "lenet-sizes": ("LeNet", LENET),
    "alexnet-sizes-input": ("AlexNet", ALEXNET_INPUT),
    "alexnet-sizes-pools": ("AlexNet", ALEXNET_POOLS),
    "alexnet-sizes-deep": ("AlexNet", ALEXNET_DEEP),
    "vgg-sizes": ("VGG", VGG),
}
for _name, (_net, _questions) in _QUESTIONS.items():
    _title = f"{_net}: how large is the output?"
    exhibit(_name, _net.lower(), _title, title=_title, questions=_questions)(make_sizes)
