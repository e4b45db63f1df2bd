"""The nets: their classes, preprocessing, layer names, and weights with their provenance.

In: a name and a source of weights. Out: a `ZooModel`. Add a net as a module of its own.

The names below are imported when they are first used, so that the catalogue needs no torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vizcnn.zoo.catalogue import MODEL_NAMES
    from vizcnn.zoo.fetch import fetch_weights
    from vizcnn.zoo.listing import list_models
    from vizcnn.zoo.loading import load
    from vizcnn.zoo.model import ZooModel
    from vizcnn.zoo.provenance import Provenance
    from vizcnn.zoo.wrapping import wrap

_HOMES = {
    "MODEL_NAMES": "catalogue",
    "Provenance": "provenance",
    "ZooModel": "model",
    "fetch_weights": "fetch",
    "list_models": "listing",
    "load": "loading",
    "wrap": "wrapping",
}

__all__ = ["MODEL_NAMES", "Provenance", "ZooModel", "fetch_weights", "list_models", "load", "wrap"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vizcnn.zoo' has no attribute {name!r}")
    return getattr(importlib.import_module(f"vizcnn.zoo.{_HOMES[name]}"), name)
