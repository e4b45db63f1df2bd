"""vizcnn: see what a convolutional network sees.

Public names are loaded when first used, so that ``import vizcnn`` stays instant.

Example:
    >>> import vizcnn
    >>> vizcnn.__version__
    '0.1.0'
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Deconvnet": "vizcnn.deconvnet",
    "GuidedBackprop": "vizcnn.deconvnet",
    "Projector": "vizcnn.deconvnet",
    "Projection": "vizcnn.projection",
    "Provenance": "vizcnn.zoo.provenance",
    "RULES": "vizcnn.rules",
    "ReceptiveField": "vizcnn.receptive",
    "Recording": "vizcnn.recording",
    "VizcnnError": "vizcnn.errors",
    "ZooModel": "vizcnn.zoo.model",
    "find_layer": "vizcnn.layers",
    "load": "vizcnn.zoo",
    "measure_fields": "vizcnn.receptive",
    "project": "vizcnn.projection",
    "record": "vizcnn.recording",
}

if TYPE_CHECKING:
    from vizcnn.deconvnet import Deconvnet, GuidedBackprop, Projector
    from vizcnn.errors import VizcnnError
    from vizcnn.layers import find_layer
    from vizcnn.projection import Projection, project
    from vizcnn.receptive import ReceptiveField, measure_fields
    from vizcnn.recording import Recording, record
    from vizcnn.rules import RULES
    from vizcnn.zoo import load
    from vizcnn.zoo.model import ZooModel
    from vizcnn.zoo.provenance import Provenance

__all__ = [
    "RULES",
    "Deconvnet",
    "GuidedBackprop",
    "Projection",
    "Projector",
    "Provenance",
    "ReceptiveField",
    "Recording",
    "VizcnnError",
    "ZooModel",
    "__version__",
    "find_layer",
    "load",
    "measure_fields",
    "project",
    "record",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vizcnn' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
