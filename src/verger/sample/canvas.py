"""The picture so far: what each pixel shows, and the light on it."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from verger.sample.shapes import Floats, floats

_UNIT: Final = 0.4
_BACKGROUND_DEPTH: Final = np.float32(-9)
_LIGHT: Final = np.array([-0.45, 0.62, 0.643], np.float32)  # a unit vector
_HALFWAY: Final = (_LIGHT + np.array([0, 0, 1], np.float32)) / np.sqrt(2 + 2 * _LIGHT[2])


class Canvas:
    """What each pixel shows so far; rows of `size` pixels one after the other."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.scale = _UNIT * size
        self.depth = np.full(size * size, _BACKGROUND_DEPTH)
        self.normals = np.zeros((3, size * size), np.float32)
        self.colours = np.ones((3, size * size), np.float32)
        self.gloss = np.zeros(size * size, np.float32)
        axis = (np.arange(size, dtype=np.float32) + 0.5 - size / 2) / self.scale
        self.x = np.tile(axis, size)
        self.y = np.repeat(-axis, size)


def put(
    canvas: Canvas,
    pixels: NDArray[np.intp],
    depth: Floats,
    normals: Floats,
    colours: Floats,
    gloss: float,
) -> None:
    """Paint pixels where nothing nearer is."""
    near = depth > canvas.depth[pixels]
    pixels = pixels[near]
    canvas.depth[pixels] = depth[near]
    for axis in range(3):  # thrice as fast as one assignment of (3, n)
        canvas.normals[axis, pixels] = normals[axis, near]
        canvas.colours[axis, pixels] = colours[axis, near]
    canvas.gloss[pixels] = gloss


def light(canvas: Canvas) -> NDArray[np.uint8]:
    """Ambient and diffuse light, a highlight, dark rims and crevices (size, size, 3)."""
    shown = np.flatnonzero(canvas.depth > _BACKGROUND_DEPTH)
    normals = canvas.normals[:, shown]
    diffuse = np.clip((_LIGHT @ normals + 0.25) / 1.25, 0, 1)
    rim = np.sqrt(np.clip(normals[2], 0, 1))
    bright = (0.44 + 0.7 * diffuse) * (0.68 + 0.32 * rim) * _openness(canvas)[shown]
    shine = np.clip(_HALFWAY @ normals, 0, 1)
    for _ in range(5):
        shine *= shine  # to the power of 32, which ``**`` takes ten times as long for
    highlight = canvas.gloss[shown] * shine
    lit = canvas.colours[:, shown] * bright
    lit += (1 - np.clip(lit, 0, 1)) * highlight
    picture = np.full((canvas.size**2, 3), 255, np.uint8)
    picture[shown] = (np.clip(lit, 0, 1) * 255 + 0.5).astype(np.uint8).T
    return picture.reshape(canvas.size, canvas.size, 3)


def _openness(canvas: Canvas) -> Floats:
    """How little of the light a pixel's surroundings take away, from their mean depth."""
    levels = np.clip((canvas.depth + 1.3) * (255 / 2.6), 0, 255).astype(np.uint8)
    flat = Image.fromarray(levels.reshape(canvas.size, canvas.size))
    around = np.asarray(flat.filter(ImageFilter.BoxBlur(canvas.size // 28))).ravel()
    buried = np.clip(around.astype(np.float32) - levels, 0, 60)
    return floats(1 - buried * np.float32(0.011))
