"""Photo-like fruits drawn by program: a demo collection that needs no download.

Each fruit is a small solid model (`verger.sample_shapes`) with its own hue, proportions and
blemishes, turned on a turntable before a white ground as in the Fruits-360 photos.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from verger.errors import OutputError, UsageError
from verger.sample_shapes import (
    Balls,
    Body,
    Floats,
    balls,
    floats,
    join,
    noise,
    profile,
    render,
    rotation,
    tube,
)

Part: TypeAlias = Body | Balls

_QUALITY: Final = 90
_SIZE: Final = 100
_MOST_VIEWS: Final = 72


@dataclass(frozen=True)
class _Fruit:
    """A model and how it is put before the camera; angles in degrees."""

    parts: Sequence[Part]
    pitch: float = 18
    lean: float = 14


@dataclass(frozen=True)
class _Skin:
    """A paint of colours from stalk to bottom, a blush on one side, patches, streaks and specks.

    Attributes
    ----------
    ramp : (3, 256) colours by height
    mottle, grain, streak : strength of coarse patches, of fine ones, of lines from end to end
    blush : (4,) a colour and its strength
    specks : (4,) a colour and how many deviations of the noise a speck needs
    crease : strength of the furrow from end to end
    spots : (n, 4) directions of blemishes and the cosine of their radius
    """

    ramp: Floats
    mottle: float = 0.04
    grain: float = 0.03
    streak: float = 0.0
    blush: tuple[float, ...] | None = None
    specks: tuple[float, ...] | None = None
    crease: float = 0.0
    spots: Floats | None = None

    def __call__(self, places: Floats) -> Floats:
        toward = places / np.sqrt((places * places).sum(0))
        patches = noise(places, 20)
        colours = self.ramp[:, ((1 - toward[1]) * 127.5).astype(np.int32)]
        if self.blush:
            share = np.clip(0.5 + 0.9 * toward[0] + 0.25 * patches, 0, 1) * self.blush[3]
            colours = _mix(colours, self.blush[:3], share)
        change = self.mottle * patches + self.grain * noise(places, 85)
        if self.streak:
            change += self.streak * noise(toward, (60, 6, 60))
        if self.crease:
            furrow = np.exp(-((places[2] / 0.05) ** 2)) * (toward[0] > 0)
            change -= self.crease * furrow
        colours = colours * (1 + change)
        if self.specks:
            share = np.clip((noise(places, 150) - self.specks[3]) * 2, 0, 0.8)
            colours = _mix(colours, self.specks[:3], share)
        for spot in () if self.spots is None else self.spots:
            share = np.clip((spot[:3] @ toward + 0.004 * patches - spot[3]) * 60, 0, 0.75)
            colours = _mix(colours, _rgb("5a3a1c"), share)
        return colours


def _mix(colours: Floats, other: ArrayLike, share: Floats) -> Floats:
    return colours + (floats(other)[:, None] - colours) * share.astype(np.float32)


def _rgb(code: str) -> Floats:
    return floats(list(bytes.fromhex(code))) / np.float32(255)


def _bands(values: Floats, at: Sequence[float], *codes: str) -> Floats:
    """Colours (3, n) of values (n,), blended between those given at some of them."""
    stops = np.array([_rgb(code) for code in codes]).T
    return floats([np.interp(values, at, column) for column in stops])


def _ramp(rng: Generator, *codes: str) -> Floats:
    """Colours evenly spaced from stalk to bottom, a little off for each fruit."""
    tints = np.array([_rgb(code) for code in codes]) * rng.normal(1, 0.035, 3) * rng.normal(1, 0.04)
    at, stops = np.linspace(0, 1, 256), np.linspace(0, 1, len(codes))
    return floats([np.interp(at, stops, column) for column in tints.T])


def _spots(rng: Generator, most: int = 3) -> Floats:
    toward = _directions(rng, int(rng.integers(0, most + 1)))
    cosines = np.cos(rng.uniform(0.04, 0.13, len(toward)))
    return np.column_stack([toward, cosines]).astype(np.float32)


def _directions(rng: Generator, count: int) -> Floats:
    found = rng.normal(size=(count, 3))
    return floats(found / np.linalg.norm(found, axis=1, keepdims=True))


def _stretch(rng: Generator, wide: float = 1.0, high: float = 1.0) -> tuple[float, float, float]:
    x, y, z = rng.normal(1, 0.025, 3)
    return wide * x, high * y, wide * z


def _stalk(
    rng: Generator, foot: float, length: float, code: str = "6b4a2a", thick: float = 0.045
) -> Balls:
    bend = rng.normal(0, 0.06, 2)
    path = [[0, foot, 0], [bend[0], foot + length * 0.6, 0], [bend[0] * 3, foot + length, bend[1]]]
    return tube(path, [thick, thick * 0.8, thick * 1.2], [_rgb(code)], 26)


def _star(
    rng: Generator, height: float, reach: float, rays: int, code: str, thick: float = 0.07
) -> Balls:
    """A calyx: pointed leaves from the axis outwards and a little down."""
    leaves = []
    for angle in np.linspace(0, 2 * np.pi, rays, endpoint=False) + rng.normal(0, 0.12, rays):
        out = reach * rng.uniform(0.85, 1.15) * np.array([math.cos(angle), 0, math.sin(angle)])
        rise = rng.uniform(0.0, 0.1)
        path = np.array([out * 0, out * 0.5, out])
        path[:, 1] = height, height + rise, height + rise - 0.1
        tint = np.array(_rgb(code)) * rng.uniform(0.85, 1.1)
        leaves.append(tube(path, [thick * 0.6, thick, 0.015], [tint, tint * 1.1], 16))
    return join(leaves)


def _apple(rng: Generator, skin: _Skin) -> _Fruit:
    outline = profile((0.9, 0.98, 1.0, 0.98, 0.94, 0.9, 0.84), dip=0.32, width=0.34)
    body = Body(outline, skin, _stretch(rng, 1.04, 0.98), gloss=0.5)
    return _Fruit([body, _stalk(rng, 0.55, 0.5)], pitch=24, lean=16)


def _apple_red(rng: Generator) -> _Fruit:
    ramp = _ramp(rng, "c9a03c", "b3202a", "a8121f", "a3101f", "b8402c")
    return _apple(rng, _Skin(ramp, streak=0.16, specks=(0.95, 0.75, 0.5, 2.2), spots=_spots(rng)))


def _apple_green(rng: Generator) -> _Fruit:
    ramp = _ramp(rng, "8aa83a", "8fbe3c", "93c440", "9cc94a", "a9c65a")
    blush = (*_rgb("d0c850"), rng.uniform(0.1, 0.5))
    skin = _Skin(ramp, blush=blush, specks=(0.95, 0.98, 0.8, 1.9), spots=_spots(rng))
    return _apple(rng, skin)


def _avocado(rng: Generator) -> _Fruit:
    outline = profile((1.12, 0.92, 0.8, 0.82, 0.88, 0.9, 0.88))
    skin = _Skin(_ramp(rng, "3e4f22", "33431d", "2c3a1a"), mottle=0.12, grain=0.18)

    def face(places: Floats) -> Floats:
        length = np.sqrt((places * places).sum(0))
        edge = length / np.interp(places[1] / length, np.linspace(-1, 1, len(outline)), outline)
        codes = ("ecdf92", "e9df8e", "d3d873", "8fae3c", "3a4a20")
        flesh = _bands(edge, (0, 0.6, 0.82, 0.93, 0.97), *codes)
        return flesh * (1 + 0.02 * noise(places, 50))

    body = Body(
        outline, skin, _stretch(rng, 0.92, 1), gloss=0.2, bump=0.12, cut=(1, 0, 0), face=face
    )
    size = rng.uniform(0.33, 0.4)
    stone = balls([[0.02, -0.28, 0]], size, _rgb("8a5226"), gloss=0.45, mottle=0.1)
    return _Fruit([body, stone], pitch=62, lean=90)


def _banana(rng: Generator) -> _Fruit:
    bend, ripe = rng.uniform(0.95, 1.2), rng.uniform(0, 1)
    angle = np.linspace(-bend, bend, 12)
    path = np.stack([1.05 * np.sin(angle) / math.sin(bend), 0 * angle, 1.1 * np.cos(angle)], 1)
    path[:, 2] -= path[:, 2].mean()
    path[0] += [-0.02, 0, -0.12]
    yellow = _rgb("f0cf3a") * (1 - 0.06 * ripe)
    green = _rgb("b9b83f") * ripe + _rgb("d9c94a") * (1 - ripe)
    tints = [_rgb("7d6a35"), green, yellow, yellow, yellow, yellow, yellow, green, _rgb("3d2f1c")]
    thick = [0.08, 0.1, 0.22, 0.27, 0.28, 0.28, 0.27, 0.25, 0.18, 0.07]
    fruit = tube(path, thick, tints, 60, gloss=0.12, mottle=0.035)
    return _Fruit([fruit], pitch=62, lean=8)


def _blueberry(rng: Generator) -> _Fruit:
    around = np.arange(6) * np.pi / 3
    spots = np.stack([0.64 * np.cos(around), 0 * around, 0.64 * np.sin(around)], 1)
    spots = np.append(spots, [[0, 0.06, 0], [0.12, 0.55, -0.1]], axis=0)
    centres = spots + rng.normal(0, 0.03, spots.shape)
    radii = rng.uniform(0.33, 0.39, len(spots))
    tints = _rgb("3f4f86") * rng.uniform(0.8, 1.15, (len(spots), 1))
    crowns = []
    for centre, radius in zip(centres, radii, strict=True):
        axis = _directions(rng, 1)[0] + [0, 1.3, 0]
        axis /= np.linalg.norm(axis)
        side = np.cross(axis, [1, 0, 0])
        side /= np.linalg.norm(side)
        turn = np.linspace(0, 2 * np.pi, 15)[:, None]
        ring = axis * 0.97 + 0.3 * (np.cos(turn) * side + np.sin(turn) * np.cross(axis, side))
        crowns.append(tube(centre + radius * ring, [0.05, 0.03] * 5, [_rgb("5b6796")], 22))
        crowns.append(tube([centre + radius * axis * 0.78], [0.09], [_rgb("1b1f38")], 1))
    berries = balls(centres, radii, tints, gloss=0.12, mottle=0.1)
    return _Fruit([berries, join(crowns)], pitch=35, lean=0)


def _cherry(rng: Generator) -> _Fruit:
    outline = profile((0.44, 0.5, 0.5, 0.49, 0.47), dip=0.1, width=0.4)
    parts: list[Part] = []
    knot = np.array([0.05, 1.05, 0])
    for side in (-1, 1):
        skin = _Skin(_ramp(rng, "7a0f1c", "9c1224", "8a0c1c"), mottle=0.08, crease=0.15)
        centre = (0.5 * side + rng.normal(0, 0.03), -0.5 + rng.normal(0, 0.06), rng.normal(0, 0.1))
        parts.append(Body(outline, skin, _stretch(rng), centre=centre, gloss=0.75))
        foot = np.add(centre, (0, 0.36, 0))
        middle = (foot + knot) / 2 + [0.12 * side, 0.05, 0]
        tints = [_rgb("6f8a35"), _rgb("8a7a3a")]
        parts.append(tube(np.stack([foot, middle, knot]), [0.035, 0.028, 0.05], tints, 50))
    return _Fruit(parts, pitch=10, lean=0)


def _grape(rng: Generator) -> _Fruit:
    centres, widths = [], []
    heights, rings = (0.62, 0.4, 0.12, -0.16, -0.44, -0.7, -0.92), (30, 52, 50, 42, 30, 16, 0)
    for height, ring, count in zip(heights, rings, (5, 9, 9, 8, 6, 3, 1), strict=True):
        for angle in np.arange(count) * 2 * np.pi / count + rng.uniform(0, 6):
            centres.append([ring / 100 * math.cos(angle), height, ring / 100 * math.sin(angle)])
            widths.append(rng.uniform(0.19, 0.235))
    places = np.array(centres) + rng.normal(0, 0.03, (len(centres), 3))
    tints = _rgb("5a2a63") * rng.uniform(0.75, 1.2, (len(centres), 1))
    bunch = balls(places, widths, tints, gloss=0.4)
    path = [[0, 0.6, 0], [0, 0.95, 0], [0.12, 1.15, 0]]
    stem = tube(path, [0.05, 0.04, 0.06], [_rgb("7b7a3a")], 30)
    return _Fruit([bunch, stem], pitch=10, lean=6)


def _kiwi(rng: Generator) -> _Fruit:
    skin = _Skin(_ramp(rng, "7a5c34", "80613a", "75562f"), mottle=0.1, grain=0.2)

    def face(places: Floats) -> Floats:
        far = np.hypot(places[0], places[2])
        around = np.arctan2(places[2], places[0])
        rays = np.cos(around * 34) * 0.06 * np.clip(far * 2, 0, 1)
        codes = ("f0ecc4", "e6e7a8", "7fae35", "8dbb3a", "7fae30", "98bf52", "6a4c28")
        flesh = _bands(far, (0, 0.22, 0.36, 0.6, 0.86, 0.94, 0.97), *codes) * (1 + rays)
        seeds = np.cos(around * 26 + 3 * np.cos(around * 5)) > 0.45
        seeds &= abs(far - 0.42 - 0.06 * np.cos(around * 13)) < 0.055
        return np.where(seeds, 0.09, flesh).astype(np.float32)

    outline = profile((1.05, 1.02, 1.0, 1.02, 1.05))
    body = Body(outline, skin, _stretch(rng, 1, 1.1), gloss=0.12, cut=(0, 1, 0), face=face)
    return _Fruit([body], pitch=62, lean=18)


def _lemon(rng: Generator) -> _Fruit:
    outline = profile((1.16, 0.98, 0.83, 0.78, 0.78, 0.83, 0.98, 1.22))
    skin = _Skin(
        _ramp(rng, "c9c040", "f2d62e", "f4d930", "f1d22c", "d8c63a"),
        grain=0.03,
        spots=_spots(rng, 2),
    )
    body = Body(outline, skin, _stretch(rng), gloss=0.35, bump=0.05)
    return _Fruit([body, _stalk(rng, 1.1, 0.06, "6f7a35", 0.06)], pitch=50, lean=78)


def _orange(rng: Generator) -> _Fruit:
    outline = profile((0.98, 1.0, 1.0, 1.0, 0.98), dip=0.06, width=0.25)
    skin = _Skin(_ramp(rng, "e88a1c", "f0871a", "ee8016"), grain=0.04, spots=_spots(rng, 2))
    body = Body(outline, skin, _stretch(rng, 1.03, 0.98), gloss=0.35, bump=0.08)
    return _Fruit([body, _star(rng, 0.92, 0.12, 5, "5f7a34", 0.045)], pitch=30, lean=20)


def _peach(rng: Generator) -> _Fruit:
    outline = profile((0.96, 1.0, 1.0, 0.98, 1.0), dip=0.2, width=0.3)
    blush = (*_rgb("c23a2e"), rng.uniform(0.7, 0.95))
    skin = _Skin(_ramp(rng, "eeb053", "f2b35c", "f0ad58"), mottle=0.05, blush=blush, crease=0.3)
    body = Body(outline, skin, _stretch(rng, 1.02, 0.97), gloss=0.06)
    return _Fruit([body], pitch=28, lean=18)


def _pear(rng: Generator) -> _Fruit:
    outline = profile((1.28, 1.02, 0.74, 0.72, 0.84, 0.9, 0.88))
    ramp = _ramp(rng, "b5a948", "c2c04a", "c6c84c", "c0c44a", "b2aa48")
    blush = (*_rgb("c98a4a"), rng.uniform(0.1, 0.5))
    skin = _Skin(ramp, blush=blush, specks=(0.45, 0.36, 0.15, 1.5), spots=_spots(rng))
    body = Body(outline, skin, _stretch(rng, 0.95, 0.88), centre=(0, -0.12, 0), gloss=0.3)
    return _Fruit([body, _stalk(rng, 0.92, 0.25)], pitch=14, lean=14)


def _pineapple(rng: Generator) -> _Fruit:
    outline = profile((0.74, 0.72, 0.7, 0.68, 0.68, 0.7, 0.74, 0.75))

    def skin(places: Floats) -> Floats:
        around = np.arctan2(places[2], places[0]) * 4
        up = places[1] * 10
        eye = np.abs(np.cos(around + up / 2) * np.cos(around - up / 2))
        codes = ("4a3414", "6d4a18", "b9801f", "d9a02c", "8a6a22", "5a4a1c")
        return _bands(eye, (0, 0.12, 0.4, 0.8, 0.95, 1), *codes) * (1 + 0.06 * noise(places, 75))

    body = Body(outline, skin, _stretch(rng, 1, 1), centre=(0, -0.42, 0), gloss=0.15)
    leaves = []
    for inner in np.arange(24) / 24:
        outward = np.array([math.cos(inner * 57.6), 0, math.sin(inner * 57.6)])
        out, top = 0.06 + 0.46 * inner, 1.2 - 0.75 * inner**1.6
        path = [(0.1, 0.2), (out * 0.55, 0.06 + 0.7 * top), (out * 1.2, top)]
        tint = _rgb("4f7a3a") * rng.uniform(0.75, 1.2)
        points = [outward * far + [0, high, 0] for far, high in path]
        leaves.append(tube(points, [0.07, 0.07, 0.05, 0.012], [tint * 0.9, tint, tint * 1.15], 18))
    return _Fruit([body, join(leaves)], pitch=12, lean=10)


def _plum(rng: Generator) -> _Fruit:
    outline = profile((1.0, 1.0, 0.96, 0.97, 1.0), dip=0.12, width=0.25)
    blush = (*_rgb("8f3a5c"), rng.uniform(0.3, 0.7))
    skin = _Skin(_ramp(rng, "4a2a58", "43265a", "3c2050"), mottle=0.2, blush=blush, crease=0.3)
    body = Body(outline, skin, _stretch(rng, 0.84, 1.02), gloss=0.25)
    return _Fruit([body, _stalk(rng, 0.85, 0.22, thick=0.035)], pitch=28, lean=55)


def _strawberry(rng: Generator) -> _Fruit:
    outline = profile((0.78, 0.86, 0.86, 0.78, 0.78, 0.92, 1.12))
    skin = _Skin(_ramp(rng, "e07a5a", "cf1f26", "c8141f", "c4121c", "be1420"), mottle=0.05)
    body = Body(outline, skin, _stretch(rng, 0.98, 1.0), gloss=0.45, bump=0.1)
    turn = np.arange(150)
    high = 0.82 - 1.8 * turn / 150
    flat = np.sqrt(1 - high**2)
    toward = np.stack([flat * np.cos(turn * 2.39996), high, flat * np.sin(turn * 2.39996)], 1)
    seeds = balls(body.surface(toward) * 0.99, 0.028, _rgb("e2b84a"))
    calyx = _star(rng, 0.8, 0.62, 9, "5f9a3a", 0.1)
    return _Fruit([body, seeds, calyx, _stalk(rng, 0.78, 0.3, "7fa04a")], pitch=14, lean=16)


def _tomato(rng: Generator) -> _Fruit:
    outline = profile((0.94, 1.0, 1.02, 1.0, 0.96), dip=0.14, width=0.4)
    skin = _Skin(_ramp(rng, "c8481c", "d42a1a", "d02416", "cc2014"), mottle=0.03, grain=0.01)
    body = Body(outline, skin, _stretch(rng, 1.04, 0.86), gloss=0.7)
    return _Fruit(
        [body, _star(rng, 0.74, 0.6, 6, "4c8232", 0.06), _stalk(rng, 0.7, 0.22, "5c8a3a", 0.05)],
        pitch=38,
        lean=16,
    )


def _watermelon(rng: Generator) -> _Fruit:
    def skin(places: Floats) -> Floats:
        around = np.arctan2(places[2], places[0])
        wave = np.cos(around * 10 + 0.55 * noise(places, 30)) + 0.3 * noise(places, 60)
        share = np.clip(wave * 2 + 0.5, 0, 1)
        light = np.repeat(floats(_rgb("9dbb5c"))[:, None], len(share), 1)
        return _mix(light, _rgb("1f4a22"), share)

    def face(places: Floats) -> Floats:
        far = np.hypot(places[0], places[2])
        codes = ("e2383f", "dc3038", "e0505a", "eee6c0", "dfe6b0", "3a6a2c")
        flesh = _bands(far, (0, 0.6, 0.8, 0.87, 0.93, 0.97), *codes)
        return flesh * (1 + 0.035 * noise(places, 65))

    body = Body(
        profile((1.0, 1.0, 1.0, 1.0, 1.0)),
        skin,
        _stretch(rng, 1.08, 1.08),
        gloss=0.3,
        cut=(0, 1, 0),
        face=face,
    )
    angle = rng.uniform(0, 2 * np.pi, 44)
    far = rng.choice([0.38, 0.62], 44) + rng.normal(0, 0.05, 44)
    places = np.stack([far * np.cos(angle), 0 * far, far * np.sin(angle)], 1)
    seeds = balls(places, 0.036, (0.1, 0.1, 0.1), gloss=0.5)
    return _Fruit([body, seeds], pitch=44, lean=16)


_RECIPES: Final[dict[str, Callable[[Generator], _Fruit]]] = {
    "Apple Green": _apple_green,
    "Apple Red": _apple_red,
    "Avocado": _avocado,
    "Banana": _banana,
    "Blueberry": _blueberry,
    "Cherry": _cherry,
    "Grape": _grape,
    "Kiwi": _kiwi,
    "Lemon": _lemon,
    "Orange": _orange,
    "Peach": _peach,
    "Pear": _pear,
    "Pineapple": _pineapple,
    "Plum": _plum,
    "Strawberry": _strawberry,
    "Tomato": _tomato,
    "Watermelon": _watermelon,
}
#: Every kind of fruit that can be drawn, in alphabetical order.
KINDS: Final = tuple(_RECIPES)


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
    if kind not in _RECIPES:
        raise UsageError(f"kind {kind!r} is not drawn: expected one of {', '.join(KINDS)}")
    for name, value, least in (("fruit", fruit, 0), ("seed", seed, 0), ("size", size, 8)):
        _check(name, value, least)
    grown, first = _grow(kind, fruit, seed)
    return render(grown.parts, rotation(grown.pitch, first + angle, grown.lean), size)


@lru_cache(maxsize=64)
def _grow(kind: str, fruit: int, seed: int) -> tuple[_Fruit, float]:
    """An individual, and the angle its series of photos begins at."""
    rng = np.random.default_rng([seed, zlib.crc32(kind.encode()), fruit])
    return _RECIPES[kind](rng), rng.uniform(0, 360)


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
