#!/bin/sh
# captum 0.9.0, torch 2.13.0: guided backprop of a compiled net that has run once is the gradient.
#
# GuidedBackprop and Deconvolution put hooks on the ReLUs of a net. The code that torch.compile made
# in an earlier run does not call them: without a word the result is the plain gradient. Where the
# net was not run before, or is not compiled, the two differ from it.
# Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 captum==0.9.0
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import torch
from captum.attr import GuidedBackprop, Saliency
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.ReLU(), nn.Flatten(),
                    nn.Linear(4 * 36, 5)).eval()
image = torch.randn(1, 3, 10, 10, requires_grad=True)
gradient = Saliency(net).attribute(image, target=0, abs=False)
guided = GuidedBackprop(net).attribute(image, target=0)
assert not torch.allclose(guided, gradient)

compiled = torch.compile(net, backend="aot_eager")
compiled(image)
hidden = GuidedBackprop(compiled).attribute(image, target=0)
print("captum", version("captum"), "torch", torch.__version__,
      "compiled: equals the gradient", torch.allclose(hidden, gradient, atol=1e-6),
      "equals guided backprop", torch.allclose(hidden, guided, atol=1e-6))
assert torch.allclose(hidden, gradient, atol=1e-6), "the hooks are heeded now"
PYTHON
