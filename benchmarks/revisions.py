"""Time the same work by the working tree and by other revisions, in turn, each in its own process.

    python benchmarks/revisions.py --against 0.1.0
    python benchmarks/revisions.py --against main --only projection

All units of a layer on one photo (after a first time, the forward pass included), the commands
``deconv``, ``mine`` and ``gallery`` from start to end, and ``train`` (its steps). No projection is
compared with others, as 0.1.0 compared none. The best of some rounds counts. The weights are random
and the photos noise, which takes as long as real ones.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from common import (
    NOW,
    ROOT,
    CannotRunError,
    describe_machine,
    divide,
    run_python,
    take_turns,
    unpack_revision,
    write_row,
    write_table,
)

LAYERS = (
    "torchvision-alexnet:conv5",
    "torchvision-alexnet:conv3",
    "torchvision-alexnet:conv2",
    "vgg16:conv3_3",
    "alexnet:fc6:16",
)
"""Net and layer, and how many units where not all: fc6 goes over the full image."""
KINDS = ["projection", "deconv", "mine", "gallery", "train"]
Work = tuple[str, Callable[[Path], float]]
"""What a row calls it, and what measures its seconds by a tree."""


def main() -> None:
    options = _parse()
    if options.measure:
        print(json.dumps(measure_layer(options.measure, options)))
        return
    with ExitStack() as stack:
        trees = {NOW: ROOT}
        for revision in options.against:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            try:
                trees[revision] = unpack_revision(revision, Path(folder))
            except CannotRunError as error:
                print(f"left out: {error}\n", flush=True)
        photos = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        write_photos(photos, options.photos)
        print(describe_machine(options.device, options.threads) + "\n")
        others = [name for name in trees if name != NOW]
        heads = ["seconds", NOW, *others, *(f"{name} / {NOW}" for name in others)]
        print(write_table(heads, []))
        for title, measure in list_work(photos, options):
            taken = take_turns(trees, measure, options.rounds)
            ratios = [divide(taken[name], taken[NOW]) for name in others]
            print(write_row([title, *taken.values(), *ratios]), flush=True)


def list_work(photos: Path, options: argparse.Namespace) -> Iterator[Work]:
    if "projection" in options.only:
        for pair in options.layer or LAYERS:
            name, layer, *count = pair.split(":")
            title = f"{count[0] if count else 'all'} units of {name} {layer}"
            yield title, partial(ask_layer, pair=pair, options=options)
    if "deconv" in options.only:
        title = "`vizcnn deconv` of one photo, zfnet conv1-conv5"
        yield title, partial(time_deconv, photos=photos, options=options)
    if "mine" in options.only:
        title = f"`vizcnn mine` of {options.photos} photos, zfnet conv1-conv5"
        yield title, partial(time_mining, photos=photos, options=options)
    if "gallery" in options.only:
        title = f"`vizcnn gallery` of {options.photos} photos, zfnet conv3 (3,456 projections)"
        yield title, partial(time_gallery, photos=photos, options=options)
    if "train" in options.only:
        title = "`vizcnn train`, two epochs of zfnet at 64 px, 32 photos a step"
        yield title, partial(time_training, photos=photos, options=options)


def ask_layer(tree: Path, pair: str, options: argparse.Namespace) -> float:
    told = run_python(
        tree,
        *(Path(__file__).resolve(), "--measure", pair, "--device", options.device),
        *("--threads", str(options.threads), "--rounds", str(options.rounds)),
    )
    return float(json.loads(told))


def measure_layer(pair: str, options: argparse.Namespace) -> float:
    """Time a layer by whatever vizcnn is imported; what is used has been there since 0.1.0."""
    import torch

    import vizcnn

    torch.set_num_threads(options.threads)
    name, layer, *count = pair.split(":")
    model = vizcnn.load(name, weights=None, device=torch.device(options.device))
    side = model.input_size
    photo = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    photo = photo.to(options.device)
    projector = vizcnn.Deconvnet(model)
    recording = projector.record(photo, [layer])
    every = recording.find_output(projector.find_path(layer)).shape[1]
    units = list(range(int(count[0]) if count else every))
    seconds = []
    for _ in range(options.rounds + 1):
        began = time.perf_counter()
        projector.project(photo, layer, units)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return min(seconds[1:])


def time_deconv(tree: Path, photos: Path, options: argparse.Namespace) -> float:
    photo, alone = min(photos.rglob("*.jpg")), find_alone(tree, "deconv")
    return time_command(tree, options, "deconv", "--image", photo, "--out", "out", *alone)


def time_mining(tree: Path, photos: Path, options: argparse.Namespace) -> float:
    return time_command(tree, options, "mine", "--data", photos, "--out", "index")


def time_gallery(tree: Path, photos: Path, options: argparse.Namespace) -> float:
    work = ("--layer", "conv3", "--out", "out", *find_alone(tree, "gallery"))
    return time_command(tree, options, "gallery", "--data", photos, *work)


def find_alone(tree: Path, command: str) -> tuple[str, ...]:
    """Give the options with which a command compares no projection with others."""
    told = run_python(tree, "-m", "vizcnn", command, "--help")
    return ("--compare", "none") if "--compare" in told else ()


def time_command(tree: Path, options: argparse.Namespace, *words: str | Path) -> float:
    command = ("-m", "vizcnn", *words, "--model", "zfnet", "--weights", "random")
    began = time.perf_counter()
    run_python(tree, *command, "--device", options.device)
    return time.perf_counter() - began


def time_training(tree: Path, photos: Path, options: argparse.Namespace) -> float:
    with tempfile.TemporaryDirectory() as out:
        command = ["-m", "vizcnn", "train", "--model", "zfnet", "--data", str(photos), "--json"]
        command += ["--out", f"{out}/run", "--epochs", "2", "--crop", "64", "--batch", "32"]
        command += ["--device", options.device, "--threads", str(options.threads)]
        told = [json.loads(line) for line in run_python(tree, *command).splitlines()]
        return sum(float(record["seconds"]) for record in told if "epoch" in record)


def write_photos(folder: Path, count: int) -> None:
    """Write photos of noise in two classes, for training and validation."""
    import numpy as np
    from PIL import Image

    generator = np.random.default_rng(0)
    for number in range(count):
        part = "val" if number % 8 == 0 else "train"
        place = folder / part / "ab"[number // 8 % 2]
        place.mkdir(parents=True, exist_ok=True)
        coarse = generator.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((160, 144), Image.Resampling.BICUBIC)
        image.save(place / f"{number:05d}.jpg", quality=90)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--against", action="append", default=[], metavar="REVISION")
    parser.add_argument("--only", action="append", choices=KINDS)
    parser.add_argument(
        "--layer", action="append", metavar="NET:LAYER[:UNITS]", help="may be repeated"
    )
    parser.add_argument("--photos", type=int, default=300)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--measure", metavar="NET:LAYER", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.only = options.only or KINDS
    return options


if __name__ == "__main__":
    main()
