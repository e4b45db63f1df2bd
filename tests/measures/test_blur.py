"""BlurPool against the binomial's transfer function, and nets with it against the nets without."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

import vizcnn
from tests.support.models import Pooled, branching_nets, prepare
from tests.support.small_zoo import make_model
from vizcnn.basics.errors import LayerError, ModelError
from vizcnn.measures.blur import BlurPool, binomial_kernel, insert_blur
from vizcnn.measures.spectrum import frequency_grid, transfer_function
from vizcnn.zoo.building import build_module, fill_randomly
from vizcnn.zoo.catalogue import find_entry, name_layers


def watch_shapes(net, x):
    """Give the output shapes of every module, by path, and the net's output."""
    shapes: dict[str, list[torch.Size]] = {}
    hooks = []
    for path, part in net.named_modules():
        hooks.append(
            part.register_forward_hook(
                lambda part, args, out, path=path: shapes.setdefault(path, []).append(out.shape)
            )
        )
    with torch.no_grad():
        output = net(x.clone())
    for hook in hooks:
        hook.remove()
    return shapes, output


def find_rectified(net):
    """List the strided convolutions right before a ReLU: the blur comes after the two of them."""
    return {
        f"{home}.{name}".lstrip(".")
        for home, chain in net.named_modules()
        if isinstance(chain, nn.Sequential)
        for (name, part), after in zip(chain.named_children(), list(chain)[1:], strict=False)
        if isinstance(part, nn.Conv2d) and max(part.stride) > 1 and isinstance(after, nn.ReLU)
    }


def check_sizes(net, x):
    """Check that a blur changes no size, and that a blur of one tap changes no value."""
    shapes, output = watch_shapes(net, x)
    for taps in (2, 3, 5):
        blurred, changed = watch_shapes(insert_blur(net, taps), x)
        for path in shapes.keys() - find_rectified(net):
            assert blurred[path] == shapes[path], path
    assert not torch.allclose(changed, output, rtol=1e-3)
    _, same = watch_shapes(insert_blur(net, 1), x)
    torch.testing.assert_close(same, output, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("taps", "row"), [(1, [1]), (2, [1, 1]), (3, [1, 2, 1]), (5, [1, 4, 6, 4, 1])]
)
def test_kernels_are_those_of_zhang(taps, row):
    expected = torch.tensor([[a * b for b in row] for a in row], dtype=torch.float64)
    torch.testing.assert_close(binomial_kernel(taps), expected / expected.sum())


@pytest.mark.parametrize("taps", range(1, 8))
def test_transfer_function_is_a_power_of_the_cosine(taps):
    vertical, horizontal = frequency_grid(32)
    expected = (torch.cos(math.pi * vertical) * torch.cos(math.pi * horizontal)) ** (taps - 1)
    response = transfer_function(binomial_kernel(taps), 32).abs()
    torch.testing.assert_close(response, expected.abs())


@pytest.mark.parametrize("kind", [binomial_kernel, lambda taps: BlurPool(taps, 2)])
def test_no_taps_are_refused(kind):
    with pytest.raises(LayerError, match="0 taps; needed: 1 or more"):
        kind(0)


WAVES = st.floats(-0.5, 0.5)


@given(taps=st.integers(1, 5), stride=st.integers(1, 4), v=WAVES, u=WAVES)
def test_answer_to_a_grating_is_the_binomials(taps, stride, v, u):
    y, x = torch.meshgrid(*[torch.arange(37, dtype=torch.float64)] * 2, indexing="ij")
    answer = BlurPool(taps, stride)(torch.cos(2 * math.pi * (v * y + u * x) + 0.4)[None, None])
    delay = (taps - 1) % 2 / 2  # an even number of taps has no middle one
    gain = (math.cos(math.pi * v) * math.cos(math.pi * u)) ** (taps - 1)
    phase = 2 * math.pi * (v * (y + delay) + u * (x + delay)) + 0.4
    expected = (gain * torch.cos(phase))[::stride, ::stride]
    inside = slice(math.ceil(3 / stride), -math.ceil(3 / stride))  # the mirrored border is apart
    assert answer.shape == (1, 1, (37 - 1) // stride + 1, (37 - 1) // stride + 1)
    torch.testing.assert_close(answer[0, 0, inside, inside], expected[inside, inside])


def test_border_is_mirrored_or_else_repeated():
    row = torch.tensor([[[[1.0, 2.0, 4.0]]]])
    # one row cannot be mirrored, three columns can: 4 2 | 1 2 4 | 2 1
    mirrored = torch.tensor([4.0, 2, 1, 2, 4, 2, 1])
    weights = torch.tensor([1.0, 4, 6, 4, 1]) / 16
    expected = mirrored.unfold(0, 5, 1) @ weights
    torch.testing.assert_close(BlurPool(5, 1)(row)[0, 0, 0], expected)
    # two columns cannot: 3 3 | 3 5 | 5 5
    expected = torch.tensor([3.0, 3, 3, 5, 5, 5]).unfold(0, 5, 1) @ weights
    answer = BlurPool((1, 5), 1)(torch.tensor([[[[3.0, 5.0]]]]))
    torch.testing.assert_close(answer[0, 0, 0], expected)


def test_pairs_blur_each_direction_by_itself():
    x = torch.rand(2, 3, 9, 9, dtype=torch.float64)
    both = BlurPool((3, 1), (2, 1))(BlurPool((1, 5), (1, 3))(x))
    torch.testing.assert_close(BlurPool((3, 5), (2, 3))(x), both)
    torch.testing.assert_close(BlurPool(3, 2)(x[0]), BlurPool(3, 2)(x)[0])


LAYERS = {
    "AlexNet's first": nn.Conv2d(3, 4, 11, stride=4),
    "padded": nn.Conv2d(3, 4, 3, stride=2, padding=1),
    "1 x 1": nn.Conv2d(3, 4, 1, stride=2),
    "dilated": nn.Conv2d(3, 4, 3, stride=3, dilation=2, padding=2),
    "in one direction": nn.Conv2d(3, 4, (3, 1), stride=(1, 2), padding=(1, 0)),
    "around the edge": nn.Conv2d(3, 3, 3, stride=2, padding=1, padding_mode="circular", groups=3),
    "pool": nn.MaxPool2d(3, 2),
    "ceiling": nn.MaxPool2d(3, 2, ceil_mode=True),
    "wide ceiling": nn.MaxPool2d(2, 4, ceil_mode=True),
    "padded ceiling": nn.MaxPool2d(3, 2, padding=1, ceil_mode=True),
    "ceiling of all kinds": nn.MaxPool2d((3, 2), (2, 3), (1, 0), (2, 1), ceil_mode=True),
}


@pytest.mark.parametrize("name", LAYERS)
def test_each_layer_keeps_its_sizes(name):
    for size in range(12, 20):
        x = torch.randn(2, 3, size, size + 3, generator=torch.Generator().manual_seed(size))
        check_sizes(LAYERS[name], x)


@pytest.mark.parametrize("name", ["pooled", *branching_nets()])
def test_odd_nets_keep_their_sizes(name, images):
    net = prepare(Pooled() if name == "pooled" else branching_nets()[name][0], 64)
    images = F.interpolate(images, 64)
    if name in ("pooled", "shared branches"):
        check_sizes(net, images)
    else:  # nothing is subsampled, or only by functions and averages
        torch.testing.assert_close(insert_blur(net, 5)(images.clone()), net(images.clone()))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "googlenet", "squeezenet1_1", "mobilenet_v2"])
def test_nets_of_torchvision_keep_their_sizes_and_names(name):
    net = fill_randomly(build_module(find_entry(name), {"classes": 7}), seed=0)
    check_sizes(net, torch.rand(1, 3, 67, 67, generator=torch.Generator().manual_seed(0)))
    assert name_layers(insert_blur(net, 3)) == name_layers(net) != {}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["alexnet", "zfnet"])
def test_own_nets_keep_their_sizes_and_names(name):
    model = vizcnn.load(name, weights=None, hidden=8, classes=5, input_size=96)
    x = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    check_sizes(model.module, x)
    blurred = insert_blur(model.module, 3)
    assert name_layers(blurred) == name_layers(model.module)
    assert blurred.state_dict().keys() == model.module.state_dict().keys()


def test_torchvisions_alexnet_keeps_its_names():
    net = build_module(find_entry("torchvision-alexnet"), {})
    assert name_layers(insert_blur(net, 3)) == name_layers(net) != {}


def test_blur_comes_after_the_relu_of_a_convolution():
    model = vizcnn.load("alexnet", weights=None, hidden=8, input_size=67)
    x = torch.randn(1, 3, 67, 67, generator=torch.Generator().manual_seed(0))
    first = model.module.get_submodule("features.conv1")
    dense = F.relu(F.conv2d(x, first.get_parameter("weight"), first.get_parameter("bias")))
    padded = F.pad(dense, (1, 1, 1, 1), mode="reflect").unfold(2, 3, 4).unfold(3, 3, 4)
    expected = (padded * binomial_kernel(3).float()).sum(dim=(-2, -1))
    blurred = insert_blur(model.module, 3)
    with vizcnn.record(blurred, ["features.relu1"]) as recording:
        blurred(x)
    torch.testing.assert_close(recording.find_output("features.relu1"), expected)


def test_blur_comes_after_a_convolution_whose_relu_is_not_seen():
    conv = nn.Conv2d(3, 4, 3, stride=2)
    net = nn.Sequential(conv, nn.BatchNorm2d(4), nn.ReLU()).eval()
    x = torch.randn(1, 3, 11, 11)
    dense = F.conv2d(x, conv.weight, conv.bias)
    expected = net[2](net[1](BlurPool(5, 2)(dense)))
    torch.testing.assert_close(insert_blur(net, 5)(x), expected)


def test_shared_relu_is_blurred_only_where_it_subsamples():
    conv, relu, pool = nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.MaxPool2d(2)
    net = nn.Sequential(conv, relu, pool, nn.Conv2d(4, 4, 3, padding=1), relu, pool)
    blurred = insert_blur(net, 3)
    x = torch.randn(2, 3, 21, 21)
    rectified = BlurPool(3, 2)(F.relu(F.conv2d(x, conv.weight, conv.bias)))
    pooled = BlurPool(3, 2)(F.max_pool2d(rectified, 2, 1))
    expected = BlurPool(3, 2)(F.max_pool2d(F.relu(net[3](pooled)), 2, 1))
    torch.testing.assert_close(blurred(x), expected)
    assert blurred.get_submodule("2") is blurred.get_submodule("5")
    assert net[1] is net[4] is relu


def test_shared_convolution_is_blurred_at_each_use():
    shared = nn.Conv2d(3, 3, 3, stride=2, padding=1)
    net = nn.Sequential(shared, nn.ReLU(), shared)
    x = torch.randn(1, 3, 16, 16)
    expected = x
    for rectify in (F.relu, lambda maps: maps):
        dense = F.conv2d(expected, shared.weight, shared.bias, padding=1)
        expected = rectify(BlurPool(3, 2)(dense))
    torch.testing.assert_close(insert_blur(net, 3)(x), expected)


def test_original_is_not_touched():
    net = prepare(Pooled(), 64)
    net.chain.train()
    before = copy.deepcopy(net)
    blurred = insert_blur(net, 3)
    for (path, part), (_, former) in zip(net.named_modules(), before.named_modules(), strict=True):
        assert part.training == former.training == blurred.get_submodule(path).training
        assert not part._forward_hooks
        assert not part._forward_pre_hooks
        assert getattr(part, "stride", None) == getattr(former, "stride", None)
    with torch.no_grad():
        for weight in blurred.parameters():
            weight.zero_()
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, before.state_dict()[name])


def test_gradient_flows_to_input_and_weights():
    x = torch.randn(1, 2, 7, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(BlurPool(3, (2, 3)), x)
    blurred = insert_blur(nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU()), 3)
    blurred(torch.randn(1, 3, 9, 9)).sum().backward()
    gradients = [weight.grad for weight in blurred.parameters()]
    assert all(gradient is not None and gradient.abs().min() > 0 for gradient in gradients)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_type_is_kept_and_the_kernel_is_exact_in_it(dtype):
    impulse = torch.zeros(1, 1, 7, 7, dtype=dtype)
    impulse[..., 3, 3] = 1
    answer = BlurPool(5, 1)(impulse)
    assert answer.dtype == dtype
    assert torch.equal(answer[0, 0, 1:-1, 1:-1].double(), binomial_kernel(5))


def test_device_is_that_of_the_input():
    blurred = insert_blur(nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU()), 3).to("meta")
    answer = blurred(torch.zeros(1, 3, 9, 9, device="meta"))
    assert answer.device.type == "meta"
    assert answer.shape == (1, 4, 4, 4)


def test_what_cannot_be_blurred_is_refused_by_name():
    with pytest.raises(ModelError, match="'1' also gives indices"):
        insert_blur(nn.Sequential(nn.ReLU(), nn.MaxPool2d(2, return_indices=True)), 3)
    with pytest.raises(ModelError, match="'0' is scripted"):
        insert_blur(nn.Sequential(torch.jit.script(nn.ReLU())), 3)
    with pytest.raises(LayerError, match="0 taps"):
        insert_blur(nn.ReLU(), 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["alexnet", "zfnet"])
def test_layers_of_a_net_with_blur_can_be_projected(name):
    model = vizcnn.load(name, weights=None, hidden=8, classes=5, input_size=96)
    blurred = replace(model, module=insert_blur(model.module, 3))
    pixels = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    gradient = vizcnn.Projector(blurred, "gradient").project(pixels, "conv3", unit=[0])
    leaf = pixels.clone().requires_grad_()
    reached: dict[str, torch.Tensor] = {}
    hook = blurred.module.get_submodule(blurred.layers["conv3"]).register_forward_hook(
        lambda part, args, output: reached.update(maps=output)
    )
    blurred.module(blurred.preprocessing.normalise(leaf))
    hook.remove()
    strongest = reached["maps"][0, 0].max()
    (slope,) = torch.autograd.grad(strongest, leaf)
    torch.testing.assert_close(gradient.pixels, slope, rtol=1e-3, atol=1e-6)
    assert vizcnn.Deconvnet(blurred).project(pixels, "conv5").pixels.abs().max() > 0


def test_net_without_subsampling_is_only_copied():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AvgPool2d(2))
    x = torch.rand(1, 3, 8, 8)
    assert torch.equal(insert_blur(net, 3)(x), net(x))


def test_small_zoo_net_keeps_its_logits_with_one_tap():
    model, pixels = make_model(), torch.rand(2, 3, 32, 32)
    same = replace(model, module=insert_blur(model.module, 1))
    torch.testing.assert_close(same.logits(pixels), model.logits(pixels))
