"""The parts of training: recipe, augmentation, clipping, accuracy, machine."""

import math
import platform
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.support.training_data import CROP, RECIPE, make_data
from vizcnn.basics.devices import choose_device
from vizcnn.basics.errors import DataError, ModelError, VizcnnError
from vizcnn.basics.files import replacing
from vizcnn.basics.machine import describe_device
from vizcnn.measures.filter_layers import clip_filters
from vizcnn.training.augmentation import augment, centre_crop
from vizcnn.training.evaluation import measure_accuracy
from vizcnn.training.net import build_net, first_convolution
from vizcnn.training.photos import PhotoFolder
from vizcnn.training.recipe import Recipe, usual_recipe
from vizcnn.zoo import registry
from vizcnn.zoo.preprocessing import imagenet_preprocessing


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("data"))


# ---- recipe ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("progress", "share"),
    [(0, 0), (0.5, 0.5), (1, 1), (3.5, (1 + math.sqrt(0.5)) / 2), (6, 0.5), (11, 0), (12, 0)],
)
def test_learning_rate_rises_then_falls_as_a_cosine(progress, share):
    recipe = Recipe("zfnet", epochs=11, warmup_epochs=1, learning_rate=0.04)
    assert recipe.learning_rate_at(progress) == pytest.approx(0.04 * share, abs=1e-12)


@pytest.mark.parametrize("warmup", [0.0, 1.0, 5.0])
def test_learning_rate_of_a_run_no_longer_than_its_warm_up_is_defined(warmup):
    recipe = Recipe("zfnet", epochs=1, warmup_epochs=warmup)
    rates = [recipe.learning_rate_at(step / 4) for step in range(5)]
    assert all(0 <= rate <= recipe.learning_rate for rate in rates)


@pytest.mark.parametrize(
    "changes", [{"epochs": 0}, {"batch": -1}, {"learning_rate": math.nan}, {"crop": 0}]
)
def test_impossible_settings_are_refused(changes):
    with pytest.raises(DataError, match="needed: more than 0"):
        replace(RECIPE, **changes)


# ---- augmentation ---------------------------------------------------------------------------


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_crop_and_flip_only_move_pixels():
    # each pixel says where it was: red its row, green its column
    places = torch.arange(40, dtype=torch.uint8)
    rows, columns = torch.meshgrid(places, places, indexing="ij")
    photo = torch.stack([rows, columns, rows * 0])
    crops = augment(photo.expand(64, 3, 40, 40), 24, 0.0, seeded(0)).mul(255).round().int()
    tops, lefts, flips = set(), set(), set()
    for crop in crops:
        rows, columns = crop[0], crop[1]
        assert (rows.diff(dim=0) == 1).all()
        assert (rows.diff(dim=1) == 0).all()
        step = int(columns[0, 1] - columns[0, 0])
        assert step in (1, -1)
        assert (columns.diff(dim=1) == step).all()
        tops.add(int(rows.min()))
        lefts.add(int(columns.min()))
        flips.add(step)
    assert flips == {1, -1}
    assert min(tops) <= 1
    assert max(tops) >= 15  # of 0..16
    assert min(lefts) <= 1
    assert max(lefts) >= 15


def test_crops_without_flips_are_the_same_ones_unmirrored():
    places = torch.arange(40, dtype=torch.uint8).expand(64, 3, 40, 40)
    mirrored, upright = (augment(places, 24, 0.0, seeded(0), flip=flip) for flip in (True, False))
    assert (upright.diff(dim=-1) > 0).all()
    turned = (mirrored.diff(dim=-1) < 0).all(dim=-1).all(dim=-1).all(dim=-1)
    assert 16 < turned.sum() < 48
    assert torch.equal(mirrored[~turned], upright[~turned])
    assert torch.equal(mirrored[turned].flip(-1), upright[turned])


def test_augmentation_is_decided_by_its_generator():
    photos = torch.randint(256, (4, 3, 20, 20), dtype=torch.uint8, generator=seeded(1))
    one = augment(photos, 16, 0.3, seeded(2))
    torch.rand(3)
    assert torch.equal(augment(photos, 16, 0.3, seeded(2)), one)
    assert not torch.equal(augment(photos, 16, 0.3, seeded(3)), one)


def test_augmented_values_stay_in_range_and_change_mildly():
    photos = torch.randint(256, (64, 3, 16, 16), dtype=torch.uint8, generator=seeded(1))
    recoloured = augment(photos, 16, 0.2, seeded(2))
    assert recoloured.min() >= 0
    assert recoloured.max() <= 1
    change = recoloured.mean(dim=(1, 2, 3)) / photos.float().div(255).mean(dim=(1, 2, 3))
    assert 0.75 < change.min() < 0.9
    assert 1.1 < change.max() < 1.25


def test_grey_photos_stay_grey():
    photos = torch.randint(256, (8, 1, 16, 16), dtype=torch.uint8).expand(8, 3, 16, 16)
    recoloured = augment(photos, 12, 0.3, seeded(0))
    assert (recoloured - recoloured.mean(dim=1, keepdim=True)).abs().max() < 1e-6


def test_centre_crop_is_the_centre():
    photo = torch.zeros(1, 3, 9, 9, dtype=torch.uint8)
    photo[..., 3:6, 3:6] = 255
    assert centre_crop(photo, 3).min() == 1.0


# ---- the net --------------------------------------------------------------------------------


def test_net_starts_with_a_small_first_layer_and_the_same_for_a_seed():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    nets = [build_net(replace(RECIPE, seed=seed), 3) for seed in (1, 1, 2)]
    assert torch.equal(torch.get_rng_state(), before)
    weights = [first_convolution(net).weight for net in nets]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert weights[0].std().item() == pytest.approx(RECIPE.first_layer_std, rel=0.02)
    biases = [value for name, value in nets[0].named_parameters() if name.endswith("bias")]
    assert all(not bias.any() for bias in biases)


def test_net_without_convolutions_has_no_first_one():
    with pytest.raises(ModelError, match="no convolution"):
        first_convolution(nn.Linear(2, 2))


def test_clipping_scales_back_what_exceeds_the_radius_only():
    weight = torch.randn(3, 3, 7, 7, generator=seeded(0))
    weight *= torch.tensor([1.0, 0.01, 0.0]).view(3, 1, 1, 1)
    former = weight.clone()
    clip_filters(weight, radius=0.1)
    assert weight[0].pow(2).mean().sqrt().item() == pytest.approx(0.1)
    torch.testing.assert_close(weight[0] / weight[0].norm(), former[0] / former[0].norm())
    assert torch.equal(weight[1:], former[1:])


# ---- accuracy -------------------------------------------------------------------------------


class ByColour(nn.Module):
    """Names a photo by its brightest colour: right on the tiny data."""

    def __init__(self, order=(0, 1, 2), fill=None):
        super().__init__()
        self.order, self.fill = list(order), fill

    def forward(self, x):
        means = x.mean(dim=(2, 3))[:, self.order]
        return means if self.fill is None else torch.full_like(means, self.fill)


@pytest.mark.parametrize(
    ("net", "top1", "mean_class"),
    [
        (ByColour(), 1.0, 1.0),
        (ByColour(order=(1, 0, 2)), 3 / 7, 1 / 3),  # only the three cats are right
        (ByColour(fill=0.0), 0.0, 0.0),
        (ByColour(fill=math.nan), 0.0, 0.0),
    ],
    ids=["right", "two swapped", "says nothing", "not a number"],
)
@pytest.mark.parametrize("batch", [2, 128])
def test_accuracy_of_known_nets(data, net, top1, mean_class, batch):
    photos = PhotoFolder(data / "val", 72)
    photos.load()
    plain = replace(imagenet_preprocessing(CROP, 72), mean=(0.0,) * 3, std=(1.0,) * 3)
    accuracy = measure_accuracy(net, photos, plain, CROP, batch=batch)
    assert accuracy.top1 == pytest.approx(top1)
    assert accuracy.mean_class_top1 == pytest.approx(mean_class)
    assert accuracy.top5 == (0.0 if net.fill != net.fill else 1.0)  # nan; else three classes
    assert accuracy.photos == 7


# ---- machine and files ----------------------------------------------------------------------


def test_device_is_chosen_or_refused():
    assert choose_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    assert choose_device("cpu") == "cpu"
    assert "threads" in describe_device("cpu")
    for name in ("gpu", "cuda:99", "meta"):
        with pytest.raises(ModelError, match="no device"):
            choose_device(name)


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_freed_memory_is_kept():
    # in a process of its own: the setting cannot be taken back
    script = """
import resource
from vizcnn.basics.machine import keep_freed_memory

def count_faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        bytes(bytearray(50_000_000))
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

usual = count_faults()
assert keep_freed_memory()
count_faults()
kept = count_faults()
assert kept < usual / 20, (usual, kept)
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_replacing_leaves_the_former_file_when_the_block_fails(tmp_path):
    path = tmp_path / "note.txt"
    path.write_text("former")
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "former"
    assert list(tmp_path.iterdir()) == [path]


def test_replacing_tells_why_a_file_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(VizcnnError, match="cannot be written"), replacing(tmp_path / "file" / "x"):
        pass


def test_net_without_the_options_of_a_training_is_refused_by_name():
    @registry.net("bare", title="Bare", paper="none", variants={}, layers=lambda module: {})
    class Bare(nn.Module):
        def __init__(self, *, classes: int = 3) -> None:
            super().__init__()

    try:
        with pytest.raises(ModelError, match="bare cannot be trained: its class has no 'dropout'"):
            build_net(usual_recipe("bare"), 3)
        with pytest.raises(ModelError, match="the widths of bare are fixed: leave hidden out"):
            build_net(usual_recipe("bare", hidden=5), 3)
    finally:
        del registry.REGISTERED["bare"]
