"""Photos of fruits: one drawn, or a folder of them written."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from verger.errors import OutputError, UsageError
from verger.sample.fruits import KINDS, RECIPES
from verger.sample.parts import Fruit
from verger.sample.render import render, rotation

_QUALITY: Final = 90
_SIZE: Final = 100
_MOST_VIEWS: Final = 72


def draw(
    kind: str, *, fruit: int, angle: float, seed: int = 0, size: int = _SIZE
) -> NDArray[np.uint8]:
    """Draw one fruit as a photo on a white ground.

    Parameters
    ----------
    kind : one of `KINDS`
    fruit : which individual, from 0: its hue, proportions and blemishes
    angle : of the turntable in degrees, counter-clockwise from above
    seed : another seed, other individuals; from 0
    size : of the picture's sides in pixels, from 8

    Returns
    -------
    uint8 (size, size, 3) RGB, the same for the same arguments

    Raises
    ------
    UsageError : an argument outside the ranges above
    """
    if kind not in RECIPES:
        raise UsageError(f"kind {kind!r} is not drawn: expected one of {', '.join(KINDS)}")
    for name, value, least in (("fruit", fruit, 0), ("seed", seed, 0), ("size", size, 8)):
        _check(name, value, least)
    grown, first = _grow(kind, fruit, seed)
    return render(grown.parts, rotation(grown.pitch, first + angle, grown.lean), size)


@lru_cache(maxsize=64)
def _grow(kind: str, fruit: int, seed: int) -> tuple[Fruit, float]:
    """An individual, and the angle its series of photos begins at."""
    rng = np.random.default_rng([seed, zlib.crc32(kind.encode()), fruit])
    return RECIPES[kind](rng), rng.uniform(0, 360)


def write_collection(
    folder: Path, images: int, *, seed: int = 0, progress: Callable[[int], None] | None = None
) -> dict[str, int]:
    """Write ``folder/<kind>/r<fruit>_<angle>_100.jpg``: each fruit once round the turntable.

    Parameters
    ----------
    folder : new or empty
    images : photos in all, spread over `KINDS` so that their counts differ by one at most
    seed : the same seed gives the same bytes; from 0
    progress : told after each photo how many are written

    Returns
    -------
    photos per kind; kinds that got none, when there are fewer photos than kinds, are left out

    Raises
    ------
    UsageError : fewer than one image, a negative seed, or a folder that is not empty
    OutputError : the folder cannot be written
    """
    _check("images", images, 1)
    _check("seed", seed, 0)
    counts = _spread(images)
    views = [(kind, *view) for kind, count in counts.items() for view in _series(count)]
    try:
        _make_empty(folder)
        for kind in counts:
            (folder / kind).mkdir()
        for written, (kind, fruit, angle) in enumerate(views, start=1):
            photo = Image.fromarray(draw(kind, fruit=fruit, angle=angle, seed=seed))
            photo.save(folder / kind / f"r{fruit}_{angle}_{_SIZE}.jpg", quality=_QUALITY)
            if progress is not None:
                progress(written)
    except OSError as exc:
        raise OutputError(f"folder {str(folder)!r} cannot be written: {exc}") from exc
    return counts


def _spread(images: int) -> dict[str, int]:
    each, more = divmod(images, len(KINDS))
    counts = {kind: each + (place < more) for place, kind in enumerate(KINDS)}
    return {kind: count for kind, count in counts.items() if count}


def _series(count: int) -> list[tuple[int, int]]:
    """Fruit and angle in whole degrees of `count` photos of one kind."""
    fruits = min(count, max(3, math.isqrt(count // 3), -(-count // _MOST_VIEWS)))
    views = [count // fruits + (fruit < count % fruits) for fruit in range(fruits)]
    return [(fruit, 360 * view // of) for fruit, of in enumerate(views) for view in range(of)]


def _make_empty(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"folder {str(folder)!r} is a file: expected a new or an empty folder")
    folder.mkdir(parents=True, exist_ok=True)
    if found := sorted(path.name for path in folder.iterdir()):
        raise UsageError(
            f"folder {str(folder)!r} is not empty (it holds {', '.join(found[:5])}): the photos "
            "would be mixed up; name a new folder or remove this one"
        )


def _check(name: str, value: int, least: int) -> None:
    if value < least:
        raise UsageError(f"{name} {value}: expected {least} or more")
