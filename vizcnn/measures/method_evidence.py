"""What speaks for a method's map of a unit: selectivity, shuffled weights, agreement with drops."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vizcnn.attribution.attributions import Attribution
from vizcnn.attribution.hidden_passes import Squares
from vizcnn.attribution.occlusion import sum_squares
from vizcnn.attribution.question import AttributionSettings, Question, ask
from vizcnn.measures.agreement import correlate, find_magnitudes, rank
from vizcnn.measures.cascade import list_cascade, shuffle_layers
from vizcnn.photos.pixels import Array, Box
from vizcnn.projection.active_units import Compare
from vizcnn.projection.parts import find_common, measure_cosines, measure_selectivity
from vizcnn.zoo.model import ZooModel


class ShuffledNet:
    """A copy of a net in which the upper half of the layers below some units is shuffled.

    The randomisation of Adebayo et al. 2018 (arXiv 1810.03292), half way down the cascade of
    :func:`~vizcnn.measures.cascade.list_cascade`: of eight layers the upper four.

    Args:
        model: The net, which is left as it is.
        layer: The units' layer, where the cascade begins.
        seed: Of the shuffling.

    Attributes:
        model: The copy.
        names: Names of the shuffled layers, from the top down.

    Raises:
        LayerError: If nothing below the layer has weights.
    """

    def __init__(self, model: ZooModel, layer: str, seed: int) -> None:
        layers = list_cascade(model, layer)
        upper = layers[: -(-len(layers) // 2)]
        self.names = tuple(part.name for part in upper)
        self.model = replace(model, module=deepcopy(model.module))
        parameters = dict(self.model.module.named_parameters())
        with torch.no_grad():
            for name, values in shuffle_layers(model, upper, seed).items():
                parameters[name].copy_(values)

    def ask(self, question: Question, compare: Compare) -> Question | None:
        """Ask the same of the shuffled net.

        Of a unit that the shuffled net silences there is no picture; the next active unit of the
        place stands in for it. Its weights are values of the same parameters, in places that were
        drawn in the same way, so that it might as well have been the unit.

        Args:
            question: About one unit.
            compare: How many other active units are to keep it company.

        Returns:
            The question; None if no unit is active there.
        """
        pixels, layer, position = question.pixels, question.layer, question.position
        wanted = int(question.units)
        everyone, value = ask(self.model, pixels, layer, wanted, position, "all")
        active = everyone.company
        if not len(active):
            return None
        later = active[active > wanted]
        chosen = wanted if value > 0 else int((later if len(later) else active)[0])
        return ask(self.model, pixels, layer, chosen, position, compare)[0]


def find_selectivity(
    question: Question, method: Attribution, settings: AttributionSettings, own: Tensor
) -> float | None:
    """Measure what a unit's map has that those of the other active units of its place have not.

    Args:
        question: About the unit.
        method: The method.
        settings: Its choices.
        own: The unit's map, (C, S, S).

    Returns:
        1 - cos² with the common picture (:func:`~vizcnn.projection.parts.find_common`) inside the
        receptive field; None where no other unit is active, or fewer than two maps are not empty.
    """
    if len(question.company) < 2:
        return None
    top, left, bottom, right = question.box
    own = own[..., top:bottom, left:right]
    maps = method.attribute(question.about(question.company), settings)
    maps = maps[..., top:bottom, left:right]
    if not own.any() or maps.flatten(1).any(dim=1).sum() < 2:
        return None
    common = find_common(maps, question.known, question.active)
    if question.known:
        return float(common.selectivity[0])
    return float(measure_selectivity(measure_cosines(own[None], common.direction[None])))


def agree_with_drops(
    values: Array, drops: NDArray[np.float64], squares: Squares, box: Box
) -> list[float]:
    """Correlate drops with what a map says of each square: the sum of its values there.

    Of a picture the magnitudes are summed: its values are directions in which pixels may change,
    and only how large they are can be set against a drop. Of a linear unit the sum of gradient
    times input is the drop itself, if squares are filled with what is zero to the net.

    Args:
        values: A map (1, S, S) or picture (3, S, S).
        drops: Of R units, under K squares, (R, K).
        squares: The squares.
        box: Receptive field; what a map says outside of it is left out.

    Returns:
        Spearman's correlation for each of the R units; NaN where a row is the same everywhere.
    """
    single = values[0] if len(values) == 1 else find_magnitudes(values)
    top, left, bottom, right = box
    seen = np.zeros_like(single)
    seen[top:bottom, left:right] = single[top:bottom, left:right]
    ranks = rank(sum_squares(seen, squares))
    return [correlate(ranks, rank(drop)) for drop in drops]
