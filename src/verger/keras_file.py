"""Keras' HDF5 weight files, read and checked without TensorFlow.

The legacy layout: ``layer/layer/weight:0``, with the layers' names in an attribute.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from verger.errors import WeightsError

if TYPE_CHECKING:
    import h5py

#: Weight name to values.
Tensors = dict[str, NDArray[np.float32]]

# Layers of files that were saved with the classifier; without meaning here.
_TOP_LAYERS = {"predictions", "Logits"}
_MOST_VALUES = 1 << 22  # in one tensor; the largest of any width has 0.8 million


@dataclass(frozen=True)
class Convolution:
    """One convolution with its batch normalisation, as Keras names them."""

    name: str
    norm: str
    shape: tuple[int, int, int, int]  # the kernel as Keras stores it: height, width, in, out
    stride: int = 1
    depthwise: bool = False
    relu6: bool = True
    residual: str | None = None  # "open" keeps the input, "add" adds what was kept

    @property
    def channels(self) -> int:
        return self.shape[2] if self.depthwise else self.shape[3]


def read(path: Path) -> dict[str, Tensors]:
    """Layer name to weight name (``kernel``, ``gamma``, ...) to array.

    Raises
    ------
    WeightsError : the file is missing, truncated, or not in Keras' legacy layout
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            root = file.get("model_weights", file)  # in a whole model's file
            if "layer_names" not in root.attrs:
                raise WeightsError(
                    f"weights {path}: an HDF5 file, but not in Keras' legacy layout "
                    "(no 'layer_names'): expected MobileNetV2 weights saved by Keras as .h5"
                )
            names = [_text(name) for name in root.attrs["layer_names"]]
            return {name: tensors for name in names if (tensors := _read_layer(root[name]))}
    except FileNotFoundError as exc:
        raise WeightsError(f"weights {path}: no such file") from exc
    except (OSError, LookupError, AttributeError, TypeError, ValueError, RuntimeError) as exc:
        raise WeightsError(
            f"weights {path}: not a readable HDF5 file ({exc}): expected Keras' MobileNetV2 .h5 "
            "without top; a truncated download looks like this"
        ) from exc


def _read_layer(group: h5py.Group) -> Tensors:
    tensors = {}
    for name in map(_text, group.attrs["weight_names"]):
        short = name.rsplit("/", 1)[-1].split(":")[0].removeprefix("depthwise_")
        found = group[name]
        if found.size > _MOST_VALUES:  # not ours, and only its shape will be told: not read
            found = np.broadcast_to(np.float32(0), found.shape)
        tensors[short] = np.asarray(found, dtype=np.float32)
    return tensors


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def find_width(
    raw: dict[str, Tensors], networks: Mapping[float, list[Convolution]], path: Path
) -> float:
    """The width, of those whose convolutions are given, whose every tensor has the file's shape.

    Raises
    ------
    WeightsError : none has; it tells what is wrong for the closest
    """
    problems = {width: _mismatch(raw, layers) for width, layers in networks.items()}
    for width, (_, problem) in problems.items():
        if problem is None:
            return width
    # Told against the width that fits longest; where none does, against the usual one.
    closest = max(problems, key=lambda width: (problems[width][0], width == 1.0))
    raise WeightsError(f"weights {path}: not MobileNetV2 without top: {problems[closest][1]}")


def _mismatch(raw: dict[str, Tensors], layers: list[Convolution]) -> tuple[int, str | None]:
    """How many tensors fit before the first that does not, and what is wrong with that one."""
    expected = _expected_shapes(layers)
    for fitting, ((layer, weight), shape) in enumerate(expected.items()):
        found = raw.get(layer, {}).get(weight)
        if found is None:
            return fitting, f"it has no {layer}/{weight} of shape {shape}"
        if found.shape != shape:
            return fitting, f"{layer}/{weight} has shape {found.shape}, expected {shape}"
    known = {layer for layer, _ in expected}
    foreign = sorted(set(raw) - known - _TOP_LAYERS)
    if foreign:
        return len(expected), f"it has layers that MobileNetV2 does not: {', '.join(foreign[:5])}"
    # A bias beside a kernel would change the result: it must not be passed over.
    surplus = [f"{n}/{w}" for n in sorted(known) for w in raw[n] if (n, w) not in expected]
    if surplus:
        return len(expected), f"it has tensors that MobileNetV2 does not: {', '.join(surplus[:5])}"
    return len(expected), None


def _expected_shapes(layers: list[Convolution]) -> dict[tuple[str, str], tuple[int, ...]]:
    """Layer and weight name to shape."""
    shapes: dict[tuple[str, str], tuple[int, ...]] = {}
    for layer in layers:
        shapes[layer.name, "kernel"] = layer.shape
        for weight in ("gamma", "beta", "moving_mean", "moving_variance"):
            shapes[layer.norm, weight] = (layer.channels,)
    return shapes


def check_values(raw: dict[str, Tensors], layers: list[Convolution], path: Path) -> None:
    """Refuse values that no training leaves behind.

    Raises
    ------
    WeightsError : a number is not finite, or a variance is below 0
    """
    for name, weight in _expected_shapes(layers):
        values = raw[name][weight]
        if not np.isfinite(values).all():
            raise WeightsError(
                f"weights {path}: {name}/{weight} holds {values[~np.isfinite(values)][0]}, "
                "expected finite numbers"
            )
        if weight == "moving_variance" and (values < 0).any():
            raise WeightsError(
                f"weights {path}: {name}/{weight} holds {values.min():g}, expected none below 0"
            )
