#!/bin/sh
# torch 2.13.0: a program without a symbol in it loads sympy, a computer algebra, at its first
# gradient that is given a signal, or at its first unravelled index.
#
# torch.autograd.grad of a sum loads nothing. With grad_outputs (as each tool that sends a signal
# back through a net calls it), with is_grads_batched, torch.unravel_index of a single number and a
# convolution on the meta device all import torch.fx.experimental.symbolic_shapes and with it sympy:
# a quarter to half a second on the first call. Tensor.backward and torch.vmap do not.
# Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6
for case in sum backward vmap given batched index meta; do
"$folder/venv/bin/python" -W ignore - "$case" <<'PYTHON'
import sys
import time

import torch

case = sys.argv[1]
photo = torch.rand(2, 3, 8, 8, requires_grad=True)
scores = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 8), torch.nn.ReLU())(photo).flatten(1)
assert "sympy" not in sys.modules
began = time.perf_counter()
if case == "sum":
    torch.autograd.grad(scores.sum(), photo)
elif case == "backward":
    scores.sum().backward()
elif case == "vmap":
    torch.vmap(lambda value: value * 2)(torch.ones(3))
elif case == "given":
    torch.autograd.grad(scores, photo, torch.ones_like(scores))
elif case == "batched":
    torch.autograd.grad(scores, photo, torch.ones(3, *scores.shape), is_grads_batched=True)
elif case == "index":
    torch.unravel_index(torch.tensor([5]), (3, 4))
else:
    torch.conv2d(torch.ones(1, 3, 8, 8, device="meta"), torch.ones(4, 3, 3, 3, device="meta"))
loaded = "sympy" in sys.modules
print(torch.__version__, case, "loads sympy:", loaded, f"{time.perf_counter() - began:.2f} s")
assert loaded == (case in ("given", "batched", "index", "meta")), "another case loads it now"
PYTHON
done
