"""Save and load what was learned: ``model.onnx`` and ``model.json``, never pickle.

The ONNX graph goes from uint8 pixels to ``features`` and ``components`` (or from features, where
there is no backbone). It holds the PCA in float64, cast to float32 in the graph, so that the file
serves a phone and gives the exact arrays back.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from verger import storage
from verger._version import __version__
from verger.backbone import Backbone
from verger.errors import BundleError
from verger.pca import PCA

FORMAT: Final = 1
MODEL_FILE: Final = "model.onnx"
CARD_FILE: Final = "model.json"
SEAL: Final = "seal"  # the last entry of model.json: SHA-256 (hex) over the others


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle; `card` is the content of model.json."""

    pca: PCA
    card: dict[str, Any]
    model: bytes

    @property
    def backbone_fingerprint(self) -> str | None:
        """Of the backbone whose features the PCA was fitted on, None where it was not told."""
        fingerprint: str | None = self.card.get("backbone")
        return fingerprint


def save(
    folder: str | os.PathLike[str],
    pca: PCA,
    backbone: Backbone | None = None,
    *,
    details: dict[str, Any] | None = None,
) -> None:
    """Write a bundle; one that is there is replaced as a whole.

    Parameters
    ----------
    folder : its folder, made with its parents
    pca : the fitted components
    backbone : the network in front of them
    details : further entries for model.json, of JSON's own types
    """
    final = Path(folder)
    model = _build_model(pca, backbone)
    card = {
        "format": FORMAT,
        "verger": __version__,
        "sha256": hashlib.sha256(model).hexdigest(),
        "backbone": backbone.fingerprint if backbone else None,
        "input": [backbone.size, backbone.size, 3] if backbone else None,
        "dimensions": len(pca.mean),
        "components": len(pca.components),
        "fitted_on": pca.count,
        "total_variance": pca.total_variance,
        "variances": pca.variances.tolist(),
        **(details or {}),
    }
    new = final.with_name(f".{final.name}.new")
    storage.remove(new)
    new.mkdir(parents=True)
    storage.write_atomically(new / MODEL_FILE, lambda path: path.write_bytes(model))
    storage.write_text(new / CARD_FILE, json.dumps({**card, SEAL: _seal(card)}, indent=1))
    storage.replace_folder(new, final)


def load(folder: str | os.PathLike[str]) -> Bundle:
    """Read a bundle; the folder may be a run's OUT as well.

    Raises
    ------
    BundleError : it is missing, damaged, was changed, or is of another format
    """
    path = Path(folder)
    if not (path / CARD_FILE).exists() and (path / "model" / CARD_FILE).exists():
        path = path / "model"
    try:
        card = json.loads((path / CARD_FILE).read_text(encoding="utf-8"))
        model = (path / MODEL_FILE).read_bytes()
    except (OSError, ValueError) as exc:
        raise BundleError(f"no bundle in {path}: {exc}; expected a finished run's OUT") from exc
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        found = card.get("format") if isinstance(card, dict) else type(card).__name__
        raise BundleError(f"{path / CARD_FILE} has format {found!r}, this version reads {FORMAT}")
    _check_hash(path / CARD_FILE, _seal(card), card.get(SEAL))
    _check_hash(path / MODEL_FILE, hashlib.sha256(model).hexdigest(), card.get("sha256"))
    try:
        pca = _read_pca(model, card)
    except (KeyError, TypeError, ValueError) as exc:
        raise BundleError(f"bundle {path} holds no PCA: {type(exc).__name__}: {exc}") from exc
    return Bundle(pca, card, model)


def _seal(card: dict[str, Any]) -> str:
    """The hash of all entries but the seal itself, however the file is laid out."""
    entries = {name: value for name, value in card.items() if name != SEAL}
    # By way of text, so that what was saved hashes as what will be read.
    text = json.dumps(json.loads(json.dumps(entries)), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _check_hash(file: Path, found: str, expected: object) -> None:
    if found != expected:
        raise BundleError(
            f"{file} has SHA-256 {found}, {CARD_FILE} expects {expected}: "
            "the bundle was changed or damaged"
        )


def _read_pca(model: bytes, card: dict[str, Any]) -> PCA:
    """The arrays from the graph, what is said about them from the card."""
    arrays = _read_arrays(model)
    mean, components = arrays["pca/mean"], arrays["pca/components"]
    variances = np.array(card["variances"], np.float64)
    dimensions, count = card["dimensions"], card["components"]
    expected = ((dimensions,), (count, dimensions), (count,))
    shapes = mean.shape, components.shape, variances.shape
    if shapes != expected:
        raise ValueError(f"mean, components, variances have shapes {shapes}, expected {expected}")
    return PCA(mean, components, variances, float(card["total_variance"]), int(card["fitted_on"]))


def _read_arrays(model: bytes) -> dict[str, NDArray[np.float64]]:
    import onnx
    from onnx import numpy_helper

    try:
        graph = onnx.load_model_from_string(model).graph
    except Exception as exc:  # protobuf's DecodeError, which has no stable public place
        raise ValueError(f"{MODEL_FILE} is not an ONNX file: {exc}") from exc
    wanted = [tensor for tensor in graph.initializer if tensor.name.startswith("pca/")]
    return {tensor.name: numpy_helper.to_array(tensor).astype(np.float64) for tensor in wanted}


def _build_model(pca: PCA, backbone: Backbone | None) -> bytes:
    import onnx
    from onnx import TensorProto, checker, helper, numpy_helper

    count, dimensions = pca.components.shape
    if backbone is None:
        features = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", dimensions])
        graph = helper.make_graph([], "verger_pca", [features], [])
        model = helper.make_model(
            graph, producer_name="verger", ir_version=8, opset_imports=[helper.make_opsetid("", 17)]
        )
    else:
        model = onnx.load_model_from_string(backbone.model)
    graph = model.graph
    graph.initializer.append(numpy_helper.from_array(pca.mean, "pca/mean"))
    graph.initializer.append(numpy_helper.from_array(pca.components, "pca/components"))
    graph.node.extend(
        [
            helper.make_node("Cast", ["pca/mean"], ["pca/mean32"], to=TensorProto.FLOAT),
            helper.make_node("Cast", ["pca/components"], ["pca/axes32"], to=TensorProto.FLOAT),
            helper.make_node("Sub", ["features", "pca/mean32"], ["pca/centred"]),
            helper.make_node("Gemm", ["pca/centred", "pca/axes32"], ["components"], transB=1),
        ]
    )
    output = helper.make_tensor_value_info("components", TensorProto.FLOAT, ["n", count])
    graph.output.append(output)
    checker.check_model(model)
    serialised: bytes = model.SerializeToString()
    return serialised
