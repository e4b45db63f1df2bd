"""A watch looks at nets in training, writes what it sees, and leaves them as they were."""

import copy
import shutil
from string import ascii_letters, digits

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import vizcnn
from vizcnn.callbacks import Picture, Watch
from vizcnn.callbacks.watching import WatchResults
from vizcnn.gallery.manifest import read_manifest

pytestmark = pytest.mark.slow

PHOTOS = torch.randn(12, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def build_net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 5),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.5),
        nn.Conv2d(6, 5, 3),
        nn.ReLU(),
    )


def train(net, watch, epochs=3):
    """A training, step by step; gives its losses."""
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    losses = []
    net.train()
    for epoch in range(epochs):
        optimizer.zero_grad()
        loss = net(PHOTOS).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        watch(net, epoch)
    return losses


def test_a_training_runs_as_it_would_unwatched(tmp_path):
    torch.manual_seed(5)
    watched = train(build_net(), Watch(["2", "6"], PHOTOS[:2], folder=tmp_path / "seen", units=1))
    torch.manual_seed(5)
    assert train(build_net(), lambda net, epoch: None) == watched


def test_the_net_is_left_as_it_was(tmp_path):
    net = build_net().train()
    net(PHOTOS).sum().backward()
    state = copy.deepcopy(net.state_dict())
    slopes = [copy.deepcopy(value.grad) for value in net.parameters()]
    net[1].eval()  # one part evaluates, as a frozen normalisation does
    flags = [part.training for part in net.modules()]
    rng = torch.get_rng_state()
    Watch(["2"], PHOTOS[:1], folder=tmp_path, units=1)(net)
    with pytest.raises(vizcnn.VizcnnError, match="no layer 'no'"):
        Watch(["no"], PHOTOS, folder=tmp_path / "other")(net)
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in state.items())
    after = [value.grad for value in net.parameters()]
    torch.testing.assert_close(after, slopes, rtol=0, atol=0)
    assert [part.training for part in net.modules()] == flags
    assert torch.equal(torch.get_rng_state(), rng)
    assert not any(part._forward_hooks for part in net.modules())


def test_the_folder_has_each_step_and_a_page(tmp_path):
    watch = Watch(["2", "6"], PHOTOS[:2], every=2, folder=tmp_path, units=3)
    train(build_net(), watch, epochs=4)
    manifest = read_manifest(tmp_path, WatchResults)
    assert manifest.results.steps == (0, 2)
    assert manifest.results.layers == ("2", "6")
    names = ["2-units", "2-top9", "6-units", "6-top9", "filters"]
    for step in (0, 2):
        files = {path.stem: path for path in (tmp_path / f"step-{step:06d}").iterdir()}
        assert sorted(files) == sorted(names)
        for path in files.values():
            with Image.open(path) as picture:
                assert len(set(picture.convert("RGB").get_flattened_data())) > 20
    page = (tmp_path / "index.html").read_text("utf-8")
    assert page.count("<img") == 10
    assert page.index("step 2") < page.index("step 0")


def test_layers_have_files_that_no_disk_takes_for_one(tmp_path):
    net = build_net()
    net.add_module("Act", nn.ReLU())
    net.add_module("act", nn.ReLU())
    written = Watch(["Act", "act", "act#1"], PHOTOS[:2], folder=tmp_path, units=1)(net)
    names = [picture.path.name for picture in written]
    assert len({name.casefold() for name in names}) == len(names) == 7
    assert all(set(name) <= set(ascii_letters + digits + "-.") for name in names)
    assert all(picture.path.is_file() for picture in written)


def test_the_nine_strongest_photos_are_those_of_a_plain_pass(tmp_path):
    net = build_net().eval()
    seen: list[Picture] = []
    watch = Watch(["2"], PHOTOS, folder=tmp_path, units=[4, 1], to=[seen.append])
    watch(net)
    with torch.no_grad():
        peaks = net[:3](PHOTOS).amax(dim=(2, 3))
    from vizcnn.callbacks.watching import _set_scene
    from vizcnn.projection.deconvnet import Projector

    projector = Projector(net, "deconvnet")
    names = tuple(f"photo {number}" for number in range(1, 13))
    chosen = peaks[:, [4, 1]]
    found = watch._find_photos(projector, "2", chosen, _set_scene(net, PHOTOS, names))
    for row, unit in enumerate((4, 1)):
        order = peaks[:, unit].argsort(descending=True)[:9]
        part = found[row * 9 : row * 9 + 9]
        torch.testing.assert_close(part.activations, peaks[order, unit])
        assert found.scene is not None
        assert [found.scene.names[image] for image in part.images.tolist()] == [
            names[number] for number in order.tolist()
        ]
    assert [picture.name for picture in seen] == ["2-units", "2-top9", "filters"]


def test_a_folder_is_continued_and_a_step_written_anew(tmp_path):
    net = build_net()
    Watch(["2"], PHOTOS[:1], folder=tmp_path)(net, 0)
    later = Watch(["2"], PHOTOS[:1], folder=tmp_path)
    later(net, 1)
    later(net, 0)
    manifest = read_manifest(tmp_path, WatchResults)
    assert manifest.results.steps == (0, 1)
    assert [picture.step for picture in manifest.results.pictures] == [0, 0, 0, 1, 1, 1]
    for picture in manifest.results.pictures:
        assert manifest.figures[picture.figure].file.startswith(f"step-{picture.step:06d}/")


def test_pictures_that_were_removed_stop_no_training(tmp_path):
    net, folder = build_net(), tmp_path / "seen"
    watch = Watch(["2"], PHOTOS[:1], folder=folder)
    for step in (0, 1):
        watch(net, step)
    shutil.rmtree(folder / "step-000000")
    watch(net, 2)
    manifest = read_manifest(folder, WatchResults)
    assert manifest.results.steps == (1, 2)
    assert [picture.step for picture in manifest.results.pictures] == [1, 1, 1, 2, 2, 2]
    shutil.rmtree(folder)
    watch(net, 3)
    manifest = read_manifest(folder, WatchResults)
    assert manifest.results.steps == (3,)
    assert all((folder / figure.file).is_file() for figure in manifest.figures)


def test_a_training_killed_at_its_first_pictures_is_resumed(tmp_path):
    net = build_net()

    watch = Watch(["2"], PHOTOS[:1], folder=tmp_path)
    with pytest.raises(vizcnn.VizcnnError):  # opened, and nothing to look at
        watch(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.ReLU()), 0)
    assert not list(tmp_path.iterdir())
    (tmp_path / "step-000001" / "2-top9.png").mkdir(parents=True)
    with pytest.raises(vizcnn.VizcnnError, match="cannot be written"):
        watch(net, 1)
    assert not (tmp_path / "index.html").exists()
    Watch(["6"], PHOTOS[:1], folder=tmp_path, units=np.array([2]))(net, 2)
    manifest = read_manifest(tmp_path, WatchResults)
    assert manifest.results.steps == (2,)
    assert manifest.settings["layers"] == ["6"] and manifest.settings["units"] == [2]
    assert manifest.results.layers == ("2", "6")


def test_a_step_looked_at_anew_is_no_failure_any_more(tmp_path):
    net, broken = build_net(), build_net()
    broken.get_parameter("0.weight").data.fill_(torch.nan)
    watch = Watch(["2"], PHOTOS[:1], folder=tmp_path)
    with pytest.warns(UserWarning, match="not finite"):
        watch(broken, 4)
    watch(net, 4)
    manifest = read_manifest(tmp_path, WatchResults)
    assert manifest.failures == () and manifest.results.steps == (4,)


@pytest.mark.parametrize(
    "units", [[1, 3], (1, 3), np.array([1, 3]), torch.tensor([1, 3]), range(1, 4, 2)]
)
def test_units_are_numbers_of_any_kind(units, tmp_path):
    assert Watch(["2"], PHOTOS[:1], folder=tmp_path, units=units).units == [1, 3]
    assert Watch(["2"], PHOTOS[:1], folder=tmp_path, units=torch.tensor(3)).units == 3


def test_a_folder_of_others_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(vizcnn.VizcnnError, match="not vizcnn's"):
        Watch(["2"], PHOTOS, folder=tmp_path)(build_net())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_net_of_vizcnn_is_shown_photos(tmp_path):
    net = vizcnn.load("lenet")
    pictures = Watch(["conv1"], ["coffee", "rocket"], folder=tmp_path, units=2, net=net)()
    assert [picture.name for picture in pictures] == ["conv1-units", "conv1-top9", "filters"]
    manifest = read_manifest(tmp_path, WatchResults)
    assert manifest.title == "LeNet-5 in training"
    assert manifest.nets[0].model == "lenet"


def test_a_wrapped_net_in_training_is_shown_files_and_left_alone(tmp_path):
    net = nn.Sequential(build_net(), nn.Flatten(), nn.Linear(5 * 4 * 4, 3)).train()
    wrapped = vizcnn.wrap(net, preprocessing="mean=0.5,std=0.5,size=16", name="mine")
    state = copy.deepcopy(net.state_dict())
    watch = Watch(["conv1"], ["coffee", "rocket"], folder=tmp_path, units=1, net=wrapped)
    watch(net, 0)
    assert net.training
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in state.items())
    with torch.no_grad():
        net.get_parameter("0.0.weight").mul_(-1)
    before = {path.name: path.read_bytes() for path in (tmp_path / "step-000000").iterdir()}
    after = {picture.path.name: picture.path.read_bytes() for picture in watch(net, 1)}
    assert before.keys() == after.keys()
    assert all(before[name] != after[name] for name in before)  # of the weights as they are now


def test_weights_that_grew_without_bound_stop_no_training(tmp_path):
    net = build_net()
    net.get_parameter("0.weight").data.fill_(torch.nan)
    watch = Watch(["2"], PHOTOS, folder=tmp_path)
    with pytest.warns(UserWarning, match="step 7: .*not finite"):
        assert watch(net, 7) == []
    assert "not finite" in read_manifest(tmp_path, WatchResults).failures[0].error


def test_a_net_that_the_method_cannot_treat_is_refused_at_once(tmp_path):
    net = nn.Sequential(nn.Conv2d(3, 4, 5), nn.SiLU(), nn.Conv2d(4, 4, 3), nn.ReLU()).train()
    with pytest.raises(vizcnn.VizcnnError, match="no rule for silu"):
        Watch(["3"], PHOTOS[:1], folder=tmp_path)(net)
    assert not list(tmp_path.iterdir()) and net.training
    assert Watch(["3"], PHOTOS[:1], folder=tmp_path, method="gradient")(net)


def test_wrong_arguments_are_told(tmp_path):
    for arguments, told in (
        ({"layers": []}, "no layer is named"),
        ({"layers": "2"}, "needed: a list of names"),
        ({"every": 0}, "as every; needed: a whole number"),
        ({"photos": []}, "no photo"),
        ({"folder": None}, "as folder; needed"),
        ({"units": "top"}, "as units; needed: how many, or a list"),
        ({"units": 0}, "as units; needed: a whole number, 1 to"),
        ({"units": []}, "got no unit"),
        ({"units": [1.5]}, "got 1.5 as unit; needed: a whole number"),
        ({"to": ["a"]}, "got 'a' in to; needed: functions"),
    ):
        given = {"layers": ["2"], "photos": PHOTOS, "folder": tmp_path, **arguments}
        with pytest.raises(vizcnn.VizcnnError, match=told):
            Watch(**given)
    with pytest.raises(vizcnn.VizcnnError, match="no net to look at"):
        Watch(["2"], PHOTOS, folder=tmp_path)()
    with pytest.raises(vizcnn.VizcnnError, match="have to be its inputs"):
        Watch(["2"], ["coffee"], folder=tmp_path)(build_net())
    with pytest.raises(vizcnn.VizcnnError, match="unit 6 does not exist"):
        Watch(["2"], PHOTOS, folder=tmp_path, units=[6])(build_net())


def test_grey_nets_and_nets_without_convolutions_are_watched(tmp_path):
    grey = nn.Sequential(nn.Conv2d(1, 4, 5), nn.ReLU())
    pictures = Watch(["1"], torch.rand(3, 1, 9, 9), folder=tmp_path / "grey")(grey)
    assert [picture.name for picture in pictures][-1] == "filters"
    deep = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 81, 6))
    pictures = Watch(["3"], torch.rand(3, 3, 9, 9), folder=tmp_path / "deep")(deep)
    assert [picture.name for picture in pictures] == ["3-units", "3-top9"]
    with Image.open(pictures[0].path) as opened:
        assert np.asarray(opened.convert("RGB")).std() > 1
