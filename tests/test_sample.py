"""The drawn fruits: as many as asked for, the same each time, told apart, turned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from verger import sample
from verger.errors import OutputError, UsageError
from verger.sample.collection import _series

KINDS = sample.KINDS
IMAGES = 3 * len(sample.KINDS) + 5


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample") / "photos"
    told = []
    counts = sample.write_collection(folder, IMAGES, seed=7, progress=told.append)
    return folder, counts, told


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.jpg"))
    }


def test_there_are_at_least_twelve_kinds_with_names_of_their_own():
    assert len(set(sample.KINDS)) == len(sample.KINDS) >= 12


def test_exactly_as_many_files_as_asked_for_spread_evenly(collection):
    folder, counts, _ = collection
    on_disk = {kind.name: len(list(kind.iterdir())) for kind in folder.iterdir()}
    assert on_disk == counts
    assert sum(counts.values()) == IMAGES
    assert set(counts) == set(sample.KINDS)
    assert max(counts.values()) - min(counts.values()) == 1


def test_progress_counts_every_photo(collection):
    _, _, told = collection
    assert told == list(range(1, IMAGES + 1))


def test_photos_are_100_pixel_rgb_jpegs_on_white(collection):
    folder, _, _ = collection
    for path in folder.rglob("*.jpg"):
        with Image.open(path) as photo:
            assert (photo.format, photo.mode, photo.size) == ("JPEG", "RGB", (100, 100)), path
            pixels = np.asarray(photo)
        assert pixels[[0, 0, -1, -1], [0, -1, 0, -1]].min() >= 250, path
        assert (pixels.min(axis=2) < 200).mean() > 0.1, f"{path} shows hardly any fruit"


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(collection, tmp_path):
    folder, _, _ = collection
    sample.write_collection(tmp_path / "again", IMAGES, seed=7)
    sample.write_collection(tmp_path / "other", IMAGES, seed=8)
    first = files_of(folder)
    assert files_of(tmp_path / "again") == first
    assert not set(files_of(tmp_path / "other").values()) & set(first.values())


def test_no_two_photos_are_the_same(collection):
    folder, _, _ = collection
    assert len(set(files_of(folder).values())) == IMAGES


def test_fewer_photos_than_kinds(tmp_path):
    counts = sample.write_collection(tmp_path, 2)
    assert counts == dict.fromkeys(sample.KINDS[:2], 1)
    assert len(files_of(tmp_path)) == 2


@pytest.mark.parametrize("count", [1, 2, 35, 216, 5883])
def test_a_series_goes_round_several_fruits_without_repeating_a_view(count):
    series = _series(count)
    views = np.bincount([fruit for fruit, _ in series])
    assert len(series) == len(set(series)) == count
    assert len(views) >= min(count, 3)
    assert views.max() - views.min() <= 1
    assert views.max() <= 72
    assert all(0 <= angle < 360 for _, angle in series)


@pytest.mark.parametrize("kind", sample.KINDS)
def test_turning_shows_another_side_and_a_full_turn_the_same(kind):
    front = sample.draw(kind, fruit=0, angle=0)
    turned = sample.draw(kind, fruit=0, angle=50)
    round_again = sample.draw(kind, fruit=0, angle=360)
    assert changed(front, turned) > 0.05
    assert changed(front, round_again) < 0.005


@pytest.mark.parametrize("kind", sample.KINDS)
def test_the_whole_fruit_is_in_the_picture(kind):
    for fruit, angle in ((0, 0), (1, 120), (2, 240)):
        picture = sample.draw(kind, fruit=fruit, angle=angle)
        border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
        assert border.min() == 255


def test_individuals_of_a_kind_differ():
    first, second = (sample.draw("Pear", fruit=fruit, angle=0) for fruit in (0, 1))
    assert changed(first, second) > 0.1


def test_kinds_can_be_told_apart_by_colour_and_outline():
    """An unseen individual is nearer to its own kind's others than to any other kind's."""
    known = [(fruit, angle) for fruit in range(3) for angle in (0, 120, 240)]
    means = np.stack([np.mean([look(kind, *view) for view in known], 0) for kind in KINDS])
    unseen = np.stack([[look(kind, 9, angle) for angle in (60, 200)] for kind in KINDS])
    distances = np.linalg.norm(unseen[:, :, None] - means, axis=-1)
    right = distances.argmin(-1) == np.arange(len(KINDS))[:, None]
    assert right.mean() > 0.85


def test_other_sizes_show_the_same_fruit():
    small = sample.draw("Tomato", fruit=0, angle=0, size=50)
    large = sample.draw("Tomato", fruit=0, angle=0, size=100)
    assert small.shape == (50, 50, 3)
    reduced = np.asarray(Image.fromarray(large).reduce(2))
    assert np.abs(reduced.astype(int) - small).mean() < 4


@pytest.mark.parametrize("images", [0, -3])
def test_fewer_than_one_photo_is_refused(tmp_path, images):
    with pytest.raises(UsageError, match=f"images {images}: expected 1 or more"):
        sample.write_collection(tmp_path / "new", images)
    assert not (tmp_path / "new").exists()


def test_a_folder_with_files_is_refused_and_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"is not empty \(it holds mine.txt\).*new folder") as told:
        sample.write_collection(tmp_path, 5)
    assert str(tmp_path) in str(told.value)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "photos").write_text("")
    with pytest.raises(UsageError, match="photos' is a file"):
        sample.write_collection(tmp_path / "photos", 5)


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        sample.write_collection(tmp_path / "file" / "photos", 5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kind": "Durian"}, "kind 'Durian' is not drawn: expected one of Apple Green"),
        ({"fruit": -1}, "fruit -1: expected 0 or more"),
        ({"seed": -1}, "seed -1: expected 0 or more"),
        ({"size": 0}, "size 0: expected 8 or more"),
    ],
)
def test_draw_refuses_what_it_cannot_draw(wrong, message):
    with pytest.raises(UsageError, match=message):
        sample.draw(**{"kind": "Kiwi", "fruit": 0, "angle": 0, **wrong})


def changed(left: np.ndarray, right: np.ndarray) -> float:
    """The share of pixels that differ clearly."""
    return float((np.abs(left.astype(int) - right).max(axis=2) > 24).mean())


def look(kind: str, fruit: int, angle: float) -> np.ndarray:
    """What little a plain method sees: a histogram of 64 colours and how much is white."""
    bins = (sample.draw(kind, fruit=fruit, angle=angle) // 64).reshape(-1, 3) @ [16, 4, 1]
    return np.sqrt(np.bincount(bins, minlength=64) / len(bins))
