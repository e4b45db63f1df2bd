"""The nets: their classes, preprocessing, layer names, and weights with their provenance.

In: a name and weights (bundled, fetched or a file). Out: a ZooModel: module, preprocessing, layers.
Add a net here: one file whose class is registered by @net (vizcnn.zoo.registry); weights that come
with it lie in bundled/, with their sum in bundled/sha256.json.

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

_HOMES = {
    "MODEL_NAMES": "catalogue",
    "Provenance": "provenance",
    "ZooModel": "model",
    "fetch_weights": "fetch",
    "list_models": "listing",
    "load": "loading",
}

__all__ = ["MODEL_NAMES", "Provenance", "ZooModel", "fetch_weights", "list_models", "load"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vizcnn.zoo' has no attribute {name!r}")
    return getattr(importlib.import_module(f"vizcnn.zoo.{_HOMES[name]}"), name)
