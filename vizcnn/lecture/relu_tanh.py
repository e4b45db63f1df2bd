"""ReLU against tanh: the same small net trained with both (Krizhevsky et al. 2012, Figure 1)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional as F

from vizcnn.basics.errors import DataError
from vizcnn.basics.progress import Progress, silent
from vizcnn.drawing.labels import COLOURS
from vizcnn.drawing.sheet import BODY, SMALL, Slide
from vizcnn.drawing.style import letter_size, plain_style, points, tone
from vizcnn.lecture.studio import Made, Studio, exhibit
from vizcnn.measures.published import read_published

EPOCHS, BATCH = 10, 64
RATES = (0.001, 0.003, 0.01, 0.03)
"""Learning rates that each activation may choose from, as the paper chose them separately; at the
first one both are compared at equal terms too."""
START_STD = 0.01
"""Standard deviation of the first weights, the paper's (section 5)."""
MARK = 0.25
"""Training error that is to be reached, as in the paper."""
CHECKS = 4
"""Measurements of the training error in an epoch."""
ACTIVATIONS: dict[str, type[nn.Module]] = {"ReLU": nn.ReLU, "tanh": nn.Tanh}


@dataclass(frozen=True)
class Curve:
    """The training error of a run.

    Attributes:
        activation: A key of :data:`ACTIVATIONS`.
        rate: Learning rate.
        epochs: When the error was measured, in epochs.
        errors: Share of the training images classified wrongly, 0..1.
    """

    activation: str
    rate: float
    epochs: tuple[float, ...]
    errors: tuple[float, ...]

    @property
    def reached(self) -> float | None:
        """Epochs until the error is below :data:`MARK`; None if it never is.

        Between two measurements the error is taken to fall evenly.
        """
        before = None
        for epoch, error in zip(self.epochs, self.errors, strict=True):
            if error <= MARK:
                if before is None or before[1] == error:
                    return epoch
                share = (before[1] - MARK) / (before[1] - error)
                return before[0] + share * (epoch - before[0])
            before = (epoch, error)
        return None


def build_four_layers(activation: str, seed: int) -> nn.Sequential:
    """Build a net of two convolutions and two fully connected layers for 16 x 16 grey pixels.

    Args:
        activation: A key of :data:`ACTIVATIONS`.
        seed: Both activations begin with the same weights.
    """
    kind = ACTIVATIONS[activation]
    with torch.device("meta"):  # torch's own first weights would use up its random numbers
        net = nn.Sequential(
            nn.Conv2d(1, 16, 5, padding=2),
            kind(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            kind(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * 16, 64),
            kind(),
            nn.Linear(64, 10),
        )
    net = net.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(seed)
    for part in net:
        if isinstance(part, nn.Conv2d | nn.Linear):
            nn.init.normal_(part.weight, std=START_STD, generator=generator)
            assert part.bias is not None
            nn.init.zeros_(part.bias)
    return net


def read_digits() -> tuple[Tensor, Tensor]:
    """Give scikit-learn's digits, and which each is.

    Returns:
        (1797, 1, 16, 16), grey values of 0..255 minus the mean image, as the paper prepares its
        photos; and the digits (1797,).

    Raises:
        DataError: If scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise DataError(
            "the digits to train on come with scikit-learn, which is not here: "
            "pip install 'vizcnn[digits]'"
        ) from None
    digits = load_digits()
    images = torch.from_numpy(digits.images).float()[:, None] * (255 / 16)
    enlarged = F.interpolate(images, scale_factor=2, mode="bilinear", align_corners=False)
    return enlarged - enlarged.mean(dim=0), torch.from_numpy(digits.target)


def train_curve(
    activation: str, rate: float, images: Tensor, labels: Tensor, epochs: int, seed: int
) -> Curve:
    """Train a net by SGD with momentum 0.9, no regularisation, and measure its training error."""
    net = build_four_layers(activation, seed)
    optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9)
    generator = torch.Generator().manual_seed(seed)
    steps = -(-len(images) // BATCH)
    wanted = {round(steps * (part + 1) / CHECKS) for part in range(CHECKS)}
    times, errors = [0.0], [measure_error(net, images, labels)]
    for epoch in range(epochs):
        order = torch.randperm(len(images), generator=generator)
        for step, batch in enumerate(order.split(BATCH), start=1):
            loss = F.cross_entropy(net(images[batch]), labels[batch])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            if step in wanted:
                times.append(epoch + step / steps)
                errors.append(measure_error(net, images, labels))
    return Curve(activation, rate, tuple(times), tuple(errors))


@torch.no_grad()
def measure_error(net: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Give the share of images that a net classifies wrongly, 0..1."""
    wrong = net(images).argmax(dim=1) != labels
    return float(wrong.double().mean())


@dataclass(frozen=True)
class Comparison:
    """Both activations, each in two runs.

    Attributes:
        best: For each activation the run that is first at 25 %, then lowest.
        equal: The runs at the smallest rate, the same for both.
    """

    best: dict[str, Curve]
    equal: dict[str, Curve]


def compare_activations(
    epochs: int = EPOCHS,
    rates: Sequence[float] = RATES,
    seed: int = 0,
    progress: Progress = silent,
) -> Comparison:
    """Train both with every rate.

    Raises:
        DataError: If scikit-learn is not installed.
    """
    images, labels = read_digits()
    runs = [(activation, rate) for activation in ACTIVATIONS for rate in rates]
    train = partial(train_curve, images=images, labels=labels, epochs=epochs, seed=seed)
    shown = progress(runs, label="ReLU and tanh", total=len(runs), unit="run")
    curves = [train(activation, rate) for activation, rate in shown]

    def rank(curve: Curve) -> tuple[float, float]:
        return math.inf if curve.reached is None else curve.reached, sum(curve.errors)

    by_name = {name: [c for c in curves if c.activation == name] for name in ACTIVATIONS}
    return Comparison(
        best={name: min(found, key=rank) for name, found in by_name.items()},
        equal={name: found[0] for name, found in by_name.items()},
    )


@exhibit("alexnet-relu", "alexnet", "ReLU against tanh")
def make_relu_tanh(studio: Studio) -> Made:
    """Train with both and draw the curves as the paper does: ReLU solid, tanh dashed."""
    found = compare_activations(seed=studio.seed, progress=studio.progress)
    rates = ", ".join(f"{rate:g}" for rate in RATES)
    caption = (
        "Training error of one four-layer net with ReLU and with tanh on the 1,797 digits of "
        "scikit-learn, grey values minus their mean; weights begin with a deviation of "
        f"{START_STD:g}, SGD with momentum 0.9, batches of {BATCH}, no regularisation, seed "
        f"{studio.seed}. Left: "
        f"both at {RATES[0]:g}: {_say_result(found.equal)}. Right: each at its best of {rates}: "
        f"{_say_result(found.best)}. {_say_paper()}"
    )

    @plain_style()
    def draw() -> Figure:
        slide = Slide(4.6, "ReLU and tanh: how fast the training error falls", caption)
        panels = (("the same rate for both", found.equal), ("the best rate of each", found.best))
        width = (slide.room - 2.0) / 2
        for number, (words, curves) in enumerate(panels):
            left = 1.05 + number * (width + 0.95)
            up = "" if number else "training error (%)"
            axes = slide.plot(left, slide.top + 0.45, width, 3.5, "epochs", up)
            axes.set_title(words, fontsize=letter_size(BODY), loc="left", weight="bold")
            _plot_curves(axes, curves)
        return slide.figure

    return Made(caption, draw, text="Falling curves of training error, ReLU and tanh")


def _plot_curves(axes: Axes, curves: dict[str, Curve]) -> None:
    for (name, curve), style, colour in zip(curves.items(), ("-", "--"), (0, 5), strict=True):
        errors = [100 * error for error in curve.errors]
        label = f"{name}, rate {curve.rate:g}"
        axes.plot(curve.epochs, errors, style, color=COLOURS[colour], lw=points(3), label=label)
    last = curve.epochs[-1]
    axes.axhline(100 * MARK, color=tone("#777777"), lw=points(1.2), linestyle=(0, (2, 2)))
    axes.text(last, 100 * MARK + 1, "25 %", fontsize=letter_size(SMALL), ha="right", va="bottom")
    axes.set_ylim(0, 100)
    axes.set_xlim(0, last)
    axes.legend(fontsize=letter_size(BODY - 2), frameon=False)


def _say_result(curves: dict[str, Curve]) -> str:
    """Say which is faster to 25 %, whichever it is."""
    times = {name: curve.reached for name, curve in curves.items()}
    told = ", ".join(
        f"{name} {'never' if time is None else f'after {time:.2f} epochs'}"
        for name, time in times.items()
    )
    relu, tanh = times["ReLU"], times["tanh"]
    if relu is None or tanh is None:
        return f"25 % reached by {told}"
    words = (
        f"tanh takes {tanh / relu:.1f} times as long"
        if tanh >= relu
        else f"here ReLU takes {relu / tanh:.1f} times as long"
    )
    return f"25 % reached by {told}; {words}"


def _say_paper() -> str:
    told = read_published()
    item = told.figure("alexnet-relu")
    return f"The paper: ReLU {item.value:g} {item.unit} ({told.cite(item)})."
