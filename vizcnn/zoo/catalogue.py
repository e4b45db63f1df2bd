"""The nets that can be loaded by name. Importable without torch, for help texts and completion."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from vizcnn.basics.errors import ModelError, nearest_names

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
