"""The colours of a fruit: a painted skin with its patches and blemishes, a little off for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike

from verger.sample.shapes import Floats, floats, noise


@dataclass(frozen=True)
class Skin:
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
            colours = mix(colours, self.blush[:3], share)
        change = self.mottle * patches + self.grain * noise(places, 85)
        if self.streak:
            change += self.streak * noise(toward, (60, 6, 60))
        if self.crease:
            furrow = np.exp(-((places[2] / 0.05) ** 2)) * (toward[0] > 0)
            change -= self.crease * furrow
        colours = colours * (1 + change)
        if self.specks:
            share = np.clip((noise(places, 150) - self.specks[3]) * 2, 0, 0.8)
            colours = mix(colours, self.specks[:3], share)
        for spot in () if self.spots is None else self.spots:
            share = np.clip((spot[:3] @ toward + 0.004 * patches - spot[3]) * 60, 0, 0.75)
            colours = mix(colours, rgb("5a3a1c"), share)
        return colours


def mix(colours: Floats, other: ArrayLike, share: Floats) -> Floats:
    """Colours (3, n) moved towards another by a share (n,), 0 to 1."""
    return colours + (floats(other)[:, None] - colours) * share.astype(np.float32)


def rgb(code: str) -> Floats:
    """A colour (3,), 0 to 1, from six hexadecimal digits."""
    return floats(list(bytes.fromhex(code))) / np.float32(255)


def bands(values: Floats, at: Sequence[float], *codes: str) -> Floats:
    """Colours (3, n) of values (n,), blended between those given at some of them."""
    stops = np.array([rgb(code) for code in codes]).T
    return floats([np.interp(values, at, column) for column in stops])


def ramp(rng: Generator, *codes: str) -> Floats:
    """Colours evenly spaced from stalk to bottom, a little off for each fruit."""
    tints = np.array([rgb(code) for code in codes]) * rng.normal(1, 0.035, 3) * rng.normal(1, 0.04)
    at, stops = np.linspace(0, 1, 256), np.linspace(0, 1, len(codes))
    return floats([np.interp(at, stops, column) for column in tints.T])


def spots(rng: Generator, most: int = 3) -> Floats:
    """Up to `most` blemishes, as in `Skin.spots`."""
    toward = directions(rng, int(rng.integers(0, most + 1)))
    cosines = np.cos(rng.uniform(0.04, 0.13, len(toward)))
    return np.column_stack([toward, cosines]).astype(np.float32)


def directions(rng: Generator, count: int) -> Floats:
    """Unit vectors (count, 3), evenly spread over the sphere by chance."""
    found = rng.normal(size=(count, 3))
    return floats(found / np.linalg.norm(found, axis=1, keepdims=True))
