"""The slide's momentum rule with weight decay beside torch's: equal until the rate changes."""

from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from vizcnn.drawing.labels import COLOURS
from vizcnn.drawing.sheet import BODY, MARGIN, SMALL, Slide
from vizcnn.drawing.style import letter_size, plain_style, points, tone
from vizcnn.lecture.studio import Made, Studio, exhibit

MOMENTUM, DECAY, RATE = 0.9, 0.0005, 0.02
"""Of the slide and of Krizhevsky et al. 2012, section 5; the rate is ours."""
STEPS, DROP = 40, 12
"""Steps of a run, and the step from which the rate is a tenth."""
CURVATURES = (1.0, 12.0)
"""Second derivatives of the loss ``(a x^2 + b y^2) / 2`` that both rules go down."""
START = (-4.0, 1.5)

Schedule = Literal["constant", "dropped"]


@dataclass(frozen=True)
class Descent:
    """The weights of both rules at every step.

    Attributes:
        slide: (steps + 1, 2), by the rule of the slide.
        torch: The same by ``torch.optim.SGD``.
    """

    slide: Tensor
    torch: Tensor

    @property
    def distances(self) -> Tensor:
        """Distance between the two at every step."""
        lengths: Tensor = (self.slide - self.torch).norm(dim=1)
        return lengths


def step_by_slide(
    weight: Tensor, velocity: Tensor, gradient: Tensor, rate: float
) -> tuple[Tensor, Tensor]:
    """Take a step of the slide's rule (Krizhevsky et al. 2012, section 5).

    ``v := 0.9 v - 0.0005 rate w - rate gradient`` and ``w := w + v``: the velocity is a way in
    weights, its memory holds the rates of former steps.

    Returns:
        The new weight and velocity.

    Example:
        >>> step_by_slide(torch.ones(1), torch.zeros(1), torch.ones(1), 0.1)[0]
        tensor([0.9000])
    """
    changed: Tensor = MOMENTUM * velocity - DECAY * rate * weight - rate * gradient
    return weight + changed, changed


def descend(schedule: Schedule, steps: int = STEPS) -> Descent:
    """Go down a bowl by both rules, in double precision.

    Args:
        schedule: ``"constant"``, or ``"dropped"``: a tenth of the rate from step 12 on.
        steps: How many steps.
    """
    rates = [RATE if schedule == "constant" or k < DROP else RATE / 10 for k in range(steps)]
    return Descent(_descend_by_slide(rates), _descend_by_torch(rates))


def _gradient(weight: Tensor) -> Tensor:
    bent: Tensor = weight * torch.tensor(CURVATURES, dtype=torch.float64)
    return bent


def _descend_by_slide(rates: list[float]) -> Tensor:
    weight = torch.tensor(START, dtype=torch.float64)
    velocity, path = torch.zeros_like(weight), [weight]
    for rate in rates:
        weight, velocity = step_by_slide(weight, velocity, _gradient(weight), rate)
        path.append(weight)
    return torch.stack(path)


def _descend_by_torch(rates: list[float]) -> Tensor:
    weight = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=RATE, momentum=MOMENTUM, weight_decay=DECAY)
    path = [weight.detach().clone()]
    for rate in rates:
        optimizer.param_groups[0]["lr"] = rate
        weight.grad = _gradient(weight.detach())
        optimizer.step()
        path.append(weight.detach().clone())
    return torch.stack(path)


def compare_with_torch(schedule: Schedule) -> float:
    """Give the largest distance of the two rules, over the way's size; 0 below 10^-12.

    Example:
        >>> compare_with_torch("constant"), compare_with_torch("dropped") > 0.01
        (0.0, True)
    """
    descent = descend(schedule)
    share = (descent.distances.max() / descent.slide.norm(dim=1).max()).item()
    return share if share > 1e-12 else 0.0


@exhibit("alexnet-momentum", "alexnet", "Momentum with weight decay")
def make_momentum(studio: Studio) -> Made:
    """Draw both rules on the same bowl, with the rate dropped by ten in between."""
    constant, dropped = compare_with_torch("constant"), compare_with_torch("dropped")
    caption = (
        "Slide: v := 0.9 v − 0.0005 ε w − ε ∂L/∂w, w := w + v. torch.optim.SGD: v := 0.9 v + "
        "0.0005 w + ∂L/∂w, w := w − ε v. At one rate both go the same way (largest difference over "
        f"{STEPS} steps: {constant:g} of the way’s size, but for rounding); when ε drops to a "
        "tenth "
        f"at step {DROP}, torch scales its whole velocity down at once, while the slide’s keeps "
        f"what it gathered at the old rate: they differ by up to {dropped:.1%}. torch’s dampening "
        f"is 0 and Nesterov’s form is off, as usual. Loss: (x² + {CURVATURES[1]:g} y²) / 2, ε = "
        f"{RATE}."
    )
    return Made(
        caption, partial(draw_descents, caption), text="Two paths down a bowl, and their distance"
    )


def draw_descents(caption: str) -> Figure:
    """Draw both paths after a drop of the rate, and the distance by step for both schedules."""
    with plain_style():
        slide = Slide(4.6, "Momentum with weight decay: the slide’s rule and torch’s", caption)
        left = slide.plot(0.9, slide.top + 0.1, 6.6, 3.8, "weight x", "weight y")
        _plot_paths(left, descend("dropped"))
        right = slide.plot(
            8.9, slide.top + 0.1, slide.width - 8.9 - MARGIN - 0.2, 3.8, "step", "distance"
        )
        _plot_distances(right)
    return slide.figure


def _plot_paths(axes: Axes, descent: Descent) -> None:
    across, up = torch.linspace(-4.6, 2.2, 80), torch.linspace(-1.7, 1.7, 60)
    loss = (CURVATURES[0] * across[None, :] ** 2 / 2 + CURVATURES[1] * up[:, None] ** 2 / 2).sqrt()
    axes.contour(
        across.numpy(), up.numpy(), loss.numpy(), 9, colors=tone("#cccccc"), linewidths=points(1)
    )
    paths = ((descent.slide, "slide", "-", "o", 0), (descent.torch, "torch", "--", "s", 5))
    for path, name, style, marker, colour in paths:
        axes.plot(
            path[:, 0],
            path[:, 1],
            style,
            marker=marker,
            markersize=points(5),
            color=COLOURS[colour],
            label=name,
        )
    drop = descent.slide[DROP]
    axes.annotate(
        "rate ÷ 10",
        (drop[0].item(), drop[1].item()),
        (drop[0].item() - 0.2, 1.25),
        fontsize=letter_size(SMALL),
        arrowprops={"arrowstyle": "->", "color": tone("#444444")},
    )
    axes.legend(fontsize=letter_size(BODY - 2), loc="lower right", framealpha=1, edgecolor="none")


def _plot_distances(axes: Axes) -> None:
    for schedule, words, style, colour in (
        ("dropped", "rate dropped", "-", 3),
        ("constant", "one rate", "--", 2),
    ):
        distances = descend(schedule).distances  # type: ignore[arg-type]
        axes.plot(
            distances.clamp(min=1e-17),
            style,
            color=COLOURS[colour],
            label=words,
            linewidth=points(2),
        )
    axes.set_yscale("log")
    axes.axvline(DROP, color=tone("#444444"), linewidth=points(1), linestyle=(0, (2, 2)))
    axes.legend(fontsize=letter_size(BODY - 2), frameon=False, loc="center right")
