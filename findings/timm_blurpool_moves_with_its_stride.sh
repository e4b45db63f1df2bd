#!/bin/sh
# timm 1.0.31, torch 2.13.0: BlurPool2d moves the picture at strides above 2, and by even taps.
#
# An output of BlurPool should be centred on the place that it stands for, 0, s, 2s, ... (half a
# pixel further with an even number of taps), as in Zhang's antialiased-cnns 0.3. timm takes its
# padding from a formula for strided convolutions, which grows with the stride: at stride 2 with 3 or
# 5 taps, which its nets use, that is the same; at stride 4 the outputs lie one pixel to the left and
# above, and with 2 or 4 taps at stride 2 one pixel as well, with a row and a column more of an even
# map. Guess before the run, from reading the code: same at stride 2 and 3 or 5 taps, and a ramp
# sampled at 4i - 1 instead of 4i at stride 4.
# Fails if the places come to be those of antialiased-cnns.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6
# neither package's own dependencies (torchvision) have a part in these layers
"$folder/venv/bin/pip" install --quiet --no-deps timm==1.0.31 antialiased-cnns==0.3
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import importlib.util
import sys
import types
from importlib import import_module
from importlib.metadata import version

import torch

for name in ("timm", "timm.layers", "antialiased_cnns"):
    module = sys.modules[name] = types.ModuleType(name)
    folder = name.replace(".", "/")
    module.__path__ = [f"{path}/{folder}" for path in sys.path]
timm = import_module("timm.layers.blur_pool").BlurPool2d
zhang = import_module("antialiased_cnns.blurpool").BlurPool

ramp = torch.arange(16.0).expand(1, 1, 16, 16).contiguous()
print("timm", version("timm"), "antialiased-cnns", version("antialiased-cnns"))
rows = {}
for stride, taps in ((2, 3), (2, 5), (2, 4), (4, 3), (4, 5)):
    theirs = zhang(1, filt_size=taps, stride=stride)(ramp)[0, 0, 4 // stride].tolist()
    found = timm(1, filt_size=taps, stride=stride)(ramp)[0, 0, 4 // stride].tolist()
    rows[stride, taps] = found, theirs
    print(f"stride {stride}, {taps} taps, places of a ramp: timm {found}, Zhang {theirs}")
for taps in (3, 5):
    found, theirs = rows[2, taps]
    assert found == theirs
    found, theirs = rows[4, taps]
    assert found[1:3] == [3.0, 7.0] and theirs[1:3] == [4.0, 8.0], "they agree now"
found, theirs = rows[2, 4]
assert len(found) == len(theirs) + 1, "they agree now"
PYTHON
