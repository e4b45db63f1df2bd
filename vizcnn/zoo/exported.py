"""Nets that torch.export wrote (``.pt2``), read without running anything that is in the file.

``torch.export.load`` trusts its file: weights and example inputs may be pickles, sizes are handed
to ``sympy.sympify``, which evaluates them, and names become Python code. What could be more than
plain tensors, plain sizes and torch's own operations is refused here before torch sees it.
"""

import io
import json
import re
import warnings
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vizcnn.basics.errors import ModelError, quote, shorten
from vizcnn.basics.files import open_plain_file
from vizcnn.zoo.state_dicts import LARGEST_FILE, check_archive

_NAME = re.compile(r"[\w.+\-]*", re.ASCII)
_TARGET = re.compile(
    r"torch\.ops\.aten\.\w+\.\w+"
    r"|torch\.ops\.higher_order\.wrap_with_set_grad_enabled"
    r"|torch\.sym_(int|float|max|min|ite|not|sqrt|sum)"
    r"|math\.(ceil|floor|trunc|sqrt)"
    r"|_operator\.(getitem|add|sub|mul|floordiv|truediv|mod|pow|neg|eq|ne|lt|le|gt|ge|and_|or_)",
    re.ASCII,
)
_SIZE = re.compile(
    r"([su]\d+|'[su]\d+'|\d+|Symbol|Integer|Rational|Add|Mul|Pow|FloorDiv|ModularIndexing|PythonMod"
    r"|Mod|CleanDiv|CeilDiv|CeilToInt|FloorToInt|IntTrueDiv|ToFloat|TruncToInt|PowByNatural"
    r"|Identity|Max|Min|Eq|Ne|True|False|positive|nonnegative|integer|real|[-+*/%(), <>=&|~])*",
    re.ASCII,
)
_FREE = frozenset(("metadata", "in_spec", "out_spec", "as_string", "guards_code"))
"""Parts of the graph that are parsed as data, printed as quoted texts, or not used at all."""

_MODEL = "models/model.json"
_CONFIGS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
_INPUTS = "data/sample_inputs/model.pt"

_LARGEST_GRAPH = 1 << 28
"""Bytes of the largest graph that is read."""


@dataclass(frozen=True)
class Program:
    """A net that was exported.

    Attributes:
        module: Its graph as a module; its convolutions and fully connected layers are torch's own
            kinds, at the paths that they had.
        input_size: Side of the image that it was exported for; None if it takes several.
    """

    module: nn.Module
    input_size: int | None


def read_program(path: Path) -> Program:
    """Read a ``.pt2`` file of ``torch.export.save``.

    Args:
        path: The file; nothing in it is run but torch's own operations on tensors.

    Raises:
        ModelError: If it is no such file, is damaged, holds more than a graph of torch's operations
            and plain tensors, takes more than one batch of images, or was exported in training
            mode.
    """
    with open_plain_file(path, "exported net", ModelError, LARGEST_FILE) as file:
        try:
            check_archive(path, file)
            with zipfile.ZipFile(file) as archive:
                _refuse_unsafe(path, archive)
        except (zipfile.BadZipFile, ValueError, KeyError, UnicodeDecodeError) as error:
            raise ModelError(
                f"{quote(path)} is no file of torch.export.save, or damaged ({_first_line(error)})"
            ) from None
        file.seek(0)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                program = torch.export.load(file)
                graph = program.module(check_guards=False)
        except Exception as error:  # damaged files fail in any way there is
            raise ModelError(
                f"{quote(path)} cannot be read ({_first_line(error)}): export it anew, with the "
                "torch that is installed here"
            ) from error
    inputs = program.graph_signature.user_inputs
    shapes = [
        node.meta["val"].shape
        for node in program.graph.nodes
        if node.op == "placeholder" and node.name in inputs and hasattr(node.meta["val"], "shape")
    ]
    if len(inputs) != 1 or len(shapes) != 1 or len(shapes[0]) != 4:
        raise ModelError(
            f"{quote(path)} takes {len(inputs)} input(s); needed: one batch of images (N, C, H, W)"
        )
    _refuse_training(path, graph)
    _restore_layers(graph)
    batch, _, height, width = shapes[0]
    if type(batch) is int:
        _allow_only(graph, path, batch)
    if type(height) is int and type(width) is int and height != width:
        raise ModelError(f"{quote(path)} takes images of {height} x {width}; needed: square ones")
    return Program(graph, height if type(height) is int else None)


def _first_line(error: Exception) -> str:
    return shorten((str(error).strip() or type(error).__name__).splitlines()[0], 160)


def _refuse_unsafe(path: Path, archive: zipfile.ZipFile) -> None:
    members = {name.partition("/")[2]: name for name in archive.namelist()}
    if _MODEL not in members or not members.keys() >= {*_CONFIGS, _INPUTS}:
        raise ModelError(
            f"{quote(path)} is no exported net of the present layout: write it with "
            "torch.export.save of torch 2.9 or newer"
        )
    foreign = [
        name
        for name in members
        if name.startswith(("data/aotinductor/", "data/executorch/", "models/"))
        or (name.startswith("data/") and name.endswith(".pt"))
    ]
    for name in sorted({*foreign} - {_MODEL, _INPUTS}):
        raise ModelError(
            f"{quote(path)} is refused: it holds {quote(name)}, and only one graph with plain "
            "tensors is read"
        )
    graph = _read_json(path, archive, members[_MODEL])
    for fault in _find_unsafe(graph, ""):
        raise ModelError(
            f"{quote(path)} is refused: its graph holds {fault}, and only torch's own operations "
            "on tensors are read"
        )
    for config in _CONFIGS:
        payloads = _read_json(path, archive, members[config])["config"]
        for name, payload in payloads.items():
            is_plain = payload["path_name"].startswith(("weight_", "tensor_"))
            if payload["use_pickle"] or not is_plain or not _NAME.fullmatch(name):
                raise ModelError(
                    f"{quote(path)} is refused: {quote(name)} is pickled or no tensor, and only "
                    "plain tensors are read"
                )
    try:  # torch would unpickle freely what it cannot read so
        torch.load(io.BytesIO(archive.read(members[_INPUTS])), weights_only=True)
    except Exception:
        raise ModelError(
            f"{quote(path)} is refused: its example inputs are more than plain tensors"
        ) from None


def _read_json(path: Path, archive: zipfile.ZipFile, name: str) -> Any:
    if archive.getinfo(name).file_size > _LARGEST_GRAPH:
        raise ModelError(f"{quote(path)} is refused: its graph is too large")
    return json.loads(archive.read(name))


def _find_unsafe(value: Any, key: str) -> Iterable[str]:
    """Find what in a graph could be more than a name, a size or an operation of torch's."""
    if isinstance(value, dict):
        for name, part in value.items():
            if not _NAME.fullmatch(name):
                yield f"the name {quote(name)}"
            elif name not in _FREE:
                yield from _find_unsafe(part, name)
    elif isinstance(value, list):
        for part in value:
            yield from _find_unsafe(part, key)
    elif isinstance(value, str):
        allowed = {"target": _TARGET, "expr_str": _SIZE}.get(key, _NAME)
        if not allowed.fullmatch(value):
            yield f"{quote(value)} as {key or 'a name'}"


def _refuse_training(path: Path, graph: torch.fx.GraphModule) -> None:
    for node in graph.graph.nodes:
        name = str(node.target)
        training = {"aten.batch_norm.default": 5, "aten.dropout.default": 2}.get(name)
        if training is not None and len(node.args) > training and node.args[training] is True:
            raise ModelError(
                f"{quote(path)} was exported in training mode: call net.eval() and export it anew"
            )


def _restore_layers(graph: torch.fx.GraphModule) -> None:
    """Make layers of the calls that have weights, where the net had them: so they have filters."""
    makers = {
        torch.ops.aten.conv2d.default: _make_convolution,
        torch.ops.aten.linear.default: _make_linear,
    }
    made: dict[str, nn.Module] = {}
    for node in list(graph.graph.nodes):
        make = makers.get(node.target)
        if make is None or node.kwargs:
            continue
        weight = node.args[1]
        if getattr(weight, "op", "") != "get_attr" or not str(weight.target).endswith(".weight"):
            continue
        path = str(weight.target).removesuffix(".weight")
        bias = node.args[2] if len(node.args) > 2 else None
        if bias is not None and getattr(bias, "target", None) != f"{path}.bias":
            continue
        if path not in made:
            own = graph.get_submodule(path)
            if len(list(own.named_parameters())) != 1 + (bias is not None) or any(own.buffers()):
                continue
            layer = make(own.weight, node.args)
            layer.weight = own.weight
            if bias is not None:
                layer.bias = own.bias
            made[path] = layer.eval()
            graph.set_submodule(path, layer)
        with graph.graph.inserting_before(node):
            call = graph.graph.call_module(path, (node.args[0],))
        call.meta = dict(node.meta)
        node.replace_all_uses_with(call)
        graph.graph.erase_node(node)
    graph.graph.eliminate_dead_code()
    graph.recompile()


def _make_convolution(weight: Any, args: tuple[Any, ...]) -> nn.Module:
    usual: tuple[Any, ...] = (None, [1, 1], [0, 0], [1, 1], 1)
    bias, stride, padding, dilation, groups = (*args[2:], *usual[len(args) - 2 :])
    filters, channels, *size = weight.shape
    with torch.device("meta"):
        return nn.Conv2d(
            channels * groups,
            filters,
            tuple(size),
            tuple(stride),
            tuple(padding),
            tuple(dilation),
            groups,
            bias=bias is not None,
        )


def _make_linear(weight: Any, args: tuple[Any, ...]) -> nn.Module:
    with torch.device("meta"):
        has_bias = len(args) > 2 and args[2] is not None
        return nn.Linear(weight.shape[1], weight.shape[0], bias=has_bias)


def _allow_only(graph: nn.Module, path: Path, batch: int) -> None:
    def check(module: nn.Module, args: tuple[Any, ...]) -> None:
        if args and isinstance(args[0], torch.Tensor) and len(args[0]) != batch:
            raise ModelError(
                f"{quote(path)} was exported for batches of {batch} and has to run on "
                f"{len(args[0])} here: export it with dynamic_shapes=({{0: "
                "torch.export.Dim.DYNAMIC},), on an example of 2 images"
            )

    graph.register_forward_pre_hook(check, prepend=True)
