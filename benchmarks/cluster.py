"""Simulate mining a million photos in parts by many workers, from what the work costs here.

    python benchmarks/cluster.py
    python benchmarks/cluster.py --forward-rate 40425 --decode-rate 240 --readers 16
    python benchmarks/cluster.py --data photos/ --workers 1 8 64 --out figures/

Measured first: listing photos, starting a worker (Python, torch, the net), decoding, the forward
pass, what a photo and a part take beside them (checksums, rankings, the file), how far the times of
equal parts spread, and the merge of all parts' indexes in a tree, with made indexes of so many
photos. On a CPU the seconds are those of the processor, one thread each, so that other programs do
not count. Without --data the photos are noise of all scales, as large as ImageNet's.

Then the run is gone through event by event: photos are listed, workers start, each takes the next
part whenever it is free, and when the last part is done the indexes are merged, 16 at a time by all
workers, the last ones by one. A worker is a core; with --readers it is a GPU that computes while so
many cores read for it. With --forward-rate or --decode-rate the same is told for a worker of these
rates, such as a GPU's from benchmarks/mining.py. What is not in it: the speed of a network or a
shared disk, and machines that fail.

The time of a run is divided into what its workers do on the average, waiting for the last parts
included; what takes the most binds.
"""

import argparse
import heapq
import json
import math
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from common import (
    MINUTES,
    ROOT,
    describe_machine,
    measure_peak_memory,
    run_python,
    write_number,
    write_table,
)
from mining import make_forward, write_photos

import vizcnn
from vizcnn.basics.machine import prepare_cpu
from vizcnn.basics.pools import ExecutorPool
from vizcnn.mining.cluster import merge_groups
from vizcnn.mining.index import Identity, LayerRanking, StrongestIndex, write_index
from vizcnn.mining.lots import LOT, read_lots
from vizcnn.mining.merging import FAN, merge_files
from vizcnn.mining.photo_sets import FolderPhotos, PartOfPhotos, PhotoSet
from vizcnn.mining.run import MiningSettings, mine
from vizcnn.recording.layers import list_stages, select_layers
from vizcnn.zoo.model import ZooModel

IMAGENET = 1_281_167
"""Photos of ImageNet's training set."""
MADE_LAYERS = {
    "conv1": (96, 62),
    "conv2": (256, 15),
    "conv3": (512, 8),
    "conv4": (1024, 8),
    "conv5": (512, 8),
}
"""Units, and side of a map, of ZFNet's layers: what the made indexes hold."""
PARTS_TIMED = 5
"""Equal parts that are mined, to see how far their times spread."""
LISTED = 20_000
"""Made files that are listed, at most."""
TIMES = (("h", 3600.0), ("min", MINUTES), ("s", 1.0))

Found = TypeVar("Found")


@dataclass(frozen=True)
class Costs:
    """What the work takes, in seconds.

    Attributes:
        listing: To list all photos.
        start: To start a worker.
        part: Of a part, beside its photos.
        decode: To decode a photo, on one core.
        forward: To pass a photo through the net.
        rest: Of a photo beside those: checksum, rankings.
        readers: Cores that read for a worker; 0 where it reads by itself, before it computes.
        merged_file: To merge a file, beside its photos.
        merged_photo: To merge a file, for each of its photos.
    """

    listing: float = 0.0
    start: float = 0.0
    part: float = 0.0
    decode: float = 0.0
    forward: float = 0.0
    rest: float = 0.0
    readers: int = 0
    merged_file: float = 0.0
    merged_photo: float = 0.0

    def split_photo(self) -> dict[str, float]:
        """Give what a photo takes of a worker's time, by what it goes into.

        Where cores read for a worker, only what takes longer counts: the other goes beside it.
        """
        if not self.readers:
            return {"decode": self.decode, "forward": self.forward, "rankings": self.rest}
        if self.decode / self.readers > self.forward + self.rest:
            return {"decode": self.decode / self.readers}
        return {"forward": self.forward, "rankings": self.rest}

    def time_merge(self, photos: Sequence[int]) -> float:
        """Give the seconds of a merge of files with so many photos each."""
        return self.merged_file * len(photos) + self.merged_photo * sum(photos)


@dataclass(frozen=True)
class Outcome:
    """A simulated run.

    Attributes:
        workers: How many.
        seconds: How long it takes.
        shares: What that goes into, in seconds: their sum is the whole.
    """

    workers: int
    seconds: float
    shares: Mapping[str, float]

    def rank_shares(self) -> list[str]:
        """Name what takes the most, with its share of the time, and what comes next."""
        ranked = sorted(self.shares, key=lambda name: -self.shares[name])
        return [f"{name} {self.shares[name] / self.seconds:.0%}" for name in ranked]


def work_off(tasks: Sequence[float], free: list[float]) -> float:
    """Let each task be taken by the worker that is free first, in their order.

    Args:
        tasks: Seconds of each.
        free: When each worker is free.

    Returns:
        When the last task is done.
    """
    waiting = list(free)
    heapq.heapify(waiting)
    end = min(free)
    for seconds in tasks:
        done = waiting[0] + seconds
        heapq.heapreplace(waiting, done)
        end = max(end, done)
    return end


def simulate(
    workers: int, parts: Sequence[int], costs: Costs, factors: Sequence[float] | None = None
) -> Outcome:
    """Go through a run event by event.

    Args:
        workers: How many there are.
        parts: Photos of each part.
        costs: What the work takes.
        factors: How many times as long as usual each part takes; by default 1.
    """
    photo = costs.split_photo()
    usual = [costs.part + count * sum(photo.values()) for count in parts]
    tasks = [seconds * factor for seconds, factor in zip(usual, factors or [1] * len(usual))]  # noqa: B905
    begun = costs.listing + costs.start
    mined = work_off(tasks, [begun] * workers)
    busy = sum(tasks) / workers
    scale = busy / sum(usual) if sum(usual) else 0.0
    ended = mined
    sizes = list(parts)
    while len(sizes) > FAN:
        groups = [sizes[first : first + FAN] for first in range(0, len(sizes), FAN)]
        ended = work_off([costs.time_merge(group) for group in groups], [ended] * workers)
        sizes = [sum(group) for group in groups]
    ended += costs.time_merge(sizes)
    shares = {
        "listing": costs.listing,
        "start": costs.start,
        "parts' own": scale * costs.part * len(parts),
        **{name: scale * seconds * sum(parts) for name, seconds in photo.items()},
        "last parts": mined - begun - busy,
        "merge": ended - mined,
    }
    return Outcome(workers, ended, shares)


def divide_evenly(photos: int, parts: int) -> list[int]:
    """Give how many photos each part has, as :class:`PartOfPhotos` divides them.

    Example:
        >>> divide_evenly(10, 4)
        [3, 3, 2, 2]
    """
    return [len(range(part, photos, parts)) for part in range(parts)]


def draw_factors(spread: Sequence[float], count: int) -> list[float]:
    """Draw how long each part takes, in times of the usual, among those that were measured."""
    draw = random.Random(0)
    return [draw.choice(list(spread)) for _ in range(count)]


# what is simulated is measured first


def make_names(count: int) -> list[str]:
    """Make names such as those of ImageNet's photos, sorted."""
    folders = -(-count // 1300)
    return [
        f"n{1440764 + 13 * (number // 1300):08d}/n{1440764 + 13 * (number // 1300):08d}"
        f"_{number % 1300:05d}.JPEG"
        for number in range(folders * 1300)
    ][:count]


def make_part(names: Sequence[str], seed: int) -> StrongestIndex:
    """Make an index as large as that of a part: some photos unreadable, many values equal."""
    generator = torch.Generator().manual_seed(seed)
    count, top = len(names), 9
    layers = {}
    for name, (units, side) in MADE_LAYERS.items():
        values = torch.randint(0, 1000, (units, top), generator=generator).float()
        # nine photos of each unit, none twice: every so many-th from anywhere
        first = torch.randint(0, count, (units, 1), generator=generator)
        photos = (first + torch.arange(top) * max(count // top, 1)) % count
        order = (values.double() * 2**31 - photos).argsort(dim=1, descending=True)
        layers[name] = LayerRanking(
            name,
            f"features.{name}",
            (side, side),
            values.gather(1, order),
            photos.gather(1, order),
            torch.randint(0, side, (units, top, 2), generator=generator),
        )
    identity = Identity(
        model="zfnet",
        options={},
        weights="random weights (untrained)",
        sha256="0" * 64,
        preprocessing={"input_size": 128},
        layers=tuple((name, f"features.{name}") for name in MADE_LAYERS),
        top=top,
        per_photo=1,
    )
    return StrongestIndex(
        identity=identity,
        photos=tuple(names),
        sizes=tuple(torch.randint(20_000, 200_000, (count,), generator=generator).tolist()),
        done=count,
        digests=torch.randint(0, 256, (count, 8), dtype=torch.uint8, generator=generator),
        failures=tuple((name, f"{name!r} is cut off") for name in names[::1000]),
        layers=layers,
        machines=("made",),
    )


def merge_made(photos: int, parts: int, folder: Path) -> dict[str, Any]:
    """Merge made indexes of so many photos in a tree, in this process.

    Returns:
        The seconds of the processor of each merge with the photos of its files, of all of them
        together, and the largest memory of this process in MB.
    """
    names = make_names(photos)
    files = []
    for part in range(parts):
        files.append(folder / f"{part + 1:06d}-of-{parts:06d}.safetensors")
        write_index(make_part(names[part::parts], part), files[-1])
    del names
    merges: list[tuple[list[int], float]] = []
    sizes = divide_evenly(photos, parts)
    began = time.process_time()
    with ThreadPoolExecutor(1) as executor:
        pool = TimedPool(executor)
        joined = merge_groups(pool, files, lambda items, **options: iter(items))
    level: list[int] = sizes
    taken = iter(pool.seconds)
    while len(level) > FAN:
        groups = [level[first : first + FAN] for first in range(0, len(level), FAN)]
        merges += [(group, next(taken)) for group in groups]
        level = [sum(group) for group in groups]
    last = time.process_time()
    merge_files(joined, folder / "strongest.safetensors")
    merges.append((level, time.process_time() - last))
    memory = measure_peak_memory() / 1e6
    return {"merges": merges, "seconds": time.process_time() - began, "memory": memory}


class TimedPool:
    """A pool of one thread that takes down the processor's seconds of each item."""

    def __init__(self, executor: ThreadPoolExecutor) -> None:
        self._pool = ExecutorPool(executor)
        self.seconds: list[float] = []

    def work_through(
        self, begin: Callable[[], Any], items: Sequence[Any], name: Callable[[Any], str]
    ) -> Generator[tuple[Any, Any], None, None]:
        """Do some work for each item; see :class:`vizcnn.basics.pools.Pool`."""
        for item in items:
            began = time.process_time()
            yield from self._pool.work_through(begin, [item], name)
            self.seconds.append(time.process_time() - began)


def fit_merges(merges: Sequence[tuple[Sequence[int], float]]) -> tuple[float, float]:
    """Fit what a merge takes for each file and for each photo; neither is below nothing."""
    heads = np.array([(len(sizes), sum(sizes)) for sizes, _ in merges], float)
    taken = np.array([seconds for _, seconds in merges])
    found = np.linalg.lstsq(heads, taken, rcond=None)[0]
    if found.min() < 0:  # too small to tell them apart
        found = np.array([0.0, taken.sum() / heads[:, 1].sum()])
    return float(found[0]), float(found[1])


def measure(options: argparse.Namespace, folder: Path) -> tuple[Costs, list[float], dict[str, Any]]:
    """Measure what the work takes; give it with the spread of parts, and what the merge said."""
    model = vizcnn.load(
        options.model,
        weights=None if options.weights == "random" else options.weights,
        device=options.device,
    )
    settings = MiningSettings(layers=select_layers(model, (list_stages(model),)), workers=0)
    if options.data is None:
        write_photos(folder / "photos", options.limit, options.side)
    given = FolderPhotos([options.data or folder / "photos"], model.preprocessing)
    photos = PartOfPhotos(given, 1, math.ceil(len(given.names) / options.limit))
    count = len(photos.names)
    decoded, _ = time_best(lambda: decode_all(photos, model), options.rounds, options.device)
    forward = make_forward(model, photos, settings, math.ceil(count / LOT))
    passed, _ = time_best(forward, options.rounds, options.device)
    of_lots = math.ceil(count / LOT) * LOT
    usual, small = time_parts(model, photos, settings, folder, options)
    large = statistics.median(usual)
    # a part of one lot against one of all: what grows with the photos, and what does not
    each = max((large - small) / max(count - min(count, LOT), 1), 0.0)
    own = max(small - each * min(count, LOT), 0.0)
    told = run_python(
        ROOT,
        *(Path(__file__).resolve(), "--merge", str(options.photos), str(options.parts), folder),
    )
    merged = json.loads(told)
    per_file, per_photo = fit_merges(merged["merges"])
    costs = Costs(
        listing=time_listing(model, folder / "listed", options),
        start=time_start(options),
        part=own,
        decode=decoded / count,
        forward=passed / of_lots,
        rest=max(each - decoded / count - passed / of_lots, 0.0),
        readers=options.readers if torch.device(options.device).type == "cuda" else 0,
        merged_file=per_file,
        merged_photo=per_photo,
    )
    return costs, [seconds / large for seconds in usual], merged


def time_listing(model: ZooModel, folder: Path, options: argparse.Namespace) -> float:
    """Time how files in folders as ImageNet's are listed; scaled to all photos."""
    names = make_names(min(options.photos, LISTED))
    for place in {name.partition("/")[0] for name in names}:
        (folder / place).mkdir(parents=True)
    for name in names:
        (folder / name).write_bytes(b"x")
    taken, _ = time_best(
        lambda: FolderPhotos([folder], model.preprocessing), options.rounds, options.device
    )
    return float(taken * options.photos / len(names))


def decode_all(photos: PhotoSet, model: ZooModel) -> None:
    for _ in read_lots(photos, 0, model.input_size, 0, pin=False):
        pass


def time_parts(
    model: ZooModel,
    photos: PhotoSet,
    settings: MiningSettings,
    folder: Path,
    options: argparse.Namespace,
) -> tuple[list[float], float]:
    """Time equal parts, and a part of one lot: the best of as many."""
    few = PartOfPhotos(photos, 1, max(len(photos.names) // LOT, 1))
    whole: list[float] = []
    small: list[float] = []
    for number in range(PARTS_TIMED):
        for taken, some in ((whole, photos), (small, few)):
            file = folder / f"{number}-{len(some.names)}"
            file.unlink(missing_ok=True)
            taken.append(time_best(lambda: mine(model, some, file, settings), 1, options.device)[0])  # noqa: B023
    return whole, min(small)


def time_start(options: argparse.Namespace) -> float:
    """Time a process that loads the net: of the processor, as all of it is work."""
    weights = None if options.weights == "random" else options.weights
    code = (
        f"import time, vizcnn; vizcnn.load({options.model!r}, weights={weights!r}, "
        f"device={options.device!r}); print(time.process_time())"
    )
    return min(float(run_python(ROOT, "-c", code)) for _ in range(options.rounds))


def time_best(work: Callable[[], Found], rounds: int, device: str) -> tuple[float, Found]:
    """Give the least seconds that some work took, and what it gave."""
    clock = time.perf_counter if torch.device(device).type == "cuda" else time.process_time
    best = math.inf
    for _ in range(rounds):
        began = clock()
        found = work()
        best = min(best, clock() - began)
    return best, found


# what is told


def report_costs(costs: Costs, spread: Sequence[float], merged: Mapping[str, Any]) -> str:
    """Write what was measured as a table."""
    rows = [
        ("to list all photos", costs.listing),
        ("to start a worker", costs.start),
        ("a part, beside its photos", costs.part),
        ("to decode a photo", costs.decode),
        ("a photo's forward pass", costs.forward),
        ("a photo, beside both", costs.rest),
        ("to merge all parts, one after the other", float(merged["seconds"])),
    ]
    least, most = min(spread), max(spread)
    line = (
        f"equal parts took {least:.2f} to {most:.2f} times their median; the merge needed "
        f"{merged['memory'] / 1000:.2f} GB at most"
    )
    return "\n\n".join([line, write_table(("what", "seconds"), rows)])


def report_runs(title: str, outcomes: Sequence[Outcome], photos: int) -> str:
    """Write simulated runs as a table."""
    heads = ("workers", "time", "photos/s", "efficiency", "binds", "then", "then")
    rows = [
        (
            run.workers,
            tell_time(run.seconds),
            photos / run.seconds,
            f"{find_efficiency(outcomes, run):.0%}",
            *run.rank_shares()[:3],
        )
        for run in outcomes
    ]
    return "\n\n".join([title, write_table(heads, rows)])


def tell_time(seconds: float) -> str:
    """Tell a time in hours, minutes or seconds.

    Example:
        >>> tell_time(5400), tell_time(90), tell_time(9.876)
        ('1.50 h', '1.50 min', '9.88 s')
    """
    name, length = next(unit for unit in TIMES if seconds >= unit[1] or unit[1] == 1)
    return f"{write_number(seconds / length)} {name}"


def find_efficiency(outcomes: Sequence[Outcome], run: Outcome) -> float:
    """Give how much of its workers' time a run needs, by the run with the fewest."""
    fewest = min(outcomes, key=lambda outcome: outcome.workers)
    return fewest.seconds * fewest.workers / (run.seconds * run.workers)


def draw(curves: Mapping[str, Sequence[Outcome]], file: Path) -> None:
    """Draw time and efficiency by the number of workers, with what binds beside each point."""
    from matplotlib.figure import Figure

    from vizcnn.drawing.saving import save_figure

    figure = Figure(figsize=(10, 4.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for number, (title, outcomes) in enumerate(curves.items()):
        workers = [run.workers for run in outcomes]
        (line,) = left.loglog(workers, [run.seconds for run in outcomes], marker="o", label=title)
        colour = line.get_color()
        ideal = outcomes[0].seconds * workers[0]
        left.loglog(workers, [ideal / count for count in workers], "--", color=colour, lw=0.8)
        shares = [100 * find_efficiency(outcomes, run) for run in outcomes]
        right.semilogx(workers, shares, marker="o", color=colour)
        former = ""
        for run, share in zip(outcomes, shares, strict=True):
            binds = run.rank_shares()[0].rpartition(" ")[0]
            if binds != former:
                # of two curves above and below; the curves fall to the right
                place, side = ((4, 6), "left") if number == 0 else ((-4, -15), "right")
                if run is outcomes[0]:
                    side = "left"
                right.annotate(
                    binds,
                    (run.workers, share),
                    place,
                    textcoords="offset points",
                    ha=side,
                    color=colour,
                )
            former = binds
    seconds = [run.seconds for outcomes in curves.values() for run in outcomes]
    ticks = [1, 10, 60, 600, 3600, 36_000, 360_000]
    left.set_yticks(ticks, ["1 s", "10 s", "1 min", "10 min", "1 h", "10 h", "100 h"])
    left.set_ylim(min(seconds) / 4, max(seconds) * 2)
    right.set_ylim(0, 112)
    names = (
        "time (dashed: divided by the workers)",
        "efficiency in %; what binds from here on",
    )
    for axes, name in zip((left, right), names, strict=True):
        axes.set_xlabel("workers")
        axes.set_title(name, fontsize=11)
        axes.set_xticks(workers, [str(count) for count in workers])
        axes.minorticks_off()
        axes.grid(visible=True, alpha=0.3)
    figure.legend(loc="outside lower center", ncols=1, frameon=False)
    file.parent.mkdir(parents=True, exist_ok=True)
    save_figure(figure, file)


def main() -> None:
    options = _parse()
    if options.merge:
        photos, parts, folder = options.merge
        torch.set_num_threads(1)
        with tempfile.TemporaryDirectory(dir=folder) as place:
            print(json.dumps(merge_made(int(photos), int(parts), Path(place))))
        return
    prepare_cpu(options.threads)
    with tempfile.TemporaryDirectory() as made:
        costs, spread, merged = measure(options, Path(made))
    print(f"{describe_machine(options.device)}; {options.model}")
    print("\n" + report_costs(costs, spread, merged))
    scenes = {"a worker as measured": costs}
    if options.forward_rate or options.decode_rate:
        decode = 1 / options.decode_rate if options.decode_rate else costs.decode
        forward = 1 / options.forward_rate if options.forward_rate else costs.forward
        title = (
            f"a worker that passes {write_number(1 / forward)} photos/s through the net, and "
            f"{options.readers or 'no'} reader(s) of {write_number(1 / decode)} photos/s each"
        )
        rest = 0.0 if options.forward_rate else costs.rest  # which is of this processor
        scenes[title] = replace(
            costs, forward=forward, decode=decode, rest=rest, readers=options.readers
        )
    sizes = divide_evenly(options.photos, options.parts)
    factors = draw_factors(spread, options.parts)
    curves = {
        title: [simulate(count, sizes, scene, factors) for count in options.workers]
        for title, scene in scenes.items()
    }
    for title, outcomes in curves.items():
        told = f"{options.photos:,} photos in {options.parts} parts, {title}"
        print("\n" + report_runs(told, outcomes, options.photos))
    if options.out:
        draw(curves, options.out / "cluster.png")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="zfnet")
    parser.add_argument("--weights", default="auto", help="as for vizcnn mine; or random")
    parser.add_argument("--data", type=Path, help="a folder of photos; default: made ones")
    parser.add_argument("--limit", type=int, default=256, help="photos of a part, to measure")
    parser.add_argument("--side", type=int, default=375, help="shorter side of made photos, px")
    parser.add_argument("--photos", type=int, default=IMAGENET, help="to be simulated")
    parser.add_argument("--parts", type=int, default=512)
    parser.add_argument(
        "--workers", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64, 128, 256]
    )
    parser.add_argument("--forward-rate", type=float, help="photos/s of another worker")
    parser.add_argument("--decode-rate", type=float, help="photos/s of one of its cores")
    parser.add_argument(
        "--readers", type=int, default=0, help="cores that read for a worker; 0: it does so itself"
    )
    parser.add_argument("--out", type=Path, help="a folder for the figure, cluster.png")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="of a worker")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--merge", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
