"""The ONNX importer, on the zoo's own graphs: they come with the package onnx, without weights."""

import copy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vizcnn.basics.errors import WeightsError
from vizcnn.zoo.catalogue import find_entry
from vizcnn.zoo.loading import load
from vizcnn.zoo.preprocessing import imagenet_preprocessing

onnx = pytest.importorskip("onnx", reason="the extra vizcnn[onnx] is not installed")
runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
HIDDEN = 64
GRAPHS = {
    "alexnet": ("light_bvlc_alexnet.onnx", "bvlc"),
    "zfnet": ("light_zfnet512.onnx", "zfnet512"),
    "squeezenet1_1": ("light_squeezenet.onnx", "torchvision"),
    "googlenet-paper": ("light_inception_v1.onnx", "paper"),
}


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIZCNN_CACHE", str(tmp_path))


def read_light(name: str) -> Any:
    path = LIGHT / name
    if not path.exists():
        pytest.skip(f"this version of onnx does not carry {name}")
    return onnx.load(str(path))


def round_up(model: Any) -> Any:
    """Pad the poolings of Caffe2's Inception v1, so that it is the zoo's googlenet-12.

    Caffe2 rounds sizes down; the zoo's file has Caffe's sizes (it is printed in issue 103 of
    ONNC/onnc). The weights of the two lie in the same places.
    """
    for node in model.graph.node:
        pads = {"MaxPool": [0, 0, 2, 2], "AveragePool": [0, 0, 0, 0]}.get(node.op_type)
        given = {field.name: onnx.helper.get_attribute_value(field) for field in node.attribute}
        if pads and given["pads"] != [1, 1, 1, 1]:
            node.attribute.remove(next(field for field in node.attribute if field.name == "pads"))
            node.attribute.append(onnx.helper.make_attribute("pads", pads))
    return model


def fill_randomly(model: Any, seed: int) -> None:
    """Put random weights into a graph whose weights are constants, in the scale of He et al.

    fc6 and fc7 are narrowed to HIDDEN units, as they would be 300 MB.
    """
    random = np.random.default_rng(seed)
    graph = model.graph
    shapes = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    tensors = {node.output[0]: shapes[node.input[0]] for node in made_by_shape(graph)}
    tensors |= {name: value.shape for name, value in shapes.items() if name.endswith("_b_0")}
    for node in made_by_shape(graph):
        graph.node.remove(node)
    for tensor in [tensor for tensor in graph.initializer if tensor.name in tensors]:
        graph.initializer.remove(tensor)
    for name, full in tensors.items():
        shape = narrow(name, full)
        inputs = shape[-1:] if shape[0] == 1 else shape[1:]  # Caffe's matrices are 1 x 1 x out x in
        scale = 0.1 if len(shape) == 1 else np.sqrt(2 / np.prod(inputs))
        values = random.standard_normal(tuple(shape), dtype=np.float32) * np.float32(scale)
        graph.initializer.append(onnx.numpy_helper.from_array(values, name))


def narrow(name: str, shape: Any) -> tuple[int, ...]:
    sides = [int(side) for side in shape]
    if "fc6" in name or "fc7" in name:
        sides[0] = HIDDEN
    if "fc7_w" in name or "fc8_w" in name:
        sides[1] = HIDDEN
    return tuple(sides)


def made_by_shape(graph: Any) -> list[Any]:
    return [node for node in graph.node if node.op_type == "ConstantOfShape"]


def run_before_softmax(model: Any, inputs: np.ndarray) -> np.ndarray:
    """Compute a graph's logits with onnxruntime."""
    graph = model.graph
    softmax = next(node for node in graph.node if node.op_type == "Softmax")
    value = onnx.helper.make_tensor_value_info(softmax.input[0], onnx.TensorProto.FLOAT, None)
    graph.output.append(value)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = runtime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    constant = {tensor.name for tensor in graph.initializer}
    name = next(value.name for value in session.get_inputs() if value.name not in constant)
    (logits,) = session.run([softmax.input[0]], {name: inputs})
    return np.asarray(logits).reshape(len(inputs), -1)


@pytest.mark.slow
@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("constant", [True, False], ids=["constant weights", "random weights"])
def test_logits_equal_onnxruntimes(tmp_path: Path, name: str, constant: bool) -> None:
    file, variant = GRAPHS[name]
    graph = read_light(file)
    options: dict[str, Any] = {}
    if name == "googlenet-paper":
        graph = round_up(graph)
    if not constant:
        fill_randomly(graph, seed=1)
        options = {"hidden": HIDDEN} if name in ("alexnet", "zfnet") else {}
    path = tmp_path / "net.onnx"
    onnx.save(graph, str(path))
    net = load(name, path, **options)
    form = find_entry(name).variants[variant].options
    assert net.options == {**form, "classes": 1000, "input_size": 224, **options}
    pixels = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    inputs = net.preprocessing.normalise(pixels)
    expected = run_before_softmax(graph, inputs.numpy())
    got = net.logits(pixels).numpy()
    assert constant or expected.std() > 0.01 * np.abs(expected).max()
    assert np.abs(got - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.slow
def test_vgg19_fits_and_brings_torchvisions_preprocessing() -> None:
    net = load("vgg19", LIGHT / "light_vgg19.onnx")
    assert net.preprocessing == imagenet_preprocessing(224, 256)
    assert net.layers["conv5_4"] == "features.35"
    weights = [value for value in net.module.parameters() if value.ndim > 1]
    assert len(weights) == 19
    assert all(torch.all(value == 0.02) for value in weights)


@pytest.mark.slow
def test_batch_normalisation_and_sums_are_read() -> None:
    path = LIGHT / "light_resnet50.onnx"
    net = load("resnet50", path)
    image = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    inputs = net.preprocessing.normalise(image)
    expected = run_before_softmax(read_light(path.name), inputs.numpy())
    np.testing.assert_allclose(net.logits(image).numpy(), expected, rtol=1e-4)
    assert "batch normalisation is part of the filters" not in net.provenance.note


@pytest.mark.parametrize(
    ("name", "file", "message"),
    [
        (
            "squeezenet1_0",
            "light_squeezenet.onnx",
            "is not squeezenet1_0: its layer 1 is convolution with filters 64 x 3 x 3 x 3, needed "
            "for 'features.0': filters 96 x 3 x 7 x 7",
        ),
        (
            "caffenet",
            "light_bvlc_alexnet.onnx",
            "its layer 3 is normalisation, needed for 'features.pool1': max pooling",
        ),
        (
            "vgg16",
            "light_vgg19.onnx",
            "its layer 17 is convolution, needed for 'features.16': max pooling",
        ),
        (
            "resnet50",
            "light_shufflenet.onnx",
            "cannot be read: it has a layer 'Transpose'; only AveragePool, BatchNormalization, "
            "Clip, Conv, Gemm, GlobalAveragePool, LRN, MatMul, MaxPool, ReduceMean, Relu are "
            "known; give the weights as a state dict instead (torch.save(module.state_dict(), ",
        ),
        (
            "resnet18",
            "light_resnet50.onnx",
            "padding 1 x 1 x 1 x 1 (variant 'torchvision'); it is ResNet-50: load 'resnet50' "
            "(--model resnet50)",
        ),
        (
            "googlenet",
            "light_inception_v1.onnx",
            "its layer 3 is max pooling with rounding down, needed for 'maxpool1': rounding up",
        ),
        (
            "googlenet-paper",
            "light_inception_v1.onnx",
            "its layer 3 is max pooling with rounding down, needed for 'stem.pool1': rounding up",
        ),
    ],
)
def test_graphs_of_other_nets_are_refused(name: str, file: str, message: str) -> None:
    with pytest.raises(WeightsError) as caught:
        load(name, LIGHT / file)
    assert message in str(caught.value)


def test_the_variant_that_was_asked_for_has_to_fit() -> None:
    with pytest.raises(WeightsError, match=r"padding 0 x 0 x 0 x 0, needed for .*: padding 1 x 1"):
        load("zfnet", LIGHT / "light_zfnet512.onnx", variant="wide", maps=(512, 512, 512))


def set_attribute(graph: Any, kind: str, name: str, value: Any) -> None:
    node = next(node for node in graph.graph.node if node.op_type == kind)
    for attribute in [attribute for attribute in node.attribute if attribute.name == name]:
        node.attribute.remove(attribute)
    node.attribute.append(onnx.helper.make_attribute(name, value))


def drop_last(graph: Any) -> None:
    place = [node.op_type for node in graph.graph.node].index("GlobalAveragePool")
    graph.graph.node[place].input[0] = graph.graph.node[place - 1].input[0]
    del graph.graph.node[place - 1]


def add_rectifier(graph: Any) -> None:
    graph.graph.node.append(onnx.helper.make_node("Relu", ["softmaxout_1"], ["more"]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g: set_attribute(g, "Conv", "strides", [4, 4]), "stride 4 x 4, needed"),
        (lambda g: set_attribute(g, "Conv", "dilations", [2, 2]), "dilation 2 x 2, needed"),
        (
            lambda g: set_attribute(g, "Conv", "auto_pad", "SAME_UPPER"),
            "padding SAME_UPPER, needed",
        ),
        (lambda g: set_attribute(g, "MaxPool", "kernel_shape", [2, 2]), "window 2 x 2, "),
        (
            lambda g: set_attribute(g, "MaxPool", "pads", [1, 1, 1, 1]),
            "padding 1 x 1 x 1 x 1, ",
        ),
        (
            lambda g: set_attribute(g, "MaxPool", "pads", [0, 0, 2, 2]),
            "padding 0 x 0 x 2 x 2, ",
        ),
        (drop_last, "its layer 55 is average pooling, needed for 'classifier.2': ReLU"),
        (add_rectifier, "its layer 57 (ReLU) is one too many"),
    ],
)
def test_the_first_difference_is_named(tmp_path: Path, change: Any, message: str) -> None:
    graph = copy.deepcopy(read_light("light_squeezenet.onnx"))
    change(graph)
    onnx.save(graph, str(tmp_path / "changed.onnx"))
    with pytest.raises(WeightsError) as caught:
        load("squeezenet1_1", tmp_path / "changed.onnx")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_constants_of_the_normalisation_decide(tmp_path: Path) -> None:
    graph = read_light("light_bvlc_alexnet.onnx")
    set_attribute(graph, "LRN", "alpha", 2e-4)
    onnx.save(graph, str(tmp_path / "changed.onnx"))
    with pytest.raises(WeightsError, match=r"its layer 3 is normalisation with alpha 0\.0002"):
        load("alexnet", tmp_path / "changed.onnx", variant="bvlc")


def broken_graphs(folder: Path) -> dict[str, str]:
    light = (LIGHT / "light_squeezenet.onnx").read_bytes()
    (folder / "cut.onnx").write_bytes(light[: len(light) // 2])
    (folder / "text.onnx").write_text("this is no graph")
    graph = read_light("light_squeezenet.onnx")
    del next(node for node in graph.graph.node if node.op_type == "MaxPool").attribute[:]
    onnx.save(graph, str(folder / "odd.onnx"))
    graph = read_light("light_squeezenet.onnx")
    bias = next(tensor for tensor in graph.graph.initializer if tensor.name == "conv1_b_0")
    bias.data_location = onnx.TensorProto.EXTERNAL
    bias.external_data.add(key="location", value="elsewhere.bin")
    (folder / "external.onnx").write_bytes(graph.SerializeToString())
    for file, source in (("computed.onnx", "r139"), ("circle.onnx", "r142")):
        graph = read_light("light_inception_v1.onnx")
        next(node for node in graph.graph.node if node.output[0] == "r142").input[0] = source
        (folder / file).write_bytes(graph.SerializeToString())
    return {
        "cut.onnx": "is cut off or no ONNX file|is no sound ONNX graph",
        "text.onnx": "is cut off or no ONNX file",
        "odd.onnx": "is no sound ONNX graph",
        "external.onnx": "no file of weights '.*elsewhere.bin': check the path",
        "computed.onnx": "the matrix 'r142' is no constant of the graph",
        "circle.onnx": "is no sound ONNX graph .*needed before it is made",
    }


def test_broken_graphs_are_refused_in_one_line(tmp_path: Path) -> None:
    for name, message in broken_graphs(tmp_path).items():
        with pytest.raises(WeightsError, match=message) as caught:
            load("squeezenet1_1", tmp_path / name)
        assert "\n" not in str(caught.value)


def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(WeightsError, match=r"pip install 'vizcnn\[onnx\]'"):
        load("squeezenet1_1", LIGHT / "light_squeezenet.onnx")


def make_outer(location: str, marked: bool = True) -> Any:
    """Make a tensor whose values lie in another file; ``marked`` as such, or only naming it."""
    tensor = onnx.TensorProto(name="outer", data_type=onnx.TensorProto.FLOAT, dims=[1])
    if marked:
        tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return tensor


def hide_in_constant(model: Any, tensor: Any) -> None:
    model.graph.node.append(onnx.helper.make_node("Constant", [], ["c"], value=tensor))


def hide_in_constant_of_shape(model: Any, tensor: Any) -> None:
    model.graph.node.append(onnx.helper.make_node("ConstantOfShape", ["s"], ["c"], value=tensor))


def hide_in_attributes(model: Any, tensor: Any) -> None:
    node = model.graph.node.add(op_type="Identity", output=["x"])
    node.attribute.add(name="many", type=onnx.AttributeProto.TENSORS).tensors.append(tensor)


def hide_in_subgraph(model: Any, tensor: Any) -> None:
    node = model.graph.node.add(op_type="If", output=["x"])
    node.attribute.add(name="then_branch").g.initializer.append(tensor)


def hide_in_subgraphs(model: Any, tensor: Any) -> None:
    node = model.graph.node.add(op_type="If", output=["x"])
    inner = node.attribute.add(name="many").graphs.add().node.add(op_type="Constant")
    inner.attribute.add(name="value").t.CopyFrom(tensor)


def hide_in_sparse_initializer(model: Any, tensor: Any) -> None:
    model.graph.sparse_initializer.add().indices.CopyFrom(tensor)


def hide_in_sparse_attribute(model: Any, tensor: Any) -> None:
    node = model.graph.node.add(op_type="Constant", output=["x"])
    node.attribute.add(name="sparse_value").sparse_tensor.values.CopyFrom(tensor)


def hide_in_function(model: Any, tensor: Any) -> None:
    node = model.functions.add(name="f").node.add(op_type="Constant")
    node.attribute.add(name="value").t.CopyFrom(tensor)


def hide_in_training(model: Any, tensor: Any) -> None:
    model.training_info.add().algorithm.initializer.append(tensor)


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("location", ["{outside}", "../outside.bin", "link.bin", "beside.bin"])
@pytest.mark.parametrize(
    "hide",
    [
        *(hide_in_constant, hide_in_constant_of_shape, hide_in_attributes, hide_in_subgraph),
        *(hide_in_subgraphs, hide_in_sparse_initializer, hide_in_sparse_attribute),
        *(hide_in_function, hide_in_training),
    ],
)
def test_no_tensor_names_another_file(
    tmp_path: Path, hide: Any, location: str, marked: bool
) -> None:
    outside, folder = tmp_path / "outside.bin", tmp_path / "nets"
    outside.write_bytes(bytes(4))
    folder.mkdir()
    (folder / "link.bin").symlink_to(outside)
    (folder / "beside.bin").write_bytes(bytes(4))
    model = read_light("light_squeezenet.onnx")
    hide(model, make_outer(location.format(outside=outside), marked))
    file = folder / "net.onnx"
    file.write_bytes(model.SerializeToString())
    with pytest.raises(WeightsError, match="its tensor 'outer' lies in another file") as caught:
        load("squeezenet1_1", weights=file)
    assert len(str(caught.value).splitlines()) == 1
