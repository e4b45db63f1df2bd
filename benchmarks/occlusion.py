"""Time hiding squares from a unit: vizcnn on windows, on full passes, a plain loop, and Captum.

    python benchmarks/occlusion.py
    python benchmarks/occlusion.py --layer zfnet:conv2 --stride 8

A unit of each layer at the middle of its map, squares and steps as ``vizcnn occlude`` has them by
default, random weights where none are bundled. All four take turns and the best round of each
counts. The loop runs the net, as far as the layer, once for every square; full passes are batches
of vizcnn's; Captum's ``Occlusion`` evaluates as many squares at a time as vizcnn's full batches.
The last two columns are the largest differences of the drops from the loop's, in shares of the
unit's largest value under any square.
"""

import argparse
import time
import warnings
from collections.abc import Callable

import torch
from captum.attr import Occlusion
from common import describe_machine, write_row
from torch import Tensor

import vizcnn
from vizcnn.attribution.gradients import AT_ONCE
from vizcnn.attribution.hidden_passes import HiddenPasses
from vizcnn.attribution.readout import read_layers
from vizcnn.basics.devices import choose_device
from vizcnn.basics.errors import WeightsError
from vizcnn.measures.occlusion_maps import Grid, place_grid
from vizcnn.zoo.model import ZooModel

LAYERS = ("zfnet:conv1", "zfnet:conv2", "zfnet:conv3", "zfnet:conv5", "googlenet-paper:conv3")
HEADS = (
    "layer",
    "squares",
    "windows s",
    "full passes s",
    "loop s",
    "Captum s",
    "loop / windows",
    "Captum / windows",
    "off the loop",
    "Captum off",
)
GREY = 0.5


def main() -> None:
    options = _parse()
    if options.threads:
        torch.set_num_threads(options.threads)
    device = torch.device(choose_device(options.device))
    print(describe_machine(device))
    print("\n| " + " | ".join(HEADS) + " |")
    print("|" + "---|" * len(HEADS), flush=True)
    for pair in options.layer or LAYERS:
        print(compare(pair, device, options), flush=True)


def compare(pair: str, device: torch.device, options: argparse.Namespace) -> str:
    """Time one layer: a row of the table."""
    name, _, layer = pair.partition(":")
    model = load(name).to(device)
    pixels = model.read("chelsea")
    grid = place_grid(*pixels.shape[-2:], options.side, options.stride)
    with torch.no_grad():
        maps = read_layers(model, pixels, [layer])[layer].maps
    unit = int(maps.flatten(2).amax(2)[0].argmax())
    place = (maps.shape[2] // 2, maps.shape[3] // 2)
    ways: dict[str, Callable[[], Tensor]] = {
        "windows": lambda: hide(model, pixels, grid, layer, unit, place, True),
        "full": lambda: hide(model, pixels, grid, layer, unit, place, False),
        "loop": lambda: loop(model, pixels, grid, layer, unit, place),
        "Captum": lambda: ask_captum(model, pixels, grid, layer, unit, place),
    }
    clock = time.process_time if options.processor else time.perf_counter
    seconds: dict[str, float] = {}
    values: dict[str, Tensor] = {}
    for _ in range(options.rounds):
        for way, run in ways.items():
            begin = clock()
            values[way] = run()
            taken = clock() - begin
            seconds[way] = min(seconds.get(way, taken), taken)
    scale = float(values["loop"].abs().max()) or 1.0
    off = float((values["windows"] - values["loop"]).abs().max()) / scale
    captum_off = "-"
    if grid.stride == grid.side:
        captum_off = f"{float((values['Captum'] - values['loop']).abs().max()) / scale:.1e}"
    best = seconds["windows"]
    return write_row(
        [
            f"{name} {layer}",
            len(grid.squares.corners),
            best,
            seconds["full"],
            seconds["loop"],
            seconds["Captum"],
            seconds["loop"] / best,
            seconds["Captum"] / best,
            f"{off:.1e}",
            captum_off,
        ]
    )


def load(name: str) -> ZooModel:
    """Load a net with its bundled weights, or random ones."""
    try:
        return vizcnn.load(name, weights="bundled")
    except WeightsError:
        return vizcnn.load(name, weights=None)


def hide(
    model: ZooModel,
    pixels: Tensor,
    grid: Grid,
    layer: str,
    unit: int,
    place: tuple[int, int],
    windows: bool,
) -> Tensor:
    """Give the unit's values by vizcnn."""
    grey = torch.full_like(pixels, GREY)
    units = torch.tensor([unit])
    passes = HiddenPasses(model, pixels, grid.squares, grey, layer, units, place, windows=windows)
    found = [reading.values for _, reading in passes.run()]
    return torch.cat([values for values in found if values is not None])[:, 0].double().cpu()


def _read(model: ZooModel, images: Tensor, layer: str, unit: int, place: tuple[int, int]) -> Tensor:
    with torch.no_grad():
        maps = read_layers(model, images, [layer])[layer].maps
    return maps[:, unit, place[0], place[1]]


def loop(
    model: ZooModel, pixels: Tensor, grid: Grid, layer: str, unit: int, place: tuple[int, int]
) -> Tensor:
    """Give the unit's values by a pass for each square."""
    values = []
    for top, left in grid.squares.corners:
        image = pixels.clone()
        image[..., top : top + grid.side, left : left + grid.side] = GREY
        values.append(_read(model, image, layer, unit, place).double().cpu())
    return torch.cat(values)


def ask_captum(
    model: ZooModel, pixels: Tensor, grid: Grid, layer: str, unit: int, place: tuple[int, int]
) -> Tensor:
    """Give the unit's values by Captum: of overlapping squares these are means, not values."""
    whole = _read(model, pixels, layer, unit, place)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = Occlusion(lambda images: _read(model, images, layer, unit, place)).attribute(
            pixels,
            (3, grid.side, grid.side),
            (3, grid.stride, grid.stride),
            baselines=GREY,
            perturbations_per_eval=AT_ONCE,
        )
    drops = found[0, 0][list(grid.tops)][:, list(grid.lefts)].flatten()
    return (whole.cpu() - drops.cpu()).double()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--layer", action="append", metavar="NET:LAYER")
    parser.add_argument("--side", type=int)
    parser.add_argument("--stride", type=int)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument(
        "--processor",
        action="store_true",
        help="seconds of all threads together, which other programs do not lengthen",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
