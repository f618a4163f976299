"""Pixels to features: the only module that imports the model runtime (ONNX Runtime).

A `Backbone` travels to a worker once; `extractor` opens it there once and keeps it.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verger.backbone import Backbone
from verger.errors import ImageError

#: Photos per inference call. Small, so that activations stay in the cache of one core:
#: `benchmarks/batch.py` measures it.
BATCH = 4

_lock = threading.Lock()
_extractors: dict[str, Extractor] = {}


class Extractor:
    """An open inference session of one backbone; may be called from several threads."""

    def __init__(self, backbone: Backbone) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # One thread per task slot: the engine already has a task for every core.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session: Any = onnxruntime.InferenceSession(
            backbone.model, options, providers=["CPUExecutionProvider"]
        )
        self.size = backbone.size
        self.dimensions = backbone.dimensions

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features of a batch.

        Parameters
        ----------
        pixels : uint8 (n, size, size, 3) RGB, range 0 to 255

        Returns
        -------
        float32 (n, dimensions), the average-pooled ReLU6 activations, range 0 to 6

        Raises
        ------
        ImageError : stage ``infer``, when the runtime fails or a feature is not finite
        ValueError : pixels of another shape or type
        """
        expected = (self.size, self.size, 3)
        if pixels.ndim != 4 or pixels.shape[1:] != expected or pixels.dtype != np.uint8:
            raise ValueError(
                f"pixels have shape {pixels.shape} and type {pixels.dtype}, "
                f"expected (n, {self.size}, {self.size}, 3) and uint8"
            )
        try:
            features: NDArray[np.float32] = self._session.run(["features"], {"pixels": pixels})[0]
        except Exception as exc:  # ONNX Runtime's own errors have no common public class
            raise ImageError("infer", "failed", f"{type(exc).__name__}: {exc}") from exc
        if not np.isfinite(features).all():
            raise ImageError("infer", "not_finite", "the network returned NaN or infinity")
        return features


def extractor(backbone: Backbone) -> Extractor:
    """The process's one session for this backbone, opened on first use.

    Kept under the fingerprint: threads of the embedded engine share it, and a Python worker of
    Apache Spark opens it once however many tasks it runs.
    """
    with _lock:
        found = _extractors.get(backbone.fingerprint)
        if found is None:
            found = _extractors[backbone.fingerprint] = Extractor(backbone)
        return found
