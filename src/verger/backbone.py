"""MobileNetV2 as one ONNX graph: uint8 pixels in, pooled features out.

Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018, in the
variant of ``keras.applications.MobileNetV2(include_top=False, pooling="avg")``, whose HDF5
weight files `verger.keras_file` reads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from verger import keras_file
from verger.errors import WeightsError
from verger.keras_file import Convolution, Tensors

if TYPE_CHECKING:
    from onnx import NodeProto

#: Widths for which Google and Keras publish weights.
PUBLISHED_WIDTHS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)

INPUT_SIZE = 224
BATCH_NORM_EPSILON = 1e-3  # keras.applications.MobileNetV2
GRAPH_VERSION = "mobilenetv2/1"  # raise when the graph computes something else

# Expansion, channels, repeats, first stride: table 2 of the paper.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


@dataclass(frozen=True)
class Backbone:
    """A feature extractor ready to be sent to workers.

    Attributes
    ----------
    model : the serialised ONNX graph, RGB uint8 ``(n, size, size, 3)`` to float32
        ``(n, dimensions)``
    fingerprint : SHA-256 (hex) of architecture, preprocessing and folded weights. Files that keep
        the batch norms and files that folded them in float64 agree; another way of folding may
        differ in last bits, and then counts as another network
    size : height and width of its input in pixels
    dimensions : number of features
    width : the width multiplier alpha
    """

    model: bytes
    fingerprint: str
    size: int
    dimensions: int
    width: float


def _divisible(channels: float) -> int:
    """Round to a multiple of 8 without losing more than 10 % (the authors' ``_make_divisible``)."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8


def _convolutions(width: float) -> Iterator[Convolution]:
    """The network's convolutions in order, for one width multiplier."""
    channels = _divisible(32 * width)
    yield Convolution("Conv1", "bn_Conv1", (3, 3, 3, channels), stride=2)
    block = 0
    for expansion, base, repeats, first_stride in _STAGES:
        for repeat in range(repeats):
            stride = first_stride if repeat == 0 else 1
            out = _divisible(base * width)
            prefix = f"block_{block}_" if block else "expanded_conv_"
            adds = stride == 1 and channels == out
            wide = channels * expansion
            if block:
                name = prefix + "expand"
                yield Convolution(
                    name, name + "_BN", (1, 1, channels, wide), residual="open" if adds else None
                )
            name = prefix + "depthwise"
            yield Convolution(name, name + "_BN", (3, 3, wide, 1), stride=stride, depthwise=True)
            name = prefix + "project"
            yield Convolution(
                name,
                name + "_BN",
                (1, 1, wide, out),
                relu6=False,
                residual="add" if adds and block else None,
            )
            channels, block = out, block + 1
    last = _divisible(1280 * width) if width > 1 else 1280
    yield Convolution("Conv_1", "Conv_1_bn", (1, 1, channels, last))


def load(weights: Path, *, size: int = INPUT_SIZE) -> Backbone:
    """Build the backbone from a Keras HDF5 weight file.

    Parameters
    ----------
    weights : a MobileNetV2 file without top, of any published width, batch norms folded or not
    size : input height and width in pixels, a multiple of 32

    Raises
    ------
    WeightsError : the file is missing, truncated, or holds another network or impossible values
    """
    if size < 32 or size % 32:
        raise WeightsError(f"backbone input size {size}: expected a multiple of 32, as 224")
    raw = keras_file.read(weights)
    networks = {width: list(_convolutions(width)) for width in PUBLISHED_WIDTHS}
    width = keras_file.find_width(raw, networks, weights)
    layers = networks[width]
    keras_file.check_values(raw, layers, weights)
    folded = _fold(raw, layers, weights)
    return Backbone(
        model=_build_graph(layers, folded, size),
        fingerprint=_fingerprint(folded, size),
        size=size,
        dimensions=layers[-1].channels,
        width=width,
    )


def _fold(raw: dict[str, Tensors], layers: list[Convolution], path: Path) -> Tensors:
    """Fold each batch norm into its convolution; kernels become (out, in / groups, height, width).

    ``y = gamma * (conv(x) - mean) / sqrt(variance + epsilon) + beta``, computed in float64. A file
    whose batch norms were folded before has gamma = sqrt(1 + epsilon), mean 0 and variance 1:
    folding again changes nothing.
    """
    folded: Tensors = {}
    for layer in layers:
        norm = {name: value.astype(np.float64) for name, value in raw[layer.norm].items()}
        scale = norm["gamma"] / np.sqrt(norm["moving_variance"] + BATCH_NORM_EPSILON)
        # float32 cannot hold sqrt(1 + epsilon): without this the last bit of some weights flips.
        scale[np.abs(scale - 1) < np.finfo(np.float32).eps / 2] = 1
        order = (2, 3, 0, 1) if layer.depthwise else (3, 2, 0, 1)
        kernel = raw[layer.name]["kernel"].astype(np.float64).transpose(order)
        values = {
            "kernel": kernel * scale[:, None, None, None],
            "bias": norm["beta"] - norm["moving_mean"] * scale,
        }
        for name, value in values.items():
            if np.abs(value).max() > np.finfo(np.float32).max:
                raise WeightsError(
                    f"weights {path}: {layer.name} and {layer.norm} make a {name} that float32 "
                    f"cannot hold ({np.abs(value).max():g}): expected trained weights"
                )
            folded[f"{layer.name}/{name}"] = value.astype(np.float32)
    return folded


def _fingerprint(folded: Tensors, size: int) -> str:
    """Hash what is computed, not the file: the ONNX encoding differs between library versions."""
    digest = hashlib.sha256(f"{GRAPH_VERSION} {size} x/127.5-1".encode())
    for name, value in folded.items():
        digest.update(f"{name}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value, dtype="<f4").tobytes())
    return digest.hexdigest()


def _build_graph(layers: list[Convolution], folded: Tensors, size: int) -> bytes:
    """Assemble the ONNX graph; the input keeps the decoder's layout (n, height, width, 3)."""
    from onnx import TensorProto, checker, helper, numpy_helper

    nodes, current, pixels = _preprocessing_nodes()
    constants = [
        numpy_helper.from_array(np.float32(1 / 127.5), "scale"),
        numpy_helper.from_array(np.float32(-1), "offset"),
        numpy_helper.from_array(np.float32(0), "zero"),
        numpy_helper.from_array(np.float32(6), "six"),
    ]
    constants += [numpy_helper.from_array(value, name) for name, value in folded.items()]
    kept = ""
    for layer in layers:
        if layer.residual == "open":
            kept = current
        nodes += _convolution_nodes(layer, current)
        current = nodes[-1].output[0]
        if layer.residual == "add":
            nodes.append(helper.make_node("Add", [kept, current], [layer.name + "/add"]))
            current = layer.name + "/add"
    nodes.append(helper.make_node("GlobalAveragePool", [current], ["pooled"]))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["features"]))
    graph = helper.make_graph(
        nodes,
        "verger_mobilenetv2",
        [helper.make_tensor_value_info(pixels, TensorProto.UINT8, ["n", size, size, 3])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", layers[-1].channels])],
        constants,
    )
    # IR 8 and opset 17 are read by every ONNX Runtime since 1.13, also in browsers.
    model = helper.make_model(
        graph, producer_name="verger", ir_version=8, opset_imports=[helper.make_opsetid("", 17)]
    )
    checker.check_model(model)
    serialised: bytes = model.SerializeToString()
    return serialised


def _preprocessing_nodes() -> tuple[list[NodeProto], str, str]:
    """x/127.5 - 1, then channels first.

    The scaling is not folded into the first convolution: that one pads with zeros *after* scaling,
    so the offset cannot move into its bias without an error along the border.
    """
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("Transpose", ["pixels"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["float", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "offset"], ["input"]),
    ]
    return nodes, "input", "pixels"


def _convolution_nodes(layer: Convolution, source: str) -> list[NodeProto]:
    from onnx import helper

    kernel = layer.shape[0]
    # Keras pads strided layers of even size at the bottom and right only (``correct_pad``).
    before = 0 if layer.stride == 2 or kernel == 1 else 1
    after = 0 if kernel == 1 else 1
    nodes = [
        helper.make_node(
            "Conv",
            [source, layer.name + "/kernel", layer.name + "/bias"],
            [layer.name],
            kernel_shape=[kernel, kernel],
            strides=[layer.stride, layer.stride],
            pads=[before, before, after, after],
            group=layer.channels if layer.depthwise else 1,
        )
    ]
    if layer.relu6:
        nodes.append(helper.make_node("Clip", [layer.name, "zero", "six"], [layer.name + "/relu6"]))
    return nodes
