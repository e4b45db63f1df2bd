"""Any torch module as a net that every function takes."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from vizcnn.basics.codec import LARGEST_SIDE
from vizcnn.basics.errors import ModelError, check_kind, check_number, quote
from vizcnn.zoo.adjusting import Classes, PreprocessingLike, settle_classes, settle_preprocessing
from vizcnn.zoo.building import number_classes
from vizcnn.zoo.catalogue import name_layers
from vizcnn.zoo.model import ZooModel
from vizcnn.zoo.naming import look_at, name_mixed, name_traced
from vizcnn.zoo.preprocessing import USUAL_SIZE, Preprocessing, make_preprocessing
from vizcnn.zoo.provenance import Provenance
from vizcnn.zoo.registry import Style
from vizcnn.zoo.specs import make_slug


def wrap(
    module: nn.Module,
    *,
    preprocessing: PreprocessingLike | None = None,
    classes: Classes | None = None,
    input_size: int | None = None,
    name: str | None = None,
    title: str | None = None,
    layers: Mapping[str, str] | None = None,
    provenance: Provenance | None = None,
) -> ZooModel:
    """Make a torch module a net that every function and page takes.

    The module is neither copied nor changed: what is trained further is looked at as it is then. It
    is run once, on a black image, to see what it puts out and to name its layers.

    Args:
        module: Takes one batch of images (N, 3, S, S), or (N, 1, S, S), and gives class scores
            (N, classes).
        preprocessing: How pixels, RGB 0..1, become its input: a text such as
            ``"mean=0.5,std=0.5,size=96"``, a style (``"imagenet"``, ``"caffe"``, ``"half"``,
            ``"grey"``), torchvision's ``weights.transforms()``, or a
            :class:`~vizcnn.zoo.preprocessing.Preprocessing`. By default ImageNet's mean and
            standard deviation, of a net that takes one channel the luminance, -1..1.
        classes: Name of each class, or a file of them, a line each; else they are numbered.
        input_size: Side of the square input in pixels; 224 if the preprocessing does not say
            another.
        name: What it is called in file names; its class's name by default.
        title: Name for headings; the name by default.
        layers: Names of layers and module paths, that of the classes last. By default those of
            nets of a known family; else ``conv1``, ``conv2``, ... for the last rectified maps of
            each size (``stage1``, ... if the net has a part called conv1), and the layer of the
            classes.
        provenance: Where its weights come from.

    Raises:
        ModelError: If it is no module, does not run on such an image, or puts out no class scores;
            or what is said of it does not fit it.

    Example:
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3600, 2))
        >>> model = wrap(net, input_size=32, classes=["cat", "dog"], name="mine")
        >>> model.layers
        {'conv1': '1', '3': '3'}
        >>> model.input_size, model.classes
        (32, ('cat', 'dog'))
    """
    if not isinstance(module, nn.Module):
        raise ModelError(
            f"got {type(module).__name__} as a net ({quote(module)}); needed: a torch module (of "
            "an exported program its .module())"
        )
    if isinstance(module, torch.jit.ScriptModule):
        raise ModelError(
            "a TorchScript program shows none of its calls: wrap the module that it was made from, "
            "or export that with torch.export"
        )
    if next(module.parameters(), None) is None:
        raise ModelError(f"the {type(module).__name__} has no parameters: it is no net to look at")
    for what, value in (("name", name), ("title", title)):
        check_kind(what, value, str | None, "a text, or None", ModelError)
    check_kind("layers", layers, Mapping | None, "paths by name, or None", ModelError)
    check_kind("provenance", provenance, Provenance | None, "a Provenance, or None", ModelError)
    settled = _settle(module, preprocessing, input_size)
    called = type(module).__name__ if name is None else name
    seen = look_at(module, settled)
    count = seen.output[0]
    names = None if classes is None else settle_classes(classes, count, called)
    return ZooModel(
        name=make_slug(called),
        title=title or called,
        module=module,
        preprocessing=settled,
        layers=dict(layers or name_layers(module) or name_traced(module, seen)),
        classes=names or number_classes(count),
        provenance=provenance or Provenance("code", data=called),
        options={},
        nodes=name_mixed(seen),
    )


def _settle(
    module: nn.Module, told: PreprocessingLike | None, input_size: int | None
) -> Preprocessing:
    """Settle the preprocessing, by what the module says of itself where nobody else does."""
    if input_size is not None:
        input_size = check_number("input_size", input_size, 1, LARGEST_SIDE, ModelError)
    first = next((part for part in module.modules() if isinstance(part, nn.Conv2d)), None)
    style: Style = "grey" if first is not None and first.in_channels == 1 else "imagenet"
    settled = make_preprocessing(style, input_size or USUAL_SIZE)
    own: Any = getattr(module, "pretrained_cfg", None)  # timm's nets carry theirs
    if isinstance(own, dict) and {"mean", "std", "input_size"} <= own.keys():
        from vizcnn.zoo.timm_nets import read_preprocessing

        settled = read_preprocessing(own)
    if told is not None:
        settled = settle_preprocessing(told, settled)
    if input_size is not None and settled.input_size != input_size:
        settled = settled.at_size(input_size)
    return settled
