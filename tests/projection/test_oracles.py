"""Real nets against Captum where Captum is right, and against node hooks where it is wrong.

Random weights of the right scale: agreement is a matter of arithmetic, not of training. The table
of errors is printed with ``pytest tests/projection/test_oracles.py -s``.
"""

import functools
import warnings

import pytest
import torch
from captum.attr import NeuronDeconvolution, NeuronGradient, NeuronGuidedBackprop

import vizcnn
from tests.support.projecting import relative_error
from tests.support.reference import capture, hook_rectifiers, reference_projection
from vizcnn.projection.deconvnet import Projector
from vizcnn.training.net import first_convolution
from vizcnn.zoo.model import ZooModel

pytestmark = pytest.mark.slow

CAPTUM = {
    "gradient": NeuronGradient,
    "deconvnet": NeuronDeconvolution,
    "guided": NeuronGuidedBackprop,
}
# net, layer that Captum is asked about, its input size
RIGHT = [
    ("alexnet", "features.conv5", 227),
    ("torchvision-alexnet", "features.10", 224),
    ("vgg16", "features.17", 112),
    ("resnet18", "layer3", 128),
    ("squeezenet1_1", "features.9", 160),
    ("googlenet-paper", "inception4a", 128),
    ("lenet", "features.conv3", 32),
]
WRONG = [
    ("googlenet", "inception4a", 128),
    ("inception_v3", "Mixed_5d", 160),
    ("densenet121", "features.denseblock2", 96),
    ("mobilenet_v2", "features.6", 128),
]
METHODS = tuple(CAPTUM)


@functools.lru_cache(maxsize=1)  # the methods of one net follow each other
def load(name: str) -> torch.nn.Module:
    model = vizcnn.load(name, weights=None, seed=3)
    assert isinstance(model, ZooModel)
    return model.module


def make_images(size: int, channels: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(1, channels, size, size, generator=generator)


def ask_captum(net, images, layer, projection, method):
    """Captum gives the derivative of the unit; a projection is that times the activation."""
    unit = (projection.units[0].item(), *projection.positions[0].tolist())
    oracle = CAPTUM[method](net, net.get_submodule(layer))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Captum says that it sets hooks and gradients
        slope = oracle.attribute(images.clone().requires_grad_(), unit)
    return slope.detach() * projection.activations[0]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("name", "layer", "size"), RIGHT)
def test_agrees_with_captum_where_captum_is_right(name, layer, size, method):
    net = load(name)
    images = make_images(size, first_convolution(net).in_channels)
    # Captum takes the true gradient of contrast normalisation
    projector = Projector(net, method, passes_over_normalisation=False)
    projection = projector.project(images, f"{layer}#1", "top", count=1)
    error = relative_error(projection.pixels, ask_captum(net, images, layer, projection, method))
    print(f"{name:20} {layer:22} {method:10} against Captum      {error:.1e}")
    assert error < 1e-5


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("name", "layer", "size"), WRONG)
def test_agrees_with_node_hooks_where_captum_is_wrong(name, layer, size, method):
    net, images = load(name), make_images(size)
    projection = Projector(net, method).project(images, layer + "#1", "top", count=1)
    unit = int(projection.units[0])
    wanted = reference_projection(net, images, layer, unit, method)
    error = relative_error(projection.pixels, wanted)
    captum = relative_error(ask_captum(net, images, layer, projection, method), wanted)
    print(
        f"{name:20} {layer:22} {method:10} against node hooks  {error:.1e}   Captum's {captum:.1e}"
    )
    assert error < 1e-5
    if name == "googlenet" and method != "gradient":
        assert captum > 0.5  # the reason for this project: Captum sees no functional ReLU


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("name", "layer"), [("alexnet", "conv5"), ("zfnet", "conv5"), ("lenet", "conv3")]
)
def test_explicit_form_agrees_with_autograd_on_the_lectures_nets(name, layer, method):
    model = vizcnn.load(name, weights=None, seed=3)
    images = torch.rand(1, 3, model.input_size, model.input_size)
    projector = Projector(model, method)
    projection = projector.project(images, layer, "top", count=1)
    maps = projector.record(images, [layer]).find_output(model.layers[layer]).detach()
    seed = torch.zeros_like(maps)
    row, column = projection.positions[0]
    seed[0, projection.units[0], row, column] = projection.activations[0]
    explicit = model.preprocessing.to_pixel_gradient(projector.mirror(images, layer)(seed))
    error = relative_error(projection.pixels, explicit)
    print(f"{name:20} {layer:22} {method:10} against explicit    {error:.1e}")
    assert error < 1e-5


def test_the_reference_sees_every_rectifier():
    """An oracle that hooks nothing would agree with the plain gradient and prove nothing."""
    net, images = load("googlenet"), make_images(96)
    _, output = capture(net, images, "inception3a")
    assert hook_rectifiers(output, "guided") == 3 + 6
