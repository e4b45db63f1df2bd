"""Nets that are one function, and any net as one of the zoo."""

from torch import Tensor, nn

from vizcnn.zoo.model import ZooModel
from vizcnn.zoo.preprocessing import Preprocessing
from vizcnn.zoo.provenance import Provenance


class Apply(nn.Module):
    """A net that is one function, with a module's weights if it has some."""

    def __init__(self, function, *parts: nn.Module) -> None:
        super().__init__()
        self.function, self.parts = function, nn.ModuleList(parts)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def make_model(net: nn.Module, side: int) -> ZooModel:
    """Make an object of the zoo of a net whose input is pixels as they are."""
    return ZooModel(
        name="own",
        title="Own",
        module=net.eval(),
        preprocessing=Preprocessing((0.0,) * 3, (1.0,) * 3, 1.0, False, side, side),
        layers={},
        classes=(),
        provenance=Provenance("random", data="none", licence="none", note="seed"),
        options={},
    )
