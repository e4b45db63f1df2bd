"""What each rule does with the signal at a rectifier on the way back: one expression each.

A new rule is one more entry of :data:`RULES`. Nothing here needs torch: the names of the rules are
wanted where nothing is computed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor


Seed = Literal["activation", "one"]
"""What a backward pass starts with at a unit: the size of its activation, or 1."""


@dataclass(frozen=True)
class Rule:
    """A way to send a signal back through a net.

    Attributes:
        name: What users call it.
        rectify: Maps the signal above a rectifier and the mask of its active inputs (where its
            slope is 1) to the signal below it. Both have the rectifier's shape.
        needs_activity: Whether ``rectify`` looks at the mask at all.
        passes_over_normalisation: Whether contrast normalisation is skipped on the way back, as
            Zeiler & Fergus do, where its true gradient would be taken otherwise; a
            :class:`~vizcnn.projection.methods.Method` may do otherwise.
        seed: What the backward pass starts with: ``"activation"``, as ZF do, or ``"one"``, which
            makes it a derivative.
        needs_rules: Whether activations without a rule have to be refused; the plain gradient is
            right for all of them.
        source: The paper.
    """

    name: str
    rectify: "Callable[[Tensor, Tensor], Tensor]"
    needs_activity: bool
    passes_over_normalisation: bool
    needs_rules: bool
    seed: Seed
    source: str


def rectify_signal(signal: "Tensor", active: "Tensor") -> "Tensor":
    """Keep the signal where it is positive."""
    return signal.clamp(min=0)


def rectify_both(signal: "Tensor", active: "Tensor") -> "Tensor":
    """Keep the signal where both it and the rectifier's input are positive."""
    return signal.clamp(min=0) * active


def pass_active(signal: "Tensor", active: "Tensor") -> "Tensor":
    """Keep the signal where the rectifier's input is positive."""
    return signal * active


# functions with a name: a projector with one can be pickled
RULES = {
    rule.name: rule
    for rule in (
        Rule(
            "deconvnet",
            rectify_signal,
            needs_activity=False,
            passes_over_normalisation=True,
            needs_rules=True,
            seed="activation",
            source="Zeiler & Fergus 2013, arXiv 1311.2901, section 2.1",
        ),
        Rule(
            "guided",
            rectify_both,
            needs_activity=True,
            passes_over_normalisation=False,
            needs_rules=True,
            seed="activation",
            source="Springenberg et al. 2014, arXiv 1412.6806, figure 1",
        ),
        Rule(
            "gradient",
            pass_active,
            needs_activity=True,
            passes_over_normalisation=False,
            needs_rules=False,
            seed="one",
            source="Simonyan et al. 2013, arXiv 1312.6034",
        ),
    )
}
"""The rules by name."""
