"""Callbacks of trainings: what a net sees, written again and again while it learns.

In: a net in training and a few photos, at every epoch or step. Out: pictures, index.html and
manifest.json in a folder. Add a logger as a function of receivers.py.

Example:
    >>> import tempfile
    >>> import torch
    >>> from torch import nn
    >>> net = nn.Sequential(nn.Conv2d(3, 4, 5), nn.ReLU())
    >>> folder = tempfile.mkdtemp()
    >>> watch = Watch(["1"], torch.rand(2, 3, 16, 16), folder=folder)
    >>> for epoch in range(2):  # train the net, then look
    ...     _ = watch(net, epoch)
    >>> sorted(path.name for path in Path(folder).iterdir() if path.is_dir())
    ['step-000000', 'step-000001']
"""

from pathlib import Path as Path

from vizcnn.callbacks.receivers import for_lightning, to_tensorboard, to_wandb
from vizcnn.callbacks.watching import Picture, Watch

__all__ = ["Picture", "Watch", "for_lightning", "to_tensorboard", "to_wandb"]
