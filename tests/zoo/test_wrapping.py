"""A module of one's own as a net: named, run once, left as it is, the same as the catalogue's."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import vizcnn
from tests.support.own_net import Own
from vizcnn.basics.errors import ModelError
from vizcnn.recording.layers import list_stages
from vizcnn.zoo.naming import trace_pass


def chain(*layers: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)).eval()


def conv(inputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, 4, 3, stride, padding=1)


@pytest.mark.parametrize("name", ["zfnet", "resnet18", "squeezenet1_1"])
def test_the_catalogues_net_and_its_wrapped_module_make_the_same_bytes(name: str) -> None:
    small: dict[str, Any] = {"hidden": 8} if name == "zfnet" else {}
    model = vizcnn.load(name, weights=None, classes=5, input_size=96, **small)
    wrapped = vizcnn.wrap(
        model.module,
        preprocessing=model.preprocessing,
        name=name,
        title=model.title,
        provenance=model.provenance,
    )
    assert (wrapped.layers, wrapped.classes) == (model.layers, model.classes)
    pixels = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    for layer in ("conv1", "conv3"):
        ours, theirs = (
            vizcnn.Deconvnet(one).project(pixels, layer, count=2).pixels for one in (model, wrapped)
        )
        assert torch.equal(ours, theirs) and ours.any()


STAGES: dict[str, tuple[Callable[[], nn.Module], dict[str, str]]] = {
    "the last of each size": (
        lambda: chain(conv(3), nn.ReLU(), conv(4), nn.ReLU(), conv(4, 2), nn.SiLU()),
        {"conv1": "3", "conv2": "5", "8": "8"},
    ),
    "squashed maps, where nothing is rectified": (
        lambda: chain(conv(3), nn.Sigmoid(), conv(4, 2), nn.Tanh()),
        {"conv1": "1", "conv2": "3", "6": "6"},
    ),
    "any maps, where nothing is squashed": (
        lambda: chain(conv(3), nn.MaxPool2d(2)),
        {"conv1": "0", "conv2": "1", "4": "4"},
    ),
    "the last five of six": (
        lambda: chain(conv(3), nn.ReLU(), *(m for _ in range(5) for m in (conv(4, 2), nn.ReLU()))),
        {**{f"conv{n}": str(2 * n + 1) for n in range(1, 5)}, "conv5": "11"},
    ),
    "functions, in a net with a conv1 of its own": (
        lambda: Own(2),
        {"stage1": "relu()#1", "stage2": "relu()#2", "head": "head"},
    ),
    "the same with a stage2 too": (
        lambda: Taken(),
        {"level1": "relu()#1", "level2": "relu()#2", "head": "head"},
    ),
}


@pytest.mark.parametrize("case", STAGES)
def test_layers_that_nobody_named_are_named_by_their_maps(case: str) -> None:
    make, wanted = STAGES[case]
    model = vizcnn.wrap(make(), input_size=64)
    assert dict(list(model.layers.items())[: len(wanted)]) == wanted
    stages = [name for name in model.layers if name.startswith(("conv", "stage", "level"))]
    assert list_stages(model) == f"{stages[0]}..{stages[-1]}"
    (shape,) = model.logits(torch.rand(1, 3, 64, 64)).shape[1:]
    assert len(model.classes) == shape == 2


class Taken(Own):
    """Parts of it have the usual names of stages: these stay theirs."""

    def __init__(self) -> None:
        super().__init__(2)
        self.stage2 = nn.Identity()


class Branches(nn.Module):
    """Rectified branches that are joined: their concatenation ends the stage."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.fc = conv(3), conv(3), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        maps = torch.cat([self.left(x).relu(), self.right(x).relu()], 1)
        scores: Tensor = self.fc(maps.mean((2, 3)))
        return scores


def test_joined_branches_end_a_stage() -> None:
    assert vizcnn.wrap(Branches(), input_size=16).layers["conv1"] == "cat()#1"


def test_a_module_stays_as_it_is_even_in_the_midst_of_its_training() -> None:
    net = chain(conv(3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout()).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    random = torch.get_rng_state()
    model = vizcnn.wrap(net, input_size=16)
    first, second = (model.logits(torch.ones(2, 3, 16, 16)) for _ in range(2))
    assert torch.equal(first, second)
    assert all(part.training for part in net.modules())
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in net.modules())
    assert torch.equal(random, torch.get_rng_state())
    assert model.module is net


def test_a_grey_net_gets_the_luminance() -> None:
    model = vizcnn.wrap(chain(conv(1), nn.ReLU()), input_size=16)
    assert model.preprocessing.grey and model.logits(torch.rand(1, 3, 16, 16)).shape == (1, 2)


@pytest.mark.parametrize(
    ("make", "given", "message"),
    [
        (lambda: "zfnet", {}, "needed: a torch module"),
        (lambda: chain(conv(3)), {"classes": ["a"]}, "1 names of classes were given, and"),
        (lambda: conv(3), {}, r"puts out \(N, 4, 224, 224\); needed: class scores"),
        (lambda: chain(conv(2)), {}, "does not run on an image of 224 x 224 px with 3 channel"),
        (lambda: chain(conv(3)), {"input_size": 0}, "got 0 as input_size"),
        (lambda: chain(conv(3)), {"layers": ["conv1"]}, "as layers; needed: paths by name"),
        (lambda: chain(conv(3)), {"preprocessing": "size=x"}, "size 'x' is not a number"),
    ],
)
def test_what_is_no_net_is_told_with_the_way_out(
    make: Callable[[], nn.Module], given: dict[str, object], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        vizcnn.wrap(make(), **given)  # type: ignore[arg-type]


def test_load_of_a_module_says_what_makes_a_net_of_it() -> None:
    with pytest.raises(ModelError, match=r"use vizcnn\.wrap"):
        vizcnn.load(chain(conv(3)))  # type: ignore[arg-type]


def test_a_net_that_gives_several_things_is_refused() -> None:
    class Pair(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x, x

    with pytest.raises(ModelError, match="puts out a tuple, not one tensor"):
        trace_pass(Pair(), torch.zeros(1, 3, 8, 8))


def test_what_is_told_is_laid_over_what_a_net_of_timm_says_of_itself() -> None:
    net = chain(conv(3), nn.ReLU())
    told = {"mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6), "input_size": (3, 64, 64)}
    net.pretrained_cfg = {**told, "crop_pct": 0.8}  # type: ignore[assignment]
    own, half = (vizcnn.wrap(net, preprocessing=said).preprocessing for said in (None, "size=32"))
    assert (own.mean, own.std, own.input_size, own.resize) == (told["mean"], told["std"], 64, 80)
    assert (half.mean, half.std, half.input_size, half.resize) == (own.mean, own.std, 32, 40)


class Mixed(nn.Module):
    """A module ``relu`` that is used twice, with ``F.relu`` between, and no linear layer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.third = conv(3), conv(4), conv(4)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.second(self.relu(self.first(x))))
        return self.relu(self.third(x)).mean((2, 3))


def test_nodes_of_a_function_and_a_module_of_one_name_are_those_of_torch_fx() -> None:
    net, pixels = Mixed().eval(), torch.rand(1, 3, 16, 16)
    traced = torch.fx.symbolic_trace(net)
    values: dict[str, Tensor] = {}

    class Keep(torch.fx.Interpreter):
        def run_node(self, n: torch.fx.Node) -> Any:
            values[n.name] = super().run_node(n)
            return values[n.name]

    model = vizcnn.wrap(net, input_size=16)
    Keep(traced).run(model.preprocessing.normalise(pixels))
    projector = vizcnn.Gradient(model)
    for name in ("relu", "relu_1", "relu_2"):
        recording = projector.record(pixels, [name])
        assert torch.equal(recording.find_output(projector.find_path(name)), values[name])
    assert not torch.equal(values["relu_1"], values["relu_2"])
