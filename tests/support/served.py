"""Which nets the deconvnet and guided backprop serve, and how exactly: docs/nets-served.md.

Every net has random weights (none are downloaded) and the batch statistics of a random batch. At
each convolution that its forward pass calls it is asked whether the two methods have a way back:
as they are, with gates held, and with smooth activations rectified as well. At a middle and the
last of the convolutions served in the end their pictures are compared with
:mod:`tests.support.traced`, which shares no code with the library.

    python -m tests.support.served            # the table of all nets, to docs/nets-served.md
    python -m tests.support.served resnet18   # some nets, to the terminal
"""

import gc
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tests.support.traced import send_back, trace
from vizcnn.basics.errors import VizcnnError
from vizcnn.projection.deconvnet import Projector
from vizcnn.recording.dependence import Step
from vizcnn.recording.graph import Node, refuse_rerouted, trace_nodes
from vizcnn.recording.operations import refuse_unruled
from vizcnn.recording.recording import Recording
from vizcnn.zoo.torchvision_nets import import_torchvision

TABLE = Path(__file__).parents[2] / "docs" / "nets-served.md"

KEPT = Path("nets-served.jsonl")
"""Where results are kept while the nets are measured; delete it to begin anew."""

TIMM = """
resnet26d resnet50 resnetaa50 resnetblur50 resnet10t resnetv2_50 res2net50_26w_4s res2next50
efficientnet_lite0 mobilenetv2_100 mobilenetv4_conv_small mnasnet_100 fbnetc_100 spnasnet_100
regnetx_004 nf_resnet50 repvgg_a0 mobileone_s0 vovnet39a xception41 xception71 inception_v4
inception_resnet_v2 nasnetalarge pnasnet5large dpn68 densenet121 dla34 dla60_res2net
hrnet_w18_small selecsls42b vgg11_bn hgnetv2_b0 resnext50_32x4d wide_resnet50_2 convmixer_768_32
gernet_s test_resnet skresnet18 seresnet50 ecaresnet50t resnest14d gcresnet33ts lambda_resnet26t
convnext_atto convnextv2_atto efficientnet_b0 tf_efficientnetv2_b0 mobilenetv3_large_100 mixnet_s
tinynet_e hardcorenas_a ghostnet_100 ghostnetv2_100 lcnet_050 regnety_004 regnetz_040 rexnet_100
nfnet_f0 repghostnet_050 ese_vovnet19b_dw ese_vovnet39b inception_next_atto cspresnet50
cspdarknet53 darknet53 sebotnet33ts_256 botnet26t_256 halonet26t hgnet_tiny starnet_s1 fastvit_t8
repvit_m1 mobilevit_s poolformer_s12 focalnet_tiny_srf tresnet_m legacy_senet154
seresnext26d_32x4d skresnext50_32x4d efficientvit_b0 nextvit_small cs3darknet_s bat_resnext26ts
eca_resnext26ts rdnet_tiny mambaout_femto edgenext_xx_small mobilenetv1_100
""".split()
"""One net or two of each family of convolutional nets in timm, the small ones of each."""

SIZES = {
    "inception_v3": 128,
    "inception_v4": 128,
    "inception_resnet_v2": 128,
    **dict.fromkeys(
        ("sebotnet33ts_256", "botnet26t_256", "halonet26t", "bat_resnext26ts", "edgenext_xx_small"),
        256,
    ),
}
"""Sides of the images in pixels, of nets that do not take 64."""

OPTIONS = (
    ("by default", False, False),
    ("gates held", True, False),
    ("rectified", True, True),
)
"""What is asked for: its name, whether gates are held, whether smooth activations are rectified."""


@dataclass
class Served:
    """How a net is served.

    Attributes:
        net: Its name.
        convolutions: How many calls of convolutions its forward pass has.
        counts: How many of them are served, by what is asked for.
        missing: What has no rule in the end, or by default, and how many layers lack it.
        error: Largest relative error of the pictures; None where nothing was compared.
        size: Side of the images.
        broken: What was raised that should not have been.
    """

    net: str
    convolutions: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    missing: dict[str, list[str]] = field(default_factory=dict)
    error: float | None = None
    size: int = 64
    broken: str = ""


def list_nets() -> Iterator[tuple[str, str, Callable[[], nn.Module]]]:
    """List collection, name and maker of every net."""
    import_torchvision()
    from torchvision import models

    for name in models.list_models(module=models):
        if not name.startswith(("vit", "swin", "maxvit")):
            yield "torchvision", name, partial(_make_torchvision, name)
    try:
        import timm
    except ImportError:
        return
    for name in TIMM:
        yield "timm", name, partial(timm.create_model, name, pretrained=False)


def _make_torchvision(name: str) -> nn.Module:
    from torchvision import models

    extra = {"init_weights": True} if name in ("googlenet", "inception_v3") else {}
    net: nn.Module = models.get_model(name, weights=None, **extra)
    return net


def bring_to_life(net: nn.Module, size: int) -> nn.Module:
    """Give a net the batch statistics of a random batch, and weights where it has zeros."""
    net = net.double().eval()
    for module in net.modules():
        if isinstance(module, _BatchNorm):
            module.reset_running_stats()
            module.momentum = None
            module.training = True
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith(("weight", "gain")) and not parameter.any():
                parameter.fill_(1 if parameter.ndim < 2 else 0.01)
        net(torch.randn(4, 3, size, size).double())
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    return net.eval()


def measure(name: str, make: Callable[[], nn.Module], slow: float = 60) -> Served:
    """Count the layers that a net is served at, and measure the error at two of them.

    Args:
        name: What it is called.
        make: Makes it.
        slow: Seconds after which no more pictures are compared.
    """
    served = Served(name, size=SIZES.get(name, 64))
    torch.manual_seed(0)
    started = time.monotonic()
    net = bring_to_life(make(), served.size)
    image = torch.randn(1, 3, served.size, served.size).double()
    recording = Projector(net, "guided").record(image)
    layers = [
        path if len(calls) == 1 else f"{path}#{number}"
        for path, calls in recording.outputs.items()
        if isinstance(net.get_submodule(path), nn.Conv2d)
        for number, output in enumerate(calls, 1)
        if output.requires_grad  # not one of fixed positions
    ]
    served.convolutions = len(layers)
    ways = {layer: _trace_way(recording, layer) for layer in layers}
    at_last: list[str] = []
    for option, holds, rectifies in OPTIONS:
        reasons: Counter[str] = Counter()
        at_last = []
        for layer, (step, nodes) in ways.items():
            try:
                refuse_unruled(step, nodes, "", rectifies, holds)
                at_last.append(layer)
            except VizcnnError as error:
                reasons.update(_shorten(str(error)))
        served.counts[option] = len(at_last)
        served.missing[option] = [reason for reason, _ in reasons.most_common()]
    errors = []
    for layer in dict.fromkeys(at_last[place] for place in (len(at_last) // 2, -1)):
        if time.monotonic() - started > slow:
            break
        errors += compare(net, recording, image, layer)
    served.error = max(errors, default=None)
    return served


def _trace_way(recording: Recording, layer: str) -> tuple[Step, list[Node]]:
    nodes = trace_nodes(recording.find_output(layer), recording.find_input())
    refuse_rerouted(nodes)
    return recording.find_step(layer), nodes


def _shorten(message: str) -> list[str]:
    found = re.search(r"has no rule for (.*) between", message)
    return [re.sub(r" \(\d+x\)", "", part) for part in found[1].split(", ")] if found else [message]


def compare(net: nn.Module, recording: Recording, image: Tensor, layer: str) -> list[float]:
    """Give the relative errors of both methods' pictures of a layer's strongest unit."""
    path, _, call = layer.partition("#")
    graph = trace(net, image, path, int(call or 1))
    errors = []
    for method in ("deconvnet", "guided"):
        projector = Projector(net, method, unruled="rectify", gates="hold")
        found = projector.project_recording(recording, layer, "top", count=1)
        place = tuple(number for number in found.positions[0].tolist() if number >= 0)
        unit = int(found.units)
        wanted = send_back(graph, image, unit, place, method, "rectify", "hold", "one")
        wanted = wanted * found.activations.abs().item()
        scale = wanted.abs().max().item()
        errors.append((found.pixels - wanted).abs().max().item() / (scale or 1))
    return errors


def write_table(results: list[tuple[str, Served]]) -> str:
    """Write the table."""
    versions = ", ".join(_list_versions())
    lines = [
        "# Nets served",
        "",
        "At how many of its convolutions a net is served by `deconvnet` and `guided`, each with a",
        'picture or refused by name: by default, with `gates="hold"`, and with',
        '`unruled="rectify"` as well. The error is the largest difference from an independent',
        "reference, relative to its largest value: the net as a traced ATen graph, run in float64",
        "with a rectifier rule of its own (`tests/support/traced.py`), both methods, the strongest",
        "unit of a middle and of the last convolution served. Weights are random, batch",
        "statistics those of a random batch, images 64 px wide where a net takes them.",
        "",
        f"Made by `python -m tests.support.served` with {versions}.",
        "",
    ]
    for collection in dict.fromkeys(where for where, _ in results):
        nets = [served for where, served in results if where == collection]
        lines += _summarise(collection, nets)
        lines += [
            "",
            "| net | convolutions | by default | gates held | rectified | error | no rule for |",
            "|---|---|---|---|---|---|---|",
            *(_write_row(served) for served in nets),
            "",
        ]
    return "\n".join(lines)


def _summarise(collection: str, nets: list[Served]) -> list[str]:
    full = Counter(
        option for net in nets for option, count in net.counts.items() if count == net.convolutions
    )
    told = ", ".join(
        f"{full[option]} {option} ({full[option] / len(nets):.0%})" for option, *_ in OPTIONS
    )
    worst = max((net.error for net in nets if net.error is not None), default=0)
    return [
        f"## {collection}: {len(nets)} nets",
        "",
        f"Served at every convolution: {told}. Largest error: {worst:.0e}.",
    ]


def _write_row(served: Served) -> str:
    if served.broken:
        return f"| {served.net} |  |  |  |  |  | {served.broken} |"
    counts = [
        "all" if served.counts[option] == served.convolutions else str(served.counts[option])
        for option, *_ in OPTIONS
    ]
    error = "" if served.error is None else f"{served.error:.0e}"
    missing = ", ".join(served.missing["rectified"][:3])
    return " | ".join([f"| {served.net}", str(served.convolutions), *counts, error, f"{missing} |"])


def _list_versions() -> Iterator[str]:
    from importlib.metadata import PackageNotFoundError, version

    for package in ("torch", "torchvision", "timm"):
        try:
            yield f"{package} {version(package).partition('+')[0]}"
        except PackageNotFoundError:
            yield f"no {package}"


def main(names: list[str], kept: Path = KEPT) -> None:
    """Measure nets: all of them into the table, or some of them to the terminal.

    Args:
        names: Which; all when empty.
        kept: Where each net's result is kept; a run that was stopped goes on after them.
    """
    lines = kept.read_text().splitlines() if kept.exists() and not names else []
    results: dict[tuple[str, str], Served] = {}
    for line in lines:
        known = json.loads(line)
        where = known.pop("collection")
        results[where, known["net"]] = Served(**known)
    for collection, name, make in list_nets():
        if (names and name not in names) or (collection, name) in results:
            continue
        try:
            served = measure(name, make)
        except Exception as error:
            served = Served(name, broken=f"{type(error).__name__}: {str(error)[:200]}")
        results[collection, name] = served
        line = json.dumps({"collection": collection, **asdict(served)})
        print(line, flush=True)
        if not names:
            with kept.open("a") as file:
                file.write(f"{line}\n")
        gc.collect()
    if not names:
        order = [(collection, name) for collection, name, _ in list_nets()]
        TABLE.write_text(write_table([(where, results[where, name]) for where, name in order]))


if __name__ == "__main__":
    main(sys.argv[1:])
