"""From the name of a layer to the module, or the call of a function, that it stands for."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from torch import nn

from vizcnn.basics.errors import LayerError, check_kind, nearest_names, quote
from vizcnn.zoo.catalogue import name_layers
from vizcnn.zoo.functions import FUNCTIONS, MARK, join_path
from vizcnn.zoo.model import ZooModel, find_module
from vizcnn.zoo.naming import STAGE_WORDS

_STAGES = range(1, 6)
"""Numbers of stages: conv1..conv5, or stage1..stage5 (see :mod:`vizcnn.zoo.naming`)."""


@dataclass(frozen=True)
class LayerReference:
    """A module of a net, or a function that it calls, and which of the calls in one forward pass.

    Attributes:
        path: Module path, as :meth:`torch.nn.Module.named_modules` gives it; of a function that of
            the module that calls it, its name and ``()``: ``"layer1.0.relu()"``.
        call: Number of the call, from 1; None where the module is called only once.
    """

    path: str
    call: int | None = None

    @property
    def is_function(self) -> bool:
        """Whether it is a function and no module."""
        return self.path.endswith(MARK)

    def __str__(self) -> str:
        return self.path if self.call is None else f"{self.path}#{self.call}"


def parse_reference(text: str) -> LayerReference:
    """Read ``path`` or ``path#2``: the second call of a module that one pass uses several times.

    Raises:
        LayerError: If no number of a call comes after the mark.

    Example:
        >>> parse_reference("layer1.0.relu#2")
        LayerReference(path='layer1.0.relu', call=2)
    """
    check_kind("a layer", text, str, "its module path", LayerError)
    path, mark, number = text.partition("#")
    if not mark:
        return LayerReference(path)
    if not re.fullmatch("0{0,9}[1-9][0-9]{0,8}", number):
        raise LayerError(f"layer {quote(text)}: after '#' comes the number of a call, 1 or more")
    return LayerReference(path, int(number))


def parse_call(text: str) -> LayerReference:
    """Read a layer's path as the one call that it stands for: the first where it names none.

    Raises:
        LayerError: As of :func:`parse_reference`.

    Example:
        >>> parse_call("features.3"), parse_call("layer1.0.relu#2").call
        (LayerReference(path='features.3', call=1), 2)
    """
    reference = parse_reference(text)
    return LayerReference(reference.path, reference.call or 1)


Layer = str | int | nn.Module
"""What a layer may be given as: a name, its number in a :class:`~torch.nn.Sequential`, itself."""


def list_layers(layers: Iterable[Layer]) -> list[Layer]:
    """List layers that were given together.

    Raises:
        LayerError: If it is not several that were given, but one, or something else.
    """
    several = isinstance(layers, Iterable) and not isinstance(layers, str | bytes | nn.Module)
    try:
        listed = list(layers) if several and getattr(layers, "ndim", 1) == 1 else None
    except Exception:  # a closed file, a tensor without values: each says so in its way
        listed = None
    if listed is None:
        raise LayerError(f"got {quote(layers)} as layers; needed: a list of names")
    return listed


def name_layer(layer: Layer, path: str) -> str:
    """Say how a layer is called: as it was asked for, or by its module path."""
    return layer if isinstance(layer, str) else path


def find_layer(model: ZooModel | nn.Module, name: Layer) -> str:
    """Find the module path that a layer's name stands for.

    Canonical names go first: in a ResNet ``"conv1"`` is the rectified output of the first
    convolution, as in every net. A module path with the number of a call is always taken as it is:
    ``"conv1#1"`` is the module ``conv1`` itself, ``"relu#2"`` the second use of the module ``relu``
    in one pass. Last come the names of nodes as torchvision's feature extraction and torch.fx
    write them: ``"layer1.0.relu_1"`` and ``"layer1_0_relu_1"`` are ``"layer1.0.relu#2"``. Where no
    module is called so, it is the function that ``layer1.0`` calls: ``"layer1.0.relu()#2"``.
    Whether it does is only seen when the net runs. Case makes no difference where it tells no two
    layers apart.

    Args:
        model: A zoo object or any torch module; torchvision's nets have canonical names too.
        name: Canonical name, module path or name of a node; or the module itself, or its number in
            an :class:`~torch.nn.Sequential`.

    Returns:
        Module path, with ``#number`` if the name had it; of a function its path, always with it.

    Raises:
        LayerError: If there is no such layer, or a node's name may mean several.

    Example:
        >>> find_layer(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), "1")
        '1'
        >>> from vizcnn.zoo.zfnet import ZFNet
        >>> find_layer(ZFNet(hidden=8), "conv5")
        'features.relu5'
    """
    module = find_module(model)
    canonical = _list_canonical(model)
    if isinstance(name, nn.Module):
        found: list[str] = [p for p, part in module.named_modules() if part is name and p]
        if not found:
            raise LayerError(f"the {type(name).__name__} given as a layer is no part of the net")
        return found[0]
    if isinstance(name, int) and not isinstance(name, bool):
        name = quote(name)  # its digits, as long as they are few
    if not isinstance(name, str):
        raise LayerError(f"got {quote(name)} as a layer; needed: a name, or a module")
    if name in canonical:
        return str(canonical[name])
    if isinstance(model, ZooModel) and name in model.nodes:
        return model.nodes[name]
    paths = [known for known, _ in module.named_modules() if known]
    reference = parse_reference(name)
    if reference.path in paths:
        return name
    nodes = _find_nodes(name, paths)
    if len(nodes) == 1:
        return str(nodes[0])
    if nodes:
        meant = ", ".join(f"'{node}'" for node in nodes)
        raise LayerError(f"layer {quote(name)} may mean {meant}: name one of them")
    function = _find_function(name, paths)
    if function is not None:
        return str(function)
    known = (*canonical, *paths)
    folded = [other for other in known if other.lower() == reference.path.lower()]
    if len(folded) == 1:
        return find_layer(model, name.replace(reference.path, folded[0], 1))
    raise LayerError(f"no layer {quote(name)}: {nearest_names(reference.path, known)}")


def _find_function(name: str, paths: Collection[str]) -> LayerReference | None:
    """Read the name of a function's call: ``path.relu``, ``path.relu_1``, ``path.relu()#2``."""
    reference = parse_reference(name)
    parent, _, called = reference.path.removesuffix(MARK).rpartition(".")
    number = reference.call or 1
    numbered = re.fullmatch(r"(.+)_([1-9][0-9]{0,8})", called)
    if called not in FUNCTIONS and numbered and reference.call is None:
        called, number = numbered[1], int(numbered[2]) + 1
    if called not in FUNCTIONS or (parent and parent not in paths):
        return None
    return LayerReference(join_path(parent, called), number)


def _list_canonical(model: ZooModel | nn.Module) -> dict[str, str]:
    return dict(model.layers) if isinstance(model, ZooModel) else name_layers(model)


def _find_nodes(name: str, paths: Collection[str]) -> list[LayerReference]:
    """Read the name of a node in a traced graph: later calls of a module have _1, _2, ..."""
    plain = [path for path in paths if path.replace(".", "_") == name]
    if plain:
        return [LayerReference(path) for path in plain]
    numbered = re.fullmatch(r"(.+)_([1-9][0-9]*)", name)
    if numbered is None:
        return []
    called, number = numbered.groups()
    return [
        LayerReference(path, int(number) + 1)
        for path in paths
        if called in (path, path.replace(".", "_"))
    ]


def select_layers(model: ZooModel | nn.Module, wanted: Iterable[str]) -> tuple[str, ...]:
    """Expand layer names as users write them.

    Args:
        model: A zoo object or any torch module.
        wanted: Names, lists (``conv1,conv3``) and ranges (``conv1..conv5``).

    Returns:
        Names that :func:`find_layer` knows, without repetitions, in the order given.

    Raises:
        LayerError: If a layer does not exist, or a range is not of one kind.

    Example:
        >>> from vizcnn.zoo.zfnet import ZFNet
        >>> select_layers(ZFNet(hidden=8), ["conv1..conv3,fc6"])
        ('conv1', 'conv2', 'conv3', 'fc6')
    """
    names = [name.strip() for part in wanted for name in part.split(",") if name.strip()]
    expanded = [name for part in names for name in _expand_range(part)]
    return tuple(dict.fromkeys(spell_layer(model, name) for name in expanded))


def spell_layer(model: ZooModel | nn.Module, name: str) -> str:
    """Give a layer's name as the net spells it; it may have been given in another case.

    Raises:
        LayerError: If there is no such layer.

    Example:
        >>> from vizcnn.zoo.zfnet import ZFNet
        >>> spell_layer(ZFNet(hidden=8), "Conv5")
        'conv5'
    """
    path = find_layer(model, name)
    canonical = _list_canonical(model)
    if name in canonical or path == name:
        return name
    fitting = [known for known in (*canonical, path) if known.lower() == name.lower()]
    return fitting[0] if fitting else name


def list_stages(model: ZooModel | nn.Module) -> str:
    """Give the range of stages that a net has: ``conv1..conv5`` in most, less in LeNet-5.

    Of a net that lacks one in between they are a list. Of a net that nobody has named
    they are ``stage1..`` where it has a part called conv1.

    Raises:
        LayerError: If no canonical names are known for the net.

    Example:
        >>> from vizcnn.zoo.lenet import LeNet5
        >>> list_stages(LeNet5())
        'conv1..conv3'
    """
    canonical = _list_canonical(model)
    named = [f"{word}{number}" for word in STAGE_WORDS for number in _STAGES]
    stages = [name for name in named if name in canonical]
    if not stages:
        raise LayerError("the net's layers have no canonical names: name a layer by module path")
    whole = list(_expand_range(f"{stages[0]}..{stages[-1]}"))
    return f"{stages[0]}..{stages[-1]}" if stages == whole else ",".join(stages)


def select_stages(model: ZooModel | nn.Module) -> tuple[str, ...]:
    """Name the stages that a net has, lowest first: what is looked at where no layer is named.

    Raises:
        LayerError: If no canonical names are known for the net.

    Example:
        >>> from vizcnn.zoo.lenet import LeNet5
        >>> select_stages(LeNet5())
        ('conv1', 'conv2', 'conv3')
    """
    return select_layers(model, [list_stages(model)])


LONGEST_RANGE, MOST_IN_RANGE = 200, 10_000
"""Letters of a range of layers, and layers in it: enough for any net."""


def _expand_range(text: str) -> list[str]:
    first, dots, last = text.partition("..")
    if not dots:
        return [text]
    kind = first.rstrip("0123456789")
    if kind != last.rstrip("0123456789") or not (first[len(kind) :] and last[len(kind) :]):
        raise LayerError(
            f"layer range {quote(text)} is not known; needed: for example conv1..conv5"
        )
    if len(text) > LONGEST_RANGE:
        raise LayerError(f"layer range {quote(text)} goes past any net's layers")
    numbers = range(int(first[len(kind) :]), int(last[len(kind) :]) + 1)
    if not numbers:
        raise LayerError(f"layer range {text!r} is empty; needed: the lower layer first")
    if len(numbers) > MOST_IN_RANGE:
        raise LayerError(f"layer range {text!r} goes past any net's layers")
    return [f"{kind}{number}" for number in numbers]
