"""The methods by name: each one frozen value, with all that it does on the way back.

A rule of rectifiers is a method as soon as it stands in :data:`~vizcnn.projection.rules.RULES`. A
method that is no such rule (it hides parts of the photo, or averages gradients) is a class with
what :class:`ProjectionMethod` asks for, in a file of its own, and a line in :data:`METHODS`. The
command line offers what stands there without loading torch: a method imports it when it projects.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol, get_args

from vizcnn.basics.errors import ModelError, VizcnnError, nearest_names
from vizcnn.projection.rules import RULES, Rule

if TYPE_CHECKING:
    from torch import Tensor

    from vizcnn.projection.projection import Projection
    from vizcnn.projection.targets import Targets
    from vizcnn.recording.recording import Recording

Unruled = Literal["refuse", "gradient"]
"""What is done at operations that a rule does not know: refuse, or take their plain gradient."""


class ProjectionMethod(Protocol):
    """What takes a recorded pass and targets to pixels."""

    @property
    def name(self) -> str:
        """What users call it."""

    @property
    def source(self) -> str:
        """The paper that it is from."""

    def project(
        self,
        recording: "Recording",
        layer: str,
        targets: "Targets",
        finish: "Callable[[Tensor], Tensor] | None" = None,
    ) -> "Projection":
        """Project targets; arguments, result and errors as of :func:`~vizcnn.project`."""


@dataclass(frozen=True)
class Method:
    """A method that sends the signal back through the net by a rule.

    Attributes:
        rule: What happens at a rectifier.
        passes_over_normalisation: Whether contrast normalisation is skipped, where its true
            gradient would be taken otherwise.
        unruled: What is done at operations that the rule does not know.

    Raises:
        VizcnnError: If ``unruled`` is nothing that can be done.
    """

    rule: Rule
    passes_over_normalisation: bool
    unruled: Unruled = "refuse"

    def __post_init__(self) -> None:
        if self.unruled not in get_args(Unruled):
            raise VizcnnError(
                f"unruled={self.unruled!r} is not known; needed: {' or '.join(get_args(Unruled))}"
            )

    @property
    def name(self) -> str:
        """The rule's name."""
        return self.rule.name

    @property
    def source(self) -> str:
        """The rule's paper."""
        return self.rule.source

    def project(
        self,
        recording: "Recording",
        layer: str,
        targets: "Targets",
        finish: "Callable[[Tensor], Tensor] | None" = None,
    ) -> "Projection":
        """Send the targets' activations back through the recorded graph."""
        from vizcnn.projection.way_back import send_back

        return send_back(recording, layer, targets, self, finish)


METHODS: dict[str, ProjectionMethod] = {
    **{name: Method(rule, rule.passes_over_normalisation) for name, rule in RULES.items()},
}
"""The methods by name, each with its own habits."""


def find_method(
    method: str | Rule | ProjectionMethod,
    passes_over_normalisation: bool | None = None,
    unruled: Unruled | None = None,
) -> ProjectionMethod:
    """Settle a method: by its name, of a rule, or as it is.

    Args:
        method: A name in :data:`METHODS`, a rule, or a method.
        passes_over_normalisation: Asks for another treatment of contrast normalisation.
        unruled: Asks for another treatment of what the rule does not know.

    Raises:
        VizcnnError: If there is no method of that name, or what is asked for makes no sense.
        ModelError: If a method without a rule is asked for what only a rule can do.

    Example:
        >>> find_method("guided").source
        'Springenberg et al. 2014, arXiv 1412.6806, figure 1'
    """
    if isinstance(method, str):
        if method not in METHODS:
            raise VizcnnError(f"no method {method!r}: {nearest_names(method, METHODS)}")
        method = METHODS[method]
    elif isinstance(method, Rule):
        method = Method(method, method.passes_over_normalisation)
    asks = passes_over_normalisation is not None or unruled not in (None, "refuse")
    if not asks and not isinstance(method, Method):
        return method
    ruled = need_rule(method)
    if passes_over_normalisation is not None:
        ruled = replace(ruled, passes_over_normalisation=passes_over_normalisation)
    return ruled if unruled is None else replace(ruled, unruled=unruled)


def need_rule(method: ProjectionMethod) -> Method:
    """Make sure that a method has a rule.

    Raises:
        ModelError: If it has none.
    """
    if not isinstance(method, Method):
        raise ModelError(f"method {method.name!r} has no rule of rectifiers to mirror or to change")
    return method
