"""The methods by name: each one frozen value, with all that it does on the way back.

A rule of rectifiers is a method as soon as it stands in :data:`~vizcnn.projection.rules.RULES`. A
method that is no such rule (it hides parts of the photo, or averages gradients) is a class with
what :class:`ProjectionMethod` asks for, in a file of its own, and a line in :data:`METHODS`. The
command line offers what stands there without loading torch: a method imports it when it projects.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from vizcnn.basics.errors import ModelError, VizcnnError, check_kind, nearest_names, quote
from vizcnn.projection.rules import RULES, Rule, Seed

if TYPE_CHECKING:
    from torch import Tensor

    from vizcnn.projection.projection import Projection
    from vizcnn.projection.targets import Targets
    from vizcnn.recording.recording import Recording

Unruled = Literal["refuse", "rectify", "gradient"]
"""What is done at operations that a rule does not know: refuse; treat smooth activations by the
rule's own definition, which is our extension; or take their plain gradient."""

Gates = Literal["refuse", "hold"]
"""What is done at a gate, a product of maps with what a sigmoid or softmax made of the same image:
refuse, or take the gate as fixed at its value, as max pooling's switches are."""


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
        gates: What is done at gates.
        seed: What the backward pass starts with; the rule's own habit when None.

    Raises:
        VizcnnError: If ``unruled``, ``gates`` or ``seed`` is nothing that can be done.
    """

    rule: Rule
    passes_over_normalisation: bool
    unruled: Unruled = "refuse"
    gates: Gates = "refuse"
    seed: Seed | None = None

    def __post_init__(self) -> None:
        check_kind("rule", self.rule, Rule, "a vizcnn.projection.rules.Rule")
        check_kind(
            "passes_over_normalisation", self.passes_over_normalisation, bool, "True or False"
        )
        for name, given, known in (
            ("unruled", self.unruled, get_args(Unruled)),
            ("gates", self.gates, get_args(Gates)),
            ("seed", self.rule.seed if self.seed is None else self.seed, get_args(Seed)),
        ):
            if not (isinstance(given, str) and given in known):
                raise VizcnnError(
                    f"{name}={quote(given)} is not known; needed: {' or '.join(known)}"
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
        from vizcnn.projection.targets import Targets
        from vizcnn.projection.way_back import send_back
        from vizcnn.recording.recording import Recording

        check_kind("recording", recording, Recording, "what vizcnn.record gave")
        check_kind("targets", targets, Targets, "what vizcnn.strongest, units_at or places gave")
        return send_back(recording, layer, targets, self, finish)


METHODS: dict[str, ProjectionMethod] = {
    **{name: Method(rule, rule.passes_over_normalisation) for name, rule in RULES.items()},
}
"""The methods by name, each with its own habits."""


def find_method(
    method: str | Rule | ProjectionMethod,
    passes_over_normalisation: bool | None = None,
    unruled: Unruled | None = None,
    gates: Gates | None = None,
    seed: Seed | None = None,
) -> ProjectionMethod:
    """Settle a method: by its name, of a rule, or as it is.

    Args:
        method: A name in :data:`METHODS`, a rule, or a method.
        passes_over_normalisation: Asks for another treatment of contrast normalisation.
        unruled: Asks for another treatment of what the rule does not know.
        gates: Asks for another treatment of gates.
        seed: Asks for another start.

    Raises:
        VizcnnError: If there is no method of that name, or what is asked for makes no sense.
        ModelError: If a method without a rule is asked for what only a rule can do.

    Example:
        >>> find_method("guided").source
        'Springenberg et al. 2014, arXiv 1412.6806, figure 1'
    """
    if isinstance(method, str):
        if method not in METHODS:
            raise VizcnnError(f"no method {quote(method)}: {nearest_names(method, METHODS)}")
        method = METHODS[method]
    elif isinstance(method, Rule):
        method = Method(method, method.passes_over_normalisation)
    elif isinstance(method, type) or not callable(getattr(method, "project", None)):
        raise VizcnnError(
            f"got {quote(method)} as a method; needed: {', '.join(METHODS)}, or a Rule or Method"
        )
    asked = {
        "passes_over_normalisation": passes_over_normalisation,
        "unruled": unruled,
        "gates": gates,
        "seed": seed,
    }
    given: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
    if not isinstance(method, Method) and all(
        isinstance(value, str) and value == "refuse" for value in given.values()
    ):
        return method
    return replace(need_rule(method), **given) if given else method


def describe_method(method: ProjectionMethod) -> str:
    """Say what a figure by a method depends on: the paper, and every choice that was made.

    Example:
        >>> describe_method(METHODS["gradient"])
        'Simonyan et al. 2013, arXiv 1312.6034; backward pass starts with 1'
        >>> describe_method(find_method("gradient", gates="hold"))
        'Simonyan et al. 2013, arXiv 1312.6034; backward pass starts with 1; gates held'
    """
    if not isinstance(method, Method):
        return method.source
    start = {"one": "1", "activation": "the activation"}[method.seed or method.rule.seed]
    words = [method.source, f"backward pass starts with {start}"]
    if method.passes_over_normalisation != method.rule.passes_over_normalisation:
        passed = method.passes_over_normalisation
        words.append(f"contrast normalisation {'passed over' if passed else 'by its gradient'}")
    if method.gates == "hold":
        words.append("gates held")
    if method.rule.needs_rules and method.unruled == "rectify":
        words.append("smooth activations by the rule's definition (our extension)")
    elif method.rule.needs_rules and method.unruled == "gradient":
        words.append("plain gradient where the rule is silent")
    return "; ".join(words)


def need_rule(method: ProjectionMethod) -> Method:
    """Make sure that a method has a rule.

    Raises:
        ModelError: If it has none.
    """
    if not isinstance(method, Method):
        raise ModelError(f"method {method.name!r} has no rule of rectifiers to mirror or to change")
    return method
