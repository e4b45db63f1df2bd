"""Time every unit of a layer on one photo: vizcnn against a loop of Captum's NeuronDeconvolution.

    python benchmarks/projection.py --model alexnet --layer conv5 --units 64

Random weights, the argmax position of each unit, both in one run and in turn; prints seconds and
their ratio. The two give the same pictures where Captum is right (tests/test_oracles.py).
"""

import argparse
import time
import warnings
from collections.abc import Callable

import torch
from captum.attr import NeuronDeconvolution

import vizcnn


def main() -> None:
    options = _parse()
    if options.threads:
        torch.set_num_threads(options.threads)
    model = vizcnn.load(options.model, weights=None)
    photo = torch.rand(1, 3, model.input_size, model.input_size)
    projector = vizcnn.Deconvnet(model)
    path = projector.find_path(options.layer)
    maps = projector.record(photo, [options.layer]).find_output(path).detach()
    units = list(range(min(options.units or maps.shape[1], maps.shape[1])))

    def project_all() -> None:
        projector.project(photo, layer=options.layer, unit=units)

    def loop_captum() -> None:
        oracle = NeuronDeconvolution(model.module, model.module.get_submodule(path))
        inputs = model.preprocessing.normalise(photo).requires_grad_()
        for unit in units:
            place = int(maps[0, unit].flatten().argmax())
            width = maps.shape[-1]
            oracle.attribute(inputs, (unit, place // width, place % width))

    print(f"{options.model} {options.layer}, {len(units)} units, {torch.get_num_threads()} threads")
    ours, theirs = _time_in_turn(project_all, loop_captum, options.rounds)
    print(f"vizcnn  {ours:8.2f} s\nCaptum  {theirs:8.2f} s\nratio   {theirs / ours:8.1f}")


def _time_in_turn(
    first: Callable[[], None], second: Callable[[], None], rounds: int
) -> tuple[float, float]:
    """Give the best of some rounds of each, run in turn so that both meet the same machine."""
    best = [float("inf"), float("inf")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Captum says that it sets hooks and gradients
        for _ in range(rounds):
            for index, job in enumerate((first, second)):
                began = time.perf_counter()
                job()
                best[index] = min(best[index], time.perf_counter() - began)
    return best[0], best[1]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="alexnet")
    parser.add_argument("--layer", default="conv5")
    parser.add_argument("--units", type=int, default=0, help="how many units; 0: all")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
