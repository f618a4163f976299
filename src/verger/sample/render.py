"""The drawing of solids: turned, seen along parallel rays, lit and put on white."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from verger.sample.canvas import Canvas, light, put
from verger.sample.shapes import TABLE, Balls, Body, Floats, floats, noise, row

_SUPERSAMPLING: Final = 2
_STEPS: Final = 4
_STEP: Final = 0.9
_LONGEST: Final = np.float32(0.06)
_TOLERANCE: Final = 0.012
_PORES: Final = 130


def rotation(pitch: float, turn: float, lean: float) -> Floats:
    """The matrix (3, 3) of a fruit leaning on a turntable seen from above; all in degrees."""
    (cp, ct, cl), (sp, st, sl) = (f(np.radians([pitch, turn, lean])) for f in (np.cos, np.sin))
    camera = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    table = np.array([[ct, 0, st], [0, 1, 0], [-st, 0, ct]])
    pose = np.array([[cl, -sl, 0], [sl, cl, 0], [0, 0, 1]])
    return floats(camera @ table @ pose)


def render(parts: Sequence[Body | Balls], turned: Floats, size: int) -> NDArray[np.uint8]:
    """Draw the parts, turned by a rotation matrix (3, 3): uint8 (size, size, 3) RGB on white."""
    canvas = Canvas(size * _SUPERSAMPLING)
    for part in parts:
        if isinstance(part, Body):
            _draw_body(canvas, part, turned)
        else:
            _draw_balls(canvas, part, turned)
    return np.asarray(Image.fromarray(light(canvas)).reduce(_SUPERSAMPLING), np.uint8)


def _draw_body(canvas: Canvas, body: Body, turned: Floats) -> None:
    """Follow each pixel's ray from the sphere around the body to its skin or its cut."""
    to_body = turned.T / floats(body.stretch)[:, None]
    ray, shift = to_body[:, 2], turned @ floats(body.centre)
    pixels, start, depth = _rays(canvas, body, to_body, shift)
    cut = floats(body.cut or (0, 0, 0))
    plane, facing = _plane(start, ray, cut), bool(cut @ ray > 0)
    if facing:
        depth = np.minimum(depth, plane)
    depth, before, gap = _march(body.radii, start, ray, depth)
    hit = gap < _TOLERANCE
    if body.cut and not facing:
        hit &= depth > plane
    pixels, depth, on_face = pixels[hit], depth[hit], (before <= 0)[hit] & facing
    places = start[:, hit] + ray[:, None] * depth
    colours = body.paint(places)
    normals = _normals(body, places, to_body)
    if body.face is not None and on_face.any():
        colours[:, on_face] = body.face(places[:, on_face])
        normals[:, on_face] = _unit(floats(to_body.T @ cut))[:, None]
    put(canvas, pixels, depth + shift[2], normals, colours, body.gloss)


def _rays(
    canvas: Canvas, body: Body, to_body: Floats, shift: Floats
) -> tuple[NDArray[np.intp], Floats, Floats]:
    """The pixels whose rays meet the sphere around a body.

    Returns
    -------
    pixels (n,); in unstretched body coordinates where their rays have depth 0 (3, n); the depth
    (n,) at which they enter the sphere
    """
    reach = body.radii.max() * np.float32(1.02)  # so that no ray starts on the skin
    widest = reach * max(body.stretch)
    x, y = canvas.x - shift[0], canvas.y - shift[1]
    pixels = np.flatnonzero(x * x + y * y < widest * widest)
    start = to_body[:, :2] @ np.stack([x[pixels], y[pixels]])
    ray = to_body[:, 2]
    square, half = ray @ ray, ray @ start
    inside = half * half - square * (_dot(start, start) - reach * reach)
    met = inside > 0
    depth = (np.sqrt(inside[met]) - half[met]) / square
    return pixels[met], start[:, met], depth


def _plane(start: Floats, ray: Floats, cut: Floats) -> Floats:
    """The depth (n,) at which rays cross the plane through the centre."""
    slope = cut @ ray
    return -(cut @ start) / (slope if abs(slope) > 1e-6 else np.float32(1e-6))


def _march(
    radii: Floats, start: Floats, ray: Floats, depth: Floats
) -> tuple[Floats, Floats, Floats]:
    """Walk down the rays by the distance left until the skin is met.

    Returns
    -------
    depth reached, distance outside the skin before the first step and after the last one; (n,) each
    """
    lines = np.stack([ray @ start, _dot(start, start), start[1]])
    before = _gap(radii, lines, ray, depth)
    depth, gap = _walk(radii, lines, ray, depth, before, _STEPS)
    # Most have arrived; those that graze the skin or look into a hollow need more.
    late = np.flatnonzero((gap > _TOLERANCE / 2) & (gap < 0.3))
    depth[late], gap[late] = _walk(radii, lines[:, late], ray, depth[late], gap[late], 2 * _STEPS)
    return depth, before, gap


def _walk(
    radii: Floats, lines: Floats, ray: Floats, depth: Floats, gap: Floats, steps: int
) -> tuple[Floats, Floats]:
    """Secant steps: from outside a bulging skin they fall short of it, never beyond."""
    steepest = np.sqrt(ray @ ray) / np.float32(_STEP)
    step = np.maximum(gap, 0) / steepest
    for _ in range(steps):
        depth = depth - step
        before, gap = gap, _gap(radii, lines, ray, depth)
        left = np.maximum(gap, 0)
        secant = left * step / np.maximum(before - gap, step * 0.2 + 1e-6)
        # Into a hollow they would go too far: then the distance itself is the safe step.
        step = np.maximum(np.minimum(secant, _LONGEST), left / steepest)
    return depth, gap


def _gap(radii: Floats, lines: Floats, ray: Floats, depth: Floats) -> Floats:
    """How far outside the skin rays are at a depth, along the line to the centre; (n,).

    `lines` (3, n) holds, where the rays have depth 0: their product with the ray's direction, the
    squared distance from the centre, and the height.
    """
    half, square, height = lines
    length = np.sqrt(np.maximum(square + depth * (2 * half + depth * (ray @ ray)), 1e-6))
    return floats(length - radii[row((height + depth * ray[1]) / length)])


def _normals(body: Body, places: Floats, to_body: Floats) -> Floats:
    """Unit normals (3, n) in the picture frame: the gradient of ``|q| - radius(q)``."""
    length = np.sqrt(_dot(places, places))
    toward = places / length
    slopes = np.gradient(body.radii, np.float32(2 / TABLE))
    slope = slopes[row(toward[1])] / length
    gradient = toward * (1 + slope * toward[1])
    gradient[1] -= slope
    normals = _unit(to_body.T @ gradient)
    if body.bump:
        for axis in range(3):
            normals[axis] += body.bump * noise(places, _PORES + 3 * axis)
        normals = _unit(normals)
    return normals


def _draw_balls(canvas: Canvas, balls: Balls, turned: Floats) -> None:
    """Stamp a square of pixels for each ball and keep the nearest of them all."""
    middles = balls.centres @ turned.T
    column = middles[:, 0] * canvas.scale + canvas.size / 2 - 0.5
    row = canvas.size / 2 - 0.5 - middles[:, 1] * canvas.scale
    radii = balls.radii * canvas.scale
    reach = np.arange(-int(radii.max()) - 1, int(radii.max()) + 2)
    columns, rows = np.rint(column)[:, None] + reach, np.rint(row)[:, None] + reach
    right, down = columns - column[:, None], rows - row[:, None]
    height = (radii**2)[:, None] - down**2
    squares = height[:, :, None] - (right**2)[:, None, :]
    ball, i, j = np.nonzero(squares > 0)
    pixels = np.clip(rows[ball, i], 0, canvas.size - 1).astype(np.intp) * canvas.size
    pixels += np.clip(columns[ball, j], 0, canvas.size - 1).astype(np.intp)
    front = np.sqrt(squares[ball, i, j])
    depth = (middles[ball, 2] + front / canvas.scale).astype(np.float32)
    np.maximum.at(canvas.depth, pixels, depth)
    won = np.flatnonzero(depth == canvas.depth[pixels])
    ball, i, j, pixels = ball[won], i[won], j[won], pixels[won]
    normals = np.stack([right[ball, j], -down[ball, i], front[won]]) / radii[ball]
    colours = balls.colours[ball].T
    if balls.mottle:
        places = turned.T @ np.stack([canvas.x[pixels], canvas.y[pixels], depth[won]])
        colours = colours * (1 + np.float32(balls.mottle) * noise(places, 30))
    canvas.normals[:, pixels] = normals
    canvas.colours[:, pixels] = colours
    canvas.gloss[pixels] = balls.gloss


def _dot(left: Floats, right: Floats) -> Floats:
    return floats(np.einsum("ij,ij->j", left, right))


def _unit(vectors: Floats) -> Floats:
    return floats(vectors / np.sqrt((vectors * vectors).sum(0)))
