"""Weight files of a tiny ZFNet, for the tests of the zoo."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from vizcnn.basics.files import hash_file
from vizcnn.zoo.building import build_module, fill_randomly
from vizcnn.zoo.catalogue import find_entry
from vizcnn.zoo.files import WeightMetadata, save_weights
from vizcnn.zoo.preprocessing import imagenet_preprocessing

SMALL = {"classes": 3, "hidden": 4, "input_size": 128}
CLASSES = ("cat", "dog", "grün <b>")
CARD = {"data": "toys, 3 classes", "licence": "MIT", "top1": 0.5, "top5": 1.0, "epochs": 2}
RECORD = WeightMetadata("zfnet", SMALL, imagenet_preprocessing(128, 144), CLASSES, CARD)


def small_zfnet(seed: int = 0) -> nn.Module:
    return fill_randomly(build_module(find_entry("zfnet"), SMALL), seed)


def write_zfnet(path: Path, **changes: Any) -> nn.Module:
    module = small_zfnet()
    save_weights(path, module, replace(RECORD, **changes))
    return module


def write_bundle(folder: Path) -> nn.Module:
    path = folder / "zfnet.safetensors"
    module = write_zfnet(path)
    (folder / "sha256.json").write_text(json.dumps({path.name: hash_file(path)}))
    return module
