"""Compute `keras_features.npz` again: what Keras says to the seeded weights and pixels.

Needs Keras 3 with TensorFlow, which the tests do not; run in an environment of its own::

    pip install tensorflow-cpu h5py numpy
    python tests/golden/make_keras.py [REAL_WEIGHTS.h5]

Arrays in the file: ``seeded_<width>`` float32 (3, dimensions), one row for each of
`seeded_weights.pixels`; with REAL_WEIGHTS (width 1.0) also ``real`` for the first two of them.
The values now there were computed with Keras 3.15 and TensorFlow 2.21 on a CPU.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
import seeded_weights

TARGET = Path(__file__).with_name("keras_features.npz")


def features(weights: Path, width: float, pixels: np.ndarray) -> np.ndarray:
    """Keras' pooled features of uint8 pixels, float32 (n, dimensions)."""
    model = keras.applications.MobileNetV2(
        alpha=width, include_top=False, pooling="avg", weights=None, input_shape=(224, 224, 3)
    )
    model.load_weights(weights)
    inputs = keras.applications.mobilenet_v2.preprocess_input(pixels.astype(np.float32))
    return model.predict(inputs, verbose=0)


def main(real: Path | None) -> None:
    pixels = seeded_weights.pixels()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for width in seeded_weights.WIDTHS:
            file = Path(folder) / f"{width}.h5"
            seeded_weights.write(file, seeded_weights.draw(width))
            found[f"seeded_{width}"] = features(file, width, pixels)
    if real is not None:
        found["real"] = features(real, 1.0, pixels[:2])
    for name, rows in found.items():
        at_limits = [float((rows <= 0).mean()), float((rows >= 6).mean())]
        print(name, rows.shape, f"mean {rows.mean():.3f}, at 0 and at 6: {at_limits}")
    np.savez_compressed(TARGET, **found)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
