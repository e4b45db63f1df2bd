"""Nets of the catalogue as torch modules, with random or with no weights."""

import importlib
import inspect
import re
import sys
from types import ModuleType
from typing import Any, cast

import torch
from torch import nn

from vizcnn.basics.errors import ModelError, nearest_names
from vizcnn.zoo.alexnet import AlexNet
from vizcnn.zoo.catalogue import IMAGENET_CLASSES, Entry, Style
from vizcnn.zoo.googlenet import GoogLeNet
from vizcnn.zoo.lenet import LeNet5, Subsampling
from vizcnn.zoo.preprocessing import Preprocessing, caffe_preprocessing, imagenet_preprocessing
from vizcnn.zoo.vgg import VGGC
from vizcnn.zoo.zfnet import ZFNet

OWN_NETS: dict[str, type[nn.Module]] = {
    "alexnet": AlexNet,
    "alexnet-7x7": AlexNet,
    "lenet": LeNet5,
    "zfnet": ZFNet,
}
"""Net classes by name, of the nets that :mod:`vizcnn.training` has recipes for."""

LARGE_NETS: dict[str, type[nn.Module]] = {"googlenet-paper": GoogLeNet, "vgg16-c": VGGC}
"""The same of nets that are not trained here."""

OWN_OPTIONS: dict[str, dict[str, Any]] = {
    "alexnet": {"ceil_pool5": True},
    "alexnet-7x7": {"ceil_pool5": True, "conv1_size": 7, "conv1_stride": 2},
    "lenet": {},
    "zfnet": {},
}
"""Options that make a small-input net of each; at 128 pixels pool5 is 3 x 3 in AlexNet and ZFNet,
7 x 7 in AlexNet with ZFNet's first layer."""


def build_own_net(name: str, **options: Any) -> nn.Module:
    """Make one of vizcnn's own nets with random weights.

    Args:
        name: A key of :data:`OWN_NETS` or :data:`LARGE_NETS`.
        **options: Arguments of the net's class.

    Raises:
        ModelError: If there is no such net.

    Example:
        >>> build_own_net("zfnet", classes=10, hidden=64).classifier.fc8.out_features
        10
    """
    return find_class(name)(**options)


def find_class(name: str) -> type[nn.Module]:
    """Give the class of one of vizcnn's own nets.

    Raises:
        ModelError: If there is no such net.
    """
    classes = {**OWN_NETS, **LARGE_NETS}
    if name not in classes:
        raise ModelError(f"no net {name!r} to train: {nearest_names(name, OWN_NETS)}")
    return classes[name]


_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_kept: list[torch.library.Library] = []  # an operator lives as long as the library that defined it


def import_torchvision() -> ModuleType:
    """Import torchvision, declaring the operators that it misses.

    Raises:
        RuntimeError: If it fails for another reason.
    """
    for _ in range(len(_SCHEMAS) + 1):
        try:
            return importlib.import_module("torchvision")
        except RuntimeError as error:
            missing = re.search(r"operator torchvision::(\w+) does not exist", str(error))
            if missing is None or missing[1] not in _SCHEMAS:
                raise
            _declare(_SCHEMAS[missing[1]])
            for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
                del sys.modules[name]
    raise RuntimeError("torchvision cannot be imported: reinstall it beside torch")


def _declare(schema: str) -> None:
    library = torch.library.Library("torchvision", "FRAGMENT")
    library.define(schema)
    _kept.append(library)


_USUAL_RESIZES = {224: 256, 227: 256, 299: 342}

CAFFE_MEAN_BGR = (104.0, 117.0, 123.0)
"""Mean colour of Caffe's ImageNet nets, 0..255."""


def build_module(entry: Entry, options: dict[str, Any]) -> nn.Module:
    """Make a net without weights (on torch's meta device, which takes no memory).

    Args:
        entry: The net.
        options: Arguments of vizcnn's own class; ``classes`` and ``input_size`` for torchvision's.

    Raises:
        ModelError: If an option is unknown or its value impossible.
    """
    _check_options(entry, options)
    try:
        with torch.device("meta"):
            if entry.own:
                return build_own_net(entry.builder, **options).eval()
            return _build_torchvision(entry.builder, options.get("classes", IMAGENET_CLASSES))
    except (TypeError, ValueError, RuntimeError, ZeroDivisionError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"{entry.name} cannot be built with {options}: {reason}") from None


def _check_options(entry: Entry, options: dict[str, Any]) -> None:
    known = ["classes", "input_size"]
    if entry.own:
        known = list(inspect.signature(find_class(entry.builder)).parameters)
    for name in options:
        if name not in known:
            raise ModelError(f"{entry.name} has no option {name!r}: {nearest_names(name, known)}")


def _build_torchvision(builder: str, classes: int) -> nn.Module:
    models = import_torchvision().models
    extra: dict[str, Any] = {}
    if builder in ("googlenet", "inception_v3"):
        # the change of range is part of vizcnn's preprocessing, not of the net
        extra = {"aux_logits": False, "transform_input": False, "init_weights": False}
    net = models.get_model(builder, weights=None, num_classes=classes, **extra)
    return cast(nn.Module, net).eval()


def fill_randomly(module: nn.Module, seed: int) -> nn.Module:
    """Give a net without weights random ones: He et al. 2015 (arXiv 1502.01852), zero biases.

    Args:
        module: A net on the meta device.
        seed: Equal seeds give equal weights; torch's own random state is not touched.

    Returns:
        The net on the CPU.
    """
    filled = module.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(seed)
    for part in filled.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            nn.init.kaiming_uniform_(part.weight, nonlinearity="relu", generator=generator)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.BatchNorm2d | Subsampling):
            part.reset_parameters()
    return filled


def make_preprocessing(style: Style, input_size: int) -> Preprocessing:
    """Make the preprocessing of a style at an input size.

    Args:
        style: ``"imagenet"``: RGB, ImageNet's mean and standard deviation (torchvision).
            ``"half"``: RGB, -1..1 (GoogLeNet and Inception v3, whose torchvision classes get there
            by ``transform_input``). ``"caffe"``: BGR 0..255 minus the mean colour.
            ``"caffe2"``: BGR, (0..255 - 128) / 128, the default of Caffe2's trainer.
            ``"grey"``: luminance, -1..1, one channel (LeNet-5).
        input_size: Side of the square input in pixels.
    """
    resize = _USUAL_RESIZES.get(input_size, round(input_size * 256 / 224))
    half = (0.5, 0.5, 0.5)
    middle = (128.0, 128.0, 128.0)
    if style == "grey":
        return Preprocessing((0.5,), (0.5,), 1.0, False, input_size, resize, grey=True)
    if style == "half":
        return Preprocessing(half, half, 1.0, False, input_size, resize)
    if style == "caffe":
        return caffe_preprocessing(CAFFE_MEAN_BGR, input_size, resize)
    if style == "caffe2":
        return Preprocessing(middle, middle, 255.0, True, input_size, resize)
    return imagenet_preprocessing(input_size, resize)
