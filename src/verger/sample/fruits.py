"""The kinds of fruit and their recipes, from random numbers to one individual's parts."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.random import Generator

from verger.sample.cut import avocado, kiwi, watermelon
from verger.sample.parts import Fruit, Part, stalk, star, stretch
from verger.sample.shapes import Body, Floats, balls, join, noise, profile, tube
from verger.sample.skin import Skin, bands, directions, ramp, rgb, spots


def _apple(rng: Generator, skin: Skin) -> Fruit:
    outline = profile((0.9, 0.98, 1.0, 0.98, 0.94, 0.9, 0.84), dip=0.32, width=0.34)
    body = Body(outline, skin, stretch(rng, 1.04, 0.98), gloss=0.5)
    return Fruit([body, stalk(rng, 0.55, 0.5)], pitch=24, lean=16)


def _apple_red(rng: Generator) -> Fruit:
    tints = ramp(rng, "c9a03c", "b3202a", "a8121f", "a3101f", "b8402c")
    return _apple(rng, Skin(tints, streak=0.16, specks=(0.95, 0.75, 0.5, 2.2), spots=spots(rng)))


def _apple_green(rng: Generator) -> Fruit:
    tints = ramp(rng, "8aa83a", "8fbe3c", "93c440", "9cc94a", "a9c65a")
    blush = (*rgb("d0c850"), rng.uniform(0.1, 0.5))
    skin = Skin(tints, blush=blush, specks=(0.95, 0.98, 0.8, 1.9), spots=spots(rng))
    return _apple(rng, skin)


def _banana(rng: Generator) -> Fruit:
    bend, ripe = rng.uniform(0.95, 1.2), rng.uniform(0, 1)
    angle = np.linspace(-bend, bend, 12)
    path = np.stack([1.05 * np.sin(angle) / math.sin(bend), 0 * angle, 1.1 * np.cos(angle)], 1)
    path[:, 2] -= path[:, 2].mean()
    path[0] += [-0.02, 0, -0.12]
    yellow = rgb("f0cf3a") * (1 - 0.06 * ripe)
    green = rgb("b9b83f") * ripe + rgb("d9c94a") * (1 - ripe)
    tints = [rgb("7d6a35"), green, yellow, yellow, yellow, yellow, yellow, green, rgb("3d2f1c")]
    thick = [0.08, 0.1, 0.22, 0.27, 0.28, 0.28, 0.27, 0.25, 0.18, 0.07]
    fruit = tube(path, thick, tints, 60, gloss=0.12, mottle=0.035)
    return Fruit([fruit], pitch=62, lean=8)


def _blueberry(rng: Generator) -> Fruit:
    around = np.arange(6) * np.pi / 3
    places = np.stack([0.64 * np.cos(around), 0 * around, 0.64 * np.sin(around)], 1)
    places = np.append(places, [[0, 0.06, 0], [0.12, 0.55, -0.1]], axis=0)
    centres = places + rng.normal(0, 0.03, places.shape)
    radii = rng.uniform(0.33, 0.39, len(places))
    tints = rgb("3f4f86") * rng.uniform(0.8, 1.15, (len(places), 1))
    crowns = []
    for centre, radius in zip(centres, radii, strict=True):
        axis = directions(rng, 1)[0] + [0, 1.3, 0]
        axis /= np.linalg.norm(axis)
        side = np.cross(axis, [1, 0, 0])
        side /= np.linalg.norm(side)
        turn = np.linspace(0, 2 * np.pi, 15)[:, None]
        ring = axis * 0.97 + 0.3 * (np.cos(turn) * side + np.sin(turn) * np.cross(axis, side))
        crowns.append(tube(centre + radius * ring, [0.05, 0.03] * 5, [rgb("5b6796")], 22))
        crowns.append(tube([centre + radius * axis * 0.78], [0.09], [rgb("1b1f38")], 1))
    berries = balls(centres, radii, tints, gloss=0.12, mottle=0.1)
    return Fruit([berries, join(crowns)], pitch=35, lean=0)


def _cherry(rng: Generator) -> Fruit:
    outline = profile((0.44, 0.5, 0.5, 0.49, 0.47), dip=0.1, width=0.4)
    parts: list[Part] = []
    knot = np.array([0.05, 1.05, 0])
    for side in (-1, 1):
        skin = Skin(ramp(rng, "7a0f1c", "9c1224", "8a0c1c"), mottle=0.08, crease=0.15)
        centre = (0.5 * side + rng.normal(0, 0.03), -0.5 + rng.normal(0, 0.06), rng.normal(0, 0.1))
        parts.append(Body(outline, skin, stretch(rng), centre=centre, gloss=0.75))
        foot = np.add(centre, (0, 0.36, 0))
        middle = (foot + knot) / 2 + [0.12 * side, 0.05, 0]
        tints = [rgb("6f8a35"), rgb("8a7a3a")]
        parts.append(tube(np.stack([foot, middle, knot]), [0.035, 0.028, 0.05], tints, 50))
    return Fruit(parts, pitch=10, lean=0)


def _grape(rng: Generator) -> Fruit:
    centres, widths = [], []
    heights, rings = (0.62, 0.4, 0.12, -0.16, -0.44, -0.7, -0.92), (30, 52, 50, 42, 30, 16, 0)
    for height, ring, count in zip(heights, rings, (5, 9, 9, 8, 6, 3, 1), strict=True):
        for angle in np.arange(count) * 2 * np.pi / count + rng.uniform(0, 6):
            centres.append([ring / 100 * math.cos(angle), height, ring / 100 * math.sin(angle)])
            widths.append(rng.uniform(0.19, 0.235))
    places = np.array(centres) + rng.normal(0, 0.03, (len(centres), 3))
    tints = rgb("5a2a63") * rng.uniform(0.75, 1.2, (len(centres), 1))
    bunch = balls(places, widths, tints, gloss=0.4)
    path = [[0, 0.6, 0], [0, 0.95, 0], [0.12, 1.15, 0]]
    stem = tube(path, [0.05, 0.04, 0.06], [rgb("7b7a3a")], 30)
    return Fruit([bunch, stem], pitch=10, lean=6)


def _lemon(rng: Generator) -> Fruit:
    outline = profile((1.16, 0.98, 0.83, 0.78, 0.78, 0.83, 0.98, 1.22))
    skin = Skin(
        ramp(rng, "c9c040", "f2d62e", "f4d930", "f1d22c", "d8c63a"),
        grain=0.03,
        spots=spots(rng, 2),
    )
    body = Body(outline, skin, stretch(rng), gloss=0.35, bump=0.05)
    return Fruit([body, stalk(rng, 1.1, 0.06, "6f7a35", 0.06)], pitch=50, lean=78)


def _orange(rng: Generator) -> Fruit:
    outline = profile((0.98, 1.0, 1.0, 1.0, 0.98), dip=0.06, width=0.25)
    skin = Skin(ramp(rng, "e88a1c", "f0871a", "ee8016"), grain=0.04, spots=spots(rng, 2))
    body = Body(outline, skin, stretch(rng, 1.03, 0.98), gloss=0.35, bump=0.08)
    return Fruit([body, star(rng, 0.92, 0.12, 5, "5f7a34", 0.045)], pitch=30, lean=20)


def _peach(rng: Generator) -> Fruit:
    outline = profile((0.96, 1.0, 1.0, 0.98, 1.0), dip=0.2, width=0.3)
    blush = (*rgb("c23a2e"), rng.uniform(0.7, 0.95))
    skin = Skin(ramp(rng, "eeb053", "f2b35c", "f0ad58"), mottle=0.05, blush=blush, crease=0.3)
    body = Body(outline, skin, stretch(rng, 1.02, 0.97), gloss=0.06)
    return Fruit([body], pitch=28, lean=18)


def _pear(rng: Generator) -> Fruit:
    outline = profile((1.28, 1.02, 0.74, 0.72, 0.84, 0.9, 0.88))
    tints = ramp(rng, "b5a948", "c2c04a", "c6c84c", "c0c44a", "b2aa48")
    blush = (*rgb("c98a4a"), rng.uniform(0.1, 0.5))
    skin = Skin(tints, blush=blush, specks=(0.45, 0.36, 0.15, 1.5), spots=spots(rng))
    body = Body(outline, skin, stretch(rng, 0.95, 0.88), centre=(0, -0.12, 0), gloss=0.3)
    return Fruit([body, stalk(rng, 0.92, 0.25)], pitch=14, lean=14)


def _pineapple(rng: Generator) -> Fruit:
    outline = profile((0.74, 0.72, 0.7, 0.68, 0.68, 0.7, 0.74, 0.75))

    def skin(places: Floats) -> Floats:
        around = np.arctan2(places[2], places[0]) * 4
        up = places[1] * 10
        eye = np.abs(np.cos(around + up / 2) * np.cos(around - up / 2))
        codes = ("4a3414", "6d4a18", "b9801f", "d9a02c", "8a6a22", "5a4a1c")
        return bands(eye, (0, 0.12, 0.4, 0.8, 0.95, 1), *codes) * (1 + 0.06 * noise(places, 75))

    body = Body(outline, skin, stretch(rng, 1, 1), centre=(0, -0.42, 0), gloss=0.15)
    leaves = []
    for inner in np.arange(24) / 24:
        outward = np.array([math.cos(inner * 57.6), 0, math.sin(inner * 57.6)])
        out, top = 0.06 + 0.46 * inner, 1.2 - 0.75 * inner**1.6
        path = [(0.1, 0.2), (out * 0.55, 0.06 + 0.7 * top), (out * 1.2, top)]
        tint = rgb("4f7a3a") * rng.uniform(0.75, 1.2)
        points = [outward * far + [0, high, 0] for far, high in path]
        leaves.append(tube(points, [0.07, 0.07, 0.05, 0.012], [tint * 0.9, tint, tint * 1.15], 18))
    return Fruit([body, join(leaves)], pitch=12, lean=10)


def _plum(rng: Generator) -> Fruit:
    outline = profile((1.0, 1.0, 0.96, 0.97, 1.0), dip=0.12, width=0.25)
    blush = (*rgb("8f3a5c"), rng.uniform(0.3, 0.7))
    skin = Skin(ramp(rng, "4a2a58", "43265a", "3c2050"), mottle=0.2, blush=blush, crease=0.3)
    body = Body(outline, skin, stretch(rng, 0.84, 1.02), gloss=0.25)
    return Fruit([body, stalk(rng, 0.85, 0.22, thick=0.035)], pitch=28, lean=55)


def _strawberry(rng: Generator) -> Fruit:
    outline = profile((0.78, 0.86, 0.86, 0.78, 0.78, 0.92, 1.12))
    skin = Skin(ramp(rng, "e07a5a", "cf1f26", "c8141f", "c4121c", "be1420"), mottle=0.05)
    body = Body(outline, skin, stretch(rng, 0.98, 1.0), gloss=0.45, bump=0.1)
    turn = np.arange(150)
    high = 0.82 - 1.8 * turn / 150
    flat = np.sqrt(1 - high**2)
    toward = np.stack([flat * np.cos(turn * 2.39996), high, flat * np.sin(turn * 2.39996)], 1)
    seeds = balls(body.surface(toward) * 0.99, 0.028, rgb("e2b84a"))
    calyx = star(rng, 0.8, 0.62, 9, "5f9a3a", 0.1)
    return Fruit([body, seeds, calyx, stalk(rng, 0.78, 0.3, "7fa04a")], pitch=14, lean=16)


def _tomato(rng: Generator) -> Fruit:
    outline = profile((0.94, 1.0, 1.02, 1.0, 0.96), dip=0.14, width=0.4)
    skin = Skin(ramp(rng, "c8481c", "d42a1a", "d02416", "cc2014"), mottle=0.03, grain=0.01)
    body = Body(outline, skin, stretch(rng, 1.04, 0.86), gloss=0.7)
    return Fruit(
        [body, star(rng, 0.74, 0.6, 6, "4c8232", 0.06), stalk(rng, 0.7, 0.22, "5c8a3a", 0.05)],
        pitch=38,
        lean=16,
    )


RECIPES: Final[dict[str, Callable[[Generator], Fruit]]] = {
    "Apple Green": _apple_green,
    "Apple Red": _apple_red,
    "Avocado": avocado,
    "Banana": _banana,
    "Blueberry": _blueberry,
    "Cherry": _cherry,
    "Grape": _grape,
    "Kiwi": kiwi,
    "Lemon": _lemon,
    "Orange": _orange,
    "Peach": _peach,
    "Pear": _pear,
    "Pineapple": _pineapple,
    "Plum": _plum,
    "Strawberry": _strawberry,
    "Tomato": _tomato,
    "Watermelon": watermelon,
}
#: Every kind of fruit that can be drawn, in alphabetical order.
KINDS: Final = tuple(RECIPES)
