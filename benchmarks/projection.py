"""Time every unit of layers on one photo: vizcnn against a loop of Captum's NeuronDeconvolution.

    python benchmarks/projection.py
    python benchmarks/projection.py --layer vgg16:conv4_3 --captum-units 32

Random weights, the argmax place of each unit, both in one run and in turn, forward passes included.
Beside the ratio stands the time that the cone's own multiplications would take at the rate of the
machine's best convolution, and how many times that vizcnn takes for the projections (the forward
pass, which is not part of the cone, has a column of its own). The two give the same pictures
wherever Captum is right (tests/projection/test_oracles.py). The rate is measured anew beside every
row. The second table times top-9 projections over photos: the search for the strongest places,
which both need, has a column of its own; of Captum's loop, which runs the photo anew for every
unit, a sample is timed and scaled. The third table times the same projections without and with a
comparison with other active units of their places (``--compare 3`` of ``vizcnn gallery``), in turn,
of the places that some of the photos hold.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from captum.attr import NeuronDeconvolution
from common import describe_machine, measure_peak_memory
from torch import Tensor
from torch.nn import functional as F

import vizcnn
from vizcnn.basics.devices import choose_device
from vizcnn.mining.passes import watch_layers
from vizcnn.projection.active_units import Compare
from vizcnn.projection.cone import Cone
from vizcnn.projection.targets import find_first_maximum, units_at
from vizcnn.recording.backward import Way
from vizcnn.recording.graph import trace_nodes
from vizcnn.zoo.model import ZooModel

PAIRS = (
    "torchvision-alexnet:conv5",
    "torchvision-alexnet:conv3",
    "torchvision-alexnet:conv2",
    "vgg16:conv3_3",
    "vgg16:conv4_3",
)
LOT = 16
"""Photos in a forward pass of the second table."""


@dataclass(frozen=True)
class Job:
    """A layer of a net on a photo, all of its units."""

    model: ZooModel
    projector: vizcnn.Deconvnet
    layer: str
    photo: Tensor

    @property
    def units(self) -> list[int]:
        return list(range(self.maps().shape[1]))

    def maps(self) -> Tensor:
        path = self.projector.find_path(self.layer)
        return self.projector.record(self.photo, [self.layer]).find_output(path).detach()


def main() -> None:
    options = _parse()
    if options.threads:
        torch.set_num_threads(options.threads)
    device = torch.device(choose_device(options.device))
    print(describe_machine(device))
    print("\n| layer | units | vizcnn s | Captum s | ratio | forward s | cone's own s | times it |")
    print("|---|---|---|---|---|---|---|---|")
    for pair in options.layer or PAIRS:
        print(compare(make_job(pair, device), options), flush=True)
    if options.photos:
        print(f"\ntop-9 projections over {options.photos} photos (coloured noise)\n")
        print("| layer | search s | projections | vizcnn s | Captum s, scaled | ratio |")
        print("|---|---|---|---|---|---|")
        for pair in options.layer or PAIRS[:1]:
            print(compare_galleries(make_job(pair, device), options), flush=True)
        print("\nprojections, and the same compared with other active units of their places\n")
        print("| layer | projections | alone s | with | s | ratio |")
        print("|---|---|---|---|---|---|")
        for pair in options.layer or PAIRS[:1]:
            job = make_job(pair, device)
            places = mine_noise(job, options.photos)
            for others in options.compare or [3]:
                print(compare_with_others(job, places, others, options), flush=True)
    print(f"\npeak memory {_peak_memory(device):.0f} MiB")


def make_job(pair: str, device: torch.device) -> Job:
    name, _, layer = pair.partition(":")
    model = vizcnn.load(name, weights=None, device=device)
    generator = torch.Generator().manual_seed(0)
    photo = torch.rand(1, 3, model.input_size, model.input_size, generator=generator)
    return Job(model, vizcnn.Deconvnet(model), layer, photo.to(device))


def compare(job: Job, options: argparse.Namespace) -> str:
    """Time both on one photo; give a row of the table."""
    units, device = job.units, job.photo.device
    rate = measure_rate(device)
    sample = units[: options.captum_units] if options.captum_units else units
    ours, theirs, forward = time_in_turn(
        (
            lambda: job.projector.project(job.photo, job.layer, units),
            lambda: loop_captum(job, sample),
            job.maps,
        ),
        options.rounds,
    )
    theirs *= len(units) / len(sample)
    ideal = count_multiply_adds(job, units) / max(rate, measure_rate(device))
    times = (ours - forward) / ideal
    return (
        f"| {job.model.name} {job.layer} | {len(units)} | {ours:.3f} | {theirs:.2f} "
        f"| {theirs / ours:.0f} | {forward:.3f} | {ideal:.3f} | {times:.1f} |"
    )


def loop_captum(job: Job, units: list[int]) -> None:
    path = job.projector.find_path(job.layer)
    oracle = NeuronDeconvolution(job.model.module, job.model.module.get_submodule(path))
    inputs = job.model.preprocessing.normalise(job.photo).requires_grad_()
    maps = job.maps()[0]
    width = maps.shape[-1]
    for unit in units:
        place = int(maps[unit].flatten().argmax())
        oracle.attribute(inputs, (unit, place // width, place % width))


def count_multiply_adds(job: Job, units: list[int]) -> int:
    recording = job.projector.record(job.photo, [job.layer])
    output = recording.find_output(job.projector.find_path(job.layer))
    leaf = recording.find_input()
    cone = Cone(leaf, trace_nodes(output, leaf), Way())
    return cone.count_multiply_adds(units_at(output, units))


def compare_galleries(job: Job, options: argparse.Namespace) -> str:
    """Time top-9 over many photos; give a row of the table."""
    began = time.perf_counter()
    places = mine_noise(job, options.photos)
    searched = time.perf_counter()
    count = project_noise(job, places)
    ended = time.perf_counter()
    sample = job.units[: options.captum_units or 64]
    loop_captum(job, sample)
    _synchronise(job.photo.device)
    theirs = (time.perf_counter() - ended) / len(sample) * count
    ours = ended - searched
    return (
        f"| {job.model.name} {job.layer} | {searched - began:.2f} | {count} | {ours:.2f} "
        f"| {theirs:.1f} | {theirs / ours:.1f} |"
    )


def compare_with_others(
    job: Job, places: Tensor, others: Compare, options: argparse.Namespace
) -> str:
    """Time projections of the first photos without and with others; give a row of the table."""
    kept = places[:, :, 0] < options.compare_photos
    alone, compared = time_in_turn(
        (
            lambda: project_noise(job, places, kept),
            lambda: project_noise(job, places, kept, others),
        ),
        options.rounds,
    )
    return (
        f"| {job.model.name} {job.layer} | {int(kept.sum())} | {alone:.2f} | {others} "
        f"| {compared:.2f} | {compared / alone:.1f} |"
    )


def make_lot(job: Job, number: int, size: int) -> Tensor:
    """Make photos of noise whose patches differ, the same ones for the same number."""
    generator = torch.Generator().manual_seed(number)
    coarse = torch.rand(size, 3, 16, 16, generator=generator)
    side = job.model.input_size
    return F.interpolate(coarse, (side, side), mode="bicubic").clamp(0, 1).to(job.photo.device)


def mine_noise(job: Job, photos: int) -> Tensor:
    """Give photo, row and column of the nine strongest places of every unit, (U, 9, 3)."""
    values: list[Tensor] = []
    places: list[Tensor] = []

    def see(name: str, maps: Tensor) -> None:
        values.append(maps.flatten(2).amax(2))
        first = find_first_maximum(maps.flatten(2))
        places.append(torch.stack([first // maps.shape[-1], first % maps.shape[-1]], 2))

    layers = {job.layer: job.projector.find_path(job.layer)}
    with watch_layers(job.model.module, layers) as run:
        for number in range(-(-photos // LOT)):
            lot = make_lot(job, number, min(LOT, photos - number * LOT))
            run(job.model.preprocessing.normalise(lot), see)
    best = torch.cat(values).topk(min(9, photos), dim=0).indices.t()
    where = torch.cat(places).transpose(0, 1)
    return torch.cat([best[..., None], where.gather(1, best[..., None].expand(-1, -1, 2))], 2).cpu()


def project_noise(
    job: Job, places: Tensor, kept: Tensor | None = None, compare: Compare | None = None
) -> int:
    kept = torch.ones(places.shape[:2], dtype=torch.bool) if kept is None else kept
    units = torch.arange(len(places))[:, None].expand(kept.shape)[kept]
    photo, row, column = places[kept].unbind(1)
    for number in (photo // LOT).unique().tolist():
        rows = photo // LOT == number
        lot = make_lot(job, number, int(photo[rows].max()) % LOT + 1)
        recording = job.projector.record(lot, [job.layer])
        positions = torch.column_stack([row[rows], column[rows]])
        job.projector.project_places(
            recording, job.layer, photo[rows] % LOT, units[rows], positions, compare
        )
    _synchronise(job.photo.device)
    return len(units)


def measure_rate(device: torch.device) -> float:
    """Give the multiply-adds per second of the fastest of some plain convolutions."""
    rates = []
    for channels, side, batch in ((64, 56, 16), (128, 28, 32), (256, 14, 32), (512, 14, 16)):
        maps = torch.rand(batch, channels, side, side, device=device)
        filters = torch.rand(channels, channels, 3, 3, device=device)

        def run(maps: Tensor = maps, filters: Tensor = filters) -> None:
            F.conv2d(maps, filters, padding=1)
            _synchronise(device)

        run()
        (seconds,) = time_in_turn((run,), 5)
        rates.append(batch * side * side * filters.numel() / seconds)
    return max(rates)


def time_in_turn(jobs: tuple[Callable[[], object], ...], rounds: int) -> list[float]:
    """Give the best of some rounds of each, run in turn so that all meet the same machine."""
    best = [float("inf")] * len(jobs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Captum says that it sets hooks and gradients
        for _ in range(rounds):
            for index, job in enumerate(jobs):
                began = time.perf_counter()
                job()
                if torch.cuda.is_available():
                    torch.cuda.synchronize()
                best[index] = min(best[index], time.perf_counter() - began)
    return best


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _peak_memory(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return measure_peak_memory() / 2**20


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--layer", action="append", metavar="NET:LAYER", help="may be repeated")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument(
        "--captum-units", type=int, default=0, help="time Captum on so many units; 0: all"
    )
    parser.add_argument(
        "--photos", type=int, default=1000, help="photos of the second table; 0: none"
    )
    parser.add_argument(
        "--compare",
        action="append",
        type=lambda text: text if text == "all" else int(text),
        metavar="N|all",
        help="other units of the third table; may be repeated",
    )
    parser.add_argument(
        "--compare-photos", type=int, default=64, help="photos whose places the third table takes"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
