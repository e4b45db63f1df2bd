"""An independent oracle: hooks on the nodes of a plain autograd graph, no recording at all."""

import torch
from torch import Tensor, nn

RECTIFIER_NODES = (
    "ReluBackward",
    "ClampBackward",
    "ClampMinBackward",
    "HardtanhBackward",
    "ThresholdBackward",
)


def capture(net: nn.Module, images: Tensor, layer: str, call: int = -1) -> tuple[Tensor, Tensor]:
    """Run a plain forward pass; give the input leaf and the layer's output."""
    leaf = images.detach().clone().requires_grad_()
    found: list[Tensor] = []

    def keep(module: nn.Module, args: object, output: Tensor) -> Tensor:
        found.append(output)
        return output.clone()

    handle = net.get_submodule(layer).register_forward_hook(keep)
    try:
        net(leaf.clone())
    finally:
        handle.remove()
    return leaf, found[call]


def hook_rectifiers(output: Tensor, method: str) -> int:
    """Clamp the signal at every rectifier node of the graph; give how many there are."""
    seen, stack, count = set(), [output.grad_fn], 0
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        stack.extend(parent for parent, _ in node.next_functions)
        if node.name().startswith(RECTIFIER_NODES) and method != "gradient":
            node.register_hook(_clamp_after if method == "guided" else _clamp_above)
            count += 1
    return count


def _clamp_after(below, above):
    return (below[0].clamp(min=0), *below[1:])


def _clamp_above(below, above):
    return (above[0].clamp(min=0), *below[1:])


def reference_projection(
    net: nn.Module, images: Tensor, layer: str, unit: int, method: str, call: int = -1
) -> Tensor:
    """Project one unit's maximum in each image back, (N, 3, H, W)."""
    leaf, output = capture(net, images, layer, call)
    hook_rectifiers(output, method)
    seed = torch.zeros_like(output)
    for image, maps in enumerate(output.detach()):
        place = maps[unit].flatten().argmax()
        # the gradient is a derivative; the others start with the size of the activation
        start = 1 if method == "gradient" else maps[unit].flatten()[place].abs()
        seed[image, unit].view(-1)[place] = start
    (signal,) = torch.autograd.grad(output, leaf, seed)
    return signal
