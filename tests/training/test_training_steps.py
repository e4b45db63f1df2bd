"""What a step asks of a device: few operations, and never a value, for which it would wait.

Tensors of the device "meta" have no values: whoever reads one fails, and what is sent to them from
the host is seen. So they stand for a GPU here.
"""

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.support.training_data import RECIPE, cut_after, make_data, make_run
from vizcnn.basics.devices import find_free_device_memory, make_constant, send
from vizcnn.training.augmentation import augment
from vizcnn.training.loop import TrainingRun
from vizcnn.training.photos import PhotoFolder

pytestmark = pytest.mark.usefixtures("one_thread")

PLAIN = replace(RECIPE, mixed_precision=False)  # autocast does not know the device
ROOM = 10**9


class Counting(TorchDispatchMode):
    """Counts operations by name, and the bytes that go from the host to another device."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self.sent: list[int] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: Any = (), options: Any = None
    ) -> Any:
        result = function(*arguments, **(options or {}))
        name = function.overloadpacket.__name__
        self.counts[name] += 1
        if name == "_to_copy" and arguments[0].device != result.device:
            self.sent.append(arguments[0].nbytes)
        return result


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("data"))


def make_run_elsewhere(data: Path, path: Path, room: int | None, batch: int = 4) -> TrainingRun:
    """Make a run on a device whose values cannot be read, from the checkpoint of one that can."""
    recipe = replace(PLAIN, batch=batch)
    make_run(data, path, recipe).save()
    with warnings.catch_warnings(action="ignore"):  # torch says that weights get lost there
        run = make_run(data, path, recipe, device="meta")
    for photos in (run.photos, run.validation):
        photos.load()
        photos.keep_on("meta", room)
    return run


def count_step(run: TrainingRun) -> tuple[Counter[str], int]:
    """Count the operations and the bytes sent of a run's second step, and fail if one is read.

    It is counted with the making of its batch. The first makes the optimizer's memory, too.
    """
    counting, begun = Counting(), []

    def progress(items: Iterable[Any], **told: Any) -> Iterator[Any]:
        for item in items:
            begun.append((Counter(counting.counts), sum(counting.sent)))
            if len(begun) == 3:
                raise KeyboardInterrupt
            yield item

    # what an interrupted run saves would have to be read
    run.save = lambda: None  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt), counting:
        run.run(progress)
    (before, _), (after, _) = begun[1:]
    assert not READING & counting.counts.keys()
    return after - before, begun[2][1] - begun[1][1]


READING = {"_local_scalar_dense", "nonzero", "equal"}


@pytest.mark.parametrize("room", [ROOM, None], ids=["photos there", "photos sent"])
def test_no_step_waits_for_the_device(data: Path, tmp_path: Path, room: int | None) -> None:
    run = make_run_elsewhere(data, tmp_path / "4.pt", room)
    counts, sent = count_step(run)
    assert counts["gather"] == 1
    assert counts["_to_copy"] > 0
    # two numbers for each photo's place and three for its colours, and else the photos themselves
    photos = run.batch * (3 * run.recipe.resize**2 + 8)
    assert sent == run.batch * (2 * 8 + 3 * 4) + (0 if room else photos)


def test_a_step_takes_as_many_operations_whatever_its_size(data: Path, tmp_path: Path) -> None:
    runs = [make_run_elsewhere(data, tmp_path / f"{size}.pt", ROOM, size) for size in (2, 4)]
    small, large = (count_step(run)[0] for run in runs)
    assert small == large


def test_reading_a_loss_there_would_fail(data: Path, tmp_path: Path) -> None:
    run = make_run_elsewhere(data, tmp_path / "checkpoint.pt", ROOM)
    count_step(run)
    with pytest.raises(NotImplementedError, match="meta"):
        run.state()


@pytest.mark.parametrize("count", [1, 2, 33])
def test_a_batch_is_cut_by_as_many_operations_whatever_its_size(count: int) -> None:
    photos = torch.zeros(64, 3, 20, 20, dtype=torch.uint8)
    counted = []
    for size in (count, 64):
        with Counting() as counting:
            augment(photos[:size], 16, 0.2, torch.Generator().manual_seed(0))
        counted.append(counting.counts)
    assert counted[0] == counted[1]
    assert counted[0]["gather"] == 1


def cut_one_by_one(
    pixels: torch.Tensor, crop: int, generator: torch.Generator, share: float
) -> torch.Tensor:
    """Cut windows photo by photo, by slices, with the draws in their order."""
    count, _, height, width = pixels.shape
    tops = torch.randint(height - crop + 1, (count,), generator=generator).tolist()
    lefts = torch.randint(width - crop + 1, (count,), generator=generator).tolist()
    flips = (torch.rand(count, generator=generator) < share).tolist()
    windows = []
    for photo, top, left, flip in zip(pixels, tops, lefts, flips, strict=True):
        window = photo[:, top : top + crop, left : left + crop]
        windows.append(window.flip(-1) if flip else window)
    return torch.stack(windows)


@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize(("height", "width", "crop"), [(20, 20, 20), (20, 20, 16), (17, 23, 1)])
def test_the_gather_gives_the_windows_of_slices(
    height: int, width: int, crop: int, flip: bool
) -> None:
    photos = torch.randint(256, (50, 3, height, width), dtype=torch.uint8)
    cut = augment(photos, crop, 0.0, torch.Generator().manual_seed(7), flip)
    share = 0.5 if flip else 0.0
    expected = cut_one_by_one(photos, crop, torch.Generator().manual_seed(7), share)
    assert torch.equal(cut.mul(255).round().to(torch.uint8), expected)


def test_photos_are_kept_on_a_device_if_half_of_it_holds_them(data: Path) -> None:
    photos = PhotoFolder(data / "val", 72)
    photos.load()
    size = len(photos) * 3 * 72 * 72
    for free, place in ((None, "cpu"), (2 * size - 1, "cpu"), (2 * size, "meta")):
        photos.keep_on("meta", free)
        with Counting() as counting:
            given = [
                entry.device.type for batch in photos.batches([[0]], "meta") for entry in batch
            ]
        assert given == ["meta"] * 2
        assert (3 * 72 * 72 in counting.sent) == (place == "cpu")


def test_no_batches_are_given_where_none_are_asked_for(data: Path) -> None:
    photos = PhotoFolder(data / "val", 72)
    photos.load()
    assert list(photos.batches([])) == []


def test_losses_are_read_at_a_save_and_add_up_in_their_order(data: Path, tmp_path: Path) -> None:
    losses: list[float] = []
    run = make_run(data, tmp_path / "checkpoint.pt", PLAIN)

    def hear(module: object, inputs: Any, logits: torch.Tensor) -> None:
        if run.net.training:
            targets = heard.pop(0)
            loss = torch.nn.functional.cross_entropy(logits, targets, label_smoothing=0.1)
            losses.append(loss.item())

    heard: list[torch.Tensor] = []
    run.net.register_forward_hook(hear)
    give = run.photos.batches

    def batches(*arguments: Any) -> Iterator[Any]:
        for pixels, labels in give(*arguments):
            heard.append(labels)
            yield pixels, labels

    run.photos.batches = batches  # type: ignore[method-assign, assignment]
    with pytest.raises(KeyboardInterrupt):
        run.run(cut_after(2, raise_interrupt))
    total, steps = run.state().running
    assert (total, steps) == (losses[0] + losses[1], 2)
    assert run.state().running == (total, steps)  # not counted twice


def raise_interrupt() -> None:
    raise KeyboardInterrupt


def test_a_constant_is_sent_once_and_can_be_trained_through() -> None:
    like = torch.ones(2, device="meta")
    with torch.inference_mode():
        first = make_constant((1.5, 2.5, 3.5), like)
    assert make_constant((1.5, 2.5, 3.5), like) is first
    assert not first.is_inference()
    assert make_constant((1.5, 2.5), like.double()).dtype == torch.float64
    assert make_constant((1.5, 2.5), torch.ones(1)).tolist() == [1.5, 2.5]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_run_on_a_gpu_keeps_its_photos_there(data: Path, tmp_path: Path) -> None:
    run = make_run(data, tmp_path / "checkpoint.pt", device="cuda")
    assert (find_free_device_memory("cuda") or 0) > 0
    run.run()
    pixels, _ = next(run.photos.batches([[0]], "cuda"))
    assert pixels.is_cuda
    assert send(torch.ones(2), "cuda").tolist() == [1.0, 1.0]
