"""Photos of noise, the same in every test."""

import torch
from PIL import Image


def draw_noise(width: int, height: int) -> Image.Image:
    """Draw a photo in which every pixel has a colour of its own."""
    values = torch.rand(height, width, 3, generator=torch.Generator().manual_seed(0))
    return Image.fromarray((values * 255).byte().numpy())
