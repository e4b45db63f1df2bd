"""What a user says of a net beside its weights: its preprocessing, and the names of its classes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args

from vizcnn.basics.errors import ImageError, ModelError, WeightsError, nearest_names, quote
from vizcnn.basics.files import read_plain_file
from vizcnn.zoo.model import ZooModel
from vizcnn.zoo.preprocessing import Preprocessing, make_preprocessing
from vizcnn.zoo.registry import Style

PreprocessingLike = Preprocessing | str | Mapping[str, Any] | Any
"""What preprocessing may be given as: the thing itself, a text, settings by name, a preset."""

STYLES: tuple[str, ...] = get_args(Style)
"""Names that stand for a whole preprocessing."""

KEYS = ("mean", "std", "size", "resize", "order", "range")
"""What a text of preprocessing may settle."""

LARGEST_LIST = 1 << 24
"""Bytes of the largest list of classes that is read."""

Classes = Sequence[str] | str | Path
"""Names of classes, or the file that lists them."""


def adjust(
    model: ZooModel, preprocessing: PreprocessingLike | None = None, classes: Classes | None = None
) -> ZooModel:
    """Give a net with another preprocessing or other names of classes.

    Args:
        model: The net.
        preprocessing: As in :func:`settle_preprocessing`; the net's own when None.
        classes: Name of each logit, or a file of them, a line each; the net's own when None.

    Returns:
        This object if nothing changes, else a new one with the same module.

    Raises:
        ModelError: If the preprocessing cannot be read, or there are not as many names as classes.

    Example:
        >>> import vizcnn
        >>> net = vizcnn.load("lenet", weights=None)
        >>> adjust(net, "mean=0.1307,std=0.3081").preprocessing.mean
        (0.1307,)
    """
    if preprocessing is not None:
        settled = settle_preprocessing(preprocessing, model.preprocessing)
        if settled.channels != model.preprocessing.channels:
            raise ModelError(
                f"{model.name} takes {model.preprocessing.channels} channel(s); a preprocessing "
                f"for {settled.channels} was given"
            )
        model = replace(model, preprocessing=settled)
    if classes is not None:
        names = settle_classes(classes, len(model.classes), model.name)
        model = replace(model, classes=names)
    return model


def settle_classes(classes: Any, count: int, net: str) -> tuple[str, ...]:
    """Give names of classes, read from their file if that was given.

    Args:
        classes: The names, or the file.
        count: How many classes there are.
        net: The net, for the error.

    Raises:
        ModelError: If they are no names, not as many as there are classes, or the file cannot be
            read or is empty.
    """
    if isinstance(classes, str | Path) and classes != "":
        names: tuple[Any, ...] = read_classes(Path(classes))
    elif isinstance(classes, Sequence):
        names = tuple(classes)
    else:
        names = (None,)
    if not names or not all(isinstance(name, str) for name in names):
        raise ModelError(
            f"got {quote(classes)} as classes; needed: a list of names, or a file of them"
        )
    if len(names) != count:
        raise ModelError(
            f"{len(names)} names of classes were given, and {net} puts out {count}: give one for "
            "each"
        )
    return names


def read_classes(path: Path) -> tuple[str, ...]:
    """Read the names of classes from a text file, a line each; blank ones do not count.

    Raises:
        ModelError: If it cannot be read.
    """
    text = read_plain_file(path, "list of classes", ModelError, largest=LARGEST_LIST)
    try:
        lines = text.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ModelError(
            f"{quote(path)} is no text in UTF-8: save the list of classes so"
        ) from None
    return tuple(line.strip() for line in lines if line.strip())


def settle_preprocessing(told: PreprocessingLike, base: Preprocessing) -> Preprocessing:
    """Read a preprocessing in any form that it may be given in.

    Args:
        told: A :class:`~vizcnn.zoo.preprocessing.Preprocessing`; a text such as
            ``"mean=104,117,123,std=1,order=bgr,range=255"`` or ``"imagenet,size=96"``; the same
            settings by name; or what torchvision's ``weights.transforms()`` gives.
        base: Settles what is not told.

    Raises:
        ModelError: If it is none of these, a setting is unknown, or a value impossible.

    Example:
        >>> from vizcnn.zoo.preprocessing import imagenet_preprocessing
        >>> usual = imagenet_preprocessing(224, 256)
        >>> caffe = settle_preprocessing("mean=104,117,123,std=1,order=bgr,range=255", usual)
        >>> caffe.mean, caffe.bgr, caffe.scale, caffe.input_size
        ((104.0, 117.0, 123.0), True, 255.0, 224)
    """
    if isinstance(told, Preprocessing):
        return told
    if isinstance(told, str):
        return _settle(_split(told), base, told)
    if isinstance(told, Mapping):
        return _settle(dict(told), base, told)
    if all(hasattr(told, name) for name in ("crop_size", "resize_size", "mean", "std")):
        size, resize = (_first(told.crop_size), _first(told.resize_size))
        given = {"mean": told.mean, "std": told.std, "size": size, "resize": resize}
        return _settle({**given, "order": "rgb", "range": 1}, base, told)
    raise ModelError(
        f"got {quote(told)} as preprocessing; needed: settings such as "
        f"'mean=0.5,std=0.5,size=224,order=rgb,range=1', or a style ({', '.join(STYLES)})"
    )


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list | tuple) else value


def _split(text: str) -> dict[str, Any]:
    """Read ``a=1,2,3,b=4`` as the values of a and b; a word alone is a style."""
    settings: dict[str, Any] = {}
    key = ""
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if equals:
            key = name.strip().lower()
            if key in settings:
                raise ModelError(f"preprocessing {quote(text)} settles {key} twice")
            settings[key] = [value.strip()]
        elif not settings and name.strip().lower() in STYLES:
            settings["style"] = [name.strip().lower()]
        elif key:
            settings[key].append(name.strip())
        else:
            raise ModelError(
                f"preprocessing {quote(text)} does not say what {quote(name)} is; needed: "
                f"mean=..,std=..,size=..,order=bgr,range=255, or a style ({', '.join(STYLES)})"
            )
    return settings


def _settle(settings: dict[str, Any], base: Preprocessing, told: object) -> Preprocessing:
    # the names that Preprocessing itself has are taken too, as its to_dict gives them
    own = {field.name for field in fields(Preprocessing)}
    for name in settings:
        if name not in (*KEYS, "style", *own):
            raise ModelError(
                f"preprocessing has no setting {quote(name)}: {nearest_names(name, KEYS)}"
            )
    try:
        if settings.keys() <= own and not settings.keys() <= set(KEYS):
            return Preprocessing.from_dict({**base.to_dict(), **settings})
        style = str(_first(settings.get("style", ""))).strip()
        if style:
            base = make_preprocessing(style, base.input_size)  # type: ignore[arg-type]
        if "size" in settings:
            base = base.at_size(_read_side("size", settings["size"]))
        changes: dict[str, Any] = {}
        order = str(_first(settings.get("order", ""))).lower()
        if order not in ("", "rgb", "bgr", "grey", "gray"):
            raise ModelError(f"order {quote(order)} is not known; needed: rgb, bgr or grey")
        if order:
            changes |= {"bgr": order == "bgr", "grey": order.startswith("gr")}
            if base.bgr != changes["bgr"]:  # mean and std that are not told stay with their colours
                base = replace(base, mean=base.mean[::-1], std=base.std[::-1])
        channels = 1 if changes.get("grey", base.grey) else 3
        for name in ("mean", "std"):
            values = _read_numbers(name, settings.get(name, getattr(base, name)))
            changes[name] = values * channels if len(values) == 1 else values
        if "range" in settings:
            (changes["scale"],) = _read_numbers("range", settings["range"], single=True)
            left_out = [name for name in ("mean", "std") if name not in settings]
            if changes["scale"] != base.scale and left_out:
                raise ModelError(
                    f"range={changes['scale']:g} was given without {' and '.join(left_out)}, which "
                    f"are of the range 0..{base.scale:g}: give both, such as mean=0,std=1"
                )
        if "resize" in settings:
            changes["resize"] = _read_side("resize", settings["resize"])
        return Preprocessing.from_dict({**base.to_dict(), **changes})
    except (WeightsError, ImageError) as error:
        raise ModelError(f"preprocessing {quote(told)}: {error}") from None


_NUMBER = re.compile(r"-?([0-9]{1,20}(\.[0-9]{0,20})?|\.[0-9]{1,20})([eE][+-]?[0-9]{1,3})?")


def _read_numbers(name: str, value: Any, single: bool = False) -> tuple[float, ...]:
    parts = list(value) if isinstance(value, list | tuple) else [value]
    numbers = []
    for part in parts:
        plain = _NUMBER.fullmatch(part) if isinstance(part, str) else not isinstance(part, bool)
        try:
            numbers.append(float(part) if plain else None)
        except (TypeError, ValueError):
            numbers.append(None)
    if None in numbers or len(numbers) not in ((1,) if single else (1, 3)):
        needed = "a number" if single else "a number, or one for each channel"
        shown = ",".join(map(str, parts))
        raise ModelError(f"{name} {quote(shown)} is not {needed}, such as {name}=0.5")
    return tuple(number for number in numbers if number is not None)


def _read_side(name: str, value: Any) -> int:
    (side,) = _read_numbers(name, value, single=True)
    if side != int(side) or side < 1:
        raise ModelError(f"{name} {side:g} is no number of pixels; needed: a whole number above 0")
    return int(side)
