"""vizcnn: see what a convolutional network sees.

Public names are loaded when first used, so that ``import vizcnn`` stays instant.

Example:
    >>> import vizcnn
    >>> vizcnn.__version__
    '0.2.0'
"""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vizcnn.basics.renaming import follow_renaming
from vizcnn.basics.version import __version__
from vizcnn.projection.artist import Artist, introduce_artist

if not (Path(__path__[0]) / "cli").is_dir():
    # a checkout without its two links, which only tools need: cli/ and gallery/ lie beside vizcnn/
    __path__.append(str(Path(__path__[0]).parent))

_HOMES = {
    "Deconvnet": "vizcnn.projection.deconvnet",
    "EffectiveField": "vizcnn.measures.effective_field",
    "Gradient": "vizcnn.projection.deconvnet",
    "GuidedBackprop": "vizcnn.projection.deconvnet",
    "METHODS": "vizcnn.projection.methods",
    "Method": "vizcnn.projection.methods",
    "Net": "vizcnn.projection.projecting_net",
    "Projector": "vizcnn.projection.deconvnet",
    "Projection": "vizcnn.projection.projection",
    "Targets": "vizcnn.projection.targets",
    "Provenance": "vizcnn.zoo.provenance",
    "RULES": "vizcnn.projection.rules",
    "ReceptiveField": "vizcnn.receptive",
    "Recording": "vizcnn.recording.recording",
    "VizcnnError": "vizcnn.basics.errors",
    "ZooModel": "vizcnn.zoo.model",
    "explore": "vizcnn.explorer.notebook",
    "find_layer": "vizcnn.recording.layers",
    "load": "vizcnn.projection.projecting_net",
    "measure_effective_fields": "vizcnn.measures.effective_field",
    "measure_fields": "vizcnn.receptive",
    "places": "vizcnn.projection.targets",
    "project": "vizcnn.projection.projection",
    "record": "vizcnn.recording.recording",
    "strongest": "vizcnn.projection.targets",
    "units_at": "vizcnn.projection.targets",
    "wrap": "vizcnn.projection.projecting_net",
}

_ROOMS = {"callbacks"}
"""Rooms whose names users write: ``vizcnn.callbacks.Watch``."""

if TYPE_CHECKING:
    from vizcnn.basics.errors import VizcnnError
    from vizcnn.explorer.notebook import explore
    from vizcnn.measures.effective_field import EffectiveField, measure_effective_fields
    from vizcnn.projection.deconvnet import Deconvnet, Gradient, GuidedBackprop, Projector
    from vizcnn.projection.methods import METHODS, Method
    from vizcnn.projection.projecting_net import Net, load, wrap
    from vizcnn.projection.projection import Projection, project
    from vizcnn.projection.rules import RULES
    from vizcnn.projection.targets import Targets, places, strongest, units_at
    from vizcnn.receptive import ReceptiveField, measure_fields
    from vizcnn.recording.layers import find_layer
    from vizcnn.recording.recording import Recording, record
    from vizcnn.zoo.model import ZooModel
    from vizcnn.zoo.provenance import Provenance

__all__ = [
    "METHODS",
    "RULES",
    "Deconvnet",
    "EffectiveField",
    "Gradient",
    "GuidedBackprop",
    "Method",
    "Net",
    "Projection",
    "Projector",
    "Provenance",
    "ReceptiveField",
    "Recording",
    "Targets",
    "VizcnnError",
    "ZooModel",
    "__version__",
    "explore",
    "find_layer",
    "load",
    "measure_effective_fields",
    "measure_fields",
    "places",
    "project",
    "record",
    "strongest",
    "units_at",
    "wrap",
]


def _find_artist() -> Artist:
    from vizcnn.drawing import projections

    return projections


introduce_artist(_find_artist)  # here, above all rooms: projections lie below what draws them


def __getattr__(name: str) -> Any:
    name = follow_renaming(name)
    if name in _ROOMS:
        return importlib.import_module(f"vizcnn.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'vizcnn' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, *_ROOMS])
