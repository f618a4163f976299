"""The recipes of fruits that are shown cut open."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from verger.sample.parts import Fruit, stretch
from verger.sample.shapes import Body, Floats, balls, floats, noise, profile
from verger.sample.skin import Skin, bands, mix, ramp, rgb


def avocado(rng: Generator) -> Fruit:
    """Half an avocado with its stone."""
    outline = profile((1.12, 0.92, 0.8, 0.82, 0.88, 0.9, 0.88))
    skin = Skin(ramp(rng, "3e4f22", "33431d", "2c3a1a"), mottle=0.12, grain=0.18)

    def face(places: Floats) -> Floats:
        length = np.sqrt((places * places).sum(0))
        edge = length / np.interp(places[1] / length, np.linspace(-1, 1, len(outline)), outline)
        codes = ("ecdf92", "e9df8e", "d3d873", "8fae3c", "3a4a20")
        flesh = bands(edge, (0, 0.6, 0.82, 0.93, 0.97), *codes)
        return flesh * (1 + 0.02 * noise(places, 50))

    body = Body(
        outline, skin, stretch(rng, 0.92, 1), gloss=0.2, bump=0.12, cut=(1, 0, 0), face=face
    )
    size = rng.uniform(0.33, 0.4)
    stone = balls([[0.02, -0.28, 0]], size, rgb("8a5226"), gloss=0.45, mottle=0.1)
    return Fruit([body, stone], pitch=62, lean=90)


def kiwi(rng: Generator) -> Fruit:
    """Half a kiwi."""
    skin = Skin(ramp(rng, "7a5c34", "80613a", "75562f"), mottle=0.1, grain=0.2)

    def face(places: Floats) -> Floats:
        far = np.hypot(places[0], places[2])
        around = np.arctan2(places[2], places[0])
        rays = np.cos(around * 34) * 0.06 * np.clip(far * 2, 0, 1)
        codes = ("f0ecc4", "e6e7a8", "7fae35", "8dbb3a", "7fae30", "98bf52", "6a4c28")
        flesh = bands(far, (0, 0.22, 0.36, 0.6, 0.86, 0.94, 0.97), *codes) * (1 + rays)
        seeds = np.cos(around * 26 + 3 * np.cos(around * 5)) > 0.45
        seeds &= abs(far - 0.42 - 0.06 * np.cos(around * 13)) < 0.055
        return np.where(seeds, 0.09, flesh).astype(np.float32)

    outline = profile((1.05, 1.02, 1.0, 1.02, 1.05))
    body = Body(outline, skin, stretch(rng, 1, 1.1), gloss=0.12, cut=(0, 1, 0), face=face)
    return Fruit([body], pitch=62, lean=18)


def watermelon(rng: Generator) -> Fruit:
    """Half a watermelon with its seeds."""

    def skin(places: Floats) -> Floats:
        around = np.arctan2(places[2], places[0])
        wave = np.cos(around * 10 + 0.55 * noise(places, 30)) + 0.3 * noise(places, 60)
        share = np.clip(wave * 2 + 0.5, 0, 1)
        light = np.repeat(floats(rgb("9dbb5c"))[:, None], len(share), 1)
        return mix(light, rgb("1f4a22"), share)

    def face(places: Floats) -> Floats:
        far = np.hypot(places[0], places[2])
        codes = ("e2383f", "dc3038", "e0505a", "eee6c0", "dfe6b0", "3a6a2c")
        flesh = bands(far, (0, 0.6, 0.8, 0.87, 0.93, 0.97), *codes)
        return flesh * (1 + 0.035 * noise(places, 65))

    body = Body(
        profile((1.0, 1.0, 1.0, 1.0, 1.0)),
        skin,
        stretch(rng, 1.08, 1.08),
        gloss=0.3,
        cut=(0, 1, 0),
        face=face,
    )
    angle = rng.uniform(0, 2 * np.pi, 44)
    far = rng.choice([0.38, 0.62], 44) + rng.normal(0, 0.05, 44)
    places = np.stack([far * np.cos(angle), 0 * far, far * np.sin(angle)], 1)
    seeds = balls(places, 0.036, (0.1, 0.1, 0.1), gloss=0.5)
    return Fruit([body, seeds], pitch=44, lean=16)
