"""Numbers of the manual that take minutes: ``python -m docs.tools.numbers`` measures them anew.

Each is what a command of vizcnn reports as JSON; the pages say which. They are kept in
``docs/numbers/``, a file a command, and from there ``docs.tools.blocks`` writes them into the
pages. A test asks whether the pages hold what the files hold, and measures some of them anew.

    python -m docs.tools.numbers aliasing check
    python -m docs.tools.numbers check-natural144 --photos natural144/val
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "numbers"
COMMANDS: Mapping[str, str] = {
    "aliasing": "aliasing",
    "aliasing-layers": " ".join(
        (
            "aliasing --all-layers",
            "--model lenet --model alexnet --model alexnet-7x7 --model zfnet",
            "--model squeezenet1_1 --model efficientnet-lite0",
            "--model vgg16 --model resnet50 --model densenet121",
            *(6 * ["--weights auto"]),
            *(3 * ["--weights random"]),
        )
    ),
    "check": "check",
    "check-natural144": "check",
}
"""By name of the file: the command; further options follow the names on the command line."""

Numbers = dict[str, Any]


def collect_aliasing(manifest: Numbers) -> Numbers:
    """Give the lab's measures by name, a value a net, and the nets' titles."""
    return {
        "nets": [net["title"] for net in manifest["nets"]],
        **{row["name"]: row["values"] for row in manifest["results"]["table"]},
    }


def collect_layers(manifest: Numbers) -> Numbers:
    """Give shares and distances of all layers by net, and where its weights come from."""
    found: Numbers = {}
    for net, described in zip(manifest["results"]["nets"], manifest["nets"], strict=True):
        layers = {
            layer["step"]["name"]: {"shares": layer["shares"], "distances": layer["distances"]}
            for layer in net["layers"]
        }
        weights = described["weights"]
        found[net["title"]] = {
            "weights": "random" if net["random"] else f"{weights['source']}: {weights['data']}",
            "layers": layers,
        }
    return found


def collect_check(manifest: Numbers) -> Numbers:
    """Give the medians by table, layer, method and measure, with a slash between."""
    found: Numbers = {}
    tables = manifest["results"]["tables"]
    for row in tables["sameness"]:
        for measure in ("cosine", "effective"):
            found[f"{row['layer']}/{row['method']}/{measure}"] = row[measure]["value"]
        found[f"{row['layer']}/active"] = row["active"]
    for row in tables["control"]:
        for measure in ("own", "other", "gap"):
            found[f"{row['layer']}/{row['method']}/{measure}"] = row[measure]["value"]
    for row in tables["cascade"]:
        lowest = row["shuffled"][-1] if row["shuffled"] else "none"
        for measure in ("rank", "magnitude", "similarity"):
            key = f"down to {lowest}/{row['switches']} switches/{row['method']}/{measure}"
            found[key] = row[measure]["value"]
    for row in tables["edges"]:
        for measure in ("magnitude", "similarity"):
            found[f"edges/{row['method']}/{measure}"] = row[measure]["value"]
    return found


COLLECT = {
    "aliasing": collect_aliasing,
    "aliasing-layers": collect_layers,
    "check": collect_check,
}
"""By kind of the manifest."""


def read_numbers(name: str) -> Numbers:
    """Read what was measured: a file of :data:`FOLDER`."""
    numbers: Numbers = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    return numbers


def measure_numbers(name: str, options: list[str]) -> None:
    """Run a command, and keep its numbers."""
    command = COMMANDS[name]
    with tempfile.TemporaryDirectory() as out:
        words = [
            sys.executable,
            "-m",
            "vizcnn",
            *command.split(),
            *options,
            "--out",
            f"{out}/page",
            "--json",
        ]
        told = subprocess.run(words, check=True, stdout=subprocess.PIPE, cwd=ROOT).stdout
    manifest = json.loads(told)["manifest"]
    numbers = COLLECT[manifest["kind"]](manifest)
    FOLDER.mkdir(exist_ok=True)
    text = json.dumps(numbers, indent=1, ensure_ascii=False)
    (FOLDER / f"{name}.json").write_text(text + "\n", "utf-8")


def main() -> None:
    """Measure what is named on the command line, or all that needs no photos of one's own."""
    names = [word for word in sys.argv[1:] if word in COMMANDS]
    options = [word for word in sys.argv[1:] if word not in COMMANDS]
    for name in names or ("aliasing", "aliasing-layers", "check"):
        measure_numbers(name, options)


if __name__ == "__main__":
    main()
