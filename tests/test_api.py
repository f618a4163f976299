"""The Python interface."""

import subprocess
import sys

import numpy as np
import pytest

import verger
from support import read


def test_importing_loads_neither_spark_nor_the_runtime():
    code = (
        "import sys, verger, verger.cli; "
        "print([m for m in ('pyspark', 'pysail', 'onnxruntime', 'pyarrow', 'onnx', 'PIL') "
        "if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_run_and_components(photos, weights, tmp_path):
    report = verger.run(photos, tmp_path / "out", weights=str(weights), components=3)
    assert report.counts["featurised"] == 48
    pca = verger.load_pca(tmp_path / "out")
    features = np.array(read(tmp_path / "out" / "features")["features"].to_pylist())
    components = np.array(read(tmp_path / "out" / "pca")["pca"].to_pylist())
    assert np.abs(pca.transform(features) - components).max() < 1e-4


def test_fit_save_load_apply(tmp_path):
    rows = np.random.default_rng(1).normal(size=(50, 7))
    pca = verger.fit_pca(rows, components=0.9)
    verger.save_pca(pca, tmp_path / "model")
    again = verger.load_pca(tmp_path / "model")
    assert np.array_equal(again.transform(rows), pca.transform(rows))


def test_decode_one_image(photos):
    pixels = verger.decode_image(next(photos.rglob("*.jpg")).read_bytes())
    assert (pixels.shape, pixels.dtype) == ((100, 100, 3), np.uint8)


def test_every_public_name_is_documented():
    for name in verger.__all__:
        assert getattr(verger, name).__doc__
    with pytest.raises(AttributeError):
        verger.no_such_name  # noqa: B018
