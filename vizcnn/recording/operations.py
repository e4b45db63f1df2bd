"""What each aten operation is to a rule: linear in which arguments, a switch, or without a rule.

An operation is linear when the arguments that depend on the image enter it linearly *together*; the
transpose is then the way back. ``mul`` is linear while one factor is fixed and a product of feature
maps when both depend on the image, ``where`` while its condition is fixed, and so on. Views are not
listed: they make no step of their own.
"""

from collections import Counter
from collections.abc import Iterable

from vizcnn.basics.errors import UnsupportedOperationError
from vizcnn.recording.dependence import IMAGE, Step
from vizcnn.recording.graph import Node, find_foreign

_TABLE = """
self: neg sum mean cumsum clone _to_copy flip roll repeat rot90 index_select gather index take
self: tril triu trace _unsafe_view constant_pad_nd reflection_pad1d reflection_pad2d
self: reflection_pad3d replication_pad1d replication_pad2d replication_pad3d avg_pool1d
self: avg_pool2d avg_pool3d _adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_avg_pool1d
self: upsample_nearest1d upsample_nearest2d upsample_nearest3d _upsample_nearest_exact1d
self: _upsample_nearest_exact2d _upsample_nearest_exact3d upsample_linear1d upsample_bilinear2d
self: upsample_bicubic2d upsample_trilinear3d _upsample_bilinear2d_aa _upsample_bicubic2d_aa
self: pixel_shuffle pixel_unshuffle channel_shuffle native_channel_shuffle im2col col2im zero
self: nan_to_num _fft_r2c _fft_c2c _fft_c2r _conj_physical div
self,indices: max_unpool2d max_unpool3d
input: grid_sampler_2d grid_sampler_3d native_dropout
input,bias: native_batch_norm cudnn_batch_norm miopen_batch_norm _native_batch_norm_legit
input,bias: _native_batch_norm_legit_no_training _batch_norm_with_update _batch_norm_no_update
input,bias: native_group_norm native_layer_norm
input: _fused_rms_norm
self,other: add sub rsub where
self,end: lerp
self,src: copy slice_scatter select_scatter diagonal_scatter as_strided_scatter scatter
self,src: scatter_add
self,source: index_add index_copy masked_scatter
self,values: index_put _unsafe_index_put
self,value: masked_fill index_fill fill
tensors: cat stack
self | other: mul
self | mat2: mm bmm
self | vec: mv
self | tensor: dot
self,mat1 | self,mat2: addmm
self,batch1 | self,batch2: baddbmm addbmm
self,mat | self,vec: addmv
self,tensor1 | self,tensor2: addcmul
self,tensor1: addcdiv
input,bias | weight,bias: convolution linear
"""

LINEAR: dict[str, tuple[frozenset[str], ...]] = {}
"""For each linear operation the sets of arguments in any one of which it is linear together."""

for _line in _TABLE.strip().splitlines():
    _arguments, _, _names = _line.partition(":")
    for _name in _names.split():
        LINEAR[_name] = tuple(
            frozenset(name.strip() for name in some.split(",")) for some in _arguments.split("|")
        )

SWITCHED = frozenset(
    """max_pool2d_with_indices max_pool3d_with_indices max_pool1d_with_indices adaptive_max_pool2d
    adaptive_max_pool3d fractional_max_pool2d fractional_max_pool3d max amax maximum fmax""".split()
)
"""Maxima: the way back goes through their switches."""

RULED = frozenset((IMAGE, "rectify", "normalise", "pool"))
"""Steps whose way back is the method's own."""


_OUT_OF_SIGHT = {
    "relu": "relu out of its graph (detached, under no_grad or a torch.func transform)"
}
"""What is told of operations that have a rule where they are seen."""


def explain_step(step: Step) -> str | None:
    """Say why a step has no rule, or None where it has one.

    Example:
        >>> image = Step(IMAGE)
        >>> explain_step(Step("mul", (("self", image),)))
        >>> explain_step(Step("mul", (("self", image), ("other", image))))
        'product of feature maps (mul)'
        >>> explain_step(Step("sigmoid", (("self", image),)))
        'sigmoid'
    """
    depends = {name for name, _ in step.sources}
    if step.name in RULED:
        return None
    if step.name in SWITCHED:
        return "maximum with a fixed map" if _meets_a_constant(step) else None
    if step.name not in LINEAR:
        return _OUT_OF_SIGHT.get(step.name, step.name)
    if any(depends <= together for together in LINEAR[step.name]):
        return None
    return f"product of feature maps ({step.name})"


_DEGREES: dict[str, float] = {
    **dict.fromkeys(("mean", "sum", "linalg_vector_norm", "std", "clone", "_to_copy"), 1),
    **dict.fromkeys(("clamp_min", "abs", "neg", "rsub"), 1),
    "var": 2,
    "sqrt": 0.5,
    "rsqrt": -0.5,
    "reciprocal": -1,
}
"""With which power of its input a step of a statistic grows."""

_REDUCING = frozenset(("mean", "sum", "linalg_vector_norm", "std", "var"))


def find_normalised(step: Step) -> Step | None:
    """Give the maps that are normalised by their own statistics, where a product does that.

    Layer normalisation written out, ``F.normalize``, root mean squares and the response
    normalisation of ConvNeXt V2 are products of maps with a factor made of the same maps, which
    sums over them and, but for the small number that keeps it finite, does not grow with them (or
    falls as they grow). As at the layers of torch that do the same, the true gradient is taken.

    Example:
        >>> maps = Step("convolution")
        >>> norm = Step("linalg_vector_norm", (("self", maps),))
        >>> find_normalised(Step("div", (("self", maps), ("other", norm)))) is maps
        True
        >>> find_normalised(Step("mul", (("self", maps), ("other", norm))))
    """
    if step.name not in ("mul", "div") or len(step.sources) != 2:
        return None
    (_, first), (_, second) = step.sources
    pairs = (
        [(first, second, -1)] if step.name == "div" else [(first, second, 1), (second, first, 1)]
    )
    for maps, factor, sign in pairs:
        base = _find_base(maps)
        degree = _find_degree(factor, {maps, base})
        if degree is not None and sign * degree in (0, -1):
            return base
    return None


def _find_base(maps: Step) -> Step:
    """Give the maps from which their own mean was taken away."""
    if maps.name == "sub" and len(maps.sources) == 2:
        (_, base), (_, mean) = maps.sources
        if _find_degree(mean, {base}) == 1:
            return base
    return maps


def _find_degree(
    step: Step,
    bases: set[Step],
    reduced: bool = False,
    known: dict[tuple[Step, bool], float | None] | None = None,
) -> float | None:
    """Give the power with which a statistic of some maps grows; None for what is no such thing."""
    if step in bases:
        return 1 if reduced else None
    if step.name not in _DEGREES and step.name not in ("add", "sub", "mul", "div", "pow"):
        return None
    known = {} if known is None else known
    if (step, reduced) not in known:
        deeper = reduced or step.name in _REDUCING
        degrees = [_find_degree(source, bases, deeper, known) for _, source in step.sources]
        found = [degree for degree in degrees if degree is not None]
        complete = found and len(found) == len(degrees)
        known[step, reduced] = _combine_degrees(step, found) if complete else None
    return known[step, reduced]


def _combine_degrees(step: Step, degrees: list[float]) -> float | None:
    first, *others = degrees
    if step.name in ("add", "sub"):
        return first if all(other == first for other in others) else None
    if step.name == "mul":
        return first + sum(others)
    if step.name == "div":
        inverted = not others and step.sources[0][0] != "self"
        return -first if inverted else first - sum(others)
    if step.name == "pow":
        exponent = dict(step.fixed).get("exponent")
        return None if exponent is None else first * float(exponent)
    return None if others else first * _DEGREES[step.name]


def _meets_a_constant(step: Step) -> bool:
    """Tell whether a maximum is taken with maps that do not depend on the image: a rectifier."""
    if step.name in ("maximum", "fmax"):
        return len(step.sources) < 2
    ((_, source),) = step.sources
    # torch.stack([x, zeros]).amax(0)
    return source.name in ("stack", "cat") and dict(source.fixed).get("count") != len(
        source.sources
    )


SMOOTH = frozenset(
    """silu gelu hardswish mish elu celu selu softplus softsign tanhshrink logsigmoid sigmoid tanh
    hardsigmoid""".split()
)
"""Activations that the rules' own definitions serve where that is asked for."""

NORMALISING = frozenset(("_softmax", "_log_softmax"))
"""Normalisations that have no rectifier above them when a layer ends in them."""


def refuse_unruled(
    top: Step, nodes: Iterable[Node], method: str, rectifies_smooth: bool, holds_gates: bool
) -> None:
    """Refuse, by name, operations that a method has no rule for.

    Args:
        top: The step that made the layer's output.
        nodes: The nodes of autograd's graph between the layer and the image.
        method: What the method is called.
        rectifies_smooth: Whether smooth activations are treated by the rule's own definition.
        holds_gates: Whether gates are taken as fixed.

    Raises:
        UnsupportedOperationError: If there are any.
    """
    found: Counter[str] = find_foreign(nodes)
    smooth = gated = False
    seen, stack = {top}, [top]
    while stack:
        step = stack.pop()
        reason = explain_step(step)
        sources = step.sources
        if step is top and step.name in NORMALISING:
            reason = None
        if step.name == "gate":
            if holds_gates:
                sources, reason = step.sources[:1], None
            else:
                reason, gated = "product with a gate", True
        elif step.name in SMOOTH:
            smooth = True
            reason = None if rectifies_smooth else step.name
        elif reason is not None and (base := find_normalised(step)):
            sources, reason = (("self", base),), None
        if reason is not None:
            found[reason] += 1
        for _, source in sources:
            if source not in seen:
                seen.add(source)
                stack.append(source)
    if not found:
        return
    names = ", ".join(f"{name} ({count}x)" for name, count in found.most_common())
    ways = ["method 'gradient'"]
    if gated:
        ways.append("gates='hold' to take gates as fixed")
    if smooth:
        ways.append("unruled='rectify' to rectify the signal there as the rules define it")
    ways.append("unruled='gradient' to take the plain gradient there")
    raise UnsupportedOperationError(
        f"{method} has no rule for {names} between this layer and the input; use a layer below, "
        + ", ".join(ways[:-1])
        + f", or {ways[-1]}"
    )
