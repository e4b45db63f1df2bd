"""The nets that can be loaded by name. Importable without torch, for help texts and completion."""

import ast
import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vizcnn.basics.errors import ModelError, nearest_names, quote
from vizcnn.zoo.registry import LAST, REGISTERED, Entry, name_class
from vizcnn.zoo.torchvision_nets import TORCHVISION_NETS

if TYPE_CHECKING:
    from torch import nn


def read_registrations(folder: Path) -> dict[str, str]:
    """Read off their sources which files register which nets.

    Importing the files would bring torch, which takes seconds that a help text does not have.

    Args:
        folder: Where the files lie.

    Returns:
        Names of nets, in the order of lists, and the modules that register them.
    """
    found = []
    for path in sorted(folder.glob("*.py")):
        text = path.read_text("utf-8")
        for node in ast.parse(text).body if "\n@net(" in text else ():
            for call in node.decorator_list if isinstance(node, ast.ClassDef) else ():
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "net":
                    told = {word.arg: word.value for word in call.keywords}
                    order = ast.literal_eval(told["order"]) if "order" in told else LAST
                    found.append((order, ast.literal_eval(call.args[0]), path.stem))
    return {name: module for _, name, module in sorted(found)}


class _Catalogue(Mapping[str, Entry]):
    """All nets by name, the tool's own first; a net's file is imported when it is asked for."""

    def __init__(self) -> None:
        self._files = read_registrations(Path(__file__).parent)

    def __getitem__(self, name: str) -> Entry:
        if name in self._files:
            importlib.import_module(f"vizcnn.zoo.{self._files[name]}")
        return TORCHVISION_NETS[name] if name in TORCHVISION_NETS else REGISTERED[name]

    def __contains__(self, name: object) -> bool:
        return name in self._files or name in TORCHVISION_NETS or name in REGISTERED

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self._files, *TORCHVISION_NETS, *REGISTERED]))

    def __len__(self) -> int:
        return len(list(iter(self)))


CATALOGUE: Mapping[str, Entry] = _Catalogue()
"""All nets by name."""

MODEL_NAMES: tuple[str, ...] = tuple(CATALOGUE)
"""Names of all nets, the tool's own first."""


def check_name(name: str) -> str:
    """Make sure that there is a net of a name, without importing it.

    Returns:
        The name as the catalogue spells it: case makes no difference.

    Raises:
        ModelError: If there is no such net.

    Example:
        >>> check_name("vgg-16")
        Traceback (most recent call last):
        ModelError: no net 'vgg-16': did you mean 'vgg16' or 'vgg19' or 'vgg13'?
        >>> check_name("ZFNet")
        'zfnet'
    """
    if name in CATALOGUE:
        return name
    if name.lower() in CATALOGUE:
        return name.lower()
    raise ModelError(f"no net {quote(name)}: {nearest_names(name.lower(), CATALOGUE)}")


def find_entry(name: str) -> Entry:
    """Find a net by name.

    Raises:
        ModelError: If there is no such net.

    Example:
        >>> find_entry("zfnet").title
        'ZFNet'
    """
    return CATALOGUE[check_name(name)]


def name_layers(module: "nn.Module") -> dict[str, str]:
    """Name the layers of a net of a known family.

    Args:
        module: A net of vizcnn's or of torchvision's.

    Returns:
        Canonical names (see :mod:`vizcnn.zoo.registry`) and module paths, in the order of the
        forward pass; empty for other nets.

    Example:
        >>> from vizcnn.zoo.alexnet import AlexNet
        >>> name_layers(AlexNet(hidden=8))["conv5"]
        'features.relu5'
    """
    known, kind = [*REGISTERED.values(), *TORCHVISION_NETS.values()], name_class(type(module))
    return next((entry.layers(module) for entry in known if entry.kind == kind), {})
