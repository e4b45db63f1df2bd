"""The index on disk: what it holds, what it refuses to go on with, damage, folders that refuse."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support.mining_runs import LAYERS, NoisePhotos, make_photos, to_lists
from tests.support.small_zoo import make_model
from vizcnn.basics.errors import DataError
from vizcnn.mining.index import FORMAT, FORMAT_KEY, read_index, write_index
from vizcnn.mining.run import MiningRun, MiningSettings, mine
from vizcnn.zoo.provenance import Provenance

SETTINGS = MiningSettings(layers=LAYERS, top=3, workers=0)
LOOKS = {f"photo {number:03d}": number for number in range(40)} | {"photo 007": None}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "strongest.safetensors"


@pytest.fixture
def index(file):
    return mine(make_model(), NoisePhotos(LOOKS), file, SETTINGS)


def test_reading_gives_what_was_written(index, file):
    found = read_index(file)
    assert found.identity == index.identity
    assert found.photos == index.photos
    assert found.sizes == index.sizes
    assert found.failures == index.failures == (("photo 007", "'photo 007' is broken"),)
    assert found.done == 40
    assert found.complete
    assert list(found.layers) == list(LAYERS)
    for name, layer in found.layers.items():
        assert to_lists(layer) == to_lists(index.layers[name])
        assert (layer.name, layer.path) == (name, make_model().layers[name])
        assert layer.map_size == index.layers[name].map_size
    again = file.with_name("again")
    write_index(found, again)
    assert again.read_bytes() == file.read_bytes()


def test_what_the_index_knows_of_its_net(index):
    model = make_model()
    identity = index.identity
    assert (identity.model, identity.options) == ("tiny", {"width": 10})
    assert identity.weights == model.provenance.describe()
    assert len(identity.sha256) == 64
    assert identity.preprocessing["mean"] == [0.5, 0.4, 0.3]
    assert identity.input_size == 32
    assert identity.layers == tuple((name, model.layers[name]) for name in LAYERS)
    assert (identity.top, identity.per_photo) == (3, 1)


def test_the_file_tells_nothing_of_the_machine(index, file):
    tensors = load_file(file)
    record = json.loads(tensors.pop("record").numpy().tobytes())
    assert sorted(record) == ["done", "failures", "identity", "map_sizes", "photos", "sizes"]
    assert str(file.parent).encode() not in file.read_bytes()
    assert len(tensors) == 3 * len(LAYERS) + len({"digests", "checksum"})


def change_weights(model):
    with torch.no_grad():
        model.module[0].bias[3] += 1e-7
    return model


def add_buffer(model):
    model.module.register_buffer("more", torch.zeros(1), persistent=False)
    return model


def change_preprocessing(model, **changes):
    return replace(model, preprocessing=replace(model.preprocessing, **changes))


CHANGED_NETS = {
    "net: 'tiny', not 'other'": lambda model: replace(model, name="other"),
    "net's options: {'width': 10}, not {'width': 11}": lambda model: replace(
        model, options={"width": 11}
    ),
    "weights: 'random weights (untrained)', not 'file weights": lambda model: replace(
        model, provenance=Provenance("file")
    ),
    "weights' sha256: ": change_weights,
    "sha256: ": add_buffer,
    "preprocessing: ": lambda model: change_preprocessing(model, mean=(0.5, 0.4, 0.2)),
    "'resize': 32": lambda model: change_preprocessing(model, resize=36),
}


@pytest.mark.parametrize("word", CHANGED_NETS)
def test_another_net_is_refused(index, file, word):
    before = file.read_bytes()
    with pytest.raises(DataError) as caught:
        mine(CHANGED_NETS[word](make_model()), NoisePhotos(LOOKS), file, SETTINGS)
    message = str(caught.value)
    assert word in message
    assert len(message.splitlines()) == 1
    assert message.endswith("give another file, or delete it")
    assert file.read_bytes() == before


def test_another_input_size_is_refused(index, file):
    model = change_preprocessing(make_model(), input_size=30, resize=30)
    with pytest.raises(DataError, match="'input_size': 32"):
        mine(model, NoisePhotos(LOOKS, size=30), file, SETTINGS)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"layers": LAYERS[:-1]}, "layers: "),
        ({"layers": LAYERS[::-1]}, "layers: "),
        ({"top": 4}, "top: 3, not 4"),
        ({"per_photo": 2}, "per_photo: 1, not 2"),
    ],
)
def test_other_settings_are_refused(index, file, changes, word):
    with pytest.raises(DataError, match=word):
        mine(make_model(), NoisePhotos(LOOKS), file, replace(SETTINGS, **changes))


class Resized(NoisePhotos):
    def __init__(self):
        super().__init__(LOOKS)
        self.sizes = (*self.sizes[:-1], 1)


@pytest.mark.parametrize(
    ("photos", "word"),
    [
        (NoisePhotos(LOOKS | {"more": 1}), "1 photo.s. new, such as 'more'"),
        (make_photos(38), "2 photo.s. gone, such as 'photo 038'"),
        (Resized(), "1 photo.s. of another size, such as 'photo 039'"),
    ],
)
def test_other_photos_are_refused(index, file, photos, word):
    with pytest.raises(DataError, match=word):
        mine(make_model(), photos, file, SETTINGS)


def test_workers_and_interval_may_change(index, file):
    settings = replace(SETTINGS, workers=1, interval=7.0)
    assert MiningRun(make_model(), NoisePhotos(LOOKS), file, settings).index.complete


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"0123",
        b"\xff" * 64,
        b"\x02\0\0\0\0\0\0\0{}",
        b"\x02\0\0\0\0\0\0\0[]",
        (20000).to_bytes(8, "little") + b"[" * 20000,
        "an html page: <html>é".encode(),
    ],
    ids=repr,
)
def test_other_files_are_refused_and_kept(file, content):
    file.write_bytes(content)
    with pytest.raises(DataError) as caught:
        mine(make_model(), make_photos(2), file, SETTINGS)
    assert len(str(caught.value).splitlines()) == 1
    assert repr(str(file)) in str(caught.value)
    assert file.read_bytes() == content


def test_weights_are_no_index(file):
    save_file({"record": torch.zeros(3, dtype=torch.uint8)}, file, {"vizcnn": "{}"})
    with pytest.raises(DataError, match="is no index"):
        read_index(file)
    save_file({}, file, {FORMAT_KEY: "99"})
    with pytest.raises(DataError, match="another version"):
        read_index(file)


@pytest.mark.parametrize("cut", [1, 100, 3000])
def test_cut_off_files_are_told(index, file, cut):
    file.write_bytes(file.read_bytes()[:-cut])
    with pytest.raises(DataError, match="cut off"):
        read_index(file)


def test_folders_and_missing_files(tmp_path):
    with pytest.raises(DataError, match="is a folder"):
        read_index(tmp_path)
    with pytest.raises(DataError, match="no index"):
        read_index(tmp_path / "missing")


def change_record(**changes):
    def change(tensors):
        record = json.loads(tensors["record"].numpy().tobytes()) | changes
        content = bytearray(json.dumps(record).encode())
        tensors["record"] = torch.frombuffer(content, dtype=torch.uint8)

    return change


def change_tensor(name, make):
    return lambda tensors: tensors.update({name: make(tensors[name])})


DAMAGES = {
    "no record": lambda tensors: tensors.pop("record"),
    "a layer less": lambda tensors: tensors.pop("layer-002.photos"),
    "no photos": change_record(photos=[]),
    "photos out of order": change_record(photos=list(LOOKS)[::-1]),
    "photos that are numbers": change_record(photos=list(range(40)), sizes=[1] * 40),
    "done too much": change_record(done=41),
    "done in words": change_record(done="40"),
    "identity of another form": change_record(identity={"model": "tiny"}),
    "identity in words": change_record(identity="tiny"),
    "failures of another form": change_record(failures=[["photo 001"]]),
    "map sizes of another form": change_record(map_sizes=[3] * 5),
    "too few map sizes": change_record(map_sizes=[None]),
    "photos beyond the list": change_tensor("layer-000.photos", lambda photos: photos + 40),
    "photos below the list": change_tensor("layer-000.photos", lambda photos: photos - 2),
    "fewer units": change_tensor("layer-000.values", lambda values: values[1:]),
    "another top": change_tensor("layer-001.values", lambda values: values[:, :2]),
    "another type": change_tensor("layer-001.values", lambda values: values.double()),
    "no columns": change_tensor("layer-003.positions", lambda positions: positions[..., :1]),
    "a record of letters": change_tensor("record", lambda record: record[:-1]),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_one_line(index, file, damage):
    tensors = load_file(file)
    DAMAGES[damage](tensors)
    tensors = {name: value.contiguous() for name, value in tensors.items()}
    save_file(tensors, file, {FORMAT_KEY: FORMAT})
    with pytest.raises(DataError, match="is damaged") as caught:
        mine(make_model(), NoisePhotos(LOOKS), file, SETTINGS)
    assert len(str(caught.value).splitlines()) == 1
    assert "checksum" not in str(caught.value)  # it names what is wrong


def test_no_bit_of_an_index_can_change_unseen(index, file):
    content = file.read_bytes()
    for place in range(0, len(content), 97):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        file.write_bytes(damaged)
        with pytest.raises(DataError) as caught:
            read_index(file)
        assert len(str(caught.value).splitlines()) == 1


def test_a_file_that_cannot_be_written_is_told_at_once(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(NoisePhotos, "read", lambda photos, number: read.append(number))
    (tmp_path / "a file").touch()
    with pytest.raises(DataError, match="cannot be written"):
        mine(make_model(), make_photos(3), tmp_path / "a file" / "index", SETTINGS)
    assert read == []


def test_nothing_is_left_beside_the_index(index, file):
    assert list(file.parent.iterdir()) == [file]
