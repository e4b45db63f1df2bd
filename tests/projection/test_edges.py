"""What users hand over besides ordinary nets: each is right, or one line that is true."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.support.models import Spelled, prepare
from tests.support.projecting import relative_error
from tests.support.random_nets import Apply, Checkpointed
from tests.support.traced import project_traced
from vizcnn.basics.errors import ImageError, LayerError, ModelError, VizcnnError
from vizcnn.projection.deconvnet import Deconvnet, Projector
from vizcnn.projection.methods import METHODS

pytestmark = pytest.mark.slow

FIXED = torch.arange(8).view(1, 8, 1, 1) > 3

LINEAR: dict[str, Callable[[Tensor], Tensor]] = {
    "1 - x": lambda x: 1 - x,
    "nearest-exact": lambda x: F.interpolate(x, scale_factor=2, mode="nearest-exact"),
    "antialias": lambda x: F.interpolate(x, size=(7, 7), mode="bilinear", antialias=True),
    "fixed grid": lambda x: F.grid_sample(
        x, torch.linspace(-1, 1, 162, dtype=x.dtype).view(1, 9, 9, 2), align_corners=False
    ),
    "unfold": lambda x: x.unfold(2, 3, 2).mean(-1),
    "unfold and fold": lambda x: F.fold(F.unfold(x, 3, padding=1), x.shape[-2:], 3, padding=1),
    "rot90": lambda x: x.rot90(1, (2, 3)),
    "gather": lambda x: x.gather(2, torch.zeros(1, 8, 5, x.shape[3], dtype=torch.long)),
    "lerp": lambda x: torch.lerp(x, x.flip(1), 0.3),
    "cumsum": lambda x: x.cumsum(2),
    "FFT": lambda x: torch.fft.irfft2(torch.fft.rfft2(x), s=x.shape[-2:]),
    "maxout": lambda x: torch.max(x, x.flip(1)),
    "fixed where": lambda x: torch.where(FIXED, x, x.flip(1)),
    "fixed mask": lambda x: x.masked_fill(FIXED, 0.0),
    "unpool": lambda x: F.max_unpool2d(
        *F.max_pool2d(x[..., :12, :12], 2, return_indices=True), kernel_size=[2, 2]
    ),
}
"""Operations that are linear in the maps, or switches."""

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "LeakyReLU": lambda: nn.LeakyReLU(0.2),
    "LeakyReLU in place": lambda: nn.LeakyReLU(0.2, inplace=True),
    "PReLU": lambda: nn.PReLU(8),
    "SiLU": nn.SiLU,
    "SiLU in place": lambda: nn.SiLU(inplace=True),
    "GELU": nn.GELU,
    "Hardswish": nn.Hardswish,
    "Mish": nn.Mish,
    "ELU": nn.ELU,
    "Softplus": nn.Softplus,
}


def check(net: nn.Sequential, method: str, **options: Any) -> None:
    """Compare the strongest unit of the last layer with the traced reference."""
    net, layer = net.double().eval(), str(len(net) - 1)
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1)).double()
    found = Projector(net, method, **options).project(image, layer, count=2)
    place = tuple(found.positions[1].tolist()) if net(image).ndim > 2 else ()
    unruled = options.get("unruled", "refuse")
    wanted = project_traced(
        net, image, layer, int(found.units[1]), place, method, unruled, seed="one"
    )
    start = 1 if method == "gradient" else found.activations[1].abs()
    assert relative_error(found.pixels[1:], wanted * start) < 1e-9


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.parametrize("method", ["deconvnet", "guided"])
def test_linear_operations_and_switches_are_taken(name, method):
    torch.manual_seed(0)
    parts = [nn.Conv2d(3, 8, 3), nn.ReLU(), Apply(LINEAR[name])]
    check(nn.Sequential(*parts, nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()), method)


@pytest.mark.parametrize("norm", [nn.Identity, lambda: nn.InstanceNorm2d(8)])
@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("method", METHODS)
def test_leaky_and_smooth_activations_follow_the_definitions(name, method, norm):
    torch.manual_seed(0)
    make = ACTIVATIONS[name]
    net = nn.Sequential(nn.Conv2d(3, 8, 3), norm(), make(), nn.Conv2d(8, 8, 3), make())
    check(net, method, unruled="rectify")


@pytest.mark.parametrize("method", METHODS)
def test_signals_and_volumes_are_projected(method):
    torch.manual_seed(0)
    one = nn.Sequential(
        nn.Conv1d(2, 4, 5), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(4, 6, 3), nn.ReLU()
    )
    three = nn.Sequential(
        nn.Conv3d(1, 4, 3), nn.ReLU(), nn.MaxPool3d(2), nn.Conv3d(4, 6, 2), nn.ReLU()
    )
    for net, shape in ((one, (1, 2, 40)), (three, (1, 1, 9, 10, 11))):
        image = torch.randn(shape).double()
        found = Projector(net.double(), method).project(image, "4", count=2)
        place = tuple(found.positions[1].tolist())
        wanted = project_traced(net, image, "4", int(found.units[1]), place, method, seed="one")
        start = 1 if method == "gradient" else found.activations[1]
        assert relative_error(found.pixels[1:], wanted * start) < 1e-12
        assert found.size == shape[2:] and found.computed == "full image"


@pytest.mark.parametrize("method", METHODS)
def test_a_unit_below_zero_is_projected_as_itself(method):
    """The derivative of a score does not turn with the score's sign."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 6 * 6, 5)
    ).double()
    image = torch.rand(1, 3, 8, 8).double()
    scores = net(image)[0]
    low = copy.deepcopy(net)
    with torch.no_grad():
        low[3].bias -= scores.max() + 1  # all scores below zero, with the same derivatives
    above = Projector(net, method, seed="one").project(image, "3", unit=2)
    below = Projector(low, method).project(image, "3", unit=2)
    assert below.activations.item() < 0
    start = 1 if method == "gradient" else below.activations.abs().item()
    assert relative_error(below.pixels, above.pixels * start) < 1e-12


def test_names_of_units_places_and_layers_in_any_form(images):
    net = prepare(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU()))
    deconvnet = Deconvnet(net)
    wanted = deconvnet.project(images, "3", unit=[1, 2], position=(3, 4)).pixels
    forms: list[tuple[Any, Any, Any]] = [
        ("3", np.array([1, 2]), (3, 4)),
        ("3", torch.tensor([1, 2]), [np.int64(3), 4]),
        (3, range(1, 3), np.array([3, 4])),
        (net[3], (np.int64(1), torch.tensor(2)), torch.tensor([3, 4])),
    ]
    for layer, unit, position in forms:
        assert torch.equal(deconvnet.project(images, layer, unit, position).pixels, wanted)


@pytest.mark.parametrize("unit", [1.5, True, [], b"top", "bottom", None, 8, -1, [[1]]])
def test_what_names_no_unit_is_refused(unit: Any, images):
    net = prepare(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()))
    with pytest.raises(LayerError, match=r"units 0\.\.7, or 'top'"):
        Deconvnet(net).project(images, "1", unit)


class Two(nn.Module):
    """Needs more than an image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.conv(a) + b


class Checking(Two):
    """Raises an error of its own."""

    def forward(self, a: Tensor, b: Tensor | None = None) -> Tensor:
        raise RuntimeError("the scanner is not calibrated")


class Skipping(Two):
    """Holds a module that it does not call."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(4, 4, 3)

    def forward(self, a: Tensor, b: Tensor | None = None) -> Tensor:
        out: Tensor = self.conv(a)
        return out


@pytest.mark.parametrize(
    ("net", "layer", "error", "words"),
    [
        (Two(), "conv", ModelError, "missing 1 required positional argument: 'b'.*vizcnn.record"),
        (Checking(), "conv", ModelError, "raised RuntimeError .*the scanner is not calibrated"),
        (Skipping(), "head", LayerError, "exists but was not called in this forward pass"),
        (nn.Sequential(nn.LazyConv2d(4, 3)), "0", ModelError, "is lazy .* run the net on a batch"),
        (nn.Sequential(nn.Conv2d(3, 4, 3, device="meta")), "0", ModelError, "meta device"),
        (nn.Sequential(nn.Conv2d(4, 4, 3)), "0", ImageError, "bring them to its input size"),
        (
            nn.Sequential(nn.Conv2d(3, 8, 3), nn.LocalResponseNorm(5)).half(),
            "1",
            ModelError,
            "not implemented for 'Half'",
        ),
    ],
)
def test_what_goes_wrong_is_told_as_what_it_is(net, layer, error, words, images):
    with pytest.raises(error, match=words) as caught:
        Deconvnet(net).project(images, layer, 0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("net", [lambda x: x, None, "zfnet"])
def test_what_is_no_net_is_refused(net: Any):
    with pytest.raises(ModelError, match="needed: a torch module"):
        Deconvnet(net)


def test_no_image_at_all_is_refused(images):
    with pytest.raises(ImageError, match="needed: at least one image"):
        Deconvnet(prepare(Spelled(F.relu))).project(images[:0], "conv2", 0)


def test_a_checkpoint_changes_nothing(images):
    part = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    plain = nn.Sequential(part, nn.Conv2d(4, 4, 3), nn.ReLU()).train()
    kept = nn.Sequential(Checkpointed(part), plain[1], nn.ReLU()).train()
    before = {name: value.clone() for name, value in kept.state_dict().items()}
    for method in METHODS:
        wanted = Projector(plain, method).project(images, "2", 0).pixels
        assert torch.equal(Projector(kept, method).project(images, "2", 0).pixels, wanted)
    assert all(torch.equal(before[name], value) for name, value in kept.state_dict().items())
    again = nn.Sequential(Checkpointed(part, reentrant=True), plain[1], nn.ReLU())
    for method in METHODS:
        with pytest.raises(VizcnnError, match="use_reentrant=True"):
            Projector(again, method).project(images, "2", 0)


class Keeping(nn.Module):
    """Keeps its features."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.log: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.features = self.conv(x).relu()
        self.log.append(self.features)
        return self.features


def test_a_net_that_keeps_its_features_holds_no_graph(images):
    net = Keeping()
    Deconvnet(net).project(images, "conv", 0)
    assert not hasattr(net, "features") and net.log == []


def test_hooks_on_maps_are_not_made_and_hooks_on_modules_are_refused(images):
    def silence(x: Tensor) -> Tensor:
        x.register_hook(lambda signal: signal * 0)
        return x.relu()

    net = nn.Sequential(nn.Conv2d(3, 4, 3), Apply(silence), nn.Conv2d(4, 4, 3), nn.Flatten())
    usual = nn.Sequential(net[0], nn.ReLU(), net[2], net[3])
    for layer in ("2", "3"):  # in windows, and over the full image
        wanted = Deconvnet(usual).project(images, layer, 0).pixels
        assert torch.equal(Deconvnet(net).project(images, layer, 0).pixels, wanted)
    net[0].register_full_backward_hook(lambda *_: None)
    with pytest.raises(VizcnnError, match="a full backward hook on a module"):
        Projector(net, "gradient").project(images, "2", 0)


def test_comparisons_elsewhere_refuse_nothing(images):
    class Segmenting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 1, 1)

        def forward(self, x: Tensor) -> Tensor:
            assert bool((x.abs() < 100).all())
            y = self.conv(x).relu()
            return self.head(y * (y >= y.amax((2, 3), keepdim=True))).sigmoid() > 0.5

    net = Segmenting()
    wanted = Deconvnet(nn.Sequential(net.conv)).project(images, "0", 0).pixels
    assert torch.equal(Deconvnet(net).project(images, "conv", 0).pixels, wanted)
    with pytest.raises(VizcnnError, match="product of feature maps"):
        Deconvnet(net).project(images, "head", 0)


def test_a_softmax_at_the_top_has_nothing_above_it():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 14 * 14, 4))
    for method in ("deconvnet", "guided"):
        check(nn.Sequential(*net, nn.Softmax(1)), method)
