"""`verger.bundle`: what was learned comes back exactly, or not at all."""

import hashlib
import json
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest

from golden import seeded_weights
from verger import __version__, backbone, bundle, pca
from verger.errors import BundleError
from verger.features import Extractor
from verger.pca import Statistics

SIZE = 96


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    file = tmp_path_factory.mktemp("weights") / "weights.h5"
    return backbone.load(seeded_weights.write(file, seeded_weights.draw(0.35)), size=SIZE)


@pytest.fixture(scope="module")
def rows():
    """Like features: float32 (400, 1280), 0 to 6, dependent columns."""
    random = np.random.default_rng(3)
    values = random.standard_normal((400, 40)) @ random.standard_normal((40, 1280)) / 6 + 1
    return np.clip(values, 0, 6).astype(np.float32)


@pytest.fixture(scope="module")
def fitted(rows):
    return pca.fit(Statistics.of(rows), 0.9)


@pytest.fixture
def saved(tmp_path, fitted, network):
    folder = tmp_path / "out" / "model"
    bundle.save(folder, fitted, network)
    return folder


def run(model, name, values):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return dict(
        zip(
            [output.name for output in session.get_outputs()],
            session.run(None, {name: values}),
            strict=True,
        )
    )


def assert_same(found, expected):
    for name in ("mean", "components", "variances"):
        array = getattr(found, name)
        assert array.dtype == np.float64
        np.testing.assert_array_equal(array, getattr(expected, name))
    assert (found.total_variance, found.count) == (expected.total_variance, expected.count)


# There and back


@pytest.mark.parametrize("with_network", [True, False])
def test_what_was_saved_comes_back_exactly(tmp_path, fitted, network, rows, with_network):
    bundle.save(tmp_path / "model", fitted, network if with_network else None)
    loaded = bundle.load(tmp_path / "model")
    assert_same(loaded.pca, fitted)
    assert loaded.backbone_fingerprint == (network.fingerprint if with_network else None)
    np.testing.assert_array_equal(loaded.pca.transform(rows), fitted.transform(rows))


def test_a_runs_folder_will_do(saved, fitted):
    assert_same(bundle.load(saved.parent).pca, fitted)
    assert_same(bundle.load(str(saved)).pca, fitted)


def test_the_card_says_what_it_is(tmp_path, fitted, network):
    bundle.save(tmp_path / "m", fitted, network, details={"pca_from": None, "note": "é", "t": (1,)})
    card = json.loads((tmp_path / "m" / "model.json").read_text(encoding="utf-8"))
    assert card == bundle.load(tmp_path / "m").card
    assert card["format"] == bundle.FORMAT
    assert card["verger"] == __version__
    assert card["backbone"] == network.fingerprint
    assert card["input"] == [SIZE, SIZE, 3]
    assert card["dimensions"] == 1280
    assert card["components"] == len(fitted.components) == len(card["variances"])
    assert card["fitted_on"] == 400
    assert (card["pca_from"], card["note"], card["t"]) == (None, "é", [1])


def test_there_is_no_pickle_in_it(saved):
    assert sorted(path.name for path in saved.iterdir()) == ["model.json", "model.onnx"]
    assert sorted(path.name for path in saved.parent.iterdir()) == ["model"]
    onnx.checker.check_model(onnx.load(saved / "model.onnx"), full_check=True)
    code = f"import sys; from verger import bundle; bundle.load({str(saved)!r})"
    block = "import pickle; pickle.load = pickle.loads = pickle.Unpickler = None; "
    subprocess.run([sys.executable, "-c", block + code], check=True)


def test_one_that_is_there_is_replaced_as_a_whole(saved, fitted, rows):
    (saved / "left over.txt").write_text("of an older version")
    other = pca.fit(Statistics.of(rows[:50, :20]), 3)
    bundle.save(saved, other)
    assert_same(bundle.load(saved).pca, other)
    assert sorted(path.name for path in saved.iterdir()) == ["model.json", "model.onnx"]
    assert [path.name for path in saved.parent.iterdir()] == ["model"]


def test_what_a_crash_left_is_not_in_the_way(saved, fitted):
    (saved.parent / ".model.new").mkdir()
    (saved.parent / ".model.new" / "model.onnx").write_bytes(b"half")
    (saved.parent / ".model.old").mkdir()
    bundle.save(saved, fitted)
    assert_same(bundle.load(saved).pca, fitted)
    assert [path.name for path in saved.parent.iterdir()] == ["model"]


# The graph


@pytest.mark.parametrize("count", [1, 2, 33])
def test_graph_of_features_gives_the_components(tmp_path, fitted, rows, count):
    bundle.save(tmp_path / "model", fitted)
    model = (tmp_path / "model" / "model.onnx").read_bytes()
    found = run(model, "features", rows[:count])
    assert list(found) == ["components"]
    assert found["components"].dtype == np.float32
    # Sums of 1,280 float32 products of size 1.
    np.testing.assert_allclose(found["components"], fitted.transform(rows[:count]), atol=1e-4)


@pytest.mark.parametrize("count", [1, 3])
def test_graph_of_pixels_gives_features_and_components(saved, network, fitted, count):
    pixels = seeded_weights.pixels(SIZE)[:count]
    features = Extractor(network)(pixels)
    found = run((saved / "model.onnx").read_bytes(), "pixels", pixels)
    assert sorted(found) == ["components", "features"]
    np.testing.assert_allclose(found["features"], features, atol=1e-5)
    np.testing.assert_allclose(found["components"], fitted.transform(features), atol=1e-4)


def test_one_component_and_one_column(tmp_path):
    fitted = pca.fit(Statistics.of(np.array([[1.0], [2.0], [4.0]])), 1)
    bundle.save(tmp_path / "model", fitted)
    assert_same(bundle.load(tmp_path / "model").pca, fitted)
    values = np.array([[3.0]], np.float32)
    found = run((tmp_path / "model" / "model.onnx").read_bytes(), "features", values)
    np.testing.assert_allclose(found["components"], fitted.transform(values), atol=1e-6)


# What is refused


def test_missing_bundle(tmp_path, saved):
    with pytest.raises(BundleError, match=f"no bundle in {tmp_path}.*expected a finished run"):
        bundle.load(tmp_path)
    (saved / "model.onnx").unlink()
    with pytest.raises(BundleError, match=r"no bundle in .*model\.onnx"):
        bundle.load(saved)


def flip_a_bit(data):
    return data[:-100] + bytes([data[-100] ^ 1]) + data[-99:]


@pytest.mark.parametrize("tamper", [flip_a_bit, lambda data: data[:-1], lambda data: b""])
def test_changed_model_is_refused(saved, tamper):
    file = saved / "model.onnx"
    file.write_bytes(tamper(file.read_bytes()))
    with pytest.raises(BundleError, match=r"model\.onnx has SHA-256 .*was changed or damaged"):
        bundle.load(saved)


def rewrite(folder, change, *, sealed=False):
    """Change model.json, and if `sealed` so that its hash says nothing against it."""
    file = folder / "model.json"
    card = json.loads(file.read_text())
    change(card)
    if sealed:
        card[bundle.SEAL] = bundle._seal(card)
    file.write_text(json.dumps(card))


def shorter(card):
    card["variances"].pop()


def none(card):
    del card["variances"]


def other_variance(card):
    card["variances"][0] *= 1.5


def other_count(card):
    card["components"] += 1


def other_dimensions(card):
    card["dimensions"] = 7


def text_for_numbers(card):
    card["variances"] = ["a"] * len(card["variances"])


def nested(card):
    card["variances"] = [[value] for value in card["variances"]]


def no_total(card):
    card["total_variance"] = None


def no_fitted_on(card):
    del card["fitted_on"]


def other_backbone(card):
    card["backbone"] = "0" * 64


def no_seal(card):
    del card[bundle.SEAL]


@pytest.mark.parametrize(
    "change", [shorter, none, other_variance, other_count, no_total, other_backbone, no_seal]
)
def test_changed_card_is_refused(saved, change):
    rewrite(saved, change)
    with pytest.raises(BundleError, match=r"model\.json has SHA-256 .*was changed or damaged"):
        bundle.load(saved)


@pytest.mark.parametrize(
    "change",
    [
        shorter,
        none,
        other_count,
        other_dimensions,
        text_for_numbers,
        nested,
        no_total,
        no_fitted_on,
    ],
)
def test_card_that_does_not_fit_its_model_is_refused(saved, change):
    rewrite(saved, change, sealed=True)
    with pytest.raises(BundleError, match=r"holds no PCA: \w+Error: "):
        bundle.load(saved)


def test_reformatting_the_card_is_no_change(saved, fitted):
    rewrite(saved, lambda card: card.update(format=card.pop("format")))  # now the last, one line
    assert_same(bundle.load(saved).pca, fitted)


def without_pca(model):
    graph = onnx.load_model_from_string(model)
    kept = [tensor for tensor in graph.graph.initializer if not tensor.name.startswith("pca/")]
    del graph.graph.initializer[:]
    graph.graph.initializer.extend(kept)
    return graph.SerializeToString()


@pytest.mark.parametrize("replace", [lambda model: b"\xff not onnx", without_pca])
def test_model_without_components_is_refused(saved, replace):
    model = replace((saved / "model.onnx").read_bytes())
    (saved / "model.onnx").write_bytes(model)
    digest = hashlib.sha256(model).hexdigest()
    rewrite(saved, lambda card: card.update(sha256=digest), sealed=True)
    with pytest.raises(BundleError, match="holds no PCA"):
        bundle.load(saved)


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_other_formats_are_named(saved, version):
    rewrite(saved, lambda card: card.update(format=version), sealed=True)
    with pytest.raises(BundleError, match=f"has format {version!r}, this version reads 1"):
        bundle.load(saved)


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '"x"', "\x00", '{"format": 1}'])
def test_broken_cards(saved, text):
    (saved / "model.json").write_text(text)
    with pytest.raises(BundleError, match=str(saved)):
        bundle.load(saved)
