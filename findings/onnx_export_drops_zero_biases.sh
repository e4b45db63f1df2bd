#!/bin/sh
# torch 2.13.0, onnx 1.23.2, onnxscript 0.7.2: the file that torch.onnx.export writes does not tell
# which layers of the net had a bias, if the biases are equal, as those of a net that was begun with
# zeros are.
#
# Guess beforehand: each parameter is an initializer under its own name. Seen, with three
# convolutions whose biases are all zero: the exporter of TorchScript (dynamo=False) keeps the first
# bias alone and leads it to the others through Identity nodes; the present exporter (dynamo=True)
# leaves all three out, so that Conv has two inputs, as of a layer with bias=False. Equal biases that
# are not zero are written once by both, under the first layer's name.
# Who fills a state dict from an ONNX file by names has to put missing biases back.
# Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 onnx==1.23.2 onnxscript==0.7.2
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import logging

import onnx
import torch
from torch import nn

logging.disable(logging.CRITICAL)
torch.manual_seed(0)
seen = {}
for value in (0.0, 0.5):
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3))
    for layer in net:
        if isinstance(layer, nn.Conv2d):
            nn.init.constant_(layer.bias, value)
    for dynamo in (False, True):
        file = f"{value}-{dynamo}.onnx"
        torch.onnx.export(net.eval(), (torch.zeros(1, 3, 16, 16),), file, dynamo=dynamo, verbose=False)
        graph = onnx.load(file).graph
        inputs = [len(node.input) for node in graph.node if node.op_type == "Conv"]
        identities = sum(node.op_type == "Identity" for node in graph.node)
        biases = [tensor.name for tensor in graph.initializer if "bias" in tensor.name]
        seen[value, dynamo] = (biases, inputs, identities)
        print(torch.__version__, f"biases of {value}, dynamo={dynamo}:", *seen[value, dynamo])
assert seen[0.0, False] == (["0.bias"], [3, 3, 3], 2), "equal biases are written otherwise now"
assert seen[0.0, True] == ([], [2, 2, 2], 0), "zero biases stay now"
assert seen[0.5, False] == (["0.bias"], [3, 3, 3], 2), "equal biases are written otherwise now"
assert seen[0.5, True] == (["0.bias"], [3, 3, 3], 0), "equal biases are written otherwise now"
PYTHON
