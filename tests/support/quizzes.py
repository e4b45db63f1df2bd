"""Galleries that a quiz is made of, of a small net, and result files of people who played one."""

import json
from pathlib import Path
from typing import Any

from vizcnn.mining.photo_sets import SamplePatches
from vizcnn.pages.page import MethodSettings
from vizcnn.pages.quiz.quiz_galleries import PreparationSettings, make_quiz_galleries
from vizcnn.zoo.model import ZooModel

LAYERS = ("conv2", "conv3")
UNITS = 6


def prepare_galleries(model: ZooModel, folder: Path) -> list[Path]:
    """Galleries of six units of two layers, of patches of the sample photos."""
    settings = PreparationSettings(
        layers=LAYERS, ways=(MethodSettings(),), parts=("whole", "own"), units=UNITS, workers=0
    )
    return make_quiz_galleries(model, SamplePatches(model.preprocessing), folder, settings)


CONDITIONS = ("alone", "deconvnet-whole")


def write_played(file: Path, number: int, right: dict[str, list[bool]], **changes: Any) -> Path:
    """A result file of a player, with answers by condition that are right or wrong."""
    answers = [
        {
            "layer": "conv5",
            "unit": 100 * CONDITIONS.index(condition) + unit,
            "condition": condition,
            "exciting": "left",
            "chosen": "left" if is_right else "right",
            "seconds": 1.5,
        }
        for condition, given in right.items()
        for unit, is_right in enumerate(given)
    ]
    record = {
        "kind": "vizcnn-quiz-answers",
        "vizcnn": "0.2.0",
        "quiz": "ab" * 8,
        "title": "ZFNet, conv5",
        "player": f"{number:016x}",
        "seed": number,
        "conditions": [{"key": key, "title": f"shown {key}"} for key in CONDITIONS],
        "answers": answers,
        **changes,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(record))
    return file
