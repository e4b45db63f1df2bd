"""Measure how time and memory grow with the work: photos, units, and the side of the image.

    python benchmarks/growth.py
    python benchmarks/growth.py --only units --layer vgg16:conv4_2

Each point is computed in a process of its own, whose largest memory is told beside its time, and
the points of a row are measured in turn. The exponent is the slope of the straight line through the
logarithms (least squares): 1 is in proportion, 0 is no growth, 2 is with the square. Random weights
and photos of noise. The time is that of the work alone, without starting Python and making the net;
the memory is that of the whole process.
"""

import argparse
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from common import (
    ROOT,
    CannotRunError,
    describe_machine,
    measure_peak_memory,
    run_python,
    write_number,
    write_row,
    write_table,
)

STEPS: dict[str, tuple[str, tuple[int, ...], tuple[int, ...]]] = {
    "photos": ("photos mined (zfnet, conv1-conv5)", (48, 192, 768), (8, 16)),
    "units": ("units projected ({layer})", (16, 64, 256), (4, 16)),
    "side": ("side of the image in pixels ({layer}, 64 units)", (128, 256, 512), (96, 192)),
}
"""What each row varies, in full and with ``--quick``."""


def fit_exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Fit ``cost = a * size ** exponent`` by least squares of the logarithms.

    Example:
        >>> round(fit_exponent([1, 4, 16], [3, 24, 192]), 6)
        1.5
    """
    return statistics.linear_regression(
        [math.log(size) for size in sizes], [math.log(cost) for cost in costs]
    ).slope


def main() -> None:
    options = _parse()
    if options.measure:
        kind, size = options.measure
        print(json.dumps(measure(kind, int(size), options)))
        return
    print(describe_machine(options.device, options.threads) + "\n")
    heads = ("what grows", "sizes", "seconds", "exponent", "memory in MB", "exponent")
    print(write_table(heads, []))
    for kind in options.only or STEPS:
        title, sizes, quick = STEPS[kind]
        sizes = quick if options.quick else sizes
        print(make_row(kind, title.format(layer=options.layer.replace(":", " ")), sizes, options))


def make_row(kind: str, title: str, sizes: Sequence[int], options: argparse.Namespace) -> str:
    seconds = dict.fromkeys(sizes, math.inf)
    memory: dict[int, float] = {}
    try:
        for _ in range(options.rounds):
            for size in sizes:
                taken, memory[size] = ask(kind, size, options)
                seconds[size] = min(taken, seconds[size])
    except CannotRunError as error:
        return write_row([title, f"cannot: {error}", *"–" * 4])
    grown = [
        cell
        for costs in (list(seconds.values()), list(memory.values()))
        for cell in (" / ".join(map(write_number, costs)), f"{fit_exponent(sizes, costs):.2f}")
    ]
    return write_row([title, " / ".join(map(str, sizes)), *grown])


def ask(kind: str, size: int, options: argparse.Namespace) -> tuple[float, float]:
    told = run_python(
        ROOT,
        *(Path(__file__).resolve(), "--measure", kind, str(size), "--layer", options.layer),
        *("--device", options.device, "--threads", str(options.threads)),
    )
    taken, memory = json.loads(told)
    return float(taken), float(memory)


def measure(kind: str, size: int, options: argparse.Namespace) -> tuple[float, float]:
    """Give the seconds of a piece of work and the largest memory of this process, in MB."""
    import torch

    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        if kind == "photos":
            work = prepare_mining(size, Path(folder), options)
        else:
            units, side = (size, None) if kind == "units" else (64, size)
            work = prepare_projection(units, side, options)
        began = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        taken = time.perf_counter() - began
    if torch.device(options.device).type == "cuda":
        return taken, torch.cuda.max_memory_allocated(options.device) / 1e6
    return taken, measure_peak_memory() / 1e6


def prepare_mining(photos: int, folder: Path, options: argparse.Namespace) -> Callable[[], object]:
    """Mine in this process, so that its memory is all there is."""
    from revisions import write_photos

    import vizcnn
    from vizcnn.mining.photo_sets import FolderPhotos
    from vizcnn.mining.run import MiningSettings, mine
    from vizcnn.recording.layers import list_stages, select_layers

    model = vizcnn.load("zfnet", weights=None, device=options.device)
    write_photos(folder / "photos", photos)
    given = FolderPhotos([folder / "photos"], model.preprocessing)
    layers = select_layers(model, (list_stages(model),))
    settings = MiningSettings(layers=layers, workers=0)
    return partial(mine, model, given, folder / "index.safetensors", settings)


def prepare_projection(
    units: int, side: int | None, options: argparse.Namespace
) -> Callable[[], object]:
    """Project units on one photo, after a smaller piece of the same work."""
    import torch

    import vizcnn

    name, _, layer = options.layer.partition(":")
    model = vizcnn.load(name, weights=None, device=options.device)
    side = side or model.input_size
    photo = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    photo = photo.to(options.device)
    projector = vizcnn.Deconvnet(model)
    projector.project(photo, layer, [0, 1])
    return partial(projector.project, photo, layer, list(range(units)))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", action="append", choices=list(STEPS), help="may be repeated")
    parser.add_argument("--layer", default="torchvision-alexnet:conv5", metavar="NET:LAYER")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
