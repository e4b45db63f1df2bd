"""A deconvnet attached to a convnet at one layer pair, with the numbers of one window.

Zeiler & Fergus 2013 (arXiv 1311.2901), Figure 1: a convolution, a rectifier and a max pooling on
the way up; unpooling by their switches, a rectifier and the transposed filters on the way down.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vizcnn.basics.errors import LayerError, UnsupportedOperationError, quote
from vizcnn.projection.methods import METHODS, Method, need_rule
from vizcnn.projection.mirror import IDENTITIES, TransposedFilter, mirror_call
from vizcnn.recording.calls import MAX_POOLINGS, NORMALISATIONS, Call
from vizcnn.recording.recording import Recording
from vizcnn.recording.rectifiers import parse_rectifier
from vizcnn.recording.unpool import Window

Place = tuple[int, int]
Region = tuple[int, int, int, int]
"""Top, left, bottom, right, the last two exclusive; may reach beyond a map where it is padded."""


@dataclass(frozen=True)
class PairCalls:
    """The calls of a layer pair, in the order of the forward pass.

    Attributes:
        convolution: Filters the layer below.
        scaled: What lies between it and the rectifier, such as batch normalisation.
        rectifier: Rectifies the feature maps.
        normalised: What lies between it and the pooling, such as contrast normalisation.
        pooling: Takes the maximum of each window.
    """

    convolution: Call
    scaled: tuple[Call, ...]
    rectifier: Call
    normalised: tuple[Call, ...]
    pooling: Call

    @property
    def all(self) -> tuple[Call, ...]:
        """All of them."""
        inner = (self.convolution, *self.scaled, self.rectifier, *self.normalised)
        return (*inner, self.pooling)

    def includes(self, output: Tensor) -> bool:
        """Tell whether one of them put a tensor out."""
        return any(call.output is output for call in self.all)


@dataclass(frozen=True, eq=False)
class LayerPair:
    """One layer of a convnet and the deconvnet's beside it, with their values for one photo.

    All maps are of one unit, the map whose window is looked at; tensors are on the CPU.

    Attributes:
        layer: Module path of the layer: of its rectified maps, or of the nearest that is known.
        unit: Number of the map.
        place: Row and column of the window's maximum in the pooled maps.
        switch: Row and column of that maximum in the map that is pooled.
        window: Geometry of the pooling.
        region: The window in the map that is pooled.
        footprint: What the filter reads of the layer below for the place of the switch.
        below: The layer below, (C, H, W): the net's input, or feature maps.
        is_image: Whether it is the net's input.
        filter: The map's filter, (C / groups, kh, kw).
        first_channel: Number of the layer below's map that the filter's first channel reads.
        features: The map before the rectifier, (h, w).
        rectified: The same after it.
        compared: What is pooled: the same, contrast normalised where the net does so.
        pooled: The pooled map, (ph, pw).
        above: Reconstruction of the layer above at the pooled maps, (ph, pw).
        unpooled: The same sent back to the switches, (h, w); what meets in a place is added.
        passed: What the rectifier lets pass of it.
        filtered: What goes into the transposed filter: the same, scaled as the map was.
        reconstruction: Reconstruction of the layer below by all maps, (C, H, W).
        source: Module path of the layer whose strongest unit is projected; the pooling's own where
            nothing above can be followed.
        source_unit: Number of that unit.
        source_place: Its row and column; None in a layer without places.
        activation: Its value, with which the way down begins.
        steps: Names of what else lies between: before the rectifier, and before the pooling.
    """

    layer: str
    unit: int
    place: Place
    switch: Place
    window: Window
    region: Region
    footprint: Region
    below: Tensor
    is_image: bool
    filter: Tensor
    first_channel: int
    features: Tensor
    rectified: Tensor
    compared: Tensor
    pooled: Tensor
    above: Tensor
    unpooled: Tensor
    passed: Tensor
    filtered: Tensor
    reconstruction: Tensor
    source: str
    source_unit: int
    source_place: Place | None
    activation: float
    steps: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())

    @property
    def maximum(self) -> float:
        """The window's maximum."""
        return float(self.pooled[self.place])

    @property
    def signal(self) -> float:
        """What comes from above for the window."""
        return float(self.above[self.place])

    @property
    def sent(self) -> float:
        """What goes into the transposed filter at the switch: the filter is added so many times."""
        return float(self.filtered[self.switch])

    def read_window(self, values: Tensor) -> Tensor:
        """Read a map of the pooled size at the window's places, NaN in the padding: (kh, kw)."""
        rows, columns = (
            [start + step * number for number in range(count)]
            for start, step, count in zip(
                self.region[:2], self.window.dilation, self.window.size, strict=True
            )
        )
        return read_places(values, rows, columns)

    def read_around(self, values: Tensor) -> Tensor:
        """Read a pooled map at the window's place and its neighbours, NaN beyond: (3, 3)."""
        rows, columns = ([middle - 1, middle, middle + 1] for middle in self.place)
        return read_places(values, rows, columns)


def read_places(values: Tensor, rows: Sequence[int], columns: Sequence[int]) -> Tensor:
    """Read a map at rows and columns, NaN outside of it.

    Example:
        >>> read_places(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), [-1, 0], [1, 2])
        tensor([[nan, nan],
                [2., nan]])
    """
    height, width = values.shape
    found = torch.full((len(rows), len(columns)), torch.nan)
    for down, row in enumerate(rows):
        for across, column in enumerate(columns):
            if 0 <= row < height and 0 <= column < width:
                found[down, across] = values[row, column]
    return found


def attach_deconvnet(
    recording: Recording, layer: str | None = None, method: Method | None = None
) -> LayerPair:
    """Attach a deconvnet to a recorded net at one layer pair, and follow one window through it.

    Above the pair the strongest unit of the next rectified layer is projected down to the pooled
    maps, as the deconvnet does; where the net branches there, or ends, the strongest pooled maximum
    itself. The window that gets most of it is the one that is looked at, if possible one with an
    active maximum that the map's edge does not cut.

    Args:
        recording: Of one photo, with all layers kept.
        layer: Module path of the convolution, of its rectified or of its pooled maps; the net's
            first such pair when None.
        method: The deconvnet when None; another rule draws what that does.

    Returns:
        The pair with its values.

    Raises:
        UnsupportedOperationError: If the net has no convolution that is rectified and max-pooled,
            or the layer is not part of one; or a step of the pair has no explicit form.

    Example:
        >>> from torch import nn
        >>> from vizcnn.recording.recording import record
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2))
        >>> with record(net) as recording:
        ...     _ = net(torch.rand(1, 3, 8, 8))
        >>> pair = attach_deconvnet(recording)
        >>> pair.layer, pair.above.shape, pair.reconstruction.shape
        ('1', torch.Size([3, 3]), torch.Size([3, 8, 8]))
    """
    method = need_rule(METHODS["deconvnet"]) if method is None else method
    pair = _choose_pair(recording, layer)
    above = _follow_up(recording, pair.pooling)
    start = above[-1].output if above else pair.pooling.output
    with torch.no_grad():
        maps = start.detach()[0]
        strongest = int(maps.flatten().argmax())
        signal = torch.zeros_like(start)
        signal.flatten()[strongest] = activation = maps.flatten()[strongest]
        unit, *place = (int(n) for n in torch.unravel_index(torch.tensor(strongest), maps.shape))
        for call in reversed(above):
            signal = _step_down(call, method, signal)
        number, row, column = _choose_window(signal[0], pair.pooling)
        unpooled = _step_down(pair.pooling, method, signal)
        passed = unpooled
        for call in (*reversed(pair.normalised), pair.rectifier):
            passed = _step_down(call, method, passed)
        filtered = passed
        for call in reversed(pair.scaled):
            filtered = _step_down(call, method, filtered)
        reconstruction = _step_down(pair.convolution, method, filtered)
        features = pair.convolution.source.detach()
        for call in (pair.convolution, *pair.scaled):
            # computed anew: a rectifier in place has written over what was there
            features = call.function(features, *call.args[1:], **call.kwargs)
    transposed = TransposedFilter(pair.convolution)
    window, switches = pair.pooling.window, pair.pooling.switches
    assert window is not None and switches is not None
    flat = int(switches[0, number, row, column])
    compared = pair.pooling.source.detach()[0, number]
    switch = divmod(flat, compared.shape[1])
    maps_a_group = transposed.weight.shape[0] // transposed.groups

    def take(values: Tensor) -> Tensor:
        return values.detach()[0, number].float().cpu()

    return LayerPair(
        layer=layer or _name_output(recording, pair.rectifier.output, pair.all),
        unit=number,
        place=(row, column),
        switch=switch,
        window=window,
        region=_find_region((row, column), window),
        footprint=_find_region(
            switch,
            Window(
                (transposed.weight.shape[2], transposed.weight.shape[3]),
                transposed.stride,
                transposed.padding,
                transposed.dilation,
            ),
        ),
        below=pair.convolution.source.detach()[0].float().cpu(),
        is_image=_is_input(recording, pair.convolution.source),
        filter=transposed.weight[number].float().cpu(),
        first_channel=number // maps_a_group * transposed.weight.shape[1],
        features=take(features),
        rectified=take(pair.rectifier.output),
        compared=compared.float().cpu(),
        pooled=take(pair.pooling.output),
        above=take(signal),
        unpooled=take(unpooled),
        passed=take(passed),
        filtered=take(filtered),
        reconstruction=reconstruction[0].float().cpu(),
        source=_name_output(recording, start, above or pair.all),
        source_unit=unit,
        source_place=(place[0], place[1]) if place else None,
        activation=float(activation),
        steps=(_list_names(pair.scaled), _list_names(pair.normalised)),
    )


def list_pairs(recording: Recording) -> Iterator[PairCalls]:
    """List the convolutions of a recording that are rectified and max-pooled."""
    for number, call in enumerate(recording.calls):
        if call.function in MAX_POOLINGS and call.switches is not None:
            found = _trace_pair(recording, number)
            if found is not None:
                yield found


def _trace_pair(recording: Recording, number: int) -> PairCalls | None:
    """Walk back from a pooling to its convolution; None if another step lies between."""
    pooling = recording.calls[number]
    before: list[Call] = []
    rectifier: Call | None = None
    normalised: tuple[Call, ...] = ()
    current = pooling.source
    while True:
        made = _find_maker(recording, current, number)
        if made is None or len(recording.calls[made].sources) != 1:
            return None
        number, call = made, recording.calls[made]
        if call.function is torch.conv2d:
            if rectifier is None:
                return None
            return PairCalls(call, tuple(before), rectifier, normalised, pooling)
        if parse_rectifier(call.function, call.args, call.kwargs) is not None:
            if rectifier is not None:
                return None
            rectifier, normalised, before = call, tuple(before), []
        elif call.function in _BETWEEN:
            before.insert(0, call)
        else:
            return None
        current = call.source


_BETWEEN = (*NORMALISATIONS, *IDENTITIES, torch.nn.functional.batch_norm)
"""What may lie between convolution, rectifier and pooling."""


def _find_maker(recording: Recording, output: Tensor, before: int) -> int | None:
    """Find the last call before another that put a tensor out; in place that is a later one."""
    made = (n for n in reversed(range(before)) if recording.calls[n].output is output)
    return next(made, None)


def _choose_pair(recording: Recording, layer: str | None) -> PairCalls:
    pairs = list(list_pairs(recording))
    if not pairs:
        raise UnsupportedOperationError(
            "this net has no convolution whose maps are rectified and max-pooled, which the figure "
            "of an attached deconvnet shows: take a net that has one, such as zfnet"
        )
    if layer is None:
        return pairs[0]
    output = recording.find_output(layer)
    for pair in pairs:
        if pair.includes(output):
            return pair
    known = [_name_output(recording, pair.rectifier.output, pair.all) for pair in pairs]
    raise UnsupportedOperationError(
        f"layer {quote(layer)} is no part of a convolution that is rectified and max-pooled; "
        f"needed: one of {', '.join(known)}"
    )


def _follow_up(recording: Recording, pooling: Call) -> tuple[Call, ...]:
    """List the calls from a pooling to the next rectified layer; none where the net branches."""
    calls = recording.calls
    used = {id(source) for call in calls for source in call.sources}
    path: list[Call] = []
    number = next(n for n, call in enumerate(calls) if call is pooling)
    current, filtered = pooling.output, False
    while True:
        users = [
            n
            for n in range(number + 1, len(calls))
            if any(source is current for source in calls[n].sources)
            # a copy that only the recording holds leads nowhere
            and (calls[n].function not in IDENTITIES or id(calls[n].output) in used)
        ]
        if users and calls[users[0]].output is current:  # in place: the others use what it left
            users = users[:1]
        if len(users) != 1 or len(calls[users[0]].sources) != 1:
            return ()
        (number,) = users
        call = calls[number]
        path.append(call)
        if filtered and parse_rectifier(call.function, call.args, call.kwargs) is not None:
            return tuple(path)
        filtered = filtered or call.function in (torch.conv2d, torch.nn.functional.linear)
        if not _has_mirror(call):
            return ()
        current = call.output


def _has_mirror(call: Call) -> bool:
    try:
        mirror_call(call, need_rule(METHODS["deconvnet"]))
    except UnsupportedOperationError:
        return call.function in IDENTITIES
    return True


def _step_down(call: Call, method: Method, signal: Tensor) -> Tensor:
    if call.function in IDENTITIES:
        return signal
    lower: Tensor = mirror_call(call, method)(signal)
    return lower


def _choose_window(signal: Tensor, pooling: Call) -> tuple[int, int, int]:
    """Choose what gets most from above: if possible an active window that no edge cuts."""
    window = pooling.window
    assert window is not None
    height, width = pooling.source.shape[-2:]
    inside = torch.zeros(signal.shape[-2:], dtype=torch.bool)
    for row in range(signal.shape[-2]):
        for column in range(signal.shape[-1]):
            top, left, bottom, right = _find_region((row, column), window)
            inside[row, column] = top >= 0 and left >= 0 and bottom <= height and right <= width
    good = inside.to(signal.device) & (pooling.output.detach()[0] > 0)
    masked = torch.where(good, signal, -torch.inf)
    chosen = masked if float(masked.max()) > 0 else signal
    at = torch.unravel_index(chosen.flatten().argmax(), signal.shape)
    unit, row, column = (int(number) for number in at)
    return unit, row, column


def _find_region(place: Place, window: Window) -> Region:
    """Give what a window reads of the map below."""
    (top, bottom), (left, right) = (
        (
            place[axis] * window.stride[axis] - window.padding[axis],
            place[axis] * window.stride[axis]
            - window.padding[axis]
            + window.dilation[axis] * (window.size[axis] - 1)
            + 1,
        )
        for axis in (0, 1)
    )
    return top, left, bottom, right


def _is_input(recording: Recording, source: Tensor) -> bool:
    """Tell whether a tensor is the net's input, or a copy of it."""
    number = len(recording.calls)
    while source is not recording.input:
        made = _find_maker(recording, source, number)
        if made is None or recording.calls[made].function not in IDENTITIES:
            return False
        number, source = made, recording.calls[made].source
    return True


def _name_output(recording: Recording, wanted: Tensor, calls: Sequence[Call]) -> str:
    """Name a tensor by the module that put it out; else by the last named of the calls."""
    names = {
        id(output): path if len(outputs) == 1 else f"{path}#{number}"
        for path, outputs in recording.outputs.items()
        if path
        for number, output in enumerate(outputs, 1)
    }
    # of a module in place the recording holds a copy
    copies = [
        call.output
        for call in recording.calls
        if call.function in IDENTITIES and call.source is wanted
    ]
    outputs = [wanted, *reversed(copies), *(call.output for call in reversed(calls))]
    found = [names[id(output)] for output in outputs if id(output) in names]
    if not found:
        raise LayerError("no module of the pair was kept: record all layers of the net")
    return found[0]


def _list_names(calls: Sequence[Call]) -> tuple[str, ...]:
    return tuple(
        "contrast normalisation" if call.function in NORMALISATIONS else "batch normalisation"
        for call in calls
        if call.function not in IDENTITIES
    )
