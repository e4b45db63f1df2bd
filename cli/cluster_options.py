"""Options that spread a command over many machines, and what they are turned into."""

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from vizcnn.cli.options import Command, NetWords, WholeNumber, load_net, settle_device

if TYPE_CHECKING:
    from vizcnn.basics.ray_pool import RayPool
    from vizcnn.photos.framing import Fit
    from vizcnn.recording.arithmetic import Precision
    from vizcnn.zoo.model import ZooModel

OPTIONS = ("engine", "address", "parts", "actors")
"""Names of what :func:`cluster_options` adds to a command's parameters."""

LARGEST_POOL = 100_000
"""Actors that can be asked for."""

MOST_PARTS = 100_000
"""As vizcnn.mining.cluster has it, which is not loaded for the sake of a help text."""


def cluster_options(command: Command) -> Command:
    """Add the options of many machines; :func:`take_cluster` takes what they say."""
    for option in (
        click.option(
            "--actors",
            type=WholeNumber(1, LARGEST_POOL),
            help="How many processes of the engine hold the net.  [default: one for each GPU of "
            "the cluster, or for each core of one without]",
        ),
        click.option(
            "--parts",
            type=WholeNumber(1, MOST_PARTS),
            help="In how many parts the engine mines the photos.  [default: one for every 256 "
            "photos, at most 512]",
        ),
        click.option(
            "--address",
            metavar="ADDRESS",
            help="Address of the engine's cluster, HOST:PORT or auto.  [default: that of the "
            "variable RAY_ADDRESS, else the engine is started on this machine]",
        ),
        click.option(
            "--engine",
            type=click.Choice(["ray"], case_sensitive=False),
            help="Spread the work over the processes of an engine: ray, on this machine or a "
            "cluster (pip install 'vizcnn[ray]').",
        ),
    ):
        command = option(command)  # the last that is declared stands first
    return command


@dataclass(frozen=True)
class Cluster:
    """What was said of many machines.

    Attributes:
        address: Of the cluster; as is usual for the engine when None.
        parts: In how many parts the photos are mined; chosen by their number when None.
        actors: How many processes hold the net; chosen by what the cluster has when None.
    """

    address: str | None = None
    parts: int | None = None
    actors: int | None = None


def take_cluster(context: click.Context, given: dict[str, Any]) -> Cluster | None:
    """Take out what was said of many machines; None if the command is to run in this process.

    Args:
        context: The running command's.
        given: Values of a command's parameters; those of :func:`cluster_options` are taken out.

    Raises:
        click.UsageError: If something was said of an engine, and there is none.
    """
    engine, *values = (given.pop(name, None) for name in OPTIONS)
    said = dict(zip(OPTIONS[1:], values, strict=True))
    if engine:
        return Cluster(**said)
    for name, value in said.items():
        if value is not None:
            raise click.UsageError(f"--{name} is for an engine: give --engine ray, too", context)
    return None


def open_pool(cluster: Cluster, device: str) -> "RayPool":
    """Give what was asked for: a pool that starts or joins Ray when it is entered.

    From then on it has the ``device`` that a :class:`NetLoader` needs.

    Args:
        cluster: What was said of it.
        device: What was said of the device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        VizcnnError: As :class:`~vizcnn.basics.ray_pool.RayPool`.
    """
    from vizcnn.basics.ray_pool import RayPool

    return RayPool(cluster.address, cluster.actors, device)


_KEPT = ExitStack()
"""What a process of a pool has been set up by, until its end."""


@dataclass(frozen=True)
class NetLoader:
    """Loads a net in a process of a pool, as the command line says, and sets the process up for it.

    Attributes:
        name: The net's.
        words: What else is said of it.
        device: Of the pool (:attr:`~vizcnn.basics.ray_pool.RayPool.device`).
        seed: Of random weights.
        precision: Of the arithmetic.
        fit: How photos are brought to the net's input.
        size: Side of its input in pixels.
    """

    name: str
    words: NetWords
    device: str
    seed: int
    precision: "Precision"
    fit: "Fit | None" = None
    size: int | None = None

    def __call__(self) -> "ZooModel":
        """Load it."""
        device = settle_device(self.device, self.precision, _KEPT.enter_context)
        net = load_net(self.name, self.words, device, self.seed)
        return net.fit_photos(self.fit, self.size)
