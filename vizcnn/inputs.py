"""What a net can be asked about: images as tensors, checked."""

from torch import Tensor

from vizcnn.errors import ImageError


def check_images(images: Tensor, colours: bool) -> None:
    """Make sure that images are what a net can be asked about.

    Args:
        images: What was given.
        colours: Whether they have to be RGB pixels of 0..1.

    Raises:
        ImageError: If they are of another type, shape or range, or hold NaN.
    """
    if not isinstance(images, Tensor):
        raise ImageError(
            f"got {type(images).__name__}; needed: images as a float tensor (N, 3, H, W)"
        )
    got = f"{images.dtype} of shape {tuple(images.shape)}"
    if images.ndim != 4 or not images.is_floating_point() or (colours and images.shape[1] != 3):
        raise ImageError(f"got {got}; needed: images as a float tensor (N, 3, H, W)")
    if not images.isfinite().all():
        raise ImageError(f"got {got} with values that are not finite; needed: numbers")
    low, high = images.min().item(), images.max().item()
    if colours and not -1e-6 <= low <= high <= 1 + 1e-6:
        raise ImageError(f"got values {low:.3g}..{high:.3g}; needed: RGB pixels of 0..1")
