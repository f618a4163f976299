"""The way of a photo: read, decode, infer. Arrays only; the same on every engine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from verger import images, storage
from verger.errors import ImageError
from verger.features import Extractor
from verger.images import Limits


@dataclass(frozen=True)
class Outcome:
    """What became of one photo: either features or an error.

    Attributes
    ----------
    image_id : SHA-256 (hex) of the bytes; empty when the photo could not be read or decoded
    width, height : of the upright photo in pixels; 0 when it could not be decoded
    features : float32 (dimensions,) or None
    error : why there are no features, or None
    """

    image_id: str = ""
    width: int = 0
    height: int = 0
    features: NDArray[np.float32] | None = None
    error: ImageError | None = None


@dataclass(frozen=True)
class _Decoded:
    image_id: str
    pixels: NDArray[np.uint8]
    width: int
    height: int


def featurise(
    sources: Iterable[str | bytes], extractor: Extractor, limits: Limits, batch: int
) -> Iterator[Outcome]:
    """Turn photos into features, in order and one outcome each.

    Parameters
    ----------
    sources : paths as in the tables, or the bytes themselves
    extractor : an open backbone
    limits : what a photo may cost
    batch : photos given to the network at once, above 0
    """
    held: list[_Decoded | ImageError] = []
    waiting = 0
    for source in sources:
        found = _decode(source, extractor.size, limits)
        held.append(found)
        waiting += isinstance(found, _Decoded)
        if waiting == batch or len(held) >= 16 * batch:
            yield from _infer(held, extractor)
            held, waiting = [], 0
    yield from _infer(held, extractor)


def _decode(source: str | bytes, size: int, limits: Limits) -> _Decoded | ImageError:
    try:
        data = source if isinstance(source, bytes) else storage.read_photo(source, limits.bytes)
        pixels, width, height = images.load_input(data, size, limits)
        return _Decoded(hashlib.sha256(data).hexdigest(), pixels, width, height)
    except ImageError as exc:
        return exc


def _infer(held: list[_Decoded | ImageError], extractor: Extractor) -> Iterator[Outcome]:
    decoded = [item for item in held if isinstance(item, _Decoded)]
    rows = iter(_features(decoded, extractor))
    for item in held:
        if isinstance(item, ImageError):
            yield Outcome(error=item)
            continue
        row = next(rows)
        if isinstance(row, ImageError):
            yield Outcome(item.image_id, item.width, item.height, error=row)
        else:
            yield Outcome(item.image_id, item.width, item.height, features=row)


def _features(
    decoded: list[_Decoded], extractor: Extractor
) -> Iterable[NDArray[np.float32] | ImageError]:
    """One row or error a photo; a batch that fails is tried again photo by photo."""
    if not decoded:
        return []
    try:
        return extractor(np.stack([item.pixels for item in decoded]))
    except ImageError as exc:
        if len(decoded) == 1:
            return [exc]
        return [row for item in decoded for row in _features([item], extractor)]
