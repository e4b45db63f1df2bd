"""The attribution methods by name, each one frozen value."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from vizcnn.attribution.cams import map_grad_cam, map_layer_cam, multiply_guided
from vizcnn.attribution.gradients import (
    GRADIENT_X_INPUT,
    find_own_parts,
    integrate_gradients,
    multiply_by_own_input,
    project_back,
)
from vizcnn.attribution.occlusion import hide_squares
from vizcnn.attribution.question import AttributionSettings, Question
from vizcnn.basics.errors import ModelError, VizcnnError, nearest_names, quote
from vizcnn.projection.methods import METHODS

Answer = Callable[[Question, AttributionSettings], Tensor]


@dataclass(frozen=True)
class Attribution:
    """A way to say which pixels a unit's value depends on.

    Attributes:
        name: What users call it.
        title: Its name on figures.
        source: The paper.
        colours: Whether it gives a picture, a value for each colour, instead of one for each pixel.
        answer: From a question to maps (R, 3 or 1, S, S), float32, on the CPU.
    """

    name: str
    title: str
    source: str
    colours: bool
    answer: Answer

    def attribute(self, question: Question, settings: AttributionSettings | None = None) -> Tensor:
        """Give the maps of the units in question.

        Args:
            question: From :func:`~vizcnn.attribution.question.ask`.
            settings: Choices of the methods.

        Returns:
            (R, 3, S, S) where the method gives pictures, else (R, 1, S, S), with respect to RGB
            pixels 0..1; signed and not scaled.

        Raises:
            UnsupportedOperationError: If an operation of the net has no rule.
            LayerError: If the method makes no sense for the layer.
            ModelError: If a value is not finite.

        Example:
            >>> import torch, vizcnn
            >>> from vizcnn.attribution.question import ask
            >>> net = vizcnn.load("lenet", weights=None)
            >>> question, _ = ask(net, torch.rand(1, 3, 32, 32), "fc5")
            >>> ATTRIBUTIONS["occlusion"].attribute(question).shape
            torch.Size([1, 1, 32, 32])
        """
        maps = self.answer(question, settings or AttributionSettings())
        if not maps.isfinite().all():
            raise ModelError(
                f"{self.title} of {question.layer} is not finite: the net's weights are too large, "
                "or damaged"
            )
        return maps


def _list_attributions() -> Iterable[Attribution]:
    ways = {"deconvnet": "deconvnet", "guided": "guided\nbackprop", "gradient": "gradient"}
    for name, title in ways.items():
        source = METHODS[name].source
        yield Attribution(name, title, source, True, partial(project_back, method=name))
    yield Attribution(
        GRADIENT_X_INPUT,
        "gradient\n× input",
        "Shrikumar et al. 2016, arXiv 1605.01713",
        False,
        multiply_by_own_input,
    )
    yield Attribution(
        "integrated-gradients",
        "integrated\ngradients",
        "Sundararajan et al. 2017, arXiv 1703.01365",
        False,
        integrate_gradients,
    )
    yield Attribution(
        "grad-cam",
        "Grad-CAM",
        "Selvaraju et al. 2017, arXiv 1610.02391, equations 1 and 2",
        False,
        map_grad_cam,
    )
    yield Attribution(
        "guided-grad-cam",
        "guided\nGrad-CAM",
        "Selvaraju et al. 2017, arXiv 1610.02391, section 3.2",
        True,
        multiply_guided,
    )
    yield Attribution(
        "layer-cam",
        "LayerCAM",
        "Jiang et al. 2021, doi 10.1109/TIP.2021.3089943, equations 5 to 7",
        False,
        map_layer_cam,
    )
    yield Attribution(
        "occlusion",
        "occlusion",
        "Zeiler & Fergus 2013, arXiv 1311.2901, section 4.2",
        False,
        hide_squares,
    )
    for name in ways:
        yield Attribution(
            f"own-{name}",
            f"own part:\n{name}",
            f"{METHODS[name].source}; without what the active units of the place share",
            True,
            partial(find_own_parts, method=name),
        )


ATTRIBUTIONS: dict[str, Attribution] = {found.name: found for found in _list_attributions()}
"""The methods by name, in the order of their columns."""


def find_attributions(names: Iterable[str]) -> tuple[Attribution, ...]:
    """Find methods by their names, each once; all when none is named.

    Raises:
        VizcnnError: If there is no method of a name.

    Example:
        >>> [method.name for method in find_attributions(["guided", "occlusion"])]
        ['guided', 'occlusion']
    """
    wanted = list(dict.fromkeys(names)) or list(ATTRIBUTIONS)
    for name in wanted:
        if name not in ATTRIBUTIONS:
            raise VizcnnError(f"no method {quote(name)}: {nearest_names(name, ATTRIBUTIONS)}")
    return tuple(ATTRIBUTIONS[name] for name in wanted)
