"""Weights that were read, before they are put into a net."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from vizcnn.zoo.preprocessing import Preprocessing
from vizcnn.zoo.provenance import Provenance


@dataclass(frozen=True)
class Weights:
    """Tensors with all that their file tells of the net.

    Attributes:
        state: Tensors by name, as in the net's state dict.
        provenance: Where they come from.
        options: Arguments of the net's class.
        preprocessing: From pixels to the net's input; None for the variant's own.
        classes: Name of each logit; None if the file does not tell.
        variant: Form of the net that they belong to; None for one that the options tell.
    """

    state: dict[str, Tensor]
    provenance: Provenance
    options: Mapping[str, Any]
    preprocessing: Preprocessing | None = None
    classes: tuple[str, ...] | None = None
    variant: str | None = None
