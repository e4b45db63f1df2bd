"""ReLUs that torch's function mode does not see: each is refused by name, or the right picture."""

import threading
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.support.random_nets import Apply
from vizcnn.basics.errors import UnsupportedOperationError
from vizcnn.projection.deconvnet import Projector

pytestmark = pytest.mark.slow

IMAGE = torch.randn(1, 3, 10, 10, generator=torch.Generator().manual_seed(0)).double()


def write_without_gradients(x: Tensor) -> Tensor:
    y = x * 1
    with torch.no_grad():
        y.relu_()
    return y


def fill_without_gradients(x: Tensor) -> Tensor:
    y = x * 1
    with torch.no_grad():
        y[y < 0] = 0
    return y


def write_out(x: Tensor) -> Tensor:
    y = torch.empty_like(x)
    with torch.no_grad():
        torch.clamp(x, min=0, out=y)
    return y + 0 * x


def write_many(x: Tensor) -> Tensor:
    y = x.clone()
    torch._foreach_clamp_min_([y], 0.0)
    return y


def mask_in_inference(x: Tensor) -> Tensor:
    with torch.inference_mode():
        mask = (x > 0).double()
    kept: Tensor = x * mask.clone()
    return kept


def mask_by_gradient(x: Tensor) -> Tensor:
    leaf = x.detach().requires_grad_()
    (mask,) = torch.autograd.grad(F.relu(leaf).sum(), leaf)
    return x * mask


def mask_through_sparse(x: Tensor) -> Tensor:
    kept: Tensor = x * (x.detach() > 0).double().to_sparse().to_dense()
    return kept


def mask_by_dlpack(x: Tensor) -> Tensor:
    return x * torch.from_numpy((np.from_dlpack(x.detach()) > 0).astype("f8"))


def rectify_elsewhere(x: Tensor) -> Tensor:
    found = []

    def run() -> None:
        with torch.enable_grad():
            found.append(F.relu(x))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found[0]


def rectify_without_functions(x: Tensor) -> Tensor:
    with torch._C.DisableTorchFunction():
        return F.relu(x)


HIDDEN: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "no_grad": (write_without_gradients, "relu out of its graph"),
    "no_grad fill": (fill_without_gradients, "index_put"),
    "out": (write_out, "clamp"),
    "foreach": (write_many, "_foreach_clamp_min"),
    "inference": (mask_in_inference, "gt"),
    "gradient": (mask_by_gradient, "derivative inside the net"),
    "sparse": (mask_through_sparse, "from outside torch"),
    "dlpack": (mask_by_dlpack, "from outside torch"),
    "thread": (rectify_elsewhere, "out of sight"),
    "functions off": (rectify_without_functions, "relu out of its graph"),
    "vmap": (torch.vmap(F.relu), "relu out of its graph"),
    "grad": (lambda x: x * torch.func.grad(lambda z: F.relu(z).sum())(x), "mul"),
    "conversion": (lambda x: x * (x.sign() + 1).div(2).ceil().int(), "mul"),
}


def build_net(function: Callable[[Tensor], Tensor]) -> nn.Module:
    torch.manual_seed(1)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), Apply(function), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 1)
    )
    return net.double().eval()


@pytest.mark.parametrize("name", HIDDEN)
def test_hidden_relus_are_refused_by_name(name: str) -> None:
    function, named = HIDDEN[name]
    net = build_net(function)
    assert torch.allclose(net(IMAGE), build_net(F.relu)(IMAGE))
    with pytest.raises(UnsupportedOperationError, match=named):
        Projector(net, "guided").project(IMAGE, "4")
    # what is below it does not mind
    assert Projector(net, "guided").project(IMAGE, "0").pixels.any()
