"""What speaks for a method's map of a unit: selectivity, shuffled weights, agreement with drops."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from vizcnn.attribution.attributions import Attribution
from vizcnn.attribution.occlusion import Drops
from vizcnn.attribution.question import AttributionSettings, Question, ask
from vizcnn.measures.agreement import correlate, find_magnitudes, rank
from vizcnn.measures.cascade import list_cascade, shuffle
from vizcnn.photos.pixels import Array
from vizcnn.projection.parts import find_common, inner_product, measure_selectivity
from vizcnn.zoo.model import ZooModel

ALL = 10**6
"""More units than a layer has."""


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
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name in [name for part in upper for name in part.parameters]:
                parameters[name].copy_(shuffle(parameters[name], generator))

    def ask(self, question: Question, others: int) -> Question | None:
        """Ask the same of the shuffled net.

        Of a unit that the shuffled net silences there is no picture; the next active unit of the
        place stands in for it. Its weights are values of the same parameters, in places that were
        drawn in the same way, so that it might as well have been the unit.

        Args:
            question: About one unit.
            others: How many other active units are to keep it company.

        Returns:
            The question; None if no unit is active there.
        """
        pixels, layer, position = question.pixels, question.layer, question.position
        wanted = int(question.units)
        everyone, value = ask(self.model, pixels, layer, wanted, position, ALL)
        active = everyone.company
        if not len(active):
            return None
        later = active[active > wanted]
        chosen = wanted if value > 0 else int((later if len(later) else active)[0])
        return ask(self.model, pixels, layer, chosen, position, others)[0]


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
    own = own / own.abs().max()
    cosine = inner_product(own, common.direction) / inner_product(own, own) ** 0.5
    return float(measure_selectivity(torch.tensor(cosine, dtype=torch.float64)))


def keep_inside(drops: Drops, question: Question) -> Drops:
    """Keep the squares that lie in the receptive field, if any does: edges would agree anyway."""
    top, left, bottom, right = question.box
    inside = [
        top <= row <= bottom - drops.side and left <= column <= right - drops.side
        for row, column in drops.squares
    ]
    if not any(inside):
        return drops
    squares = tuple(square for square, fits in zip(drops.squares, inside, strict=True) if fits)
    return replace(drops, squares=squares, values=drops.values[:, torch.tensor(inside)])


def agree_with_drops(values: Array, drops: Drops, question: Question) -> list[float]:
    """Correlate drops with what a map says of each square: the sum of its values there.

    Of a picture the magnitudes are summed: its values are directions in which pixels may change,
    and only how large they are can be set against a drop. Of a linear unit the sum of gradient
    times input is the drop itself, if squares are filled with what is zero to the net.

    Args:
        values: A map (1, h, w) or picture (3, h, w), cut to the receptive field.
        drops: Of R units.
        question: What was asked.

    Returns:
        Spearman's correlation for each of the R units; NaN where a row is the same everywhere.
    """
    single = values[0] if len(values) == 1 else find_magnitudes(values)
    top, left = question.box[:2]
    sums = []
    for row, column in drops.squares:
        first, last = max(row - top, 0), max(row - top + drops.side, 0)
        start, end = max(column - left, 0), max(column - left + drops.side, 0)
        sums.append(single[first:last, start:end].sum(dtype=np.float64))
    ranks = rank(np.array(sums))
    return [correlate(ranks, rank(drop)) for drop in drops.values.numpy()]
