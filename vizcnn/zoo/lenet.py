"""LeNet-5 (LeCun, Bottou, Bengio & Haffner 1998), as in lectures: two forms, one grey input."""

from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vizcnn.zoo.alexnet import count_outputs
from vizcnn.zoo.chains import Part, build_chain, choose_widths
from vizcnn.zoo.registry import Variant, list_children, net

Form = Literal["modern", "classic"]
"""Max pooling and ReLU, or trainable subsampling and sigmoids."""


class Subsampling(nn.Module):
    """The pooling of 1998: add 2 x 2 values, scale and shift them, and squash.

    ``sigmoid(weight[c] * sum + bias[c])`` over windows of 2 x 2 pixels with stride 2; two
    parameters per map (LeCun et al. 1998, section II.B, layer S2). The squashing function is the
    logistic sigmoid, as in lectures; the paper's is ``1.7159 tanh(2 a / 3)`` (its appendix A).

    Args:
        maps: Feature maps.

    Example:
        >>> Subsampling(6)(torch.zeros(1, 6, 28, 28)).shape
        torch.Size([1, 6, 14, 14])
    """

    kernel_size, stride, padding, dilation = 2, 2, 0, 1  # as those of torch's poolings

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(maps))
        self.bias = nn.Parameter(torch.empty(maps))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start where four inputs of 0.5, the middle of a sigmoid, give 0.5 again."""
        nn.init.constant_(self.weight, 1.0)
        nn.init.constant_(self.bias, -2.0)

    def forward(self, x: Tensor) -> Tensor:
        total = F.avg_pool2d(x, self.kernel_size, self.stride, divisor_override=1)
        return torch.sigmoid(total * self.weight[:, None, None] + self.bias[:, None, None])

    def extra_repr(self) -> str:
        return str(len(self.weight))


def _name_layers(module: nn.Module) -> dict[str, str]:
    names = {}
    for path in [*list_children(module, "features"), *list_children(module, "classifier")]:
        part, name = path.split(".")
        kind, number = name.rstrip("12345"), name[-1]
        if kind in ("relu", "sigmoid"):
            names[("conv" if part == "features" else "fc") + number] = path
        elif kind == "pool":
            names[name] = path
    return {**names, "fc5": "classifier.fc5"}


@net(
    "lenet",
    order=5,
    title="LeNet-5",
    paper="LeCun, Bottou, Bengio & Haffner 1998 (Proc. IEEE)",
    variants={
        "modern": Variant("max pooling and ReLU", {}, 32, "grey"),
        "classic": Variant("trainable subsampling, sigmoids", {"form": "classic"}, 32, "grey"),
    },
    layers=_name_layers,
)
class LeNet5(nn.Module):
    """Three convolutions and two fully connected layers on 32 x 32 grey pixels.

    Feature maps: conv1 6 x 28 x 28 (156 parameters), pool1 14, conv2 16 x 10 x 10 (2,416), pool2
    5, conv3 120 x 1 x 1 (48,120); fc4 84 units (10,164), fc5 one logit per class (850); filters
    are 5 x 5, poolings 2 x 2 with stride 2. The paper calls these layers C1, S2, C3, S4, C5, F6
    and output. 61,706 parameters; the classic form has 12 and 32 more in its poolings.

    Two things of the paper are left out, as lectures do: conv2 sees all six maps of pool1 (the
    paper's Table I leaves 60 of the 96 pairs, and 1,516 parameters), and the output is ten logits
    (the paper's units measure the distance to a drawn template of each digit).

    Args:
        classes: Number of logits.
        input_size: Side of the square input in pixels; fixes the size of fc4.
        form: ``"modern"``: ReLU and max pooling, which the deconvnet has rules for.
            ``"classic"``: sigmoids and :class:`Subsampling`; only plain gradients go back.
        dropout: Dropout before fc5 while training; 0, as in the paper, for none.
        without: Layers to leave out, each with its rectifier: ``"conv2,fc4"``. Poolings stay.
        widths: Maps or units of layers, where they are others: ``"conv3=60,fc4=42"``.

    Raises:
        ValueError: If there is no such form or layer, or it is conv1 or fc5 that is to be left out.

    Example:
        >>> LeNet5(form="classic")(torch.zeros(1, 1, 32, 32)).shape
        torch.Size([1, 10])
    """

    def __init__(
        self,
        *,
        classes: int = 10,
        input_size: int = 32,
        form: Form = "modern",
        dropout: float = 0.0,
        without: str = "",
        widths: str = "",
    ) -> None:
        super().__init__()
        if form not in ("modern", "classic"):
            raise ValueError(f"no form {form!r} of LeNet-5: 'modern' or 'classic'")
        chosen = choose_widths({"conv1": 6, "conv2": 16, "conv3": 120, "fc4": 84}, without, widths)
        modern = form == "modern"
        name, activation = ("relu", nn.ReLU) if modern else ("sigmoid", nn.Sigmoid)
        convolve = partial(nn.Conv2d, kernel_size=5)

        def pool(maps: int, _: int) -> nn.Module:
            return nn.MaxPool2d(2) if modern else Subsampling(maps)

        features: dict[str, Part] = {
            "conv1": convolve,
            f"{name}1": activation(),
            "pool1": pool,
            "conv2": convolve,
            f"{name}2": activation(),
            "pool2": pool,
            "conv3": convolve,
            f"{name}3": activation(),
        }
        self.features = build_chain(features, chosen, 1)
        classifier: dict[str, Part] = {
            "flatten": nn.Flatten(),
            "fc4": nn.Linear,
            f"{name}4": activation(),
            **({"drop4": nn.Dropout(dropout)} if dropout else {}),
            "fc5": nn.Linear,
        }
        width = count_outputs(self.features, (1, input_size, input_size))
        self.classifier = build_chain(classifier, {**chosen, "fc5": classes}, width)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x))
        return logits
