"""The training run itself: resumable at any step, the same result whether or not it was cut."""

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from vizcnn.basics.errors import DataError, ModelError, WeightsError, quote
from vizcnn.basics.interrupts import hold_interrupts
from vizcnn.basics.memory import require_memory
from vizcnn.basics.progress import Progress, silent
from vizcnn.measures.filter_layers import clip_filters
from vizcnn.training.augmentation import augment
from vizcnn.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from vizcnn.training.evaluation import measure_accuracy
from vizcnn.training.net import build_net, first_convolution, recipe_preprocessing
from vizcnn.training.photos import PhotoFolder, draw_epoch, require_same_classes
from vizcnn.training.recipe import Recipe, mix_seed
from vizcnn.training.start import Start
from vizcnn.zoo.building import check_state

LOSS_SECONDS = 10.0
"""How long losses stay unread on a device: reading one waits for all that was asked of it."""


class TrainingRun:
    """A net in training, with all that decides its next step.

    Nothing in a step waits for the device: the losses are read at the end of an epoch, before a
    save, and else every ten seconds, so that a run that diverges does not go on for long.

    A run that is cut and made again from its checkpoint ends with the very bytes of an unbroken
    one: on a CPU with the same number of threads exactly, on a GPU up to the order of its sums.

    Args:
        recipe: The settings.
        photos: Training photos.
        validation: Validation photos of the same classes.
        checkpoint: Where to save the state; an existing file of the same run is gone on from.
        device: ``"cpu"``, ``"cuda"``, ...
        checkpoint_seconds: Save at least this often.
        start: Trained weights to begin with, written into the recipe's ``start``; None begins
            with random ones. A run that goes on from its checkpoint no longer needs them.

    Raises:
        DataError: If the folders have different classes.
        ModelError: If the net cannot be built.
        WeightsError: If the checkpoint is damaged or of another run, or the weights to begin with
            are missing or do not fit.
    """

    def __init__(
        self,
        recipe: Recipe,
        photos: PhotoFolder,
        validation: PhotoFolder,
        checkpoint: Path,
        device: str = "cpu",
        checkpoint_seconds: float = 120,
        start: Start | None = None,
    ) -> None:
        require_same_classes(photos, validation)
        recipe = start.complete(recipe) if start else recipe
        self.recipe, self.photos, self.validation = recipe, photos, validation
        self.path, self.device, self.checkpoint_seconds = checkpoint, device, checkpoint_seconds
        self.preprocessing = recipe_preprocessing(recipe)
        net = build_net(recipe, len(photos.classes)).to(device)
        # torch's annotations lack the form of Module.to that sets a memory format
        self.net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = torch.optim.SGD(
            self.net.parameters(),
            recipe.learning_rate,
            recipe.momentum,
            weight_decay=recipe.weight_decay,
        )
        self.step = 0
        self.history: list[dict[str, float]] = []
        self.began_with: dict[str, Any] = dict(start.began_with) if start else {}
        self._running, self._seconds, self._photos = (0.0, 0), 0.0, 0
        self._unread: list[Tensor] = []
        if checkpoint.exists():
            self._restore(load_checkpoint(checkpoint, recipe, photos.classes))
        else:
            self._begin(start)

    @property
    def steps_per_epoch(self) -> int:
        """Steps in an epoch."""
        return max(len(self.photos) // self.recipe.batch, 1)

    @property
    def batch(self) -> int:
        """Photos in a step: as many as the recipe says, or all if there are fewer."""
        return min(self.recipe.batch, len(self.photos))

    def load_photos(self, progress: Progress = silent) -> None:
        """Read the photos that are not in memory yet.

        Raises:
            DataError: If none can be read, or there are not as many as when the run began.
            VizcnnError: If the photos of one step cannot be held in memory.
        """
        for photos in (self.photos, self.validation):
            photos.load(progress)
            photos.keep_on(self.device)
        if self._photos not in (0, len(self.photos)):
            raise DataError(
                f"{str(self.photos.root)!r} holds {len(self.photos)} photos, {self._photos} when "
                "the run began: put the former ones back, or use another folder for this run"
            )
        crop, resize = self.recipe.crop, self.recipe.resize
        require_memory(
            self.batch * 3 * (resize**2 + crop**2 * torch.float32.itemsize),
            f"a step with {self.batch} photos of {crop} x {crop} pixels",
            "take a smaller batch or crop (--batch, --crop)",
        )

    def run(
        self,
        progress: Progress = silent,
        report: Callable[[dict[str, float]], None] = lambda record: None,
    ) -> None:
        """Train to the end of the recipe, saving on the way and when interrupted.

        Args:
            progress: Shows the steps of an epoch.
            report: Called with the record of every finished epoch: epoch, loss, seconds and
                the fields of :class:`~vizcnn.training.evaluation.Accuracy`.

        Raises:
            DataError: If the photos cannot be read or the checkpoint cannot be written.
            ModelError: If the loss becomes infinite.
        """
        self.load_photos(progress)
        torch_device = torch.device(self.device)
        gpus = [torch_device] if torch_device.type == "cuda" else []
        try:
            with torch.random.fork_rng(devices=gpus):
                while len(self.history) < self.recipe.epochs:
                    self._run_epoch(progress)
                    report(self.history[-1])
        except KeyboardInterrupt:
            self.save()
            raise

    def state(self) -> Checkpoint:
        """Give the run's present state.

        Raises:
            ModelError: If the loss has become infinite.
        """
        self._read_losses()
        return Checkpoint(
            recipe=self.recipe.to_dict(),
            classes=self.photos.classes,
            weights=self.net.state_dict(),
            optimizer=self.optimizer.state_dict(),
            step=self.step,
            history=self.history,
            running=self._running,
            seconds=self._seconds,
            photos=len(self.photos),
            first_layers=self.first_layers,
            began_with=self.began_with,
        )

    def _begin(self, start: Start | None) -> None:
        if start is not None:
            check_state(self.net, start.weights, "the weights to begin with do not fit")
            self.net.load_state_dict(start.weights)
        elif self.recipe.start:
            raise WeightsError(
                f"the recipe begins with the weights of sha256 {self.recipe.start[:16]}..., and "
                f"there is no checkpoint {str(self.path)!r}: give their file as start"
            )
        self.first_layers = {0: self._copy_first_layer()}

    def _copy_first_layer(self) -> Tensor:
        return first_convolution(self.net).weight.detach().cpu().half().contiguous()

    def save(self) -> None:
        """Write the checkpoint."""
        with hold_interrupts():
            save_checkpoint(self.state(), self.path)

    def _restore(self, checkpoint: Checkpoint) -> None:
        complaint = f"the checkpoint {quote(self.path)} is damaged"
        check_state(self.net, checkpoint.weights, complaint)
        _check_optimizer(self.optimizer, checkpoint.optimizer, complaint)
        self.net.load_state_dict(checkpoint.weights)
        self.optimizer.load_state_dict(checkpoint.optimizer)
        self.step, self.history = checkpoint.step, checkpoint.history
        self._running, self._seconds = checkpoint.running, checkpoint.seconds
        self._photos, self.first_layers = checkpoint.photos, checkpoint.first_layers
        # an older version wrote down the checksum alone: the same weights, told of anew
        self.began_with = checkpoint.began_with or self.began_with

    def _run_epoch(self, progress: Progress) -> None:
        epoch = len(self.history)  # not from the step: the last epoch may lack its validation
        done = self.step - epoch * self.steps_per_epoch
        if not 0 <= done <= self.steps_per_epoch:
            raise WeightsError(
                f"the checkpoint {quote(self.path)} is damaged: step {self.step} is not in epoch "
                f"{epoch + 1} of {self.steps_per_epoch} steps each; delete it to start anew"
            )
        recipe = self.recipe
        drawn = draw_epoch(self.photos, self.batch, recipe.seed, epoch, recipe.class_balance)
        order = drawn[done:]
        clock = saved = read = time.monotonic()
        self.net.train()
        batches = self.photos.batches(order, self.device)
        label = f"epoch {epoch + 1}/{recipe.epochs}"
        for pixels, labels in progress(batches, label=label, total=len(order), unit="step"):
            self._take_step(pixels, labels)
            now = time.monotonic()
            self._seconds, clock = self._seconds + now - clock, now
            if now - saved > self.checkpoint_seconds:
                self.save()
                saved = time.monotonic()
            elif now - read > LOSS_SECONDS:
                self._read_losses()
                read = time.monotonic()
        self._read_losses()
        self._seconds += time.monotonic() - clock  # of what the device had left to do
        self._finish_epoch(progress)

    def _take_step(self, pixels: Tensor, labels: Tensor) -> None:
        # every step seeds itself, so that a resumed run draws what an unbroken one would have
        seed = mix_seed(self.recipe.seed, self.step)
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(seed)
        recipe = self.recipe
        crops = augment(pixels, recipe.crop, recipe.jitter, generator, recipe.flip)
        with hold_interrupts():
            self._unread.append(self._update_weights(crops, labels))
            self.step += 1

    def _read_losses(self) -> None:
        """Add the losses that are still on the device to the sum of the epoch, in their order."""
        if not self._unread:
            return
        losses: list[float] = torch.stack(self._unread).tolist()
        total, steps = self._running
        for step, loss in enumerate(losses, self.step - len(losses) + 1):
            if not math.isfinite(loss):
                raise ModelError(
                    f"the loss is {loss} at step {step}: the training diverged; start anew "
                    f"with a lower learning rate than {self.recipe.learning_rate}"
                )
            total += loss  # one by one: Python's sum() rounds in another way
        with hold_interrupts():
            self._running = (total, steps + len(losses))
            self._unread.clear()

    def _update_weights(self, crops: Tensor, labels: Tensor) -> Tensor:
        inputs = self.preprocessing.normalise(crops).contiguous(memory_format=torch.channels_last)
        rate = self.recipe.learning_rate_at(self.step / self.steps_per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        device, mixed = torch.device(self.device).type, self.recipe.mixed_precision
        with torch.autocast(device, torch.bfloat16) if mixed else nullcontext():
            logits = self.net(inputs)
            loss = F.cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing)
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        self.optimizer.step()
        if self.recipe.clip_first_layer:
            clip_filters(first_convolution(self.net).weight)
        return loss.detach()

    def _finish_epoch(self, progress: Progress) -> None:
        self.net.eval()
        accuracy = measure_accuracy(
            self.net,
            self.validation,
            self.preprocessing,
            self.recipe.crop,
            self.device,
            progress=progress,
        )
        total, steps = self._running
        record = {
            "epoch": len(self.history) + 1,
            "loss": total / max(steps, 1),
            "seconds": self._seconds,
            **asdict(accuracy),
        }
        with hold_interrupts():
            self.history.append(record)
            self.first_layers[len(self.history)] = self._copy_first_layer()
            self._running, self._seconds = (0.0, 0), 0.0
            self.save()


def _check_optimizer(optimizer: torch.optim.SGD, saved: dict[str, Any], complaint: str) -> None:
    """Make sure that a saved state of the optimizer fits the run's.

    Raises:
        WeightsError: If a setting but the learning rate differs, or a momentum does not fit.
    """
    own = optimizer.state_dict()["param_groups"]
    weights = [value for group in optimizer.param_groups for value in group["params"]]
    try:
        pairs = zip(saved["param_groups"], own, strict=True)
        fits = [{**group, "lr": mine["lr"]} for group, mine in pairs] == own
        for number, held in saved["state"].items():
            momentum = held["momentum_buffer"]
            fits &= momentum is None or momentum.shape == weights[number].shape
    except (LookupError, TypeError, AttributeError, ValueError):
        fits = False
    if not fits:
        raise WeightsError(f"{complaint}: its optimizer is not the run's; delete it to start anew")
