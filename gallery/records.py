"""What the manifests of all commands share."""

from dataclasses import dataclass

from vizcnn.basics.codec import RelativeFile


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Where a net's weights come from.

    Attributes:
        describe: The provenance in one line, for the page's header.
        source: Where the file comes from (a URL, a package, a file name).
        data: What the net was trained on.
        licence: Licence of the weights.
        top1: Top-1 accuracy in 0..1.
        top5: Top-5 accuracy in 0..1.
        note: Anything that a reader should know.
        sha256: Of the file of weights, in hexadecimal.
    """

    describe: str
    source: str = ""
    data: str = ""
    licence: str = ""
    top1: float | None = None
    top5: float | None = None
    note: str = ""
    sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class Net:
    """A net of a run.

    Attributes:
        model: Name of the net.
        title: Title of the net, for headings.
        weights: Where its weights come from.
    """

    model: str
    title: str
    weights: Weights


@dataclass(frozen=True, kw_only=True)
class PageFigure:
    """A figure of the page.

    Attributes:
        title: Heading on the page.
        file: The figure (PNG, SVG or PDF).
        text: What is to be seen, for those who cannot see it.
        note: What a reader should know.
    """

    title: str
    file: RelativeFile
    text: str
    note: str = ""
