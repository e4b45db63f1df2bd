"""The training run itself: resumable at any step, the same result whether or not it was cut."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vizcnn.progress import Progress, silent
from vizcnn.training.augmentation import augment
from vizcnn.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from vizcnn.training.evaluation import measure_accuracy
from vizcnn.training.photos import PhotoFolder, draw_epoch
from vizcnn.training.recipe import Recipe
from vizcnn.zoo.own import OWN_OPTIONS, build_own_net
from vizcnn.zoo.preprocessing import imagenet_preprocessing

CLIPPED_RMS = 0.1
"""Radius of ZF's feature scale clipping (section 3.1)."""


class TrainingRun:
    """A net in training, with all that decides its next step.

    Args:
        recipe: The settings.
        photos: Loaded training photos.
        validation: Loaded validation photos of the same classes.
        checkpoint: Where to save the state; an existing file of the same run is gone on from.
        device: ``"cpu"``, ``"cuda"``, ...
        checkpoint_seconds: Save at least this often.
    """

    def __init__(
        self,
        recipe: Recipe,
        photos: PhotoFolder,
        validation: PhotoFolder,
        checkpoint: Path,
        device: str = "cpu",
        checkpoint_seconds: float = 120,
    ) -> None:
        self.recipe, self.photos, self.validation = recipe, photos, validation
        self.path, self.device, self.checkpoint_seconds = checkpoint, device, checkpoint_seconds
        self.preprocessing = imagenet_preprocessing(recipe.crop, recipe.resize)
        self.net = build_net(recipe, len(photos.classes)).to(device, memory_format=torch.channels_last)
        self.optimizer = torch.optim.SGD(
            self.net.parameters(), recipe.learning_rate, recipe.momentum, weight_decay=recipe.weight_decay
        )
        self.step = 0
        self.history: list[dict[str, float]] = []
        self._running = (0.0, 0)
        if checkpoint.exists():
            self._restore(load_checkpoint(checkpoint, recipe, photos.classes))

    @property
    def steps_per_epoch(self) -> int:
        """Steps in an epoch."""
        return max(len(self.photos) // self.recipe.batch, 1)

    def run(
        self,
        progress: Progress = silent,
        report: Callable[[dict[str, float]], None] = lambda record: None,
    ) -> None:
        """Train to the end of the recipe, saving on the way and when interrupted.

        Args:
            progress: Shows the steps of an epoch.
            report: Called with the record of every finished epoch.
        """
        try:
            while self.step < self.recipe.epochs * self.steps_per_epoch:
                self._run_epoch(progress)
                report(self.history[-1])
        except KeyboardInterrupt:
            self.save()
            raise

    def save(self) -> None:
        """Write the checkpoint."""
        save_checkpoint(
            Checkpoint(
                recipe=self.recipe.to_dict(),
                classes=self.photos.classes,
                weights=self.net.state_dict(),
                optimizer=self.optimizer.state_dict(),
                step=self.step,
                history=self.history,
                running=self._running,
            ),
            self.path,
        )

    def _restore(self, checkpoint: Checkpoint) -> None:
        self.net.load_state_dict(checkpoint.weights)
        self.optimizer.load_state_dict(checkpoint.optimizer)
        self.step, self.history = checkpoint.step, checkpoint.history
        self._running = checkpoint.running

    def _run_epoch(self, progress: Progress) -> None:
        epoch, done = divmod(self.step, self.steps_per_epoch)
        order = draw_epoch(self.photos, self.recipe.batch, self.recipe.seed, epoch)[done:]
        began = saved = time.monotonic()
        self.net.train()
        label = f"epoch {epoch + 1}/{self.recipe.epochs}"
        for pixels, labels in progress(self.photos.batches(order), label=label, total=len(order), unit="step"):
            loss = self._take_step(pixels, labels)
            self._running = (self._running[0] + loss, self._running[1] + 1)
            if time.monotonic() - saved > self.checkpoint_seconds:
                self.save()
                saved = time.monotonic()
        self._finish_epoch(epoch, time.monotonic() - began, progress)

    def _take_step(self, pixels: Tensor, labels: Tensor) -> float:
        # every step seeds itself, so that a resumed run draws what an unbroken one would have
        seed = self.recipe.seed * 1_000_003 + self.step
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(seed)
        crops = augment(pixels, self.recipe.crop, self.recipe.jitter, generator).to(self.device)
        inputs = self.preprocessing.normalise(crops).contiguous(memory_format=torch.channels_last)
        rate = self.recipe.learning_rate_at(self.step / self.steps_per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with self._autocast():
            loss = F.cross_entropy(
                self.net(inputs), labels.to(self.device), label_smoothing=self.recipe.label_smoothing
            )
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        if self.recipe.clip_first_layer:
            clip_filters(first_convolution(self.net).weight)
        self.step += 1
        return loss.item()

    def _autocast(self) -> torch.autocast | nullcontext[None]:
        if not self.recipe.mixed_precision:
            return nullcontext()
        return torch.autocast(torch.device(self.device).type, torch.bfloat16)

    def _finish_epoch(self, epoch: int, seconds: float, progress: Progress) -> None:
        self.net.eval()
        accuracy = measure_accuracy(
            self.net, self.validation, self.preprocessing, self.recipe.crop, self.device, progress=progress
        )
        total, steps = self._running
        self.history.append(
            {
                "epoch": epoch + 1,
                "loss": total / max(steps, 1),
                "seconds": seconds,
                **asdict(accuracy),
            }
        )
        self._running = (0.0, 0)
        self.save()


def net_options(recipe: Recipe, classes: int) -> dict[str, Any]:
    """Give the options of the recipe's net that its weights depend on."""
    small = OWN_OPTIONS.get(recipe.model, {})
    return {"classes": classes, "hidden": recipe.hidden, "input_size": recipe.crop, **small}


def build_net(recipe: Recipe, classes: int) -> nn.Module:
    """Make the recipe's net with its initial weights.

    Args:
        recipe: The settings.
        classes: Number of logits.

    Returns:
        A net whose first layer starts small (see :class:`Recipe`), the others after He et al.
        2015 (arXiv 1502.01852), biases zero.
    """
    torch.manual_seed(recipe.seed)
    net = build_own_net(recipe.model, **net_options(recipe, classes), dropout=recipe.dropout)
    layers = [module for module in net.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    for layer in layers:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    nn.init.normal_(layers[0].weight, std=recipe.first_layer_std)
    nn.init.normal_(layers[-1].weight, std=0.01)
    return net


def first_convolution(net: nn.Module) -> nn.Conv2d:
    """Find the first convolution of a net."""
    return next(module for module in net.modules() if isinstance(module, nn.Conv2d))


@torch.no_grad()
def clip_filters(weight: Tensor, radius: float = CLIPPED_RMS) -> None:
    """Scale filters whose root mean square exceeds a radius back to it (ZF, section 3.1).

    Args:
        weight: (filters, channels, height, width), changed in place.
        radius: The largest root mean square.

    Example:
        >>> weight = torch.ones(1, 3, 2, 2)
        >>> clip_filters(weight)
        >>> round(weight.pow(2).mean().sqrt().item(), 6)
        0.1
    """
    rms = weight.pow(2).mean(dim=(1, 2, 3), keepdim=True).sqrt()
    weight.mul_((radius / rms.clamp(min=1e-12)).clamp(max=1.0))
