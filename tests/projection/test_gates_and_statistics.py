"""Gates that are held and normalisations written out, against the traced graph."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.support.projecting import relative_error
from tests.support.random_nets import Apply
from tests.support.traced import project_traced
from vizcnn.basics.errors import UnsupportedOperationError
from vizcnn.projection.deconvnet import Projector
from vizcnn.projection.methods import Gates, Unruled

pytestmark = pytest.mark.slow

IMAGE = torch.randn(1, 3, 12, 12, generator=torch.Generator().manual_seed(0)).double()
LAST = "6"


def build_net(function: Callable[[Tensor], Tensor]) -> nn.Module:
    torch.manual_seed(0)
    return (
        nn.Sequential(
            nn.Conv2d(3, 4, 3),
            nn.ReLU(),
            nn.Conv2d(4, 4, 1),
            Apply(function),
            nn.Conv2d(4, 4, 3),
            nn.ReLU(),
            nn.Conv2d(4, 9, 3),
        )
        .double()
        .eval()
    )


def find_error(
    function: Callable[[Tensor], Tensor], method: str, unruled: Unruled, gates: Gates
) -> float:
    net = build_net(function)
    projector = Projector(net, method, unruled=unruled, gates=gates)
    found = projector.project(IMAGE, LAST, "top", count=1)
    place = tuple(found.positions[0].tolist())
    wanted = project_traced(
        net, IMAGE, LAST, int(found.units), place, method, unruled, gates, seed="one"
    )
    return relative_error(found.pixels, wanted * found.activations.abs().item())


def normalise_layers(x: Tensor) -> Tensor:
    mean = x.mean(1, keepdim=True)
    variance = (x - mean).pow(2).mean(1, keepdim=True)
    return (x - mean) / torch.sqrt(variance + 1e-6)


def normalise_responses(x: Tensor) -> Tensor:
    norm = x.norm(p=2, dim=(2, 3), keepdim=True)
    return x + x * (norm / (norm.mean(1, keepdim=True) + 1e-6))


def fill_parts(x: Tensor) -> Tensor:
    y = x.clone()
    y[:, :2] = 0
    y[:, :, 0].fill_(1.0)
    y[:, :, 1] = x[:, :, 2]
    return y


NORMALISATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "layer": normalise_layers,
    "response": normalise_responses,
    "normalize": F.normalize,
    "root mean square": lambda x: F.rms_norm(x, x.shape[1:]),
    "rsqrt": lambda x: x * torch.rsqrt(x.pow(2).mean(1, keepdim=True) + 1e-6),
    "square": lambda x: x * (x * x).mean((1, 2, 3), keepdim=True).rsqrt(),
    "variance": lambda x: (x - x.mean((2, 3), True)) / (x.var((2, 3), keepdim=True) + 1e-5).sqrt(),
    "deviation": lambda x: x / x.std((1, 2, 3), keepdim=True),
    "fill": fill_parts,
}


@pytest.mark.parametrize("method", ["deconvnet", "guided"])
@pytest.mark.parametrize("name", NORMALISATIONS)
def test_normalisations_written_out_take_their_true_gradient(name: str, method: str) -> None:
    assert find_error(NORMALISATIONS[name], method, "refuse", "refuse") < 1e-12


def attend(x: Tensor) -> Tensor:
    rows = x.flatten(2).transpose(1, 2)
    return ((rows @ rows.mT).softmax(-1) @ rows).transpose(1, 2).reshape(x.shape)


def resize_gate(x: Tensor) -> Tensor:
    return x * F.interpolate(F.avg_pool2d(x, 2).sigmoid(), size=x.shape[2:])


GATES: dict[str, Callable[[Tensor], Tensor]] = {
    "einsum": lambda x: torch.einsum("nchw,nkhw->nchw", x, x.sigmoid()),
    "scaled dot product": lambda x: F.scaled_dot_product_attention(x, x * 2, x + 1),
    "matrix product": attend,
    "one and tanh": lambda x: x * (1 + x.mean(1, keepdim=True).tanh()),
    "resized": resize_gate,
    "one minus": lambda x: x * (1 - x.mean(1, keepdim=True).sigmoid()),
    "two": lambda x: x * (x.mean(1, True).sigmoid() * x.mean((2, 3), True).sigmoid()),
    "selective kernel": lambda x: (torch.stack([x, 2 * x], 1) * _share(x)).sum(1),
    "linear unit": lambda x: F.glu(torch.cat([x, x.flip(1)], 1), 1),
    "hard sigmoid": lambda x: x * (F.relu6(x.mean((2, 3), True) + 3) / 6),
}


def _share(x: Tensor) -> Tensor:
    pooled = x.mean((2, 3), keepdim=True)
    return torch.stack([pooled, -pooled], 1).softmax(1)


@pytest.mark.parametrize("method", ["deconvnet", "guided"])
@pytest.mark.parametrize("name", GATES)
def test_gates_are_held_where_that_is_asked_for(name: str, method: str) -> None:
    assert find_error(GATES[name], method, "refuse", "hold") < 1e-12
    with pytest.raises(UnsupportedOperationError, match="gates='hold'"):
        find_error(GATES[name], method, "refuse", "refuse")


@pytest.mark.parametrize("method", ["deconvnet", "guided"])
def test_the_sigmoid_is_the_gate_of_a_tanh(method: str) -> None:
    assert find_error(lambda x: x.tanh() * x.flip(1).sigmoid(), method, "rectify", "hold") < 1e-12


def squash_half(x: Tensor) -> Tensor:
    y = x.clone()
    y[:, :2].sigmoid_()
    return y


@pytest.mark.parametrize(
    ("function", "named"),
    [
        (lambda x: x * x.mean(1, keepdim=True), r"product of feature maps \(mul\)"),
        (lambda x: x / (1 + x.abs()), "abs"),
        (lambda x: x * squash_half(x), r"product of feature maps \(mul\)"),
        (lambda x: x + torch.div(x, 0.1, rounding_mode="floor"), "div with rounding"),
        (lambda x: x + x.int().double(), "conversion to integers"),
        (lambda x: x * F.scaled_dot_product_attention(x, x, x), r"product of feature maps \(mul\)"),
    ],
)
def test_what_is_no_gate_and_no_normalisation_is_refused_by_name(
    function: Callable[[Tensor], Tensor], named: str
) -> None:
    with pytest.raises(UnsupportedOperationError, match=named):
        Projector(build_net(function), "guided", unruled="rectify", gates="hold").project(
            IMAGE, LAST
        )


@pytest.mark.parametrize(
    "mix",
    [
        lambda rows: (rows @ rows.mT).softmax(-1) @ rows,
        lambda rows: torch.einsum("ncij,ncjk->ncik", (rows @ rows.mT).softmax(-1), rows),
        lambda rows: torch.einsum("ncij,ncjk->ncki", (rows @ rows.mT).softmax(-1), rows),
        lambda rows: torch.einsum("ncij,ncji->ncij", rows, rows.sigmoid()),
        lambda rows: torch.einsum("ncij,nckl->nckl", rows.flip(1), rows.sigmoid()),
        lambda rows: F.scaled_dot_product_attention(rows, rows, rows),
        # as many places as channels: the shapes alone do not tell that places are mixed
        lambda rows: (rows @ rows.mT).sigmoid() @ rows,
    ],
)
def test_fields_of_attention_reach_over_all_that_is_mixed(
    mix: Callable[[Tensor], Tensor],
) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), Apply(mix), nn.Conv2d(4, 2, 1)).double().eval()
    image = IMAGE.clone().requires_grad_()
    found = Projector(net, "gradient").project(IMAGE, "2", 0, position=(2, 3))
    (signal,) = torch.autograd.grad(net(image)[0, 0, 2, 3], image)
    assert torch.allclose(found.pixels, signal)
    top, left, bottom, right = found.boxes[0].tolist()
    signal[:, :, top:bottom, left:right] = 0
    assert not signal.any()
