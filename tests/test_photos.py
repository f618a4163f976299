"""`verger.photos`: one outcome a photo, in order, whatever the photos are."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from golden import seeded_weights, tiny
from verger import backbone, images
from verger.features import Extractor
from verger.images import Limits
from verger.photos import featurise

SHARED = Path(__file__).parents[2] / "shared"
REAL = SHARED / "weights" / "mobilenet_v2_1.0_224_no_top.h5"
FRUITS = SHARED / "data" / "fruits-360" / "Training"
needs_real = pytest.mark.skipif(
    not (REAL.is_file() and FRUITS.is_dir()), reason=f"no real weights and photos in {SHARED}"
)
LIMITS = Limits(megapixels=0.1, megabytes=1.0)


@pytest.fixture(scope="module")
def network():
    """Features of a photo: the logarithm of its mean red, green and blue; -inf without any."""
    return Extractor(tiny.backbone("Log"))


def png(colour, size=(40, 30)):
    stream = io.BytesIO()
    Image.new("RGB", size, colour).save(stream, "PNG")
    return stream.getvalue()


def expected(colour):
    return pytest.approx(np.log(np.array(colour, float)), rel=1e-6)


def reasons(outcomes):
    return [f"{o.error.stage}/{o.error.reason}" if o.error else "fine" for o in outcomes]


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 7, 100])
def test_outcomes_come_in_order(network, batch):
    colours = [(1 + number, 50, 200) for number in range(10)]
    sources = [png(colour) for colour in colours]
    outcomes = list(featurise(sources, network, LIMITS, batch))
    assert reasons(outcomes) == ["fine"] * 10
    for outcome, colour, data in zip(outcomes, colours, sources, strict=True):
        assert list(outcome.features) == expected(colour)
        assert outcome.image_id == hashlib.sha256(data).hexdigest()
        assert (outcome.width, outcome.height) == (40, 30)


def mixture(folder):
    """Sources of every kind, and what has to become of each."""
    good = folder / "good.png"
    good.write_bytes(png((9, 8, 7)))
    text = folder / "text.jpg"
    text.write_text("not a photo")
    return [
        (png((1, 2, 3)), "fine"),
        (str(folder / "missing.jpg"), "read/missing"),
        (str(good), "fine"),
        (b"", "decode/empty"),
        (str(text), "decode/not_an_image"),
        (png((0, 0, 0)), "infer/not_finite"),
        (png((4, 5, 6), size=(500, 500)), "decode/too_many_pixels"),
        (str(folder), "read/is_directory"),
        (b"\0" * 1_000_001, "read/too_many_bytes"),
        (png((7, 7, 7)), "fine"),
        (png((5, 0, 5)), "infer/not_finite"),
    ]


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 32])
def test_good_and_bad_sources_may_be_mixed(network, tmp_path, batch):
    sources, becomes = zip(*mixture(tmp_path), strict=True)
    outcomes = list(featurise(sources, network, LIMITS, batch))
    assert reasons(outcomes) == list(becomes)
    assert [list(o.features) for o in outcomes if o.features is not None] == [
        expected(colour) for colour in [(1, 2, 3), (9, 8, 7), (7, 7, 7)]
    ]


def test_an_outcome_has_either_features_or_an_error(network, tmp_path):
    sources, _ = zip(*mixture(tmp_path), strict=True)
    for outcome in featurise(sources, network, LIMITS, 4):
        assert (outcome.features is None) == (outcome.error is not None)
        decoded = outcome.error is None or outcome.error.stage == "infer"
        assert bool(outcome.image_id) == decoded
        assert bool(outcome.width and outcome.height) == decoded


def test_one_bad_photo_does_not_take_its_batch_along(network):
    colours = [(1, 1, 1), (2, 2, 2), (0, 3, 3), (4, 4, 4)]
    outcomes = list(featurise(map(png, colours), network, LIMITS, 4))
    assert reasons(outcomes) == ["fine", "fine", "infer/not_finite", "fine"]
    assert list(outcomes[3].features) == expected((4, 4, 4))


def test_no_photos_no_outcomes(network):
    assert list(featurise([], network, LIMITS, 4)) == []


def test_only_bad_photos(network):
    outcomes = list(featurise([b"x"] * 200, network, LIMITS, 4))
    assert reasons(outcomes) == ["decode/not_an_image"] * 200


def test_photos_are_taken_as_they_are_needed(network):
    """A chunk's photos must not all be held: here at most a batch beyond what was asked for."""
    taken = []

    def sources():
        for number in range(40):
            taken.append(number)
            yield png((1 + number, 1, 1))

    outcomes = featurise(sources(), network, LIMITS, 4)
    next(outcomes)
    assert len(taken) == 4


def test_bad_photos_in_a_row_are_not_held_without_bound(network):
    taken = []

    def sources():
        for number in range(1000):
            taken.append(number)
            yield b"bad"

    next(featurise(sources(), network, LIMITS, 4))
    assert len(taken) < 100


def test_a_path_and_its_bytes_are_the_same_photo(tmp_path):
    file = seeded_weights.write(tmp_path / "w.h5", seeded_weights.draw(0.35))
    network = Extractor(backbone.load(file, size=96))
    photo = tmp_path / "päth with ünicode.jpg"
    Image.fromarray(seeded_weights.pixels(150)[1]).save(photo, "JPEG")
    by_path, by_bytes = featurise([str(photo), photo.read_bytes()], network, LIMITS, 1)
    np.testing.assert_array_equal(by_path.features, by_bytes.features)
    assert by_path.image_id == by_bytes.image_id
    pixels, width, height = images.load_input(photo.read_bytes(), 96)
    assert (by_path.width, by_path.height) == (width, height) == (150, 150)
    np.testing.assert_array_equal(by_path.features, network(pixels[None])[0])


@needs_real
def test_real_photos_of_a_variety_are_alike():
    """Three photos each of three varieties: the nearest other photo is one of the same variety."""
    varieties = [sorted(fruit.iterdir())[0] for fruit in sorted(FRUITS.iterdir())]
    files = [str(photo) for one in varieties for photo in sorted(one.glob("*.jpg"))[:3]]
    network = Extractor(backbone.load(REAL))
    outcomes = list(featurise(files, network, LIMITS, 4))
    assert reasons(outcomes) == ["fine"] * len(files)
    features = np.stack([outcome.features for outcome in outcomes])
    units = features / np.linalg.norm(features, axis=1, keepdims=True)
    likeness = units @ units.T
    np.fill_diagonal(likeness, -1)
    assert (likeness.argmax(axis=1) // 3 == np.arange(len(files)) // 3).all()
    assert {(outcome.width, outcome.height) for outcome in outcomes} == {(100, 100)}
