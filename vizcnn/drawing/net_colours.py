"""The colour of a net, the same in every figure."""

import colorsys
import hashlib

import numpy as np
from matplotlib.colors import to_hex

from vizcnn.drawing.labels import COLOURS
from vizcnn.photos.pixels import LUMINANCE

NET_COLOURS = {
    "alexnet": COLOURS[0],
    "alexnet-7x7": COLOURS[1],
    "zfnet": COLOURS[2],
    "lenet": COLOURS[3],
    "vgg16": COLOURS[5],
    "vgg19": "#8c510a",
    "googlenet": COLOURS[4],
    "googlenet-paper": COLOURS[4],
    "resnet50": "#6a51a3",
    "resnet152": "#9970ab",
}
"""Colours of well-known nets, by name; all others' follow from their names."""


def find_net_colour(name: str) -> str:
    """Give the colour of a net.

    Args:
        name: Its name, such as ``"zfnet"``.

    Returns:
        The colour as ``#rrggbb``: of a net that has none of its own one that only its name decides
        on, of middling lightness, to be seen on light and on dark ground.

    Example:
        >>> find_net_colour("alexnet"), find_net_colour("my-net") == find_net_colour("my-net")
        ('#0072b2', True)
    """
    if name in NET_COLOURS:
        return NET_COLOURS[name]
    digest = hashlib.sha256(name.encode()).digest()
    channels = np.array(colorsys.hls_to_rgb(digest[0] / 256, 0.5, 0.6))
    level = 0.36 + 0.14 * digest[1] / 256
    return to_hex(np.clip(channels * level / np.dot(channels, LUMINANCE), 0, 1).tolist())
