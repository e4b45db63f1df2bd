"""What a net misses without a unit: planted units, linear nets, and whole passes in NumPy."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.support.small_zoo import make_model
from vizcnn.basics.errors import LayerError, ModelError, VizcnnError
from vizcnn.measures.unit_ablation import ablate_units
from vizcnn.zoo.model import ZooModel

SIZE = 32
PHOTOS = torch.rand(5, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


def wrap(net: nn.Module, classes: int = 4) -> ZooModel:
    names = tuple("abcdefgh"[:classes])
    return replace(make_model(), module=net.eval(), layers={}, classes=names, options={})


def list_parts(model: ZooModel) -> nn.Sequential:
    assert isinstance(model.module, nn.Sequential)
    return model.module


class Planted(nn.Module):
    """Unit k of the one layer answers to channel k alone, and only class k listens to it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu, self.head = (
            nn.Conv2d(3, 3, 1, bias=False),
            nn.ReLU(),
            nn.Linear(3, 3, bias=False),
        )
        with torch.no_grad():
            self.conv.weight.copy_(torch.eye(3)[:, :, None, None])
            self.head.weight.copy_(2 * torch.eye(3))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.relu(self.conv(x)).mean(dim=(2, 3)))
        return logits


def test_without_a_planted_unit_exactly_its_class_is_gone():
    model = wrap(Planted(), classes=3)
    photos = torch.zeros(6, 3, SIZE, SIZE) + torch.tensor([0.6, 0.6, 0.6])[:, None, None]
    labels = [0, 1, 2, 0, 1, 2]
    for photo, label in zip(photos, labels, strict=True):
        photo[label] = 1.0
    found = ablate_units(model, photos, "relu", labels=labels)
    assert found.right.all()
    off_diagonal = found.logit[~np.eye(3, dtype=bool)]
    assert (off_diagonal == 0).all() and (np.diag(found.logit) < 0).all()
    # all photos of its class are answered wrongly, and no other
    assert np.array_equal(found.own_accuracy, -np.eye(3))
    assert found.accuracy == pytest.approx([-1 / 3] * 3)
    assert found.changed == pytest.approx([1 / 3] * 3)


def test_the_changes_of_a_linear_layers_units_add_up_to_its_logits():
    model = make_model()  # fc6 is followed by a linear layer alone
    found = ablate_units(model, PHOTOS, "fc6")
    head = list_parts(model)[-1]
    assert isinstance(head, nn.Linear)
    logits = model.logits(PHOTOS).double()
    expected = (head.bias.double() - logits).mean(dim=0).detach().numpy()
    assert found.logit.sum(axis=0) == pytest.approx(expected, abs=1e-5)


def recompute(model: ZooModel, path: str, unit: int, by: str) -> tuple[np.ndarray, np.ndarray]:
    """Logits of the whole net and without a unit: whole passes, one photo each, a plain hook."""
    part, seen = model.module.get_submodule(path), []
    handle = part.register_forward_hook(lambda _, args, output: seen.append(output.clone()))
    whole = np.concatenate([model.logits(photo[None]).double().numpy() for photo in PHOTOS])
    handle.remove()
    value = 0.0 if by == "zero" else np.mean([maps[:, unit].double().numpy() for maps in seen])

    def change(_: nn.Module, args: object, output: Tensor) -> Tensor:
        return torch.cat(
            [output[:, :unit], torch.full_like(output[:, :1], value), output[:, unit + 1 :]], dim=1
        )

    handle = part.register_forward_hook(change)
    without = np.concatenate([model.logits(photo[None]).double().numpy() for photo in PHOTOS])
    handle.remove()
    return whole, without


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("by", ["zero", "mean"])
@pytest.mark.parametrize(("layer", "units"), [("conv2", (3, 0)), ("fc6", ())])
def test_all_numbers_are_those_of_whole_passes(by, layer, units):
    model = make_model()
    labels = [0, None, 2, 0, 3]
    found = ablate_units(model, PHOTOS, layer, units, by, labels)
    count = len(found.units)
    assert found.units == (units or tuple(range(11)))
    for row in range(count):
        whole, without = recompute(model, model.layers[layer], found.units[row], by)
        own = [
            guess if label is None else label
            for label, guess in zip(labels, whole.argmax(axis=1), strict=True)
        ]
        assert found.labels.tolist() == own
        logit, probability = without - whole, softmax(without) - softmax(whole)
        assert found.logit[row] == pytest.approx(logit.mean(axis=0), abs=2e-6)
        assert found.logit_spread[row] == pytest.approx(logit.std(axis=0), abs=2e-6)
        assert found.probability[row] == pytest.approx(probability.mean(axis=0), abs=1e-6)
        answers = probability[range(5), own]
        assert found.answer[row] == pytest.approx(answers.mean(), abs=1e-6)
        assert found.answer_spread[row] == pytest.approx(answers.std(), abs=1e-6)
        moved = without.argmax(axis=1) != whole.argmax(axis=1)
        assert found.changed[row] == moved.mean()
        known = [number for number, label in enumerate(labels) if label is not None]
        hits = [
            (without[number].argmax() == labels[number]) * 1.0
            - (whole[number].argmax() == labels[number])
            for number in known
        ]
        assert found.accuracy[row] == pytest.approx(np.mean(hits))
        for number in range(4):
            of_class = [place for place, label in enumerate(labels) if label == number]
            if not of_class:
                assert np.isnan(found.own_logit[row, number])
                continue
            expected = logit[of_class, number]
            assert found.own_logit[row, number] == pytest.approx(expected.mean(), abs=2e-6)
            assert found.own_logit_spread[row, number] == pytest.approx(expected.std(), abs=1e-3)


def test_statistics_are_numpys():
    model = make_model()
    maps = list_parts(model)[:5](model.preprocessing.normalise(PHOTOS)).detach().double().numpy()
    found = ablate_units(model, PHOTOS, "conv2", [1, 4])
    for row, unit in enumerate((1, 4)):
        values = maps[:, unit]
        assert found.mean[row] == pytest.approx(values.mean(), rel=1e-5)
        assert found.spread[row] == pytest.approx(values.std(), rel=1e-4)
        assert found.active[row] == pytest.approx((values > 0).mean())
        assert found.least[row] == values.min()


def test_without_a_known_class_there_is_no_accuracy():
    model = make_model()
    found = ablate_units(model, PHOTOS, "conv5", [0])
    # the likeliest class stands for the true one
    guesses = model.logits(PHOTOS).argmax(dim=1).tolist()
    assert found.labels.tolist() == guesses
    assert found.class_photos.tolist() == [guesses.count(number) for number in range(4)]
    assert np.isnan(found.accuracy).all() and np.isnan(found.own_accuracy).all()
    assert found.right.all() and not found.is_known.any()
    assert found.changed[0] >= 0


def test_bytes_are_pixels_too_and_batches_are_parts(monkeypatch):
    monkeypatch.setattr("vizcnn.measures.unit_ablation.AT_ONCE", 2)
    model, kept, computed = make_model(), {}, []

    def keep(name, compute):
        if name not in kept:
            computed.append(name)
            kept[name] = compute()
        return kept[name]

    photos = (PHOTOS * 255).round().to(torch.uint8)
    found = ablate_units(model, photos, "conv5", [0, 2], keep=keep)
    assert len(computed) == 6  # three batches, twice
    del kept["conv5 by zero, photos from 2"]
    again = ablate_units(model, photos, "conv5", [0, 2], keep=keep)
    assert computed[6:] == ["conv5 by zero, photos from 2"]
    alone = ablate_units(model, photos.float() / 255, "conv5", [0, 2])
    for name, values in found.to_arrays().items():
        assert np.array_equal(values, again.to_arrays()[name], equal_nan=True), name
        assert values == pytest.approx(alone.to_arrays()[name], abs=2e-6, nan_ok=True), name


def test_what_cannot_be_is_refused():
    model = make_model()
    with pytest.raises(LayerError, match=r"layer 'conv5' has no unit 10: it has 0\.\.9"):
        ablate_units(model, PHOTOS, "conv5", [3, 10])
    with pytest.raises(VizcnnError, match="set to zero or mean, not to 'half'"):
        ablate_units(model, PHOTOS, "conv5", by="half")  # type: ignore[arg-type]
    with pytest.raises(VizcnnError, match="no photo is given"):
        ablate_units(model, PHOTOS[:0], "conv5")
    with torch.no_grad():
        head = list_parts(model)[-1]
        assert isinstance(head, nn.Linear)
        head.bias.fill_(float("inf"))
    with pytest.raises(ModelError, match="not finite"):
        ablate_units(model, PHOTOS, "conv5", [0])
