"""A net as it was before it was trained: what its weights have learnt is seen beside it."""

from copy import deepcopy
from dataclasses import replace

from vizcnn.zoo.building import draw_weights
from vizcnn.zoo.model import ZooModel
from vizcnn.zoo.provenance import Provenance


def untrain(model: ZooModel, seed: int = 0) -> ZooModel:
    """Give the same net with random weights; the net itself stays as it is.

    Args:
        model: Any net.
        seed: As for :func:`~vizcnn.zoo.building.draw_weights`, which says how they are drawn.

    Example:
        >>> import vizcnn
        >>> net = vizcnn.load("lenet", weights="bundled")
        >>> untrain(net, seed=1).provenance.describe()
        'random weights (untrained)'
    """
    place = next(model.module.parameters()).device
    module = deepcopy(model.module).to("cpu")
    left = draw_weights(module, seed)
    note = f"seed {seed}" + (f"; {left} parameters are as they were trained" if left else "")
    origin = Provenance("random", data="none", licence="none", note=note)
    return replace(model, module=module.to(place), provenance=origin)
