"""The nets that can be loaded by name. Importable without torch, for help texts and completion."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from torch import nn

from vizcnn.basics.errors import ModelError, nearest_names

_STAGES = 5
"""conv1..conv5."""


def name_layers(module: nn.Module) -> dict[str, str]:
    """Name the layers of a net of a known family.

    Args:
        module: A net of vizcnn's or of torchvision's.

    Returns:
        Canonical names and module paths, in the order of the forward pass; empty for other nets.

    Example:
        >>> from vizcnn.zoo.alexnet import AlexNet
        >>> name_layers(AlexNet(hidden=8))["conv5"]
        'features.relu5'
    """
    home, kind = type(module).__module__, type(module).__name__
    namers = _OWN_NAMERS if home.startswith("vizcnn.zoo.") else _NAMERS
    if kind not in namers or not home.startswith(("vizcnn.zoo.", "torchvision.models.")):
        return {}
    return namers[kind](module)


def _name_own(net: nn.Module) -> dict[str, str]:
    names = {}
    for path in _children(net, "features"):
        name = path.removeprefix("features.")
        if not name.startswith("conv"):
            names[name.replace("relu", "conv")] = path
    return {**names, "fc6": "classifier.relu6", "fc7": "classifier.relu7", "fc8": "classifier.fc8"}


def _name_lenet(net: nn.Module) -> dict[str, str]:
    names = {}
    for path in [*_children(net, "features"), *_children(net, "classifier")]:
        part, name = path.split(".")
        kind, number = name.rstrip("12345"), name[-1]
        if kind in ("relu", "sigmoid"):
            names[("conv" if part == "features" else "fc") + number] = path
        elif kind == "pool":
            names[name] = path
    return {**names, "fc5": "classifier.fc5"}


def _name_alexnet(net: nn.Module) -> dict[str, str]:
    names = {}
    convolutions = 0
    for path, part in _children(net, "features").items():
        convolutions += isinstance(part, nn.Conv2d)
        if isinstance(part, nn.ReLU):
            names[f"conv{convolutions}"] = path
        elif isinstance(part, nn.MaxPool2d):
            names[f"pool{convolutions}"] = path
    return {**names, "fc6": "classifier.2", "fc7": "classifier.5", "fc8": "classifier.6"}


def _name_vgg(net: nn.Module) -> dict[str, str]:
    names = {}
    group, convolution = 1, 0
    for path, part in _children(net, "features").items():
        if isinstance(part, nn.ReLU):
            convolution += 1
            names[f"conv{group}_{convolution}"] = names[f"conv{group}"] = path
        elif isinstance(part, nn.MaxPool2d):
            names[f"pool{group}"] = path
            group, convolution = group + 1, 0
    return {**names, "fc6": "classifier.1", "fc7": "classifier.4", "fc8": "classifier.6"}


def _name_googlenet(net: nn.Module) -> dict[str, str]:
    stages = _stages("conv1", "conv3", "inception3b", "inception4e", "inception5b")
    names = {path.replace("maxpool", "pool"): path for path, _ in net.named_children()}
    shown = ("pool", "inception", "fc")
    return stages | {name: path for name, path in names.items() if name.startswith(shown)}


def _name_own_googlenet(net: nn.Module) -> dict[str, str]:
    stages = _stages("stem.relu1", "stem.relu2", "inception3b", "inception4e", "inception5b")
    stem = {name: f"stem.{name}" for name in ("pool1", "norm1", "norm2", "pool2")}
    order = (
        "inception3a inception3b pool3 inception4a aux1 inception4b inception4c inception4d aux2 "
        "inception4e pool4 inception5a inception5b fc"
    ).split()
    there = dict(net.named_children())
    return stages | stem | {path: path for path in order if path in there}


def _name_inception(net: nn.Module) -> dict[str, str]:
    stages = _stages("Conv2d_2b_3x3", "Conv2d_4a_3x3", "Mixed_5d", "Mixed_6e", "Mixed_7c")
    names = {path.replace("maxpool", "pool"): path for path, _ in net.named_children()}
    shown = ("pool", "Conv2d", "Mixed", "fc")
    return stages | {name: path for name, path in names.items() if name.startswith(shown)}


def _name_resnet(net: nn.Module) -> dict[str, str]:
    stages = _stages("relu", "layer1", "layer2", "layer3", "layer4")
    blocks = {
        f"conv{stage + 1}_{number}": path
        for stage in range(1, _STAGES)
        for number, path in enumerate(_children(net, f"layer{stage}"), start=1)
    }
    return {**stages, "pool1": "maxpool", **blocks, "fc": "fc"}


def _name_squeezenet(net: nn.Module) -> dict[str, str]:
    parts = _children(net, "features")
    fires = [path for path, part in parts.items() if type(part).__name__ == "Fire"]
    pools = [path for path, part in parts.items() if isinstance(part, nn.MaxPool2d)]
    # fires come in pairs of equal width; a pair is a stage, wherever the version pools
    stages = _stages("features.1", *fires[1::2])
    named = {f"fire{number}": path for number, path in enumerate(fires, start=2)}
    pooled = {f"pool{number}": path for number, path in enumerate(pools, start=1)}
    return {**stages, **named, **pooled, "conv10": "classifier.2"}


def _name_densenet(net: nn.Module) -> dict[str, str]:
    blocks = [f"features.denseblock{number}" for number in range(1, _STAGES)]
    transitions = {
        f"transition{number}": f"features.transition{number}" for number in range(1, _STAGES - 1)
    }
    stages = _stages("features.relu0", *blocks)
    return {**stages, "pool1": "features.pool0", **transitions, "fc": "classifier"}


def _name_mobilenet(net: nn.Module) -> dict[str, str]:
    stages = _stages(*(f"features.{number}" for number in (1, 3, 6, 13, 18)))
    blocks = {
        f"block{number}": path
        for number, (path, part) in enumerate(_children(net, "features").items())
        if type(part).__name__ == "InvertedResidual"
    }
    return {**stages, **blocks, "fc": "classifier.1"}


def _children(net: nn.Module, path: str) -> dict[str, nn.Module]:
    return {f"{path}.{name}": part for name, part in net.get_submodule(path).named_children()}


def _stages(*paths: str) -> dict[str, str]:
    return {f"conv{number}": path for number, path in enumerate(paths, start=1)}


_NAMERS: dict[str, Callable[[nn.Module], dict[str, str]]] = {
    "AlexNet": _name_alexnet,
    "VGG": _name_vgg,
    "GoogLeNet": _name_googlenet,
    "ResNet": _name_resnet,
    "SqueezeNet": _name_squeezenet,
    "DenseNet": _name_densenet,
    "Inception3": _name_inception,
    "MobileNetV2": _name_mobilenet,
}
_OWN_NAMERS = {
    "AlexNet": _name_own,
    "GoogLeNet": _name_own_googlenet,
    "LeNet5": _name_lenet,
    "VGGC": _name_vgg,
    "ZFNet": _name_own,
}


Style = Literal["imagenet", "caffe", "caffe2", "half", "grey"]
"""How pixels become a net's input; see :func:`vizcnn.zoo.building.make_preprocessing`."""

IMAGENET_CLASSES = 1000
"""Number of classes of the ImageNet challenge."""


@dataclass(frozen=True)
class Variant:
    """One form of a net.

    Attributes:
        title: What sets it apart.
        options: Arguments of the net's class.
        input_size: Side of the square input in pixels.
        style: Preprocessing.
    """

    title: str
    options: Mapping[str, Any]
    input_size: int
    style: Style = "imagenet"


@dataclass(frozen=True)
class Entry:
    """One net of the catalogue.

    Attributes:
        name: What one loads it by.
        title: Name for headings.
        paper: Authors, year and arXiv number or venue.
        builder: Name of vizcnn's own class (``own``) or of torchvision's function.
        own: Whether the class is vizcnn's.
        variants: Forms by name; the first is the default.
        bundled: Name of the bundled weight file, without suffix; None if there is none.
        onnx: Name in the list of ONNX Model Zoo files; None if there is none.
    """

    name: str
    title: str
    paper: str
    builder: str
    own: bool
    variants: Mapping[str, Variant] = field(repr=False)
    bundled: str | None = None
    onnx: str | None = None

    @property
    def default_variant(self) -> str:
        """Name of the form that one gets without asking for another."""
        return next(iter(self.variants))

    def find_variant(self, name: str | None) -> Variant:
        """Give a form by name, the default one for None.

        Raises:
            ModelError: If there is no such form.
        """
        if name is None:
            return self.variants[self.default_variant]
        if name not in self.variants:
            raise ModelError(
                f"{self.name} has no variant {name!r}: {nearest_names(name, self.variants)}"
            )
        return self.variants[name]


_ALEXNET = "Krizhevsky, Sutskever & Hinton 2012 (NIPS)"
_ZFNET = "Zeiler & Fergus 2013 (arXiv 1311.2901)"
_VGG = "Simonyan & Zisserman 2014 (arXiv 1409.1556)"
_GOOGLENET = "Szegedy et al. 2014 (arXiv 1409.4842)"
_LENET = "LeCun, Bottou, Bengio & Haffner 1998 (Proc. IEEE)"

_BVLC = {"groups": 2, "norm_alpha": 1e-4, "norm_k": 1.0, "input_size": 224, "ceil_pool5": True}
_ALEXNET_VARIANTS = {
    "paper": Variant("the paper's layers, without its groups", {}, 227),
    "towers": Variant("two towers: conv2, conv4, conv5 in two groups", {"groups": 2}, 227),
    "bvlc": Variant("BVLC AlexNet (Caffe)", _BVLC, 224, "caffe"),
    "caffenet": Variant(
        "CaffeNet: pools before it normalises", {**_BVLC, "norm_before_pool": False}, 224, "caffe"
    ),
}
_FINER = {"conv1_size": 7, "conv1_stride": 2}
_ALEXNET_FINER = {"finer": Variant("conv1 of 7 x 7 at stride 2, as in ZFNet", _FINER, 227)}
_ZFNET512 = {
    "maps": (512, 512, 512),
    "hidden": (4096, 1024),
    "conv1_padding": 0,
    "ceil_pools": False,
    "pool5_size": 2,
    "norm_before_pool": True,
}
_ZFNET_VARIANTS = {
    "wide": Variant("512, 1024, 512 maps in conv3..conv5", {"maps": (512, 1024, 512)}, 224),
    "paper": Variant("384, 384, 256 maps, as in Figure 3", {"maps": (384, 384, 256)}, 224),
    "zfnet512": Variant("ONNX Model Zoo's ZFNet-512", _ZFNET512, 224, "caffe2"),
}
_LENET_VARIANTS = {
    "modern": Variant("max pooling and ReLU", {}, 32, "grey"),
    "classic": Variant("trainable subsampling, sigmoids", {"form": "classic"}, 32, "grey"),
}
_GOOGLENET_VARIANTS = {
    "paper": Variant("5 x 5 filters, biases, contrast normalisation", {}, 224, "caffe"),
    "training": Variant("with both auxiliary heads", {"auxiliary": True}, 224, "caffe"),
}
_VGGC_VARIANTS = {"paper": Variant("D with three 1 x 1 convolutions", {}, 224)}


def _own_entries() -> list[Entry]:
    caffenet = {"caffenet": _ALEXNET_VARIANTS["caffenet"]}
    return [
        Entry(
            "alexnet", "AlexNet", _ALEXNET, "alexnet", True, _ALEXNET_VARIANTS, "alexnet", "alexnet"
        ),
        Entry(
            "alexnet-7x7",
            "AlexNet 7×7",
            f"{_ALEXNET}, with the first layer of {_ZFNET}",
            "alexnet",
            True,
            _ALEXNET_FINER,
            "alexnet-7x7",
        ),
        Entry("zfnet", "ZFNet", _ZFNET, "zfnet", True, _ZFNET_VARIANTS, "zfnet", "zfnet"),
        Entry(
            "caffenet",
            "CaffeNet",
            "Jia et al. 2014 (arXiv 1408.5093)",
            "alexnet",
            True,
            caffenet,
            None,
            "caffenet",
        ),
        Entry("lenet", "LeNet-5", _LENET, "lenet", True, _LENET_VARIANTS, "lenet"),
        Entry("vgg16-c", "VGG-16 C", _VGG, "vgg16-c", True, _VGGC_VARIANTS),
        Entry(
            "googlenet-paper",
            "GoogLeNet (paper)",
            _GOOGLENET,
            "googlenet-paper",
            True,
            _GOOGLENET_VARIANTS,
            None,
            "googlenet",
        ),
    ]


_TORCHVISION = [
    ("torchvision-alexnet", "AlexNet (torchvision)", "Krizhevsky 2014 (arXiv 1404.5997)"),
    *(
        (f"vgg{depth}{norm}", f"VGG-{depth}{title}", _VGG)
        for norm, title in (("", ""), ("_bn", " with batch normalisation"))
        for depth in (11, 13, 16, 19)
    ),
    ("googlenet", "GoogLeNet", _GOOGLENET),
    *(
        (f"resnet{depth}", f"ResNet-{depth}", "He et al. 2015 (arXiv 1512.03385)")
        for depth in (18, 34, 50, 101, 152)
    ),
    *(
        (f"squeezenet1_{minor}", f"SqueezeNet 1.{minor}", "Iandola et al. 2016 (arXiv 1602.07360)")
        for minor in (0, 1)
    ),
    *(
        (f"densenet{depth}", f"DenseNet-{depth}", "Huang et al. 2016 (arXiv 1608.06993)")
        for depth in (121, 161, 169, 201)
    ),
    ("inception_v3", "Inception v3", "Szegedy et al. 2015 (arXiv 1512.00567)"),
    ("mobilenet_v2", "MobileNet v2", "Sandler et al. 2018 (arXiv 1801.04381)"),
]


def _torchvision_entry(name: str, title: str, paper: str) -> Entry:
    size = 299 if name == "inception_v3" else 224
    style: Style = "half" if name in ("googlenet", "inception_v3") else "imagenet"
    variants = {"torchvision": Variant("as torchvision defines it", {}, size, style)}
    onnx = "vgg16" if name == "vgg16" else None
    return Entry(name, title, paper, name.removeprefix("torchvision-"), False, variants, onnx=onnx)


CATALOGUE: Mapping[str, Entry] = MappingProxyType(
    {
        entry.name: entry
        for entry in [*_own_entries(), *(_torchvision_entry(*row) for row in _TORCHVISION)]
    }
)
"""All nets by name."""

MODEL_NAMES: tuple[str, ...] = tuple(CATALOGUE)
"""Names of all nets, the tool's own first."""


def find_entry(name: str) -> Entry:
    """Find a net by name.

    Raises:
        ModelError: If there is no such net.

    Example:
        >>> find_entry("zfnet").title
        'ZFNet'
        >>> find_entry("vgg-16")
        Traceback (most recent call last):
        ModelError: no net 'vgg-16': did you mean 'vgg16' or 'vgg19' or 'vgg13'?
    """
    if name not in CATALOGUE:
        raise ModelError(f"no net {name!r}: {nearest_names(name, CATALOGUE)}")
    return CATALOGUE[name]
