"""The net of a recipe: its options, its initial weights, and feature scale clipping."""

import inspect
import math
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from vizcnn.basics.errors import ModelError, nearest_names
from vizcnn.basics.memory import format_bytes, require_memory
from vizcnn.training.recipe import Recipe, usual_recipe
from vizcnn.zoo.building import count_bytes
from vizcnn.zoo.catalogue import CATALOGUE
from vizcnn.zoo.preprocessing import Preprocessing, make_preprocessing
from vizcnn.zoo.registry import Entry

TRAINED_COPIES = 3
"""What a step of training holds of every weight: itself, its gradient and its momentum."""


def find_trained(name: str) -> Entry:
    """Find one of the nets that can be trained here.

    Raises:
        ModelError: If there is no such net.

    Example:
        >>> find_trained("vgg16")
        Traceback (most recent call last):
        ModelError: no net 'vgg16' to train: did you mean 'vgg16-c'?
    """
    known = [other for other, entry in CATALOGUE.items() if entry.trained_as is not None]
    if name not in known:
        raise ModelError(f"no net {name!r} to train: {nearest_names(name, known)}")
    return CATALOGUE[name]


def net_options(recipe: Recipe, classes: int) -> dict[str, Any]:
    """Give the options of the recipe's net that its weights depend on.

    Raises:
        ModelError: If there is no such net to train, or it has no form of the recipe's name.

    Example:
        >>> net_options(Recipe("zfnet"), classes=10)
        {'classes': 10, 'hidden': 512, 'input_size': 128}
    """
    options: dict[str, Any] = {"classes": classes}
    if recipe.hidden is not None:
        options["hidden"] = recipe.hidden
    entry = find_trained(recipe.model)
    options |= {"input_size": recipe.crop, **(entry.trained_as or {})}
    changes = {"without": recipe.without, "widths": recipe.widths}
    options |= {name: text for name, text in changes.items() if text}
    if recipe.variant is None:
        return options
    return {**entry.find_variant(recipe.variant).options, **options}


def recipe_preprocessing(recipe: Recipe) -> Preprocessing:
    """Make what turns pixels into the input of the recipe's net.

    Example:
        >>> recipe_preprocessing(Recipe("zfnet")).resize
        144
    """
    return replace(make_preprocessing(recipe.style, recipe.crop), resize=recipe.resize)


def outline_net(recipe: Recipe, classes: int) -> nn.Module:
    """Make the recipe's net without weights, on torch's meta device, which takes no memory.

    Raises:
        ModelError: As of :func:`build_net`.

    Example:
        >>> sum(part.numel() for part in outline_net(usual_recipe("lenet"), 10).parameters())
        61706
    """
    options = {**net_options(recipe, classes), "dropout": recipe.dropout}
    with torch.device("meta"):
        return _build(recipe, options)


def build_net(recipe: Recipe, classes: int) -> nn.Module:
    """Make the recipe's net with its initial weights.

    Args:
        recipe: The settings.
        classes: Number of logits.

    Returns:
        A net whose first layer starts small (see :class:`Recipe`), the others after He et al.
        2015 (arXiv 1502.01852), biases zero.

    Raises:
        ModelError: If there is no such net or form, its widths are fixed, or the crop is too small
            for it.
        VizcnnError: If its weights cannot be held in memory.
    """
    size = count_bytes(outline_net(recipe, classes))
    require_memory(
        TRAINED_COPIES * size,
        f"training a {recipe.model} of {format_bytes(size)}",
        "take a smaller hidden or crop (--hidden, --crop)",
    )
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers are not ours to change
        torch.default_generator.manual_seed(recipe.seed)
        net = _build(recipe, {**net_options(recipe, classes), "dropout": recipe.dropout})
        layers = [module for module in net.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
        squashes = any(isinstance(module, nn.Sigmoid) for module in net.modules())
        # what keeps a signal's size: a ReLU passes half of it, a sigmoid's slope is 1/4
        gain = 4.0 if squashes else math.sqrt(2)
        for layer in layers:
            nn.init.normal_(layer.weight, std=gain / math.sqrt(layer.weight[0].numel()))
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        nn.init.normal_(layers[0].weight, std=recipe.first_layer_std)
        nn.init.normal_(layers[-1].weight, std=0.01)
    return net


def _build(recipe: Recipe, options: dict[str, Any]) -> nn.Module:
    make = find_trained(recipe.model).make
    unknown = sorted(options.keys() - inspect.signature(make).parameters.keys())
    if "hidden" in unknown:
        raise ModelError(f"the widths of {recipe.model} are fixed: leave hidden out")
    if {"without", "widths"} & {*unknown}:
        raise ModelError(
            f"the layers of {recipe.model} are fixed: none can be left out, or have another width"
        )
    if unknown:
        raise ModelError(f"{recipe.model} cannot be trained: its class has no {unknown[0]!r}")
    try:
        return make(**options)
    except ValueError as error:  # of layers that are left out, and of widths
        raise ModelError(f"{recipe.model}: {error}") from None
    except RuntimeError as error:
        if "overflow" in str(error):
            raise ModelError(
                f"a hidden of {recipe.hidden} makes more weights than can be counted: take less"
            ) from None
        # a feature map of no pixels
        usual = usual_recipe(recipe.model).crop
        raise ModelError(
            f"a crop of {recipe.crop} pixels is too small for {recipe.model}: take {usual}, say"
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
