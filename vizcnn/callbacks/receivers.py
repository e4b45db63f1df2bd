"""Where pictures of a training go beside the folder: loggers, and the trainer that calls a watch.

None of these packages is a dependency: each is imported when its function is called.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from vizcnn.basics.errors import VizcnnError

if TYPE_CHECKING:
    from vizcnn.callbacks.watching import Picture, Receiver, Watch


def to_tensorboard(writer: Any, prefix: str = "vizcnn") -> "Receiver":
    """Send a watch's pictures to TensorBoard.

    Args:
        writer: A ``torch.utils.tensorboard.SummaryWriter``; it stays the caller's to close.
        prefix: What the names of the pictures begin with.

    Returns:
        What ``Watch(..., to=[...])`` takes.

    Raises:
        VizcnnError: If it is no such writer.
    """
    if not callable(getattr(writer, "add_image", None)):
        raise VizcnnError(f"got {type(writer).__name__} as a writer; needed: a SummaryWriter")

    def send(picture: "Picture") -> None:
        with Image.open(picture.path) as opened:
            pixels = np.asarray(opened.convert("RGB"))
        writer.add_image(f"{prefix}/{picture.name}", pixels, picture.step, dataformats="HWC")

    return send


def to_wandb(run: Any = None, prefix: str = "vizcnn") -> "Receiver":
    """Send a watch's pictures to Weights & Biases.

    Args:
        run: What ``wandb.init`` gave; the active one when None.
        prefix: What the names of the pictures begin with.

    Returns:
        What ``Watch(..., to=[...])`` takes.

    Raises:
        VizcnnError: If wandb is not installed, or no run is active.
    """
    try:
        import wandb
    except ImportError:
        raise VizcnnError("wandb is not installed: pip install wandb") from None
    run = wandb.run if run is None else run
    if run is None:
        raise VizcnnError("no run of wandb is active; needed: wandb.init(...) first, or its run")

    last: dict[str, int] = {}

    def send(picture: "Picture") -> None:
        # Pictures join the row that the training writes. A row of their own would put W&B's count
        # ahead of the training's, which then loses what it logs with step=. Only where nothing was
        # logged since the watch's last step do they begin one, or they would replace those.
        row = run.step
        if last and last["step"] != picture.step and last["row"] == row:
            row += 1
        last.update(step=picture.step, row=row)
        shown = wandb.Image(str(picture.path), caption=f"step {picture.step}")
        run.log({f"{prefix}/{picture.name}": shown, f"{prefix}/step": picture.step}, step=row)

    return send


def for_lightning(watch: "Watch") -> Any:
    """Let Lightning's trainer call a watch after every epoch of training.

    Args:
        watch: What looks at the net: at the LightningModule, or at ``Watch(..., net=...)``.

    Returns:
        A callback for ``Trainer(callbacks=[...])``; of several processes the first looks.

    Raises:
        VizcnnError: If Lightning is not installed.
    """
    try:
        from lightning.pytorch import Callback
    except ImportError:
        try:
            from pytorch_lightning import Callback
        except ImportError:
            raise VizcnnError("Lightning is not installed: pip install lightning") from None

    class WatchCallback(Callback):  # type: ignore[misc]  # untyped where it is not installed
        """Calls the watch."""

        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            """Look at the net, after its last batch of an epoch."""
            if trainer.is_global_zero:
                watch(pl_module, trainer.current_epoch)

    return WatchCallback()
