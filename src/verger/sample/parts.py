"""What fruits have in common: how they are put before the camera, and their stalks and leaves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.random import Generator

from verger.sample.shapes import Balls, Body, join, tube
from verger.sample.skin import rgb

Part: TypeAlias = Body | Balls


@dataclass(frozen=True)
class Fruit:
    """A model and how it is put before the camera; angles in degrees."""

    parts: Sequence[Part]
    pitch: float = 18
    lean: float = 14


def stretch(rng: Generator, wide: float = 1.0, high: float = 1.0) -> tuple[float, float, float]:
    """The stretch of a body along x, y and z, a little off for each fruit."""
    x, y, z = rng.normal(1, 0.025, 3)
    return wide * x, high * y, wide * z


def stalk(
    rng: Generator, foot: float, length: float, code: str = "6b4a2a", thick: float = 0.045
) -> Balls:
    """A bent stalk on the axis, upwards from the height `foot`."""
    bend = rng.normal(0, 0.06, 2)
    path = [[0, foot, 0], [bend[0], foot + length * 0.6, 0], [bend[0] * 3, foot + length, bend[1]]]
    return tube(path, [thick, thick * 0.8, thick * 1.2], [rgb(code)], 26)


def star(
    rng: Generator, height: float, reach: float, rays: int, code: str, thick: float = 0.07
) -> Balls:
    """A calyx: pointed leaves from the axis outwards and a little down."""
    leaves = []
    for angle in np.linspace(0, 2 * np.pi, rays, endpoint=False) + rng.normal(0, 0.12, rays):
        out = reach * rng.uniform(0.85, 1.15) * np.array([math.cos(angle), 0, math.sin(angle)])
        rise = rng.uniform(0.0, 0.1)
        path = np.array([out * 0, out * 0.5, out])
        path[:, 1] = height, height + rise, height + rise - 0.1
        tint = np.array(rgb(code)) * rng.uniform(0.85, 1.1)
        leaves.append(tube(path, [thick * 0.6, thick, 0.015], [tint, tint * 1.1], 16))
    return join(leaves)
