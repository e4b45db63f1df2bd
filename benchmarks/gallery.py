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
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from common import NOW, ROOT, describe_machine, divide, run_python, write_table
from growth import fit_exponent

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
    trees = {NOW: ROOT}
    if options.against:
        trees = {str(options.against): options.against.resolve(), **trees}
    print(describe_machine(options.device))
    points: dict[str, list[float]] = {name: [] for name in trees}
    with tempfile.TemporaryDirectory() as folder:
        for times in options.growth:
            count = options.photos * times
            data = _link_photos(options.data, Path(folder) / f"photos-{count}", count)
            print(f"\n{count} photos, load {os.getloadavg()[0]:.1f}\n")
            best: dict[str, dict[str, Any]] = {}
            for turn in range(options.rounds):
                for number, (name, tree) in enumerate(trees.items()):
                    out = Path(folder) / f"gallery-{count}-{turn}-{number}"
                    found = _make(tree, data, out, options)
                    if name not in best or found["seconds"] < best[name]["seconds"]:
                        best[name] = found
            print(tabulate(best), flush=True)
            for name, found in best.items():
                points[name].append(found["seconds"])
    if len(options.growth) > 1:
        for name, seconds in points.items():
            exponent = fit_exponent(options.growth, seconds)
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
    told = run_python(tree, "-c", RUN, json.dumps([*given, compare]))
    found: dict[str, Any] = json.loads(told.splitlines()[-1])
    return found


def tabulate(best: dict[str, dict[str, Any]]) -> str:
    """Write a table of steps by tree; with two trees, how many times as fast the present one is."""
    labels = dict.fromkeys(label for found in best.values() for label in found["steps"])
    rows = [
        [label, *(found["steps"].get(label, 0.0) for found in best.values())] for label in labels
    ]
    rows += [
        [title, *(found[key] for found in best.values())]
        for key, title in (
            ("seconds", "all"),
            ("processor", "processor"),
            ("memory", "memory of the largest process, GB"),
            ("projections", "projections"),
        )
    ]
    heads = ["seconds", *best]
    if len(best) > 1:
        heads.append(" / ".join(best))
        for row in rows:
            row.append(divide(*row[1:]))
    return write_table(heads, rows)


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
