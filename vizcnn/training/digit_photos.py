"""The digits that the shipped run of LeNet-5 was trained on, which come with the package."""

import torch
from safetensors.numpy import load
from torch import Tensor

from vizcnn.basics.errors import WeightsError
from vizcnn.basics.files import read_plain_file
from vizcnn.mining.photo_sets import require_one_size
from vizcnn.training.digits import FRAME, SIDE, draw_digit
from vizcnn.zoo.cache import check_hash
from vizcnn.zoo.files import BUNDLE, read_expected_hash
from vizcnn.zoo.preprocessing import Preprocessing

DIGITS_FILE = BUNDLE / "lenet-run" / "digits.safetensors"
"""1,442 images of 8 x 8 pixels, their labels and their places in scikit-learn's order.

They are those of UCI's optdigits that ``vizcnn train digits`` trains on; CC BY 4.0 (Alpaydin &
Kaynak 1998).
"""


class DigitPhotos:
    """The training digits as a set of photos, named and drawn as ``vizcnn train digits`` does it.

    Args:
        preprocessing: The net's, for its geometry.

    Raises:
        WeightsError: If the file of the digits is damaged.
        DataError: If photos shall keep their own sizes.

    Example:
        >>> from vizcnn.zoo import load
        >>> photos = DigitPhotos(load("lenet", weights=None).preprocessing)
        >>> len(photos.names), photos.names[0], photos.read(0).shape
        (1442, 'train/0/0000.png', torch.Size([3, 32, 32]))
    """

    def __init__(self, preprocessing: Preprocessing) -> None:
        require_one_size(preprocessing)
        self._preprocessing = preprocessing
        check_hash(DIGITS_FILE, read_expected_hash(DIGITS_FILE))
        held = load(read_plain_file(DIGITS_FILE, "file of digits", WeightsError, largest=1 << 20))
        numbers, labels = held["numbers"].tolist(), held["labels"].tolist()
        names = [
            f"train/{label}/{number:04d}.png" for label, number in zip(labels, numbers, strict=True)
        ]
        order = sorted(range(len(names)), key=names.__getitem__)
        self.names = tuple(names[place] for place in order)
        self.sizes = (3 * (SIDE + 2 * FRAME) ** 2,) * len(names)
        self._images = held["images"][order]

    def read(self, number: int) -> Tensor:
        """Give a digit (3, S, S), RGB, uint8."""
        pixels: Tensor = self._preprocessing.fit(draw_digit(self._images[number]).convert("RGB"))
        return pixels.to(torch.uint8)

    def describe(self) -> str:
        """Say in one line what photos they are."""
        count = f"{len(self.names):,}"
        return f"the {count} training digits of scikit-learn (UCI optdigits, CC BY 4.0)"
