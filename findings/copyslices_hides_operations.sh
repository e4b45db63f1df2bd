#!/bin/sh
# torch 2.13.0: an in-place operation on a view is not in the names of autograd's graph.
#
# After y = conv(x); y[:, :2].sigmoid_() the graph of y holds a node CopySlices and no node of a
# sigmoid; what was written is not among its next_functions either. Who reads a net's operations
# off grad_fn.name() does not see the sigmoid. The gradient itself is right.
# Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import torch


def list_names(node):
    names, stack, seen = [], [node], set()
    while stack:
        node = stack.pop()
        if node is not None and node not in seen:
            seen.add(node)
            names.append(node.name())
            stack.extend(parent for parent, _ in node.next_functions)
    return sorted(names)


x = torch.randn(1, 4, 3, 3, requires_grad=True)
y = x * 2
y[:, :2].sigmoid_()
names = list_names(y.grad_fn)
print(torch.__version__, names)
assert any(name.endswith("CopySlices") for name in names)
assert not any("igmoid" in name for name in names), "the sigmoid is seen now"

z = x * 2
z = torch.cat([z[:, :2].sigmoid(), z[:, 2:]], 1)
assert torch.equal(y, z)
(first,), (second,) = torch.autograd.grad(y.sum(), x), torch.autograd.grad(z.sum(), x)
assert torch.allclose(first, second)
assert "SigmoidBackward0" in list_names(z.grad_fn)
PYTHON
