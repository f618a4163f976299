"""`verger.backbone`: it computes what Keras computes, and refuses what is not MobileNetV2."""

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from golden import seeded_weights
from verger import backbone
from verger.errors import WeightsError
from verger.features import Extractor

KERAS = np.load(Path(__file__).parent / "golden" / "keras_features.npz")
REAL = Path(__file__).parents[2] / "shared" / "weights" / "mobilenet_v2_1.0_224_no_top.h5"
needs_real = pytest.mark.skipif(not REAL.is_file(), reason=f"real weights are not there: {REAL}")


def seeded(folder, change=None, *, width=0.35, **how):
    """A file of seeded weights, after `change` had its way with them."""
    layers = seeded_weights.draw(width)
    if change is not None:
        layers = change(layers) or layers
    return seeded_weights.write(folder / "weights.h5", layers, **how)


def assert_as_keras(found, expected):
    norms = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-3
    assert ((found * expected).sum(axis=1) / norms).min() > 0.99999


# What it computes


@pytest.mark.parametrize("width", seeded_weights.WIDTHS)
@pytest.mark.parametrize("folded", [False, True], ids=["norms", "folded"])
def test_features_equal_those_of_keras(tmp_path, width, folded):
    file = seeded(tmp_path, seeded_weights.fold if folded else None, width=width)
    built = backbone.load(file)
    expected = KERAS[f"seeded_{width}"]
    assert (built.width, built.size, built.dimensions) == (width, 224, expected.shape[1])
    assert_as_keras(Extractor(built)(seeded_weights.pixels()), expected)


def test_golden_features_tell_a_wrong_input(tmp_path):
    """They would be no proof if pixels moved by one, or blue for red, passed as well."""
    network = Extractor(backbone.load(seeded(tmp_path)))
    pixels = seeded_weights.pixels()
    for wrong in (np.roll(pixels, 1, axis=2), pixels[..., ::-1], pixels.transpose(0, 2, 1, 3)):
        found = network(np.ascontiguousarray(wrong))
        assert np.abs(found - KERAS["seeded_0.35"]).max(axis=1).min() > 1e-2


@needs_real
def test_real_weights_give_the_features_of_keras():
    built = backbone.load(REAL)
    assert (built.width, built.size, built.dimensions) == (1.0, 224, 1280)
    assert_as_keras(Extractor(built)(seeded_weights.pixels()[:2]), KERAS["real"])


@needs_real
def test_real_weights_have_one_fingerprint():
    first, second = backbone.load(REAL), backbone.load(REAL)
    assert first.fingerprint == second.fingerprint
    assert first.model == second.model


@pytest.mark.parametrize("size", [96, 128, 160, 192, 224])
def test_every_published_input_size_runs(tmp_path, size):
    built = backbone.load(seeded(tmp_path), size=size)
    found = Extractor(built)(seeded_weights.pixels(size))
    assert built.size == size
    assert found.shape == (3, 1280)
    # Another resolution, another result, but of the same kind.
    assert 0.5 < found.mean() < 2.5
    assert (np.abs(found - KERAS["seeded_0.35"]).max() > 1e-2) == (size != 224)


@pytest.mark.parametrize(
    ("width", "first", "last"),
    [
        (0.35, 16, 1280),
        (0.5, 16, 1280),
        (0.75, 24, 1280),
        (1.0, 32, 1280),
        (1.3, 40, 1664),
        (1.4, 48, 1792),
    ],
)
def test_widths_have_the_channels_that_keras_gives_them(width, first, last):
    layers = list(backbone._convolutions(width))
    assert len(layers) == 52
    assert (layers[0].channels, layers[-1].channels) == (first, last)
    if width in seeded_weights.CHANNELS:
        outputs = [layer.channels for layer in layers if not layer.relu6]
        assert [first, *outputs, last] == seeded_weights.CHANNELS[width]


# Ways in which Keras writes


def without_prefix(layers):
    return {
        name: {weight.removeprefix("depthwise_"): value for weight, value in tensors.items()}
        for name, tensors in layers.items()
    }


def with_top(layers):
    top = {"kernel": np.zeros((1280, 1000), np.float32), "bias": np.zeros(1000, np.float32)}
    return {**layers, "predictions": top}


@pytest.mark.parametrize(
    ("change", "how"),
    [
        pytest.param(without_prefix, {}, id="depthwise kernels called kernel"),
        pytest.param(None, {"suffix": ""}, id="no :0"),
        pytest.param(None, {"group": "model_weights"}, id="a whole model"),
        pytest.param(
            without_prefix, {"group": "model_weights", "suffix": ""}, id="a whole model of Keras 3"
        ),
        pytest.param(with_top, {}, id="with its classifier"),
        pytest.param(seeded_weights.fold, {}, id="norms folded"),
    ],
)
def test_every_way_of_writing_is_the_same_backbone(tmp_path, change, how):
    plain = backbone.load(seeded(tmp_path))
    assert backbone.load(seeded(tmp_path, change, **how)) == plain


# The fingerprint


def test_fingerprint_does_not_change_between_versions(tmp_path):
    """Runs are continued by it. Raise `GRAPH_VERSION` if it has to change, and then this."""
    assert backbone.load(seeded(tmp_path)).fingerprint == (
        "4f93426a787c95dd04d10046d7bfa0cdcffc18717115e069e985f6cafe213a1f"
    )


def one_weight(layers):
    layers["block_5_expand"]["kernel"][0, 0, 3, 5] += 1e-3


def one_shift(layers):
    layers["Conv_1_bn"]["beta"][7] += 1e-3


@pytest.mark.parametrize("change", [one_weight, one_shift])
def test_fingerprint_changes_with_one_weight(tmp_path, change):
    plain = backbone.load(seeded(tmp_path)).fingerprint
    assert backbone.load(seeded(tmp_path, change)).fingerprint != plain


def test_fingerprint_changes_with_the_size(tmp_path):
    file = seeded(tmp_path)
    found = {backbone.load(file, size=size).fingerprint for size in (96, 128, 224)}
    assert len(found) == 3


# What it refuses


def other_kernel(layers):
    layers["Conv1"]["kernel"] = np.zeros((5, 5, 3, 32), np.float32)


def wider_block(layers):
    layers["block_4_expand"]["kernel"] = np.zeros((1, 1, 16, 100), np.float32)


def huge_tensor(layers):
    layers["Conv1"]["kernel"] = np.zeros((25088, 400), np.float32)


def no_block(layers):
    del layers["block_12_project"]


def no_shift(layers):
    del layers["block_2_expand_BN"]["beta"]


def foreign_layer(layers):
    layers["dense"] = {"kernel": np.zeros((1280, 3), np.float32)}


def bias(layers):
    layers["Conv_1"]["bias"] = np.zeros(1280, np.float32)


def nan_first(layers):
    layers["Conv1"]["kernel"][0, 0, 0, 0] = np.nan


def infinity(layers):
    layers["block_7_depthwise_BN"]["gamma"][3] = -np.inf


def negative_variance(layers):
    layers["block_16_project_BN"]["moving_variance"][0] = -0.25


def overflow(layers):
    layers["block_3_project_BN"]["gamma"][:] = 3e38
    layers["block_3_project_BN"]["moving_variance"][:] = 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_kernel, r"Conv1/kernel has shape \(5, 5, 3, 32\), expected \(3, 3, 3, 32\)"),
        (wider_block, r"block_4_expand/kernel has shape .*100\), expected \(1, 1, 16, 96\)"),
        (huge_tensor, r"Conv1/kernel has shape \(25088, 400\), expected \(3, 3, 3, 32\)"),
        (no_block, r"it has no block_12_project/kernel of shape \(1, 1, 192, 32\)"),
        (no_shift, r"it has no block_2_expand_BN/beta of shape \(48,\)"),
        (foreign_layer, "it has layers that MobileNetV2 does not: dense"),
        (bias, "it has tensors that MobileNetV2 does not: Conv_1/bias"),
        (nan_first, "Conv1/kernel holds nan, expected finite numbers"),
        (infinity, "block_7_depthwise_BN/gamma holds -inf, expected finite numbers"),
        (negative_variance, "block_16_project_BN/moving_variance holds -0.25, expected none below"),
        (overflow, "block_3_project and block_3_project_BN make a kernel that float32 cannot hold"),
    ],
)
def test_other_weights_are_refused(tmp_path, change, message):
    file = seeded(tmp_path, change)
    with pytest.raises(WeightsError, match=message) as caught:
        backbone.load(file)
    assert str(file) in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(WeightsError, match=r"none\.h5: no such file"):
        backbone.load(tmp_path / "none.h5")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_truncated_file(tmp_path, share):
    file = seeded(tmp_path)
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(WeightsError, match=r"weights\.h5: not a readable HDF5 file"):
        backbone.load(file)


def test_text_file_and_folder(tmp_path):
    file = tmp_path / "weights.h5"
    file.write_text("<html>not found</html>")
    for path in (file, tmp_path):
        with pytest.raises(WeightsError, match="not a readable HDF5 file"):
            backbone.load(path)


def test_file_of_another_layout(tmp_path):
    file = seeded(tmp_path)
    with h5py.File(file, "a") as hdf5:
        del hdf5.attrs["layer_names"]
    with pytest.raises(WeightsError, match="no 'layer_names'"):
        backbone.load(file)


def lost_layer(hdf5):
    del hdf5["Conv1"]


def lost_names(hdf5):
    del hdf5["Conv1"].attrs["weight_names"]


def lost_values(hdf5):
    del hdf5["Conv1/Conv1/kernel:0"]


def group_for_values(hdf5):
    lost_values(hdf5)
    hdf5.create_group("Conv1/Conv1/kernel:0")


def text_for_values(hdf5):
    lost_values(hdf5)
    hdf5["Conv1/Conv1/kernel:0"] = ["a", "b"]


def number_for_names(hdf5):
    hdf5.attrs["layer_names"] = 7


def array_for_model(hdf5):
    hdf5["model_weights"] = np.zeros(3)
    hdf5["model_weights"].attrs["layer_names"] = ["Conv1"]


@pytest.mark.parametrize(
    "damage",
    [
        lost_layer,
        lost_names,
        lost_values,
        group_for_values,
        text_for_values,
        number_for_names,
        array_for_model,
    ],
)
def test_damaged_structure(tmp_path, damage):
    file = seeded(tmp_path)
    with h5py.File(file, "a") as hdf5:
        damage(hdf5)
    with pytest.raises(WeightsError, match=r"weights\.h5: not a readable HDF5 file"):
        backbone.load(file)


@pytest.mark.parametrize("size", [-32, 0, 16, 100, 223])
def test_sizes_that_are_no_multiple_of_32(tmp_path, size):
    with pytest.raises(WeightsError, match=f"input size {size}: expected a multiple of 32"):
        backbone.load(seeded(tmp_path), size=size)


def test_importing_it_loads_no_libraries():
    code = "import sys, verger.backbone; print({'h5py', 'onnx', 'onnxruntime'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
