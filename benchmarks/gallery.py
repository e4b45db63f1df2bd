"""Time `vizcnn gallery` of this tree against another one's, in turn, as the photos grow.

    python benchmarks/gallery.py --against ../vizcnn-0.1.0 --data photos/ --photos 600
    python benchmarks/gallery.py --against ../vizcnn-0.1.0 --data photos/ --photos 750 --growth 1 4

``--against`` is a folder that holds another revision's ``vizcnn`` package, such as a git worktree
or what ``pip install --target`` made. Every gallery is made in a process of its own, beginning
with the imports, from the first so many photos of the folder. Seconds of the steps are those on
the clock; "processor" is what all processes of the run took of all cores.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parents[1]

RUN = """
import json, resource, sys, time
began = time.perf_counter()
from vizcnn.cli.options import let_waiting_threads_sleep
let_waiting_threads_sleep()
from pathlib import Path
import vizcnn
from vizcnn.basics.machine import prepare_cpu
from vizcnn.mining.photo_sets import FolderPhotos
from vizcnn.pages.layers.gallery import make_top_gallery
from vizcnn.pages.layers.job import TopSettings
from vizcnn.recording.layers import list_stages, select_layers

data, out, model, device, layers, units, compare = json.loads(sys.argv[1])
prepare_cpu()
steps = {}

def clock(items, *, label, total=None, unit="it", initial=0):
    first = time.perf_counter()
    yield from items
    steps[label] = steps.get(label, 0) + time.perf_counter() - first

net = vizcnn.load(model, device=device)
steps["start"] = time.perf_counter() - began
settings = TopSettings(
    layers=select_layers(net, layers or (list_stages(net),)),
    units=tuple(range(units)) if units else None,
    compare=compare,
)
photos = FolderPhotos([Path(data)], net.preprocessing)
manifest = make_top_gallery(net, photos, settings, Path(out), progress=clock)
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps({
    "steps": steps,
    "seconds": time.perf_counter() - began,
    "processor": sum(u.ru_utime + u.ru_stime for u in used),
    "memory": max(u.ru_maxrss for u in used) / 1e6,
    "projections": sum(len(u.places) for layer in manifest.results.layers for u in layer.units),
}))
"""


def main() -> None:
    options = _parse()
    trees = {"this tree": HERE}
    if options.against:
        trees = {"against": options.against.resolve(), **trees}
    points: dict[str, list[tuple[int, float]]] = {name: [] for name in trees}
    with tempfile.TemporaryDirectory() as folder:
        for times in options.growth:
            count = options.photos * times
            data = _link_photos(options.data, Path(folder) / f"photos-{count}", count)
            print(f"\n{count} photos, load {os.getloadavg()[0]:.1f}")
            best: dict[str, dict[str, Any]] = {}
            for turn in range(options.rounds):
                for name, tree in trees.items():
                    out = Path(folder) / f"{name}-{count}-{turn}".replace(" ", "-")
                    found = _make(tree, data, out, options)
                    if name not in best or found["seconds"] < best[name]["seconds"]:
                        best[name] = found
            _report(best)
            for name, found in best.items():
                points[name].append((count, found["seconds"]))
    for name, measured in points.items():
        if len(measured) > 1:
            (few, short), (many, long) = measured[0], measured[-1]
            exponent = math.log(long / short) / math.log(many / few)
            print(f"\n{name}: seconds grow as photos ** {exponent:.2f}")


def _link_photos(data: Path, folder: Path, count: int) -> Path:
    files = sorted(path for path in data.rglob("*") if path.is_file())[:count]
    if len(files) < count:
        sys.exit(f"{str(data)!r} holds {len(files)} files; needed: {count}")
    folder.mkdir()
    for number, file in enumerate(files):
        (folder / f"{number:06d}{file.suffix}").symlink_to(file.resolve())
    return folder


def _make(tree: Path, data: Path, out: Path, options: argparse.Namespace) -> dict[str, Any]:
    compare = None if options.compare == 0 else options.compare
    given = [str(data), str(out), options.model, options.device, options.layer, options.units]
    result = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps([*given, compare])],
        cwd=out.parent,
        env={**os.environ, "PYTHONPATH": str(tree)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


def _report(best: dict[str, dict[str, Any]]) -> None:
    names = list(best)
    print(f"{'seconds':24s}" + "".join(f"{name:>12s}" for name in names))
    labels = list(dict.fromkeys(label for found in best.values() for label in found["steps"]))
    for label in labels:
        row = "".join(f"{found['steps'].get(label, 0):12.1f}" for found in best.values())
        print(f"  {label:22s}{row}")
    for key, title in (
        ("seconds", "all"),
        ("processor", "processor"),
        ("memory", "memory of one, GB"),
        ("projections", "projections"),
    ):
        print(f"{title:24s}" + "".join(f"{found[key]:12.1f}" for found in best.values()))
    if len(names) > 1:
        former, now = best.values()
        print(
            f"ratio: {now['seconds'] / former['seconds']:.2f} on the clock, "
            f"{now['processor'] / former['processor']:.2f} of the processor"
        )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--against", type=Path, help="folder of another revision")
    parser.add_argument("--data", type=Path, required=True, help="folder of photos")
    parser.add_argument("--photos", type=int, default=600, help="photos of the smallest gallery")
    parser.add_argument(
        "--growth", type=int, nargs="+", default=[1, 4], help="times as many photos"
    )
    parser.add_argument("--rounds", type=int, default=1, help="the best of so many counts")
    parser.add_argument("--model", default="zfnet")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--layer", nargs="+", default=[], help="default: all of the stages")
    parser.add_argument("--units", type=int, help="the first of each layer; default: all")
    parser.add_argument("--compare", type=int, default=3, help="other units; 0 for none")
    return parser.parse_args()


if __name__ == "__main__":
    main()
