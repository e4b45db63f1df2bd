"""What every page says: its weights and the versions of the libraries."""

import platform

import matplotlib
import numpy as np
import torch

from vizcnn.gallery.records import Weights
from vizcnn.zoo.model import ZooModel


def describe_weights(model: ZooModel) -> Weights:
    """Bring a net's provenance into the manifest's form."""
    origin = model.provenance
    return Weights(
        describe=origin.describe(),
        source=origin.source,
        data=origin.data,
        licence=origin.licence,
        top1=origin.top1,
        top5=origin.top5,
        note=origin.note,
        sha256=origin.sha256,
    )


def list_versions() -> dict[str, str]:
    """List the versions that a repeat of the run depends on."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "matplotlib": matplotlib.__version__,
    }
