#!/bin/sh
# torch 2.13.0: a program that compiles nothing loads torch's compiler at its first recorded operation.
#
# The first operation under a TorchDispatchMode (as tools that count or record operations have one),
# and the first ReLU of a tensor on the meta device (as they are used to find the shapes in a net),
# import torch._dynamo with torch._inductor: about a second, and a folder torchinductor_USER in the
# temporary folder. A function mode does not, and neither does a convolution on the meta device.
# Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6
mkdir "$folder/temporary"
for case in plain function dispatch convolution relu; do
TMPDIR="$folder/temporary" "$folder/venv/bin/python" -W ignore - "$case" <<'PYTHON'
import os
import sys
import tempfile
import time

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode


class Function(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


class Dispatch(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


case, one = sys.argv[1], torch.ones(1, 3, 8, 8)
assert "torch._dynamo" not in sys.modules
began = time.perf_counter()
if case == "plain":
    one.relu()
elif case == "function":
    with Function():
        one.relu()
elif case == "dispatch":
    with Dispatch():
        one.relu()
elif case == "convolution":
    torch.conv2d(one.to("meta"), torch.ones(4, 3, 3, 3, device="meta"))
else:
    torch.relu(one.to("meta"))
loaded = "torch._dynamo" in sys.modules
left = any(name.startswith("torchinductor_") for name in os.listdir(tempfile.gettempdir()))
print(torch.__version__, case, "loads the compiler:", loaded, f"{time.perf_counter() - began:.2f} s",
      "folder left:", left)
assert loaded == (case in ("dispatch", "relu")), "another case loads it now"
PYTHON
rm -rf "$folder/temporary"/torchinductor_*
done
