#!/bin/sh
# torch 2.13.0: a torch function mode sees nothing of a checkpoint's recomputation.
#
# torch.utils.checkpoint (use_reentrant=False) runs its part again in the backward pass. Although
# the mode below is active around both passes, it sees the part's relu once, in the forward pass:
# what a mode counts or replaces there is computed anew without it.
# Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import torch
from torch.overrides import TorchFunctionMode
from torch.utils.checkpoint import checkpoint

runs = 0


class Watch(TorchFunctionMode):
    seen = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.seen += func is torch.relu
        return func(*args, **(kwargs or {}))


def part(x):
    global runs
    runs += 1
    return torch.relu(x * 2) * 3


x = torch.randn(8, requires_grad=True)
with Watch() as watch:
    y = checkpoint(part, x, use_reentrant=False).sum()
    y.backward()
print(torch.__version__, "the part ran", runs, "times, the mode saw relu", watch.seen, "times")
assert (runs, watch.seen) == (2, 1)
PYTHON
