"""What each rule does with the signal at a rectifier on the way back: one expression each.

A new rule is one more entry of :data:`RULES`. Nothing here needs torch: the names of the rules are
wanted where nothing is computed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


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
        needs_rules: Whether activations without a rule have to be refused; the plain gradient is
            right for all of them.
        source: The paper.
    """

    name: str
    rectify: "Callable[[Tensor, Tensor], Tensor]"
    needs_activity: bool
    passes_over_normalisation: bool
    needs_rules: bool
    source: str


RULES = {
    rule.name: rule
    for rule in (
        Rule(
            "deconvnet",
            lambda signal, active: signal.clamp(min=0),
            needs_activity=False,
            passes_over_normalisation=True,
            needs_rules=True,
            source="Zeiler & Fergus 2013, arXiv 1311.2901, section 2.1",
        ),
        Rule(
            "guided",
            lambda signal, active: signal.clamp(min=0) * active,
            needs_activity=True,
            passes_over_normalisation=False,
            needs_rules=True,
            source="Springenberg et al. 2014, arXiv 1412.6806, figure 1",
        ),
        Rule(
            "gradient",
            lambda signal, active: signal * active,
            needs_activity=True,
            passes_over_normalisation=False,
            needs_rules=False,
            source="Simonyan et al. 2013, arXiv 1312.6034",
        ),
    )
}
"""The rules by name."""
