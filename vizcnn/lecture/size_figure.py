"""Size questions drawn: the windows along one side of the input, and what they come to."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from vizcnn.drawing.labels import COLOURS
from vizcnn.drawing.sheet import BODY, MARGIN, QUIET, SMALL, Slide
from vizcnn.drawing.style import letter_size, plain_style, points, tone
from vizcnn.lecture.sizes import SizeQuestion, run_size

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
