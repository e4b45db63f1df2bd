"""Random nets against the traced graph, whose reference shares no code with the library."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.projecting import relative_error
from tests.support.random_nets import make_net
from tests.support.traced import project_traced
from vizcnn.projection.deconvnet import Projector
from vizcnn.projection.methods import METHODS


def compare(seed: int, method: str) -> float:
    """Give the error of a random net's projection."""
    net, plain = make_net(seed)
    image = torch.randn(1, 3, 24, 22, generator=torch.Generator().manual_seed(seed)).double()
    layer = str(len(net) - 1)
    projector = Projector(net, method, gates="hold")
    found = projector.project(image, layer, "top", count=1)
    place = tuple(found.positions[0].tolist())
    unit = int(found.units)
    wanted = project_traced(plain, image, layer, unit, place, method, gates="hold", seed="one")
    # the deconvnet and guided backprop start with the size of the activation
    wanted = wanted * (1 if method == "gradient" else found.activations.abs().item())
    if not wanted.abs().max():
        return found.pixels.abs().max().item()
    return relative_error(found.pixels, wanted)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 2**31), st.sampled_from(sorted(METHODS)))
def test_random_nets_agree_with_the_traced_graph(seed: int, method: str) -> None:
    assert compare(seed, method) < 1e-9
