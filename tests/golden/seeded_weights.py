"""MobileNetV2 weights and pixels drawn from a seed: a network to test with where no file lies.

`write` stores them as Keras did before version 3 (legacy HDF5, ``layer/layer/weight:0``), written
here without Keras, so that Keras loads them too (`make_keras.py`). The layers are spelt out a
second time on purpose: a slip in `verger.backbone` must not repeat itself here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

SEED = 20180113
WIDTHS = (0.35, 1.0, 1.4)
EPSILON = 1e-3

#: Output channels of the 17 bottlenecks and of the last convolution, as Keras builds them.
CHANNELS = {
    0.35: [16, 8, *[8] * 2, *[16] * 3, *[24] * 4, *[32] * 3, *[56] * 3, 112, 1280],
    1.0: [32, 16, *[24] * 2, *[32] * 3, *[64] * 4, *[96] * 3, *[160] * 3, 320, 1280],
    1.4: [48, 24, *[32] * 2, *[48] * 3, *[88] * 4, *[136] * 3, *[224] * 3, 448, 1792],
}

Layers = dict[str, dict[str, np.ndarray]]


def uniform(bits: np.random.PCG64, shape: tuple[int, ...], low: float, high: float) -> np.ndarray:
    """Float64 in [low, high). From raw bits: NumPy promises only these for its later versions."""
    raw = bits.random_raw(int(np.prod(shape))) >> np.uint64(11)
    return low + (high - low) * (raw.astype(np.float64) * 2.0**-53).reshape(shape)


def draw(width: float, seed: int = SEED) -> Layers:
    """Layer name to weight name to float32 array, batch norms not folded."""
    bits = np.random.PCG64(seed)
    layers: Layers = {}
    for name, norm, shape, after_relu in _shapes(width):
        depthwise = name.endswith("depthwise")
        fan_in = shape[0] * shape[1] * (1 if depthwise else shape[2])
        # He et al. 2015: the gain makes up for the half that a ReLU before it took.
        reach = np.sqrt(3 * (2 if after_relu else 1) / fan_in)
        weight = "depthwise_kernel" if depthwise else "kernel"
        channels = (shape[2] if depthwise else shape[3],)
        layers[name] = {weight: uniform(bits, shape, -reach, reach)}
        layers[norm] = {
            "gamma": uniform(bits, channels, 0.7, 1.3),
            "beta": uniform(bits, channels, -0.2, 0.6),
            "moving_mean": uniform(bits, channels, -0.3, 0.3),
            "moving_variance": uniform(bits, channels, 0.5, 1.5),
        }
    return {
        layer: {name: value.astype(np.float32) for name, value in tensors.items()}
        for layer, tensors in layers.items()
    }


def _shapes(width: float) -> Iterator[tuple[str, str, tuple[int, int, int, int], bool]]:
    """Convolution, batch norm, kernel shape (height, width, in, out), whether a ReLU precedes."""
    first, *blocks, last = CHANNELS[width]
    yield "Conv1", "bn_Conv1", (3, 3, 3, first), False
    before = first
    for number, out in enumerate(blocks):
        prefix = f"block_{number}_" if number else "expanded_conv_"
        wide = 6 * before if number else before
        if number:
            yield prefix + "expand", prefix + "expand_BN", (1, 1, before, wide), False
        yield prefix + "depthwise", prefix + "depthwise_BN", (3, 3, wide, 1), True
        yield prefix + "project", prefix + "project_BN", (1, 1, wide, out), True
        before = out
    yield "Conv_1", "Conv_1_bn", (1, 1, before, last), False


def fold(layers: Layers) -> Layers:
    """The same network with each batch norm folded into its convolution.

    What is left of a batch norm is its shift: gamma = sqrt(1 + epsilon), mean 0, variance 1.
    """
    names = list(layers)
    folded: Layers = {}
    for conv, norm in zip(names[::2], names[1::2], strict=True):
        held = {name: value.astype(np.float64) for name, value in layers[norm].items()}
        scale = held["gamma"] / np.sqrt(held["moving_variance"] + EPSILON)
        ((weight, kernel),) = layers[conv].items()
        spread = scale[:, None] if weight == "depthwise_kernel" else scale
        one = np.ones_like(scale)
        folded[conv] = {weight: (kernel * spread).astype(np.float32)}
        values = {
            "gamma": one * np.sqrt(1 + EPSILON),
            "beta": held["beta"] - held["moving_mean"] * scale,
            "moving_mean": 0 * one,
            "moving_variance": one,
        }
        folded[norm] = {name: value.astype(np.float32) for name, value in values.items()}
    return folded


def write(file: Path, layers: Layers, *, group: str = "", suffix: str = ":0") -> Path:
    """Store layers in Keras' legacy layout.

    Parameters
    ----------
    file : to be made
    layers : as `draw` and `fold` give them
    group : where in the file; ``model_weights`` is where Keras puts those of a whole model
    suffix : after each weight's name; Keras 3 writes none
    """
    with h5py.File(file, "w") as hdf5:
        root = hdf5.create_group(group) if group else hdf5
        # Layers without weights are listed by Keras as well.
        names = ["input_1", *layers, "out_relu"]
        root.attrs["layer_names"] = [name.encode() for name in names]
        root.attrs["backend"] = b"tensorflow"
        for layer in names:
            inside = root.create_group(layer)
            tensors = layers.get(layer, {})
            inside.attrs["weight_names"] = np.array(
                [f"{layer}/{name}{suffix}".encode() for name in tensors], dtype="S"
            )
            for name, value in tensors.items():
                inside.create_dataset(f"{layer}/{name}{suffix}", data=value)
    return file


def pixels(size: int = 224, seed: int = SEED) -> np.ndarray:
    """Three pictures, uint8 (3, size, size, 3): gradients, coarse blocks, noise."""
    bits = np.random.PCG64(seed + 1)
    row, column = np.mgrid[:size, :size]
    gradients = np.stack([column, row, (column + row) // 2], axis=-1) * 255 // (size - 1)
    blocks = (bits.random_raw(8 * 8 * 3) % np.uint64(256)).reshape(8, 8, 3)
    noise = (bits.random_raw(size * size * 3) % np.uint64(256)).reshape(size, size, 3)
    coarse = blocks[row * 8 // size, column * 8 // size]
    return np.stack([gradients, coarse, noise]).astype(np.uint8)
