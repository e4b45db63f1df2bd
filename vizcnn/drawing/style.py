"""The style that figures are drawn in: light or dark, for a page, a slide or a paper.

Drawing code asks for its sizes and greys here (:func:`letter_size`, :func:`points`,
:func:`tone`), so that a figure is drawn for a style from the start:

    with use_style(DARK):
        save_figure(draw(), path)
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal, get_args

import matplotlib.style
from matplotlib.colors import to_rgb
from matplotlib.font_manager import fontManager

from vizcnn.basics.errors import VizcnnError, nearest_names, quote

DPI = 150
"""Pixels per inch of a slide; letters are hinted for it, so what fits was measured at it too."""
GROUND, INK = 0.09, 0.95
"""Grey levels of a dark figure's ground and ink, 0..1."""
GREY = 0.04
"""Largest difference between the channels of a colour that counts as grey."""

WIDE_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "WenQuanYi Zen Hei",
    "Hiragino Sans GB",
    "PingFang SC",
    "Microsoft YaHei",
    "Arial Unicode MS",
)
"""Fonts that hold what DejaVu lacks, for names of photos; used where one is installed."""

_SIZES = {
    "font.size": 10.0,
    "axes.labelpad": 4.0,
    "axes.linewidth": 0.8,
    "axes.titlepad": 6.0,
    "grid.linewidth": 0.8,
    "hatch.linewidth": 1.0,
    "lines.linewidth": 1.5,
    "lines.markeredgewidth": 1.0,
    "lines.markersize": 6.0,
    "patch.linewidth": 1.0,
    **{
        f"{axis}tick.{kind}.{part}": size
        for axis in "xy"
        for kind, sizes in (("major", (3.5, 0.8, 3.5)), ("minor", (2.0, 0.6, 3.4)))
        for part, size in zip(("size", "width", "pad"), sizes, strict=True)
    },
}
"""Matplotlib's own sizes in points, which a style scales."""


StyleName = Literal["page", "slide", "paper"]
"""What figures are drawn for."""
Theme = Literal["light", "dark"]
"""Dark ink on a light ground, or light ink on a dark one."""


@dataclass(frozen=True)
class Style:
    """How figures are drawn.

    Attributes:
        name: What they are drawn for.
        dark: Whether ink is light and the ground dark.
        scale: Size of a figure, of that for a page, with all its letters and lines.
        letters: Factor of the size of letters, over all else.
        narrow: Factor of the same that no layout knows of: small letters come out a little wider.
        wide: Whether a figure has the shape and the size of a slide, 16:9.
        dpi: Pixels per inch of a PNG; None for what is usual for the figure.
        title: Heading of figures in place of their own, in which ``{}`` stands for that one; empty
            for none.
        captions: Whether there is small print below.
    """

    name: StyleName = "page"
    dark: bool = False
    scale: float = 1.0
    letters: float = 1.0
    narrow: float = 1.0
    wide: bool = False
    dpi: int | None = None
    title: str | None = None
    captions: bool = True

    @property
    def theme(self) -> Theme:
        """Whether ink or ground is dark."""
        return "dark" if self.dark else "light"

    def name_figure(self, title: str) -> str:
        """Give the heading of a figure, from its own."""
        return title if self.title is None else self.title.replace("{}", title)

    def describe(self) -> dict[str, Any]:
        """Give what can be chosen, for a manifest."""
        return {
            "style": self.name,
            "theme": self.theme,
            "dpi": self.dpi,
            "title": self.title,
            "captions": self.captions,
        }


LIGHT = Style()
"""Black on white, for a page; what every figure is drawn in unless another style is entered."""
DARK = Style(dark=True)
"""The same on a dark ground."""
SLIDE = Style("slide", letters=1.3, wide=True)
"""For a slide: 13.33 by 7.5 inches, letters a third larger."""
PAPER = Style("paper", scale=0.52, narrow=0.97, dpi=2 * DPI)
"""For a paper: 6.9 inches wide, a page's text."""
STYLES: Mapping[StyleName, Style] = MappingProxyType(
    {style.name: style for style in (LIGHT, SLIDE, PAPER)}
)
"""Styles by name."""

LEAST_DPI, MOST_DPI = 30, 1200
"""Pixels per inch that a figure may have: below, letters are blots; above, files of gigabytes."""


def make_style(
    name: StyleName = "page",
    theme: Theme = "light",
    dpi: int | None = None,
    title: str | None = None,
    captions: bool = True,
) -> Style:
    """Choose a style.

    Args:
        name: What figures are drawn for.
        theme: Whether ink or ground is dark.
        dpi: Pixels per inch of a PNG; None for the style's own.
        title: Heading of figures in place of their own, in which ``{}`` stands for that one; empty
            for none.
        captions: Whether there is small print below.

    Raises:
        VizcnnError: If there is no such style or theme, or pixels are too few or too many.

    Example:
        >>> with use_style(make_style("slide", "dark", title="{} (our net)")):
        ...     find_style().name_figure("AlexNet"), tone("#ffffff")
        ('AlexNet (our net)', '#171717')
    """
    for given, known in ((name, get_args(StyleName)), (theme, get_args(Theme))):
        if given not in known:
            raise VizcnnError(f"no style {quote(given)}: {nearest_names(str(given), known)}")
    if dpi is not None and not LEAST_DPI <= dpi <= MOST_DPI:
        raise VizcnnError(
            f"figures of {dpi} pixels per inch; needed: from {LEAST_DPI} to {MOST_DPI}"
        )
    style = replace(STYLES[name], dark=theme == "dark", title=title, captions=captions)
    return style if dpi is None else replace(style, dpi=dpi)


_STYLE: ContextVar[Style] = ContextVar("style", default=LIGHT)


def find_style() -> Style:
    """Give the style that figures are drawn in at the moment."""
    return _STYLE.get()


@contextmanager
def use_style(style: Style) -> Iterator[None]:
    """Draw and save figures in a style inside the block.

    Args:
        style: Such as :data:`DARK`.

    Example:
        >>> with use_style(DARK):
        ...     tone("#ffffff")
        '#171717'
    """
    token = _STYLE.set(style)
    try:
        yield
    finally:
        _STYLE.reset(token)


@contextmanager
def larger_letters(factor: float) -> Iterator[None]:
    """Write all letters of sheets larger inside the block, as for the last row of a lecture hall.

    Args:
        factor: 1.25 makes them a quarter larger; what has limited room is shrunk to it as ever.

    Example:
        >>> with larger_letters(2.0):
        ...     letter_size(17.0)
        34.0
    """
    style = find_style()
    with use_style(replace(style, letters=style.letters * factor)):
        yield


def find_dpi(usual: int = DPI) -> int:
    """Give the pixels per inch of a figure.

    Args:
        usual: What it has where the style leaves it open.
    """
    return find_style().dpi or usual


def scale_letters(size: float) -> float:
    """Give the size that letters have in a layout: in points, on a slide."""
    return size * find_style().letters


def letter_size(size: float) -> float:
    """Give the size in points that letters are drawn at, of that on a slide."""
    style = find_style()
    return size * style.letters * style.scale * style.narrow


def points(size: float) -> float:
    """Give the points that a line, a marker or a gap takes, of those on a slide."""
    return size * find_style().scale


def tone(colour: str) -> str:
    """Give a grey its counterpart on the style's ground; other colours stay as they are.

    Example:
        >>> tone("#444444")
        '#444444'
        >>> with use_style(DARK):
        ...     tone("#000000"), tone("#0072b2")
        ('#f2f2f2', '#0072b2')
    """
    channels = to_rgb(colour)
    if not find_style().dark or max(channels) - min(channels) > GREY:
        return colour
    level = round(255 * (INK + (GROUND - INK) * channels[1]))
    return f"#{level:02x}{level:02x}{level:02x}"


def ground_level() -> float:
    """Give the grey level of the style's ground, 0..1, for gaps inside of pictures.

    Example:
        >>> ground_level()
        1.0
    """
    return to_rgb(tone("#ffffff"))[0]


@contextmanager
def plain_style() -> Iterator[None]:
    """Draw and save alike on every machine, whatever the user's matplotlibrc says."""
    installed = {font.name for font in fontManager.ttflist}
    families = ["DejaVu Sans", *(name for name in WIDE_FONTS if name in installed)]
    ink, ground = tone("#000000"), tone("#ffffff")
    inked = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    settings: dict[Any, Any] = {
        "font.family": families,
        "svg.hashsalt": "vizcnn",  # else the names of an SVG's parts change with every run
        "svg.fonttype": "path",
        "pdf.fonttype": 42,
        **{name: points(size) for name, size in _SIZES.items()},
        **dict.fromkeys((*inked, "patch.edgecolor"), ink),
        **dict.fromkeys(("figure.facecolor", "axes.facecolor"), ground),
        "legend.edgecolor": tone("#cccccc"),
    }
    with matplotlib.style.context(["default", settings]), warnings.catch_warnings():
        # a name in a script that no font here holds is drawn as boxes; nothing to tell a user
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield
