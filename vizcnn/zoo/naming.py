"""Canonical layer names: conv1..conv5 mean the same in every net.

A name stands for the feature maps after the ReLU, as Zeiler & Fergus show them. In every net conv1
to conv5 are the last maps of the first to the fifth stage; further names are those of the papers.
Where a net has no ReLU at the end of a stage (DenseNet's blocks, MobileNet v2's linear
bottlenecks), the name stands for what the stage puts out. LeNet-5 has three stages, conv1 to
conv3; in its classic form they end in sigmoids.
"""

from collections.abc import Callable

from torch import nn

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
