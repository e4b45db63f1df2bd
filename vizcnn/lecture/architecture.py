"""Architectures drawn to scale: a box per feature map stack, or per block of a deep net."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle

from vizcnn.drawing.labels import COLOURS
from vizcnn.drawing.sheet import BODY, MARGIN, SLIDE_WIDTH, SMALL, Slide, measure_width
from vizcnn.drawing.style import letter_size, plain_style, points, tone
from vizcnn.lecture.net_tables import (
    block_of,
    describe_size,
    fold_rows,
    make_layers,
    name_layer,
    name_paths,
)
from vizcnn.lecture.nets import (
    NETS,
    count_layers,
    count_parameters,
    find_net,
    input_shape,
    trace_net,
)
from vizcnn.lecture.patterns import derive_pattern
from vizcnn.lecture.studio import Made, Studio, exhibit
from vizcnn.recording.layer_rows import LayerRow

MOST_BOXES = 24
"""Boxes that stand apart on a slide; of nets with more, those of a block are one."""


@dataclass(frozen=True)
class Box:
    """A stack of feature maps, or a vector of units.

    Attributes:
        name: The layer's name.
        kind: A key of :data:`vizcnn.lecture.architecture.KIND_COLOURS`.
        shape: (maps, rows, columns) or (units,).
        groups: Groups of the convolution that made it.
        shortcuts: Additions in a block of layers, each the end of a shortcut around some of them.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    groups: int = 1
    shortcuts: int = 0

    @property
    def side(self) -> int:
        """Rows of a map; 1 of a vector."""
        return self.shape[1] if len(self.shape) == 3 else 1

    @property
    def is_aside(self) -> bool:
        """Whether it is an auxiliary head: nothing after it reads it."""
        return self.name.startswith("aux")

    @property
    def is_vector(self) -> bool:
        """Whether it is a vector of units."""
        return len(self.shape) == 1


def list_boxes(name: str, most: int = MOST_BOXES) -> list[Box]:
    """List what is drawn of a net: the image, then every layer, or every block of a deep net.

    Args:
        name: A key of :data:`vizcnn.lecture.nets.NETS`.
        most: How many boxes there may be.

    Example:
        >>> [box.shape for box in list_boxes("alexnet")][:4]
        [(3, 227, 227), (96, 55, 55), (96, 55, 55), (96, 27, 27)]
    """
    names, layers = name_paths(name), fold_rows(trace_net(name))
    image = Box("input", "image", input_shape(name))
    boxes = [
        Box(name_layer(parts, names), parts[0].kind, parts[0].outputs, parts[0].groups)
        for parts in layers
    ]
    for depth in (2, 1):
        if len(boxes) < most:
            break
        boxes = _join_blocks(layers, depth, names)
    return [image, *boxes]


def _join_blocks(
    layers: Sequence[Sequence[LayerRow]], depth: int, names: dict[str, str]
) -> list[Box]:
    blocks: dict[str, list[Sequence[LayerRow]]] = {}
    for parts in layers:
        blocks.setdefault(block_of(parts[0].path, depth), []).append(parts)
    return [
        Box(
            names.get(path, path) if len(block) > 1 else name_layer(block[0], names),
            "block" if len(block) > 1 else block[0][0].kind,
            block[-1][0].outputs,
            shortcuts=sum(row.kind == "add" for parts in block for row in parts),
        )
        for path, block in blocks.items()
    ]


TALLEST = 2.6
"""Height of the largest map in inches."""
SLANT = 0.28
"""Inches that the third direction goes right and up, per inch of a map's side."""
LONGEST = 3.4
"""Length of the longest fully connected layer in inches."""
LABELS = (0.75, 1.95)
"""Inches below the boxes for names and sizes, level and turned."""
LETTER = 0.125
"""Inches of a letter of a level label."""
LEVEL_INSET, INSET = 0.3, 0.75
"""Inches at the left that the first label needs, level and turned."""
VECTOR = 0.1
"""Inches that a fully connected layer is wide."""
ASIDE = 0.2
"""Where heads stand that branch off, as a share of the height from above."""
LEAST = 0.02
"""Inches that a box is wide at least, to be seen."""

KIND_COLOURS = {
    "image": "#999999",
    "conv": COLOURS[0],
    "max pool": COLOURS[1],
    "average pool": COLOURS[1],
    "norm": COLOURS[3],
    "fc": COLOURS[2],
    "block": COLOURS[4],
}
KIND_WORDS = {
    "image": "image",
    "conv": "convolution",
    "max pool": "pooling",
    "average pool": "pooling",
    "norm": "normalisation",
    "fc": "fully connected",
    "block": "block of layers",
}


def draw_architecture(name: str, caption: str) -> Figure:
    """Draw a net to scale.

    Sides of maps have one scale, numbers of maps and units another; both stand on the slide. A
    net whose convolutions have groups is drawn in as many lanes, which join where a layer sees
    all of them.

    Args:
        name: A key of :data:`vizcnn.lecture.nets.NETS`.
        caption: Small print below.

    Returns:
        A figure of a slide's width.
    """
    boxes = list_boxes(name)
    lanes = max(box.groups for box in boxes)
    level = _are_level(boxes, lanes)
    inset = LEVEL_INSET if level else INSET
    with plain_style():
        room = SLIDE_WIDTH - 2 * MARGIN
        scale = _choose_scale(boxes, room - inset, lanes)
        scales = f"{1 / scale.side:.0f} px of a map’s side, {1 / scale.maps:.0f} maps or units."
        words = f"{caption} 1 inch: {scales}".strip()
        body = 0.35 + LONGEST + LABELS[not level]
        slide = Slide(body, f"{find_net(name).title}: architecture to scale", words)
        axes = slide.canvas(MARGIN, slide.top, room, body)
        lefts = [inset + left for left in _lay_out(boxes, scale, room - inset)]
        for box, left in zip(boxes, lefts, strict=True):
            _draw_lanes(axes, box, left, scale, lanes)
        _draw_links(axes, boxes, lefts, scale, lanes)
        _draw_shortcuts(axes, boxes, lefts, scale)
        _write_labels(axes, boxes, lefts, scale, level, lanes)
        _write_legend(slide, boxes)
    return slide.figure


def _are_level(boxes: Sequence[Box], lanes: int) -> bool:
    """Tell whether labels have room side by side."""
    room = SLIDE_WIDTH - 2 * MARGIN - LEVEL_INSET
    scale = _choose_scale(boxes, room, lanes)
    lefts = _lay_out(boxes, scale, room)
    middles = [left + _width(box, scale) / 2 for box, left in zip(boxes, lefts, strict=True)]
    return all(
        after - before > LETTER * (_count_letters(box) + _count_letters(other)) / 2 + 0.1
        for before, after, box, other in zip(
            middles[:-1], middles[1:], boxes[:-1], boxes[1:], strict=True
        )
    )


def _count_letters(box: Box) -> int:
    return max(len(box.name), len(describe_size(box.shape)))


@dataclass(frozen=True)
class _Scale:
    """Inches per pixel of a map's side, and per map of a stack or unit of a vector."""

    side: float
    maps: float


def _choose_scale(boxes: Sequence[Box], room: float, lanes: int) -> _Scale:
    side = TALLEST / max(box.side for box in boxes) / (1.0 if lanes == 1 else 1.45)
    stacks = [box for box in boxes if not box.is_vector]
    slants = sum(box.side * side * SLANT for box in stacks)
    gaps = 0.16 * len(boxes)
    maps = sum(box.shape[0] for box in stacks)
    free = max(room - slants - gaps - 0.1 * (len(boxes) - len(stacks)), 0.2 * room)
    longest = max([box.shape[0] for box in boxes if box.is_vector], default=1)
    # one scale for maps and units wherever the units allow it
    common = min(0.8 * free / maps, LONGEST / longest, 0.03)
    return _Scale(side, common)


def _width(box: Box, scale: _Scale) -> float:
    if box.is_vector:
        return VECTOR
    return max(box.shape[0] * scale.maps, LEAST) + box.side * scale.side * SLANT


def _lay_out(boxes: Sequence[Box], scale: _Scale, room: float) -> list[float]:
    """Give each box's left edge: gaps are equal, and everything fits."""
    widths = [_width(box, scale) for box in boxes]
    gap = (room - sum(widths) - 0.1) / max(len(boxes) - 1, 1)
    gap = min(gap, 0.9)
    return [sum(widths[:place]) + gap * place for place in range(len(boxes))]


def _middles(lanes: int) -> list[float]:
    """Give the height of each lane's middle, in inches below the canvas's upper edge."""
    step = LONGEST / lanes
    return [0.35 + step * (lane + 0.5) for lane in range(lanes)]


def _draw_lanes(axes: Axes, box: Box, left: float, scale: _Scale, lanes: int) -> None:
    if box.kind == "image":  # all lanes see the same one
        _draw_stack(axes, box, left, 0.35 + LONGEST / 2, scale, 1)
        return
    if box.is_aside:
        _draw_aside(axes, box, left, scale)
        return
    for middle in _middles(lanes):
        if box.is_vector:
            _draw_vector(axes, box, left, middle, scale, lanes)
        else:
            _draw_stack(axes, box, left, middle, scale, lanes)


def _draw_aside(axes: Axes, box: Box, left: float, scale: _Scale) -> None:
    """Draw a head above the line from which it branches off."""
    end = 0.35 + LONGEST / 2
    middle = 0.35 + LONGEST * ASIDE
    axes.plot(
        [left + VECTOR / 2] * 2,
        [middle, end],
        color=tone("#777777"),
        linewidth=points(1.0),
        zorder=0,
    )
    _draw_vector(axes, box, left, middle, scale, 1)


def _draw_shortcuts(
    axes: Axes, boxes: Sequence[Box], lefts: Sequence[float], scale: _Scale
) -> None:
    """Draw an arc over every block with shortcuts; of more than one with their number."""
    for box, left in zip(boxes, lefts, strict=True):
        if not box.shortcuts:
            continue
        right = left + _width(box, scale)
        middle = 0.35 + LONGEST / 2
        top = middle - box.side * scale.side * (1 + SLANT) / 2 - 0.32
        style: dict[str, Any] = {"color": tone("#777777"), "linewidth": points(1.5)}
        across = [left - 0.05, left - 0.05, right + 0.05, right + 0.05]
        axes.plot(across, [middle, top, top, middle], **style)
        if box.shortcuts > 1:
            words = f"×{box.shortcuts}"
            axes.text(
                (left + right) / 2, top - 0.05, words, fontsize=letter_size(SMALL), ha="center"
            )


def _draw_vector(
    axes: Axes, box: Box, left: float, middle: float, scale: _Scale, lanes: int
) -> None:
    length = max(box.shape[0] / lanes * scale.maps, LEAST)
    axes.add_patch(
        Rectangle((left, middle - length / 2), VECTOR, length, color=tone(KIND_COLOURS[box.kind]))
    )


def _draw_stack(
    axes: Axes, box: Box, left: float, middle: float, scale: _Scale, lanes: int
) -> None:
    """Draw a cuboid: its front face is maps wide and rows high, its depth the columns."""
    width = max(box.shape[0] / lanes * scale.maps, LEAST)
    height = max(box.side * scale.side, LEAST)
    depth = height * SLANT
    bottom = middle + (height + depth) / 2
    top = bottom - height
    right = left + width
    colour = tone(KIND_COLOURS[box.kind])
    front = [(left, top), (right, top), (right, bottom), (left, bottom)]
    back = [(x + depth, y - depth) for x, y in front]
    faces = [
        (front, 1.0),
        ([front[0], front[1], back[1], back[0]], 0.55),
        ([front[1], front[2], back[2], back[1]], 0.75),
    ]
    for corners, strength in faces:
        face = Polygon(
            corners,
            facecolor=colour,
            alpha=strength,
            edgecolor=tone("white"),
            linewidth=points(0.6),
        )
        axes.add_patch(face)


def _draw_links(
    axes: Axes, boxes: Sequence[Box], lefts: Sequence[float], scale: _Scale, lanes: int
) -> None:
    """Draw what each lane sees: its own maps only, or those of all lanes."""
    middles = _middles(lanes)
    line = [place for place, box in enumerate(boxes) if not box.is_aside]
    for former, place in pairwise(line):
        start = lefts[former] + _width(boxes[former], scale) + 0.02
        stop = lefts[place] - 0.02
        before = [0.35 + LONGEST / 2] if boxes[former].kind == "image" else middles
        crosses = boxes[place].kind in ("conv", "fc") and boxes[place].groups < lanes
        for number, end in enumerate(middles):
            for index, begin in enumerate(before):
                if len(before) == 1 or crosses or number == index:
                    axes.plot(
                        [start, stop],
                        [begin, end],
                        color=tone("#777777"),
                        linewidth=points(1.0),
                        zorder=0,
                    )


def _write_labels(
    axes: Axes,
    boxes: Sequence[Box],
    lefts: Sequence[float],
    scale: _Scale,
    level: bool,
    lanes: int,
) -> None:
    turned: dict[str, Any] = {"rotation": 55, "ha": "right", "rotation_mode": "anchor"}
    for box, left in zip(boxes, lefts, strict=True):
        middle = left + _width(box, scale) / 2
        axes.text(
            middle if level else middle + 0.08,
            0.35 + LONGEST + 0.12,
            f"{box.name}{chr(10) if level else '  '}{_say_size(box, lanes)}",
            fontsize=letter_size(BODY - 1 if level else SMALL),
            va="top" if level else "center_baseline",
            parse_math=False,
            **({"ha": "center"} if level else turned),
        )


def _say_size(box: Box, lanes: int) -> str:
    """Write a box's size; in lanes, how many boxes of which."""
    if lanes == 1 or box.kind == "image":
        return describe_size(box.shape)
    return f"{lanes} · {describe_size((box.shape[0] // lanes, *box.shape[1:]))}"


def _write_legend(slide: Slide, boxes: Sequence[Box]) -> None:
    """Write what the colours mean, above the boxes."""
    colours = {KIND_WORDS[box.kind]: KIND_COLOURS[box.kind] for box in boxes}
    left = MARGIN
    for word, colour in colours.items():
        text = slide.write(f"■ {word}", left, slide.top, SMALL, color=tone(colour))
        left += measure_width(text) + 0.25


def make_architecture(studio: Studio, name: str) -> Made:
    """Draw a net to scale."""
    net = find_net(name)
    rows = trace_net(name)
    branches = any(row.kind in ("concat", "add") for row in rows)
    pattern = "" if branches else f": {derive_pattern(rows)}"
    caption = (
        f"{count_layers(name)} layers with weights on the longest way, {count_parameters(name):,} "
        f"parameters{pattern}. Sizes from running the net. {net.note}"
    ).strip()
    draw = partial(draw_architecture, name, caption)
    return Made(caption, draw, text=f"The feature maps of {net.title} as boxes, to scale")


for _name, _net in NETS.items():
    _title = f"{_net.title}: architecture to scale"
    exhibit(f"{_name}-architecture", _net.section, _title, name=_name)(make_architecture)
    exhibit(f"{_name}-layers", _net.section, f"{_net.title}: layers", name=_name)(make_layers)
