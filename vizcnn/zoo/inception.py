"""Inception modules (Szegedy et al. 2014, arXiv 1409.4842, Figure 2)."""

import torch
from torch import Tensor, nn


class NaiveInception(nn.Module):
    """Convolutions of 1 x 1, 3 x 3 and 5 x 5 beside a pooling, their maps side by side.

    Figure 2 (a): the pooling keeps all maps of the input, so there are ever more of them. Each
    convolution is followed by a ReLU; padding keeps the size.

    Args:
        in_maps: Maps of the input.
        maps1: Maps of the 1 x 1 convolution.
        maps3: Maps of the 3 x 3 convolution.
        maps5: Maps of the 5 x 5 convolution.

    Example:
        >>> NaiveInception(256, 128, 192, 96)(torch.zeros(1, 256, 28, 28)).shape
        torch.Size([1, 672, 28, 28])
    """

    def __init__(self, in_maps: int, maps1: int, maps3: int, maps5: int) -> None:
        super().__init__()
        self.conv1x1 = nn.Conv2d(in_maps, maps1, 1)
        self.relu1x1 = nn.ReLU()
        self.conv3x3 = nn.Conv2d(in_maps, maps3, 3, padding=1)
        self.relu3x3 = nn.ReLU()
        self.conv5x5 = nn.Conv2d(in_maps, maps5, 5, padding=2)
        self.relu5x5 = nn.ReLU()
        self.pool = nn.MaxPool2d(3, stride=1, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        branches = [
            self.relu1x1(self.conv1x1(x)),
            self.relu3x3(self.conv3x3(x)),
            self.relu5x5(self.conv5x5(x)),
            self.pool(x),
        ]
        return torch.cat(branches, dim=1)


class Inception(nn.Module):
    """The module with reductions: 1 x 1 convolutions before 3 x 3 and 5 x 5 and after the pool.

    Figure 2 (b). Each convolution is followed by a ReLU; padding keeps the size.

    Args:
        in_maps: Maps of the input.
        maps1: Maps of the 1 x 1 convolution (``#1x1`` in the paper's Table 1).
        reduce3: Maps of the reduction before the 3 x 3 convolution.
        maps3: Maps of the 3 x 3 convolution.
        reduce5: Maps of the reduction before the 5 x 5 convolution.
        maps5: Maps of the 5 x 5 convolution.
        pool_maps: Maps of the projection after the pooling (``pool proj``).

    Example:
        >>> Inception(256, 128, 64, 192, 64, 96, 64)(torch.zeros(1, 256, 28, 28)).shape
        torch.Size([1, 480, 28, 28])
    """

    def __init__(
        self,
        in_maps: int,
        maps1: int,
        reduce3: int,
        maps3: int,
        reduce5: int,
        maps5: int,
        pool_maps: int,
    ) -> None:
        super().__init__()
        self.conv1x1 = nn.Conv2d(in_maps, maps1, 1)
        self.relu1x1 = nn.ReLU()
        self.reduce3x3 = nn.Conv2d(in_maps, reduce3, 1)
        self.relu_reduce3x3 = nn.ReLU()
        self.conv3x3 = nn.Conv2d(reduce3, maps3, 3, padding=1)
        self.relu3x3 = nn.ReLU()
        self.reduce5x5 = nn.Conv2d(in_maps, reduce5, 1)
        self.relu_reduce5x5 = nn.ReLU()
        self.conv5x5 = nn.Conv2d(reduce5, maps5, 5, padding=2)
        self.relu5x5 = nn.ReLU()
        self.pool = nn.MaxPool2d(3, stride=1, padding=1)
        self.project = nn.Conv2d(in_maps, pool_maps, 1)
        self.relu_project = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        branches = [
            self.relu1x1(self.conv1x1(x)),
            self.relu3x3(self.conv3x3(self.relu_reduce3x3(self.reduce3x3(x)))),
            self.relu5x5(self.conv5x5(self.relu_reduce5x5(self.reduce5x5(x)))),
            self.relu_project(self.project(self.pool(x))),
        ]
        return torch.cat(branches, dim=1)
