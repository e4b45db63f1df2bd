"""Time mining end to end against its two parts alone: bare decoding and bare forward passes.

    python benchmarks/mining.py
    python benchmarks/mining.py --data photos/ --limit 1000 --model vgg16 --layer conv5

Decoding alone reads the photos with the same workers. The forward pass alone runs the same net,
batch and device from pixels to the last layer asked for, over pixels that are there already. The
three take turns, and the best of each counts: other programs only ever cost time. End to end holds
everything: the net's checksum, starting the workers, the rankings, saving. Without --data the
photos are noise of all scales, as large as those that the bundled nets were trained on, written to
a temporary folder first.

The ratio is that of the end-to-end rate to the slower part's. Where workers and net share the cores
of a CPU it cannot exceed forward / (forward + decoding) in core seconds: a CPU that is busy with
both parts does either more slowly.
"""

import argparse
import math
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from vizcnn.cli.options import let_waiting_threads_sleep

# ruff: noqa: E402 (as vizcnn mine does; it has no effect after torch is loaded)
let_waiting_threads_sleep()

import numpy as np
import torch
from common import describe_machine, write_table
from PIL import Image

import vizcnn
from vizcnn.basics.devices import choose_device
from vizcnn.basics.machine import prepare_cpu
from vizcnn.mining.identity import describe_identity
from vizcnn.mining.lots import LOT, choose_workers, read_lots
from vizcnn.mining.photo_sets import FolderPhotos, PartOfPhotos, PhotoSet
from vizcnn.mining.run import MiningSettings, mine
from vizcnn.mining.search import search_layers
from vizcnn.recording.layers import list_stages, select_layers
from vizcnn.zoo.model import ZooModel

SMALLEST_SIDE = 32
"""Pixels along the shorter side of the coarse noise that synthetic photos are enlarged from."""


def main() -> None:
    options = _parse()
    prepare_cpu(options.threads)
    model = vizcnn.load(
        options.model,
        weights=None if options.weights == "random" else options.weights,
        device=choose_device(options.device),
    )
    layers = select_layers(model, options.layer or (list_stages(model),))
    device = next(model.module.parameters()).device.type
    workers = options.workers
    if workers is None:
        workers = choose_workers(device)
    settings = MiningSettings(layers=layers, top=options.top, workers=workers)
    with tempfile.TemporaryDirectory() as folder:
        photos = _find_photos(options, Path(folder) / "photos", model)
        _describe(model, photos, settings, options)
        _report(_time_all(model, photos, settings, Path(folder), options.rounds), len(photos.names))


def _find_photos(options: argparse.Namespace, folder: Path, model: ZooModel) -> PhotoSet:
    if options.data is None:
        write_photos(folder, options.limit, options.side)
    photos = FolderPhotos([options.data or folder], model.preprocessing)
    parts = math.ceil(len(photos.names) / options.limit)
    return PartOfPhotos(photos, 1, parts)


def write_photos(folder: Path, count: int, side: int) -> None:
    """Write JPEG photos of 4 to 3 whose noise has all scales, as natural photos do."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    width = round(side * 4 / 3)
    for number in range(count):
        coarse = generator.integers(0, 256, (SMALLEST_SIDE, SMALLEST_SIDE, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((width, side), Image.Resampling.BICUBIC)
        noise = generator.normal(0, 6, (side, width, 3))
        grainy = np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8)
        Image.fromarray(grainy).save(folder / f"{number:05d}.jpg", quality=90)


def _describe(
    model: ZooModel, photos: PhotoSet, settings: MiningSettings, options: argparse.Namespace
) -> None:
    print(describe_machine(next(model.module.parameters()).device))
    told = photos.describe() if options.data else f"made photos of {options.side} px"
    print(
        f"{model.name} at {model.input_size} px, {', '.join(settings.layers)}; "
        f"{settings.workers} worker(s); {told}"
    )


def _time_all(
    model: ZooModel, photos: PhotoSet, settings: MiningSettings, folder: Path, rounds: int
) -> dict[str, float]:
    """Give the best seconds of each job over some rounds in which they take turns."""
    size, workers = model.input_size, settings.workers or 0
    lots = math.ceil(len(photos.names) / LOT)

    def decode() -> None:
        for _ in read_lots(photos, 0, size, workers, pin=False):
            pass

    def mine_all() -> None:
        file = folder / "strongest.safetensors"
        file.unlink(missing_ok=True)
        mine(model, photos, file, settings)

    forward = make_forward(model, photos, settings, lots)
    jobs = {"decoding alone": decode, "forward alone": forward, "end to end": mine_all}
    best: dict[str, float] = {}
    for _ in range(rounds):
        taken = {name: _time(job) for name, job in jobs.items()}
        best = {name: min(taken[name], best.get(name, math.inf)) for name in jobs}
    return best


def make_forward(
    model: ZooModel, photos: PhotoSet, settings: MiningSettings, lots: int
) -> Callable[[], None]:
    """Give a function that passes so many lots through the net and looks at nothing."""
    layers = dict(describe_identity(model, settings.layers, 1, 1).layers)
    lot = next(iter(read_lots(photos, 0, model.input_size, 0, pin=False)))

    def forward() -> None:
        with search_layers(model, layers) as search:
            for _ in range(lots):
                search.forward(search.prepare(lot.pixels), lambda name, maps: None)
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    return forward


def _time(job: Callable[[], None]) -> float:
    began = time.perf_counter()
    job()
    return time.perf_counter() - began


def _report(seconds: dict[str, float], photos: int) -> None:
    slower = max(seconds["decoding alone"], seconds["forward alone"])
    rows = [(name, taken, photos / taken, slower / taken) for name, taken in seconds.items()]
    heads = (f"{photos} photos", "seconds", "photos/s", "to the slower part's rate")
    print("\n" + write_table(heads, rows) + "\n")
    own, workers = (
        resource.getrusage(who).ru_maxrss / 1024
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    print(f"peak memory {own:.0f} MiB, of the largest worker {workers:.0f} MiB")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="zfnet")
    parser.add_argument("--weights", default="auto", help="as for vizcnn mine; or random")
    parser.add_argument("--layer", action="append", help="default: conv1..conv5")
    parser.add_argument("--top", type=int, default=9)
    parser.add_argument("--data", type=Path, help="a folder of photos; default: made ones")
    parser.add_argument("--limit", type=int, default=2000, help="how many photos, at most")
    parser.add_argument("--side", type=int, default=144, help="shorter side of made photos, px")
    parser.add_argument("--workers", type=int, help="default: as for vizcnn mine")
    parser.add_argument("--threads", type=int, help="threads of the CPU; default: all cores")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
