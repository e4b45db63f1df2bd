"""The net classes: sizes of feature maps, parameters, names of layers, random weights."""

import random
import re
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from vizcnn.basics.errors import ModelError
from vizcnn.training.net import find_trained, first_convolution
from vizcnn.zoo.alexnet import count_outputs
from vizcnn.zoo.building import build_module, fill_randomly
from vizcnn.zoo.catalogue import CATALOGUE, MODEL_NAMES, find_entry, name_layers
from vizcnn.zoo.googlenet import NaiveInception
from vizcnn.zoo.normalisation import ContrastNormalisation
from vizcnn.zoo.torchvision_nets import TORCHVISION_NETS


def build(name: str, variant: str | None = None, **options: Any) -> nn.Module:
    entry = find_entry(name)
    return build_module(entry, {**entry.find_variant(variant).options, **options})


def output_shapes(module: nn.Module, paths: list[str], size: int) -> list[tuple[int, ...]]:
    """Run a net without weights and give the output shape of each call of some modules."""
    shapes: dict[str, list[tuple[int, ...]]] = {path: [] for path in paths}
    for path in shapes:
        module.get_submodule(path).register_forward_hook(
            lambda part, args, output, path=path: shapes[path].append(tuple(output.shape))
        )
    with torch.no_grad():
        channels = first_convolution(module).in_channels
        module(torch.zeros(2, channels, size, size, device="meta"))
    assert all(len(calls) == 1 for calls in shapes.values())
    return [shapes[path][0] for path in paths]


STAGES = ["conv1", "pool1", "conv2", "pool2", "conv3", "conv4", "conv5", "pool5"]


@pytest.mark.parametrize(
    ("name", "variant", "options", "maps", "sides"),
    [
        ("alexnet", "paper", {}, (96, 256, 384, 384, 256), (55, 27, 27, 13, 13, 13, 13, 6)),
        (
            "alexnet",
            "paper",
            {"groups": 2},
            (96, 256, 384, 384, 256),
            (55, 27, 27, 13, 13, 13, 13, 6),
        ),
        ("alexnet", "bvlc", {}, (96, 256, 384, 384, 256), (54, 26, 26, 12, 12, 12, 12, 6)),
        ("caffenet", None, {}, (96, 256, 384, 384, 256), (54, 26, 26, 12, 12, 12, 12, 6)),
        ("zfnet", "wide", {}, (96, 256, 512, 1024, 512), (110, 55, 26, 13, 13, 13, 13, 6)),
        ("zfnet", "paper", {}, (96, 256, 384, 384, 256), (110, 55, 26, 13, 13, 13, 13, 6)),
        ("zfnet", "zfnet512", {}, (96, 256, 512, 512, 512), (109, 54, 25, 12, 12, 12, 12, 6)),
    ],
)
def test_feature_maps_have_the_published_sizes(
    name: str,
    variant: str | None,
    options: dict[str, Any],
    maps: tuple[int, ...],
    sides: tuple[int, ...],
) -> None:
    module = build(name, variant, **options)
    layers = name_layers(module)
    shapes = output_shapes(
        module,
        [layers[stage] for stage in STAGES],
        find_entry(name).find_variant(variant).input_size,
    )
    assert tuple(shape[2] for shape in shapes) == sides
    assert (
        tuple(shape[1] for shape, stage in zip(shapes, STAGES, strict=True) if "conv" in stage)
        == maps
    )
    last = shapes[-1]
    assert module.get_submodule("classifier.fc6").in_features == last[1] * last[2] * last[3]


def test_alexnet_has_the_parameters_of_the_paper() -> None:
    module = build("alexnet", groups=2)
    conv1 = module.get_submodule("features.conv1")
    assert sum(value.numel() for value in conv1.parameters()) == 34_944
    assert sum(value.numel() for value in module.parameters()) == 60_965_224


@pytest.mark.parametrize(
    ("name", "variant", "count"),
    [
        ("alexnet", "paper", 62_378_344),
        ("alexnet", "towers", 60_965_224),
        ("vgg11", None, 132_863_336),
        ("vgg13", None, 133_047_848),
        ("vgg16", None, 138_357_544),
        ("vgg19", None, 143_667_240),
        ("resnet50", None, 25_557_032),
        ("googlenet", None, 6_624_904),
        ("googlenet-paper", "paper", 6_998_552),
    ],
)
def test_nets_have_the_published_parameters(name: str, variant: str | None, count: int) -> None:
    assert sum(value.numel() for value in build(name, variant).parameters()) == count


def test_vgg_c_is_d_with_three_small_filters() -> None:
    c, d = (
        sum(value.numel() for value in build(name).parameters()) for name in ("vgg16-c", "vgg16")
    )
    # a filter of 1 x 1 instead of 3 x 3 saves eight weights for every pair of maps
    assert d - c == 8 * (256 * 256 + 2 * 512 * 512)
    convolutions = [part for part in build("vgg16-c").modules() if isinstance(part, nn.Conv2d)]
    assert [part.kernel_size[0] for part in convolutions] == [3] * 6 + [1, 3, 3, 1, 3, 3, 1]


def test_googlenet_has_the_sizes_of_the_paper() -> None:
    module = build("googlenet-paper")
    sizes = {
        "stem.conv1": (64, 112),
        "stem.pool1": (64, 56),
        "stem.conv2": (192, 56),
        "stem.pool2": (192, 28),
        "inception3a": (256, 28),
        "inception3b": (480, 28),
        "pool3": (480, 14),
        "inception4a": (512, 14),
        "inception4b": (512, 14),
        "inception4c": (512, 14),
        "inception4d": (528, 14),
        "inception4e": (832, 14),
        "pool4": (832, 7),
        "inception5a": (832, 7),
        "inception5b": (1024, 7),
    }
    shapes = output_shapes(module, list(sizes), 224)
    assert [(shape[1], shape[2]) for shape in shapes] == list(sizes.values())


@pytest.mark.slow
def test_auxiliary_heads_are_given_back_while_training_only() -> None:
    module = fill_randomly(build("googlenet-paper", "training", classes=7), 0)
    photo = torch.zeros(2, 3, 224, 224)
    with torch.no_grad():
        assert module(photo).shape == (2, 7)
        assert [tuple(logits.shape) for logits in module.train()(photo)] == [(2, 7)] * 3
    layers = name_layers(module)
    assert layers["aux1"] == "aux1"
    assert layers["aux2"] == "aux2"


def test_the_naive_module_never_has_fewer_maps_than_its_input() -> None:
    for maps in ((1, 1, 1), (128, 192, 96)):
        out = NaiveInception(256, *maps)(torch.zeros(1, 256, 5, 5))
        assert out.shape == (1, 256 + sum(maps), 5, 5)


def test_zfnet512_has_as_many_parameters_as_its_file() -> None:
    parameters = sum(value.numel() for value in build("zfnet", "zfnet512").parameters())
    assert 0 < 349_005_501 - 4 * parameters < 10_000


def test_caffenet_pools_before_it_normalises() -> None:
    order = list(dict(build("caffenet").get_submodule("features").named_children()))
    assert order.index("pool1") < order.index("norm1") < order.index("conv2")
    order = list(dict(build("alexnet").get_submodule("features").named_children()))
    assert order.index("norm1") < order.index("pool1") < order.index("conv2")


@pytest.mark.parametrize("size", [1, 3, 4, 5, 6])
@pytest.mark.parametrize(
    ("alpha", "beta", "k"), [(1e-4, 0.75, 1.0), (0.7, 0.75, 2.0), (0.7, 0.5, 2.0)]
)
def test_contrast_normalisation_equals_torch(
    size: int, alpha: float, beta: float, k: float
) -> None:
    generator = torch.Generator().manual_seed(size)
    x = torch.randn(2, 9, 5, 4, dtype=torch.float64, generator=generator) * 3
    ours = ContrastNormalisation(size, alpha, beta, k)(x)
    torch.testing.assert_close(
        ours, F.local_response_norm(x, size, alpha, beta, k), rtol=1e-12, atol=0
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", MODEL_NAMES)
def test_every_canonical_name_puts_out_feature_maps(name: str) -> None:
    module = build(name)
    layers = name_layers(module)
    stages = sorted(layer for layer in layers if re.fullmatch(r"conv\d", layer))
    assert stages == [f"conv{number}" for number in range(1, len(stages) + 1)]
    assert len(stages) == 5 or (len(stages) >= 3 and name not in TORCHVISION_NETS)
    shapes = output_shapes(
        module, sorted(set(layers.values())), CATALOGUE[name].find_variant(None).input_size
    )
    assert all(len(shape) in (2, 4) and shape[0] == 2 for shape in shapes)
    sides = [shapes[sorted(set(layers.values())).index(layers[stage])][2] for stage in stages]
    assert sides == sorted(sides, reverse=True)
    assert sides[0] > sides[-1]


@pytest.mark.parametrize("name", ["alexnet", "zfnet", "torchvision-alexnet", "vgg16", "vgg19_bn"])
def test_convolutions_of_chain_nets_are_named_after_the_relu(name: str) -> None:
    module = build(name)
    for layer, path in name_layers(module).items():
        if layer.startswith("conv") or layer in ("fc6", "fc7"):
            assert isinstance(module.get_submodule(path), nn.ReLU)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vgg19", {"conv5": "features.35", "conv5_4": "features.35", "conv1_1": "features.1"}),
        ("googlenet", {"conv1": "conv1", "conv3": "inception3b", "pool4": "maxpool4", "fc": "fc"}),
        (
            "resnet50",
            {"conv1": "relu", "conv2": "layer1", "conv2_1": "layer1.0", "conv5_3": "layer4.2"},
        ),
        (
            "squeezenet1_1",
            {"fire2": "features.3", "conv5": "features.12", "conv10": "classifier.2"},
        ),
        ("densenet121", {"conv1": "features.relu0", "transition3": "features.transition3"}),
        ("inception_v3", {"conv1": "Conv2d_2b_3x3", "Mixed_6a": "Mixed_6a"}),
        ("mobilenet_v2", {"conv5": "features.18", "block1": "features.1"}),
    ],
)
def test_canonical_names_of_families(name: str, expected: dict[str, str]) -> None:
    layers = name_layers(build(name))
    assert {layer: layers[layer] for layer in expected} == expected


def test_nets_of_others_have_no_canonical_names() -> None:
    vgg = type("VGG", (nn.Sequential,), {})
    assert name_layers(vgg(nn.Conv2d(3, 4, 3))) == {}


def test_random_weights_follow_the_seed_and_leave_torch_alone() -> None:
    entry, options = find_entry("zfnet"), {"hidden": 4, "classes": 3}
    before = torch.get_rng_state()
    first, again, other = (
        fill_randomly(build_module(entry, options), seed).state_dict() for seed in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["features.conv1.weight"], other["features.conv1.weight"])


def test_random_weights_keep_the_signal_alive() -> None:
    module = fill_randomly(build("zfnet", hidden=64, classes=10), 0)
    x = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = module(x)
    assert 1e-3 < logits.std().item() < 1e3


@pytest.mark.parametrize("seed", range(60))
def test_outputs_are_counted_as_torch_makes_them(seed: int) -> None:
    generator = random.Random(seed)
    window, stride = generator.randint(1, 5), generator.randint(1, 4)
    padding, dilation = generator.randint(0, 2), generator.randint(1, 2)
    features = nn.Sequential(
        nn.Conv2d(2, 3, (window, generator.randint(1, 3)), stride, padding, dilation),
        nn.ReLU(),
        nn.MaxPool2d(
            window, stride, min(padding, window // 2), dilation, ceil_mode=generator.random() < 0.5
        ),
    )
    side = generator.randint(5, 30)
    try:
        expected = features(torch.zeros(1, 2, side, side + 3)).numel()
    except RuntimeError:
        with pytest.raises(RuntimeError, match="do not fit"):
            count_outputs(features, (2, side, side + 3))
    else:
        assert count_outputs(features, (2, side, side + 3)) == expected


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("zfnet", {"hiden": 3}, "zfnet has no option 'hiden': did you mean 'hidden'?"),
        ("vgg16", {"groups": 2}, "vgg16 has no option 'groups': there are: classes, input_size"),
        ("alexnet", {"input_size": 20}, "alexnet cannot be built with {'input_size': 20}"),
        ("alexnet", {"groups": 7}, "alexnet cannot be built with {'groups': 7}"),
    ],
)
def test_impossible_options_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError) as caught:
        build_module(find_entry(name), options)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_unknown_nets_and_variants_are_refused() -> None:
    with pytest.raises(ModelError, match="no net 'resnet20'"):
        find_entry("resnet20")
    with pytest.raises(ModelError, match="zfnet has no variant 'wid': did you mean 'wide'"):
        find_entry("zfnet").find_variant("wid")
    with pytest.raises(ModelError, match="no net 'vgg16' to train"):
        find_trained("vgg16")
