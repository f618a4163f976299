"""What the benchmarks work on: real photos and weights beside the checkout, scratch space."""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from verger import storage
from verger.settings import PHOTO_EXTENSIONS
from verger.weights import SHARED_NAME

ROOT: Final = Path(__file__).resolve().parents[1]
SHARED: Final = ROOT.parent / "shared"
BUILD: Final = ROOT / "build" / "bench"
#: All photos of the real collection.
ALL_PHOTOS: Final = 8191


@dataclass(frozen=True)
class Photos:
    """Photos to work on, and a sentence that says where they are from."""

    paths: tuple[str, ...]
    note: str


def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with the options that all benchmarks of photos share."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    made.add_argument(
        "--collection",
        type=Path,
        default=SHARED / "data" / "fruits-360",
        metavar="DIR",
        help="real photos; samples are drawn where it is missing",
    )
    made.add_argument(
        "--weights",
        type=Path,
        default=SHARED / "weights" / SHARED_NAME,
        metavar="FILE",
        help="MobileNetV2 weights in Keras' .h5 layout",
    )
    made.add_argument("--seed", type=int, default=0, help="chooses the photos, where not all")
    return made


def at_least_one(text: str) -> int:
    """A whole number above 0, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number}: expected a whole number of at least 1")
    return number


def check_weights(file: Path) -> Path:
    """The weights, or the end of the program where they are missing."""
    if not file.is_file():
        raise SystemExit(
            f"weights {file}: no such file; expected MobileNetV2 without top in Keras' .h5 "
            "layout, name yours with --weights FILE ('verger weights --download' fetches them)"
        )
    return file.resolve()


def find_photos(collection: Path, number: int, seed: int, folder: Path) -> Photos:
    """Choose photos at random, in the order of their paths.

    Parameters
    ----------
    collection : the real photos
    number : how many; fewer when the collection has not as many
    seed : of the choice, or of the drawing
    folder : where sample photos are drawn when there is no collection
    """
    paths = _walk(collection) if collection.is_dir() else []
    if not paths:
        paths = _walk(_draw(folder / "sample", number, seed))
        return Photos(tuple(paths), f"{len(paths):,} drawn photos: {collection.name} is not there")
    chosen = sorted(random.Random(seed).sample(paths, min(number, len(paths))))
    return Photos(tuple(chosen), f"{len(chosen):,} of {len(paths):,} photos of {collection.name}")


def _walk(folder: Path) -> list[str]:
    names = (entry.path for entry in storage.walk(folder))
    endings = tuple(f".{extension}" for extension in PHOTO_EXTENSIONS)
    return [name for name in names if name.lower().endswith(endings)]


def _draw(folder: Path, number: int, seed: int) -> Path:
    from verger import sample

    sample.write_collection(folder, number, seed=seed)
    return folder


def write_manifest(file: Path, paths: tuple[str, ...]) -> Path:
    """A manifest of these photos, which `verger run` takes in place of a folder."""
    pq.write_table(pa.table({"path": list(paths)}), file)
    return file


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder in build/bench, on a real disk as OUT usually is; removed at the end."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD, prefix="scratch-") as folder:
        yield Path(folder)
