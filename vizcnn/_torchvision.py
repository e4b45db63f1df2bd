"""Import torchvision also where its compiled operators do not fit the installed torch.

A CPU build of torch beside torchvision's default (CUDA) build is common; torchvision then fails
while it registers operators (nms, ...) of object detectors, which nothing here uses.
"""

import importlib
import re
import sys
from types import ModuleType

import torch

_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_kept: list[torch.library.Library] = []  # an operator lives as long as the library that defined it


def import_torchvision() -> ModuleType:
    """Import torchvision, declaring the operators that it misses.

    Raises:
        RuntimeError: If it fails for another reason.
    """
    for _ in range(len(_SCHEMAS) + 1):
        try:
            return importlib.import_module("torchvision")
        except RuntimeError as error:
            missing = re.search(r"operator torchvision::(\w+) does not exist", str(error))
            if missing is None or missing[1] not in _SCHEMAS:
                raise
            _declare(_SCHEMAS[missing[1]])
            for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
                del sys.modules[name]
    raise RuntimeError("torchvision cannot be imported: reinstall it beside torch")


def _declare(schema: str) -> None:
    library = torch.library.Library("torchvision", "FRAGMENT")
    library.define(schema)
    _kept.append(library)
