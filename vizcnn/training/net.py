"""The net of a recipe: its options, its initial weights, and feature scale clipping."""

from typing import Any

import torch
from torch import Tensor, nn

from vizcnn.errors import ModelError
from vizcnn.training.recipe import Recipe
from vizcnn.zoo.own import OWN_OPTIONS, build_own_net

CLIPPED_RMS = 0.1
"""Radius of ZF's feature scale clipping (section 3.1)."""


def net_options(recipe: Recipe, classes: int) -> dict[str, Any]:
    """Give the options of the recipe's net that its weights depend on.

    Example:
        >>> net_options(Recipe("zfnet"), classes=10)
        {'classes': 10, 'hidden': 512, 'input_size': 128}
    """
    small = OWN_OPTIONS.get(recipe.model, {})
    return {"classes": classes, "hidden": recipe.hidden, "input_size": recipe.crop, **small}


def build_net(recipe: Recipe, classes: int) -> nn.Module:
    """Make the recipe's net with its initial weights.

    Args:
        recipe: The settings.
        classes: Number of logits.

    Returns:
        A net whose first layer starts small (see :class:`Recipe`), the others after He et al.
        2015 (arXiv 1502.01852), biases zero.

    Raises:
        ModelError: If there is no such net, or the crop is too small for it.
    """
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers are not ours to change
        torch.default_generator.manual_seed(recipe.seed)
        net = _build(recipe, classes)
        layers = [module for module in net.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
        for layer in layers:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        nn.init.normal_(layers[0].weight, std=recipe.first_layer_std)
        nn.init.normal_(layers[-1].weight, std=0.01)
    return net


def _build(recipe: Recipe, classes: int) -> nn.Module:
    try:
        return build_own_net(recipe.model, **net_options(recipe, classes), dropout=recipe.dropout)
    except RuntimeError:  # a feature map of no pixels
        raise ModelError(
            f"a crop of {recipe.crop} pixels is too small for {recipe.model}: take 128, say"
        ) from None


def first_convolution(net: nn.Module) -> nn.Conv2d:
    """Find the first convolution of a net.

    Raises:
        ModelError: If it has none.

    Example:
        >>> first_convolution(nn.Sequential(nn.ReLU(), nn.Conv2d(3, 8, 5))).kernel_size
        (5, 5)
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            return module
    raise ModelError(f"{type(net).__name__} has no convolution: needed is a convolutional net")


@torch.no_grad()
def clip_filters(weight: Tensor, radius: float = CLIPPED_RMS) -> None:
    """Scale filters whose root mean square exceeds a radius back to it (ZF, section 3.1).

    Args:
        weight: (filters, channels, height, width), changed in place.
        radius: The largest root mean square.

    Example:
        >>> weight = torch.ones(1, 3, 2, 2)
        >>> clip_filters(weight)
        >>> round(weight.pow(2).mean().sqrt().item(), 6)
        0.1
    """
    rms = weight.pow(2).mean(dim=(1, 2, 3), keepdim=True).sqrt()
    weight.mul_((radius / rms.clamp(min=1e-12)).clamp(max=1.0))
