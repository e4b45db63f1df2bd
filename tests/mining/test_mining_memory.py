"""What stays in memory does not grow with the number of photos."""

import gc
import tracemalloc

import pytest
import torch

from tests.support.mining_runs import NoisePhotos
from tests.support.small_zoo import make_model
from vizcnn.mining.run import MiningRun, MiningSettings

pytestmark = pytest.mark.slow

COUNT, EARLY, LATE = 1600, 767, 1503


def count_tensor_bytes():
    # by its very type: to ask some objects of torch what they are is to be warned of them, and what
    # traces of other tests leave behind (lazy and fake tensors) is no memory
    objects = gc.get_objects()
    tensors = [value for value in objects if type(value) in (torch.Tensor, torch.nn.Parameter)]
    storages = {value.untyped_storage().data_ptr(): value.untyped_storage() for value in tensors}
    return len(tensors), sum(storage.nbytes() for storage in storages.values())


def test_memory_does_not_grow(tmp_path):
    """Tensors by what lives, all else by what Python has allocated; saving all the while."""
    photos = NoisePhotos({f"photo {number:04d}": number % 7 for number in range(COUNT)})
    seen: dict[int, tuple[int, ...]] = {}

    def watch(items, **options):
        for number, _ in enumerate(items):
            if number in (EARLY, LATE):
                run.writer.wait()
                gc.collect()
                seen[number] = (*count_tensor_bytes(), tracemalloc.get_traced_memory()[0])
        return iter(())

    settings = MiningSettings(layers=("conv1", "conv5", "fc6"), workers=0, interval=0)
    tracemalloc.start()
    try:
        run = MiningRun(make_model(), photos, tmp_path / "index", settings, saving_share=0)
        run.run(watch)
    finally:
        tracemalloc.stop()
    early, late = seen[EARLY], seen[LATE]
    assert late[:2] == early[:2]
    # torch's and Python's own caches grow by some 50 kB beside; 736 photos' pixels are 2 MB
    assert late[2] - early[2] < 150_000
