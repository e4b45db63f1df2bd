"""Accuracy of a net on photos."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vizcnn.basics.progress import Progress, silent
from vizcnn.training.augmentation import centre_crop
from vizcnn.training.photos import PhotoFolder
from vizcnn.zoo.preprocessing import Preprocessing


@dataclass(frozen=True)
class Accuracy:
    """Shares of photos named rightly, 0..1.

    Attributes:
        top1: The class with the largest logit is right.
        top5: The right class is among the five largest logits.
        mean_class_top1: Mean over classes of their top-1.
        photos: Number of photos.
    """

    top1: float
    top5: float
    mean_class_top1: float
    photos: int


@torch.inference_mode()
def measure_accuracy(
    net: nn.Module,
    photos: PhotoFolder,
    preprocessing: Preprocessing,
    crop: int,
    device: str = "cpu",
    batch: int = 128,
    progress: Progress = silent,
) -> Accuracy:
    """Classify the centre crop of each photo once, in float32.

    Equal logits count against the net, and so do those that are not numbers: a net that says
    nothing is not right.

    Args:
        net: A net in evaluation mode.
        photos: Loaded photos with class numbers.
        preprocessing: What turns pixels into the net's input.
        crop: Side of the centre crop.
        device: Where the net is.
        batch: Photos at a time.
        progress: Shows how far it is.
    """
    every = range(len(photos))
    order = [every[start : start + batch] for start in range(0, len(photos), batch)]
    ranks = []
    batches = photos.batches(order, device)
    for pixels, labels in progress(batches, label="validate", total=len(order), unit="batch"):
        logits = net(preprocessing.normalise(centre_crop(pixels, crop)))
        ranks.append(_rank_right_class(logits, labels))
    rank = torch.cat(ranks).cpu()
    hits = torch.zeros(len(photos.classes)).index_add_(0, photos.labels, rank.lt(1).float())
    counts = photos.class_counts
    return Accuracy(
        top1=rank.lt(1).float().mean().item(),
        top5=rank.lt(5).float().mean().item(),
        mean_class_top1=(hits[counts > 0] / counts[counts > 0]).mean().item(),
        photos=len(photos),
    )


def _rank_right_class(logits: Tensor, labels: Tensor) -> Tensor:
    """Count the other classes that are not below the right one; all of them if it is no number."""
    right = logits.gather(1, labels[:, None])
    return (~(logits < right)).sum(dim=1) - 1 + 5 * right[:, 0].isnan()
