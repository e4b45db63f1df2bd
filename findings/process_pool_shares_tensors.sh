#!/bin/sh
# torch 2.13.0, numpy 2.4.6, Python's concurrent.futures: a tensor that a process pool gave back
# still changes when the worker goes on.
#
# A worker keeps a running total, adds to it in each task and returns it. Guess beforehand: the
# caller gets a copy as of the end of each task, as it does of a numpy array. Seen, by fork and by
# spawn: importing torch makes Python's own queues send tensors as shared memory, so the first
# result reads as the second as soon as the second task has run. It is the same on the way there: a
# task that scales its argument in place scales the caller's tensor. Nothing warns.
# Who gathers partial results has to clone them in the worker, or to send bytes or numpy arrays.
# Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6
cat >"$folder/program.py" <<'PYTHON'
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import torch

TOTALS = {"torch": torch.zeros(3), "numpy": np.zeros(3)}


def add(kind):
    TOTALS[kind] += 1
    return TOTALS[kind]


def scale(values):
    values *= 10
    return None


def run(kind, values, method):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
        first = pool.submit(add, kind).result()
        before = first.tolist()
        pool.submit(add, kind).result()
        pool.submit(scale, values).result()
        return before, first.tolist(), values.tolist()


if __name__ == "__main__":
    print("Python", sys.version.split()[0], "torch", torch.__version__, "numpy", np.__version__)
    for method in ("fork", "spawn"):
        for kind, values in (("numpy", np.ones(2)), ("torch", torch.ones(2))):
            before, after, argument = run(kind, values, method)
            print(f"{method}, {kind}: result of the first task {before}, after the second {after};",
                  f"the caller's argument of ones {argument}")
            assert before == [1, 1, 1]
            shared = kind == "torch"
            assert after == ([2, 2, 2] if shared else [1, 1, 1]), "results are copies now"
            assert argument == ([10, 10] if shared else [1, 1]), "arguments are copies now"
PYTHON
OMP_NUM_THREADS=1 "$folder/venv/bin/python" "$folder/program.py"
