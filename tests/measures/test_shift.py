"""The shift test on nets whose classes and maps are known at every shift."""

import copy
import math
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

import vizcnn
from tests.support.small_zoo import CONVOLUTIONS, draw_noise, make_model, paint_photo
from vizcnn.basics.errors import ImageError, LayerError
from vizcnn.measures.shift import ShiftMeasures, find_jumps, measure_shifts, move_photo
from vizcnn.zoo.preprocessing import Preprocessing

SHIFTS = tuple(range(17))


def make_net(*parts, size=64, resize=1):
    """Make a net of the zoo that takes pixels as they are; its layers are named by number."""
    plain = Preprocessing((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 1.0, False, size, resize)
    module = nn.Sequential(*parts).eval()
    return replace(make_model(), module=module, preprocessing=plain, layers={}, classes=())


def tell_classes(measures: ShiftMeasures) -> tuple[Tensor, Tensor, Tensor]:
    """Classes, their probabilities and the changes of the score, of a net that has classes."""
    assert measures.classes is not None and measures.probabilities is not None
    assert measures.score_changes is not None
    return measures.classes, measures.probabilities, measures.score_changes


def test_multiples_of_the_jump_measure_nothing_without_padding():
    torch.manual_seed(0)
    net = make_net(
        nn.Conv2d(3, 8, 5, stride=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(8, 6, 3),
        nn.ReLU(),
    )
    measures = measure_shifts(net, [draw_noise(80, 80)], SHIFTS, ["1", "2", "4"])
    assert measures.jumps == (2, 4, 4)
    for jump, distances in zip(measures.jumps, measures.mean_distances.tolist(), strict=True):
        for shift, distance in enumerate(distances):
            assert (distance < 1e-6) == (shift % jump == 0)
    assert (measures.consistency, measures.probabilities, measures.score_changes) == (None,) * 3


def make_stripes(contrast=1.0):
    """Draw stripes of one pixel: the middle column of an even range of shifts is white."""
    row = 255 * (0.5 + contrast / 2 * (-1.0) ** np.arange(80))
    return Image.fromarray(np.tile(row.astype(np.uint8), (80, 1))).convert("RGB")


def make_parity_net(threshold):
    """Name class 0 where the mean of every second pixel is above a threshold."""
    pick, head = nn.Conv2d(3, 1, 1, stride=2), nn.Linear(1, 2)
    nn.init.constant_(pick.weight, 1 / 3)
    assert pick.bias is not None
    nn.init.zeros_(pick.bias)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[1.0], [0.0]]))
        head.bias.copy_(torch.tensor([0.0, threshold]))
    return make_net(pick, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)


def test_consistency_of_a_net_that_sees_the_parity_of_the_shift():
    net = make_parity_net(0.6)
    measures = measure_shifts(net, [make_stripes()] * 2, SHIFTS, ["0"])
    classes, _, score_changes = tell_classes(measures)
    assert classes.tolist() == [[shift % 2 for shift in SHIFTS]] * 2
    # of 9 even and 8 odd shifts 36 + 28 pairs agree, of 17 * 16 / 2
    assert measures.consistency == pytest.approx(64 / 136)
    white, black = (1 / (1 + math.exp(0.6 - value)) for value in (1, 0))
    changes = [(white - black) * (shift % 2) for shift in SHIFTS]
    assert score_changes[1].tolist() == pytest.approx(changes, abs=1e-6)


def test_blur_cures_the_net_that_sees_the_parity():
    # every binomial has its zero at half a wave per pixel: all shifts show grey
    measures = measure_shifts(make_parity_net(0.6), [make_stripes()], SHIFTS, ["0"], blur=3)
    assert measures.consistency == 1.0
    classes, _, score_changes = tell_classes(measures)
    assert classes.unique().tolist() == [1]
    assert measures.distances.max() < 1e-5
    assert score_changes.max() < 1e-5


def test_constant_net_is_consistent():
    model = make_model()
    for weight in model.module.get_submodule("14").parameters():
        nn.init.zeros_(weight)
    measures = measure_shifts(model, [draw_noise(60, 50)], SHIFTS, ["conv1", "fc6"])
    assert measures.consistency == 1.0
    classes, probabilities, score_changes = tell_classes(measures)
    assert classes.unique().tolist() == [0]
    assert score_changes.max() == 0
    assert probabilities.unique().tolist() == [0.25]


def test_measures_of_several_photos_stand_side_by_side(tmp_path):
    model = make_model()
    photos = [paint_photo(tmp_path / f"{seed}.png", seed) for seed in range(3)]
    layers = [*CONVOLUTIONS, "fc6"]
    measures = measure_shifts(model, photos, [3, 1, 3], layers)
    assert measures.shifts == (0, 1, 3)
    assert measures.layers == tuple(layers)
    assert measures.jumps == (1, 2, 2, 2, 2, 0)
    assert measures.distances.shape == (3, 6, 3)
    assert measures.distances.isfinite().all()
    assert measures.distances[..., 0].max() < 1e-6
    alone = measure_shifts(model, photos[1:2], [1, 3], layers)
    torch.testing.assert_close(measures.distances[1:2], alone.distances, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(measures.mean_distances, measures.distances.mean(dim=0))
    pixels = move_photo(model, photos[0], measures.shifts)
    assert isinstance(model.module, nn.Sequential)
    fc6 = F.relu(model.module[:13](model.preprocessing.normalise(pixels)))
    change = (fc6[2] - fc6[0]).norm() / fc6[0].norm()
    assert measures.distances[0, 5, 2].item() == pytest.approx(change.item(), rel=1e-4)


def test_photos_that_a_layer_is_silent_on_are_left_out_of_its_mean():
    """Of a black photo the first layer, without a bias, shows nothing; the second has a bias."""
    torch.manual_seed(0)
    net = make_net(nn.Conv2d(3, 4, 5, stride=2, bias=False), nn.Conv2d(4, 4, 3))
    nn.init.ones_(net.module.get_parameter("1.bias"))
    black, noise = Image.new("RGB", (80, 80)), draw_noise(80, 80)
    measures = measure_shifts(net, [black, noise], (1, 2), ["0", "1"])
    assert measures.distances[0, 0].isnan().all()
    assert torch.equal(measures.mean_distances[0], measures.distances[1, 0])
    torch.testing.assert_close(measures.mean_distances[1], measures.distances[:, 1].mean(dim=0))
    alone = measure_shifts(net, [black], (1, 2), ["0", "1"])
    assert alone.mean_distances.isnan().tolist() == [[True] * 3, [False] * 3]


class Probe(nn.Identity):
    """Note the size of every batch and whether the arithmetic was exact."""

    seen: ClassVar[list[tuple[int, bool]]] = []  # of the class: the net is copied

    def forward(self, input):
        exact = torch.backends.cudnn.deterministic and not torch.backends.cudnn.allow_tf32
        self.seen.append((len(input), exact))
        return input


def test_shifts_run_in_batches_and_exactly():
    Probe.seen.clear()
    torch.manual_seed(0)
    net = make_net(Probe(), nn.Conv2d(3, 4, 3, stride=2), nn.Flatten(), nn.Linear(4 * 31 * 31, 3))
    flags = torch.backends.cudnn.deterministic, torch.backends.cudnn.allow_tf32
    measures = measure_shifts(net, [draw_noise(100, 100)], range(33), ["1", "3"])
    assert Probe.seen == [(size, True) for size in (1, 11, 11, 11)]  # the first finds the jumps
    assert flags == (torch.backends.cudnn.deterministic, torch.backends.cudnn.allow_tf32)
    probabilities = tell_classes(measures)[1]
    for shift in (10, 11, 32):  # of the first, the second and the last batch
        alone = measure_shifts(net, [draw_noise(100, 100)], (shift, 32), ["1", "3"])
        place = alone.shifts.index(shift)
        torch.testing.assert_close(
            measures.distances[..., shift], alone.distances[..., place], rtol=1e-4, atol=1e-6
        )
        torch.testing.assert_close(probabilities[:, shift], tell_classes(alone)[1][:, place])


@pytest.mark.slow
def test_net_of_a_thousand_classes_and_module_paths():
    model = vizcnn.load("resnet18", weights=None, input_size=64)
    measures = measure_shifts(model, [draw_noise(70, 70)], (1, 2), ["conv1", "layer1.0.relu#2"])
    assert measures.jumps == (2, 4)
    assert tell_classes(measures)[1].shape == (1, 3)
    second, first = (
        measure_shifts(model, [draw_noise(70, 70)], (1, 2), [f"layer1.0.relu#{call}"])
        for call in (2, 1)
    )
    torch.testing.assert_close(measures.distances[:, 1], second.distances[:, 0])
    assert not torch.allclose(first.distances, second.distances)


def test_grey_net_of_three_stages():
    model = vizcnn.load("lenet", weights=None)
    layers = ["conv1", "pool1", "conv2", "conv3"]
    measures = measure_shifts(model, [draw_noise(60, 50)], SHIFTS, layers, blur=3)
    assert measures.jumps == (1, 2, 2, 0)  # conv3 is of 1 x 1 units
    assert measures.distances[0, 0].max() < 1e-6  # neither padding nor stride
    assert measures.distances[0, 1:, 1:].min() > 0.01


@pytest.mark.slow
def test_jumps_are_those_of_the_papers():
    zfnet = vizcnn.load("zfnet", weights=None, hidden=8)
    assert find_jumps(zfnet, ["conv1", "pool1", "conv2", "conv5", "pool5"]) == (2, 4, 8, 16, 32)
    assert find_jumps(vizcnn.load("resnet18", weights=None), ["conv1", "conv5", "fc"]) == (2, 32, 0)
    folded = make_net(nn.Conv2d(3, 4, 3), nn.PixelShuffle(2), nn.ReLU())
    with pytest.raises(LayerError, match="'2' of tiny stands above an operation of unknown"):
        find_jumps(folded, ["2"])


def test_model_is_not_changed():
    model = make_model()
    model.module.train()
    model.module.get_submodule("3").eval()
    before = copy.deepcopy(model.module)
    for blur in (None, 3):
        measure_shifts(model, [draw_noise(50, 50)], (1,), ["conv1"], blur)
    for part, former in zip(model.module.modules(), before.modules(), strict=True):
        assert part.training == former.training
        assert not part._forward_hooks
        assert getattr(part, "stride", None) == getattr(former, "stride", None)
    for name, value in model.module.state_dict().items():
        assert torch.equal(value, before.state_dict()[name])


@pytest.mark.parametrize("shifts", [(), (0,), (-1, 2), (1, 32)])
def test_impossible_shifts_are_refused(shifts):
    with pytest.raises(ImageError, match=r"needed: some of 1\.\.31"):
        measure_shifts(make_model(), [draw_noise(50, 50)], shifts, ["conv1"])


def test_other_mistakes_are_refused(tmp_path):
    with pytest.raises(ImageError, match="no photo to move"):
        measure_shifts(make_model(), [])
    with pytest.raises(LayerError, match="no layer 'conv9'"):
        measure_shifts(make_model(), [draw_noise(50, 50)], layers=["conv9"])
    with pytest.raises(ImageError, match="no file"):
        measure_shifts(make_model(), [tmp_path / "none.png"])
    with pytest.raises(LayerError, match="a binomial filter of 0 taps"):
        measure_shifts(make_model(), [draw_noise(50, 50)], blur=0)
