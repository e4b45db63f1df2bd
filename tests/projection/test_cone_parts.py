"""The parts of projection by windows: each against the plain operation on whole maps."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

import vizcnn
from tests.support.models import Pooled, prepare
from tests.support.operations import CountOperations
from tests.support.projecting import relative_error
from vizcnn.basics.errors import VizcnnError
from vizcnn.projection.chunks import run_in_chunks
from vizcnn.projection.cone import Cone, _bring
from vizcnn.projection.cone_steps import (
    _add_element_by_element,
    _scatter,
    encode_switches,
    filter_back,
)
from vizcnn.projection.deconvnet import Projector
from vizcnn.projection.full_image import find_body, project_full_image
from vizcnn.projection.rules import RULES
from vizcnn.projection.targets import units_at
from vizcnn.projection.way_back import follow
from vizcnn.projection.windows import Move, Windows, plan_windows
from vizcnn.receptive.boxes import find_fields
from vizcnn.recording.backward import Way
from vizcnn.recording.graph import kind_of, trace_nodes
from vizcnn.recording.recording import record
from vizcnn.recording.unpool import Window, pool_with_switches, unpool
from vizcnn.recording.watch import AllRecorded


@pytest.mark.parametrize(
    ("filters", "stride", "dilation", "groups"),
    [
        ((8, 3, 11, 11), (4, 4), (1, 1), 1),
        ((8, 3, 7, 7), (2, 2), (1, 1), 1),
        ((8, 3, 2, 5), (3, 3), (1, 1), 1),
        ((8, 3, 3, 3), (1, 1), (1, 1), 1),
        ((8, 1, 5, 3), (1, 1), (1, 1), 1),
        ((8, 3, 3, 3), (2, 1), (1, 1), 1),
        ((8, 3, 3, 3), (2, 2), (2, 3), 1),
        ((8, 4, 3, 3), (2, 2), (1, 1), 2),
        ((8, 20, 3, 3), (2, 2), (1, 1), 1),
    ],
)
def test_transposed_filters_are_the_gradient_of_the_convolution(filters, stride, dilation, groups):
    weight = torch.randn(filters, dtype=torch.float64)
    signal = torch.randn(2, 8, 4, 5, dtype=torch.float64)
    got = filter_back(signal, weight, stride, dilation, groups)
    image = torch.zeros(2, filters[1] * groups, *got.shape[-2:], dtype=torch.float64)
    image.requires_grad_()
    output = F.conv2d(image, weight, None, stride, 0, dilation, groups)
    (wanted,) = torch.autograd.grad(output, image, signal)
    assert relative_error(got, wanted) < 1e-12


@pytest.mark.parametrize("stride", [(1, 1), (2, 3)])
def test_a_single_place_gives_the_filters_of_its_map(stride):
    weight = torch.randn(5, 20, 3, 2, dtype=torch.float64)
    signal = torch.zeros(3, 5, 1, 1, dtype=torch.float64)
    signal[1, 3] = -2.5
    signal[0, 4] = 1.5
    wanted = torch.einsum("rm,mchw->rchw", signal[:, :, 0, 0], weight)
    found = filter_back(signal, weight, stride, units=torch.tensor([4, 3, 2]))
    assert torch.allclose(found, wanted, atol=1e-12)
    assert torch.allclose(filter_back(signal, weight, stride), wanted, atol=1e-12)


WINDOWS = [
    Window((2, 2), (2, 2)),
    Window((3, 3), (2, 2), (1, 1)),
    Window((3, 2), (1, 3), (1, 0)),
    Window((2, 2), (1, 1), (0, 0), (2, 2)),
    Window((3, 3), (2, 2), (0, 0), (1, 1), True),
    Window((17, 17), (5, 5)),
]


def add_element_by_element(signal, codes, window, step):
    return step.run(_add_element_by_element(signal, codes, window))


@pytest.mark.parametrize("send", [_scatter, add_element_by_element])
def test_unpooling_in_windows_is_unpooling(send):
    for window in WINDOWS:
        maps = torch.randn(2, 3, 23, 21, dtype=torch.float64)
        maxima, switches = pool_with_switches(maps, window)
        signal = torch.randn_like(maxima)
        stay = Move((0, 0, 0, 0), None, window.measure(signal.shape[-2:]))
        reach = send(signal, encode_switches(switches, window, 21), window, stay)
        top, left = window.padding
        inside = reach[..., top : top + 23, left : left + 21]
        padded = F.pad(inside, (0, 21 - inside.shape[-1], 0, 23 - inside.shape[-2]))
        assert relative_error(padded, unpool(signal, switches, window, (23, 21))) < 1e-12, window


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    stride=st.integers(1, 4),
    padding=st.integers(0, 1),
    ceil=st.booleans(),
    counts=st.booleans(),
    divisor=st.sampled_from([None, 5]),
    position=st.sampled_from(["max", "all", (0, 0), (1, 2)]),
)
def test_average_pooling_at_the_edge(stride, padding, ceil, counts, divisor, position):
    net = prepare(
        nn.Sequential(
            nn.Conv2d(3, 4, 3),
            nn.ReLU(),
            nn.AvgPool2d(3, stride, padding, ceil, counts, divisor),
            nn.ReLU(),
        ),
        16,
    ).double()
    images = torch.rand(1, 3, 16, 16, dtype=torch.float64)
    found = Projector(net, "guided").project(images, "3", [0, 1, 2], position)
    assert found.computed == "windows"
    with record(net) as recording:
        net(images)
    output = recording.find_output("3")
    targets = units_at(output, [0, 1, 2], position)
    with follow(recording, Way(RULES["guided"].rectify)):
        leaf = recording.find_input()
        wanted = project_full_image(output, leaf, targets, trace_nodes(output, leaf))
    assert relative_error(found.pixels, wanted) < 1e-12


def project_with(net, images, layer="chain.10", units=(0, 1, 2, 3)):
    return Projector(net, "deconvnet").project(images, layer, list(units))


def project_in_chunks(net, images, budget=None, fit=12):
    """Project units 0..3 of each image; give the windows, and how many went together.

    On a processor whose memory does not do for more than ``fit`` windows: at rectifiers, the same
    numbers in a row left out, and at the pixels.
    """
    with record(net) as recording:
        net(images)
    output, sizes, ended = recording.find_output("chain.10"), [], []

    def rectify(signal, active):
        sizes.append(len(signal))
        if len(signal) > fit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return signal.clamp(min=0)

    def finish(pixels):
        ended.append(len(pixels))
        return pixels

    targets = units_at(output, [0, 1, 2, 3])
    leaf = recording.find_input()
    way = Way(rectify, needs_activity=False)
    cone = Cone(leaf, trace_nodes(output, leaf), way, budget)
    uncut = find_fields(output, leaf, targets.positions).uncut
    windows, _ = cone.project(targets, uncut, finish)
    return windows, [size for size, _ in itertools.groupby(sizes)], ended[1:]  # one was a question


@pytest.mark.parametrize(
    ("budget", "least", "most"), [(1, 1, 1), (400_000, 2, 6), (10_000_000, 12, 12)]
)
def test_chunks_do_not_change_the_result(budget, least, most):
    net, images = prepare(Pooled(), 57).double(), torch.randn(3, 3, 57, 57, dtype=torch.float64)
    wanted, _, together = project_in_chunks(net, images)
    assert together == [12]
    windows, sizes, ended = project_in_chunks(net, images, budget)
    assert relative_error(windows, wanted) < 1e-12
    assert sum(ended) == 12
    assert least <= max(ended) <= most
    # the deepest maps are the smallest: more go through them together
    assert sizes[0] >= max(ended)


def test_memory_that_does_not_do_halves_the_chunk_and_goes_on():
    net, images = prepare(Pooled(), 57).double(), torch.randn(3, 3, 57, 57, dtype=torch.float64)
    wanted, _, _ = project_in_chunks(net, images)
    windows, sizes, _ = project_in_chunks(net, images, fit=3)
    assert relative_error(windows, wanted) < 1e-12
    assert sizes == [12, 6, 3]  # tried first, with four chunks of three in the end


def test_a_single_window_that_does_not_fit_is_an_error():
    def fail(rows):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(VizcnnError, match=r"not enough memory.* projection of a single unit"):
        run_in_chunks(torch.arange(5), 4, fail)
    with pytest.raises(torch.OutOfMemoryError):  # the caller's rows are halved then
        run_in_chunks(torch.arange(5), 4, fail, is_last=False)


def test_memory_that_the_way_down_lacks_is_made_by_fewer_at_its_head():
    """All that waits for its turn halfway down takes memory as well."""
    net, images = prepare(Pooled(), 57).double(), torch.randn(3, 3, 57, 57, dtype=torch.float64)
    wanted, _, _ = project_in_chunks(net, images)
    with record(net) as recording:
        net(images)
    output, leaf = recording.find_output("chain.10"), recording.find_input()
    waiting = []

    def rectify(signal, active):
        if signal.shape[-1] < 10:  # the deepest
            waiting.append(len(signal))
        elif waiting[-1] > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return signal.clamp(min=0)

    targets = units_at(output, [0, 1, 2, 3])
    way = Way(rectify, needs_activity=False)
    cone = Cone(leaf, trace_nodes(output, leaf), way, 400_000)
    windows, _ = cone.project(targets, find_fields(output, leaf, targets.positions).uncut)
    assert relative_error(windows, wanted) < 1e-12
    assert max(waiting) == 12
    assert waiting[-1] <= 3


def test_a_plan_goes_to_a_device_as_it_is():
    net, images = prepare(Pooled(), 57), torch.randn(1, 3, 57, 57)
    with record(net) as recording:
        net(images)
    output, leaf = recording.find_output("chain.10"), recording.find_input()
    targets = units_at(output, [0, 1, 2, 3])
    cone = Cone(leaf, trace_nodes(output, leaf), Way())
    windows = plan_windows(cone.nodes, cone._reaches, Windows(targets.positions, (1, 1)))
    steps = {
        (node, 0): Move((1, 0, 0, 1), here.corners + number if number % 2 else None, here.size)
        for number, (node, here) in enumerate(windows.items())
    }
    cuts, moves = _bring(windows, steps, torch.device("cpu"))
    assert cuts.keys() == windows.keys()
    assert moves.keys() == steps.keys()
    for node, here in windows.items():
        step, moved = steps[node, 0], moves[node, 0]
        assert (cuts[node].size, moved.pad, moved.size) == (here.size, step.pad, step.size)
        assert torch.equal(cuts[node].corners, here.corners)
        assert (step.shifts is None) == (moved.shifts is None)
        if step.shifts is not None and moved.shifts is not None:
            assert torch.equal(moved.shifts, step.shifts)


def test_what_has_no_window_is_projected_over_the_whole_image():
    net, images = prepare(Pooled(), 57), torch.rand(1, 3, 57, 57)
    assert project_with(net, images, "head.2").computed == "full image"
    assert project_with(net, images, "chain.11").computed == "windows"
    smooth = prepare(nn.Sequential(nn.Conv2d(3, 4, 3), nn.SiLU(), nn.Conv2d(4, 4, 3)))
    found = Projector(smooth, "guided", unruled="gradient").project(images, "2", 0)
    assert found.computed == "full image"
    assert found.windows.shape == (1, 3, 57, 57)


def test_a_unit_that_sees_only_padding():
    net = prepare(nn.Sequential(nn.Conv2d(3, 4, 1, padding=3), nn.Conv2d(4, 2, 1)), 8)
    images = torch.rand(1, 3, 8, 8)
    assert not Projector(net, "gradient").project(images, "1", 0, (0, 0)).windows.any()
    assert Projector(net, "gradient").project(images, "1", 0, (4, 4)).windows.any()


def test_multiply_adds_are_counted_where_the_windows_are():
    net = prepare(nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 5, 3)), 16)
    images = torch.rand(1, 3, 16, 16)
    with record(net) as recording:
        net(images)
    output, leaf = recording.find_output("2"), recording.find_input()
    cone = Cone(leaf, trace_nodes(output, leaf), Way())
    targets = units_at(output, [0, 3], (4, 4))
    # one place of 5 x 4 x 3 x 3 filters, then 3 x 3 places of 4 x 3 x 3 x 3
    assert cone.count_multiply_adds(targets) == 2 * (180 + 9 * 108)


class Counting(nn.Module):
    """Counts how often it is called."""

    calls = 0

    def forward(self, x):
        self.calls += 1
        return x


def test_a_recording_ends_with_the_last_layer_that_it_is_for():
    counting = Counting()
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), counting)
    with pytest.raises(AllRecorded), record(net, ["0", "1"], stops=True) as recording:
        net(torch.rand(1, 3, 8, 8))
    assert counting.calls == 0
    assert set(recording.outputs) == {"0", "1"}
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


def test_a_recording_waits_for_the_call_that_was_named():
    relu, counting = nn.ReLU(), Counting()
    net = nn.Sequential(nn.Conv2d(3, 4, 3), relu, counting, relu, nn.Conv2d(4, 4, 3))
    with pytest.raises(AllRecorded), record(net, ["1#2"], stops=True) as recording:
        net(torch.rand(1, 3, 8, 8))
    assert counting.calls == 1
    assert len(recording.outputs["1"]) == 2


@pytest.mark.slow
def test_every_canonical_layer_is_found_when_the_pass_ends_early():
    model = vizcnn.load("resnet18", weights=None)
    projector = vizcnn.Deconvnet(model)
    for layer in model.layers:
        output = projector.record(torch.rand(1, 3, 224, 224), [layer]).find_output(
            projector.find_path(layer)
        )
        assert output.shape[0] == 1


class Branching(nn.Module):
    """Two heads over the same maps, one of which looks at all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.MaxPool2d(2))
        self.one, self.other = nn.Linear(6 * 49, 5), nn.Linear(6, 5)
        self.relu = nn.ReLU()

    def forward(self, x):
        maps = self.maps(x)
        return self.relu(self.one(maps.flatten(1)) + self.other(maps.mean(dim=(2, 3))))


@pytest.mark.parametrize("rule", RULES)
def test_below_a_head_units_go_through_cones(rule):
    net, images = prepare(Branching(), 16).double(), torch.randn(3, 3, 16, 16, dtype=torch.float64)
    with record(net) as recording:
        net(images)
    output, leaf = recording.find_output("relu"), recording.find_input()
    nodes = trace_nodes(output, leaf)
    kinds = [kind_of(node) for node in nodes[find_body(nodes, 3) :]]
    assert [kind for kind in kinds if kind != "Clone"][:2] == ["MaxPool", "Rectify"]
    targets = units_at(output, [4, 0, 2])
    with follow(recording, Way(RULES[rule].rectify, RULES[rule].needs_activity)):
        wanted = project_full_image(output, leaf, targets, nodes)
    found = Projector(net, rule, seed="activation").project(images, "relu", [4, 0, 2])
    assert found.computed == "full image"
    assert wanted.any()
    assert relative_error(found.windows, wanted) < 1e-12


def test_images_that_see_each_other_above_have_no_body():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 5), nn.BatchNorm1d(5))
    images = torch.randn(4, 3, 8, 8, requires_grad=True)
    nodes = trace_nodes(net(images), images)
    assert find_body(nodes, 4) is None
    assert find_body(trace_nodes(net.eval()(images), images), 4) is not None


def test_operations_do_not_grow_with_the_units():
    net, images = prepare(Pooled(), 57), torch.randn(1, 3, 57, 57)
    projector = Projector(net, "guided")
    for layer, place in (("chain.10", (2, 1)), ("head.2", "max")):
        recording = projector.record(images, [layer])
        counts = []
        for units in ([0, 1], [0, 1, 2, 3, 4, 5]):
            with CountOperations() as counted:
                projector.project_recording(recording, layer, units, place)  # type: ignore[arg-type]
            counts.append(counted.total)
        assert counts[0] == counts[1], layer
