"""`verger.features`: batches of pixels to features, whoever calls and however many at once."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from golden import seeded_weights, tiny
from verger import backbone
from verger.errors import ImageError
from verger.features import Extractor, extractor

SIZE = 96


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    file = tmp_path_factory.mktemp("weights") / "weights.h5"
    return backbone.load(seeded_weights.write(file, seeded_weights.draw(0.35)), size=SIZE)


@pytest.fixture(scope="module")
def pixels():
    """Eight different pictures, uint8 (8, 96, 96, 3)."""
    three = seeded_weights.pixels(SIZE)
    return np.concatenate([three, three[:, ::-1], 255 - three])[:8]


def test_features_are_pooled_activations(network, pixels):
    found = Extractor(network)(pixels)
    assert found.shape == (8, network.dimensions)
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() <= 6
    assert len(np.unique(found, axis=0)) == 8


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_a_photo_has_the_same_features_in_any_batch(network, pixels, batch):
    call = Extractor(network)
    parts = [call(pixels[i : i + batch]) for i in range(0, 8, batch)]
    # Not bit for bit: the runtime may choose another kernel for another batch.
    np.testing.assert_allclose(np.concatenate(parts), call(pixels), rtol=0, atol=1e-4)


def test_pixels_may_be_a_view(network, pixels):
    mirrored = pixels[:, :, ::-1]
    assert not mirrored.flags.c_contiguous
    call = Extractor(network)
    np.testing.assert_array_equal(call(mirrored), call(mirrored.copy()))


def test_threads_share_a_session(network, pixels):
    call = extractor(network)
    expected = [call(pixels[i : i + 2]) for i in range(0, 8, 2)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: call(pixels[i : i + 2]), [0, 2, 4, 6] * 4))
    for features, alone in zip(found, expected * 4, strict=True):
        np.testing.assert_array_equal(features, alone)


def test_a_process_opens_one_session_a_backbone(network):
    copy = backbone.Backbone(**vars(network))
    other = tiny.backbone("Log", "another-fingerprint")
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(extractor, [network, copy] * 4))
    assert found == {extractor(network)}
    assert extractor(other) is not extractor(network)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((SIZE, SIZE, 3), np.uint8),
        np.zeros((1, 3, SIZE, SIZE), np.uint8),
        np.zeros((1, SIZE, 128, 3), np.uint8),
        np.zeros((1, SIZE, SIZE, 4), np.uint8),
        np.zeros((1, SIZE, SIZE, 3), np.float32),
    ],
    ids=lambda array: f"{array.shape} {array.dtype}",
)
def test_other_pixels_are_refused(network, wrong):
    with pytest.raises(ValueError, match=rf"expected \(n, {SIZE}, {SIZE}, 3\) and uint8") as caught:
        extractor(network)(wrong)
    assert f"shape {wrong.shape} and type {wrong.dtype}" in str(caught.value)


def test_weights_that_overflow_give_no_features(tmp_path, pixels):
    layers = seeded_weights.draw(0.35)
    layers["block_16_project"]["kernel"] *= np.float32(1e38)
    network = backbone.load(seeded_weights.write(tmp_path / "w.h5", layers), size=SIZE)
    with pytest.raises(ImageError) as caught:
        Extractor(network)(pixels[:1])
    assert (caught.value.stage, caught.value.reason) == ("infer", "not_finite")


def test_infinity_is_refused():
    call = Extractor(tiny.backbone("Log"))
    grey = np.full((2, tiny.SIZE, tiny.SIZE, 3), 128, np.uint8)
    np.testing.assert_allclose(call(grey), np.log(128), rtol=1e-6)
    grey[1, :, :, 2] = 0
    with pytest.raises(ImageError) as caught:
        call(grey)
    assert (caught.value.stage, caught.value.reason) == ("infer", "not_finite")


def test_a_runtime_that_fails_names_its_error():
    """A graph whose declared input is not what it can compute: 5 does not divide the pixels."""
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [-1, 5])
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["pixels"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("Reshape", ["float", "shape"], ["features"]),
        ],
        "fails",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", 32, 32, 3])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["m", 5])],
        [shape],
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    onnx.checker.check_model(model)
    broken = backbone.Backbone(model.SerializeToString(), "fails", 32, 5, 1.0)
    with pytest.raises(ImageError, match="reshape") as caught:
        Extractor(broken)(np.zeros((1, 32, 32, 3), np.uint8))
    assert (caught.value.stage, caught.value.reason) == ("infer", "failed")
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("module", ["features", "photos", "pca", "bundle", "backbone"])
def test_importing_it_loads_no_engine_and_no_runtime(module):
    code = (
        f"import sys, verger.{module};"
        "print({'pyspark', 'pysail', 'onnxruntime', 'tensorflow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
