"""What the lecture is made of: exhibits, each made by a function when it is asked for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from matplotlib.figure import Figure
from torch import Tensor

from vizcnn.basics.progress import Progress, silent
from vizcnn.drawing.tables import Table
from vizcnn.projection.parts import Part
from vizcnn.zoo import load
from vizcnn.zoo.model import ZooModel
from vizcnn.zoo.pinned_weights import check_pin, split_pin

if TYPE_CHECKING:
    from vizcnn.measures.study import NetStudy

SECTIONS = {
    "overview": "Architectures by year",
    "lenet": "LeNet",
    "alexnet": "AlexNet",
    "zfnet": "ZFNet",
    "vgg": "VGG",
    "googlenet": "GoogLeNet",
    "resnet": "ResNet",
    "claims": "The lecture’s claims",
}
"""Parts of the lecture, in its order."""


TRAINED = ("alexnet", "zfnet")
"""Nets of the zoo that are shown with trained weights, in the parts of the same names."""


@dataclass(frozen=True)
class Made:
    """What an exhibit came to.

    Attributes:
        caption: What is to be seen, with the numbers that were computed and their sources.
        draw: Draws the figure in the style that holds where it is called.
        table: The whole table, for files.
        text: What the figure shows, for those who cannot see it.
    """

    caption: str
    draw: Callable[[], Figure] | None = None
    table: Table | None = None
    text: str = ""


def split_names(only: Sequence[str]) -> tuple[str, ...]:
    """Split names of parts at commas; capitals do not matter.

    Example:
        >>> split_names(["VGG, lenet", "resnet-*"])
        ('vgg', 'lenet', 'resnet-*')
    """
    names = [name.strip().lower() for text in only for name in text.split(",")]
    given = [name for name in names if name]  # a comma at the end names nothing
    return tuple(dict.fromkeys(given or names))


@dataclass(frozen=True)
class Exhibit:
    """A figure or table of the lecture.

    Attributes:
        name: Name of its files, such as ``"alexnet-layers"``.
        section: A key of :data:`SECTIONS`.
        title: Heading.
        make: Makes it.
    """

    name: str
    section: str
    title: str
    make: Callable[["Studio"], Made]


REGISTERED: dict[str, Exhibit] = {}
"""What :func:`exhibit` was told of, by name."""

_Make = TypeVar("_Make", bound=Callable[..., Made])


def exhibit(
    name: str,
    section: str,
    title: str,
    /,
    *,
    registered: dict[str, Exhibit] = REGISTERED,
    **settings: Any,
) -> Callable[[_Make], _Make]:
    """Put an exhibit into the lecture: decorate a function that makes it, once or several times.

    Every module beside this one is looked through, so that a new exhibit is a decorated function
    there; :data:`vizcnn.lecture.run.ORDER` may give it a place before the end of its section.

    Args:
        name: Name of its files.
        section: A key of :data:`SECTIONS`.
        title: Heading.
        registered: Where it is put.
        **settings: What the function is called with beside the studio.
    """

    def register(make: _Make) -> _Make:
        registered[name] = Exhibit(name, section, title, partial(make, **settings))
        return make

    return register


class Studio:
    """What exhibits share: trained nets and a photo, read when first needed.

    Args:
        photo: The photo that is looked at.
        device: Where nets run.
        seed: Of everything that is drawn at random.
        weights: Source of the trained nets' weights, as for :func:`vizcnn.load`, perhaps with the
            checksum that it has to have, for all of them or by name; None for random ones.
        progress: Shows how far long parts are.
        part: Which part of units' projections is shown.
    """

    def __init__(
        self,
        photo: Path,
        device: str = "cpu",
        seed: int = 0,
        weights: str | Mapping[str, str | None] | None = "auto",
        progress: Progress = silent,
        part: Part = "whole",
    ) -> None:
        self.photo, self.device, self.seed = photo, device, seed
        self.weights, self.progress, self.part = weights, progress, part

        self._loaded: dict[str, ZooModel] = {}
        self._used: dict[str, ZooModel] = {}

    def load(self, name: str) -> ZooModel:
        """Give a net of the zoo with trained weights."""
        self._used[name] = self._read_net(name)
        return self._used[name]

    def check_weights(self) -> None:
        """Make sure that the trained nets can be had, before much else is done.

        Raises:
            WeightsError: If weights are missing, damaged or another net's.
        """
        for name in TRAINED:
            self._read_net(name)

    def _read_net(self, name: str) -> ZooModel:
        if name not in self._loaded:
            given = self.weights[name] if isinstance(self.weights, Mapping) else self.weights
            source, digest = split_pin(given) if given else (None, "")
            net = load(name, weights=source, device=self.device, seed=self.seed)
            if source and digest:
                check_pin(net, source, digest)
            self._loaded[name] = net
        return self._loaded[name]

    @property
    def alexnet(self) -> ZooModel:
        """AlexNet with trained weights."""
        return self.load("alexnet")

    @property
    def zfnet(self) -> ZooModel:
        """ZFNet with trained weights."""
        return self.load("zfnet")

    @property
    def trained(self) -> tuple[ZooModel, ...]:
        """The trained nets, in the order of :data:`TRAINED`; none where no exhibit needs them."""
        return tuple(self._loaded[name] for name in TRAINED if name in self._loaded)

    @property
    def used(self) -> tuple[ZooModel, ...]:
        """The trained nets that were needed so far."""
        return tuple(self._used.values())

    @cached_property
    def studies(self) -> "tuple[NetStudy, ...]":
        """AlexNet and ZFNet in the aliasing lab, with the numbers of ``vizcnn aliasing``."""
        from vizcnn.measures.study import LabSettings
        from vizcnn.pages.aliasing import measure

        return tuple(measure((self.alexnet, self.zfnet), (), LabSettings(), self.progress))

    def generator(self) -> torch.Generator:
        """A source of random numbers that always begins alike."""
        return torch.Generator().manual_seed(self.seed)

    def read(self, model: ZooModel) -> Tensor:
        """Bring the photo to a net's size: pixels (1, 3, S, S), RGB 0..1."""
        return model.read(self.photo).to(self.device)
