"""The drawing of `verger.sample`: solids of revolution and balls, turned, lit and put on white.

Body frame and picture frame are right-handed: x to the right, y up (in the body frame: from the
fruit's bottom to its stalk), z towards the camera. Lengths are in units of 0.4 picture widths.
The camera is far away (parallel rays), so depth is z alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageFilter

Floats: TypeAlias = NDArray[np.float32]
#: Body coordinates (3, n) to colours (3, n), both float32; colours 0 to 1.
Paint: TypeAlias = Callable[[Floats], Floats]

_SUPERSAMPLING: Final = 2
_UNIT: Final = 0.4
_TABLE: Final = 1024
_NOISE_BITS: Final = 6
_STEPS: Final = 4
_STEP: Final = 0.9
_LONGEST: Final = np.float32(0.06)
_TOLERANCE: Final = 0.012
_PORES: Final = 130
_BACKGROUND_DEPTH: Final = np.float32(-9)
_LIGHT: Final = np.array([-0.45, 0.62, 0.643], np.float32)  # a unit vector
_HALFWAY: Final = (_LIGHT + np.array([0, 0, 1], np.float32)) / np.sqrt(2 + 2 * _LIGHT[2])


@dataclass(frozen=True)
class Body:
    """A solid of revolution about the y axis, stretched, and cut by a plane if wanted.

    Attributes
    ----------
    radii : float32 (1024,), distance from the centre by the cosine of the angle to +y, -1 to 1
    paint : the colours of its skin
    stretch : along x, y and z
    centre : where it lies in the fruit's body frame
    gloss : strength of the highlight, 0 to 1
    bump : roughness of the skin, added to its unit normals
    cut : unit normal (before stretching) of a plane through the centre; what is beyond is removed
    face : the colours of the cut
    """

    radii: Floats
    paint: Paint
    stretch: tuple[float, float, float] = (1, 1, 1)
    centre: tuple[float, float, float] = (0, 0, 0)
    gloss: float = 0.3
    bump: float = 0.0
    cut: tuple[float, float, float] | None = None
    face: Paint | None = None

    def surface(self, directions: ArrayLike) -> Floats:
        """Points of the skin in the body frame: (n, 3) for unit directions (n, 3)."""
        toward = floats(directions)
        radii = self.radii[_row(toward[:, 1])]
        return floats(toward * radii[:, None] * floats(self.stretch) + floats(self.centre))


@dataclass(frozen=True)
class Balls:
    """Many small balls: stalks, leaves, seeds, berries.

    Attributes
    ----------
    centres : (n, 3) in the body frame
    radii : (n,)
    colours : (n, 3), 0 to 1
    gloss : strength of the highlight, 0 to 1
    mottle : strength of the patches of lighter and darker colour
    """

    centres: Floats
    radii: Floats
    colours: Floats
    gloss: float = 0.15
    mottle: float = 0.06


class _Canvas:
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


def floats(values: ArrayLike) -> Floats:
    """Numbers of any kind as a float32 array of the same shape."""
    return np.asarray(values, dtype=np.float32)


def balls(centres: ArrayLike, radii: ArrayLike, colours: ArrayLike, **look: float) -> Balls:
    """`Balls` (n, 3); a single radius or colour is everybody's."""
    places = floats(centres)
    sizes = np.broadcast_to(floats(radii), len(places))
    return Balls(places, sizes, np.broadcast_to(floats(colours), places.shape), **look)


def profile(radii: Sequence[float], *, dip: float = 0.0, width: float = 0.3) -> Floats:
    """An outline from a few radii, joined by the smoothest even cosine series.

    Parameters
    ----------
    radii : at equally spaced angles from the stalk (0 degrees) to the bottom (180 degrees)
    dip : depth of the hollow at the stalk; half as deep at the bottom
    width : of the hollow, in radians
    """
    last = len(radii) - 1
    angles = np.arccos(np.linspace(-1, 1, _TABLE))
    grid = np.cos(np.outer(np.arange(last + 1), np.linspace(0, np.pi, last + 1)))
    series = np.linalg.solve(grid.T, np.asarray(radii, float))
    outline = series @ np.cos(np.outer(np.arange(last + 1), angles))
    outline -= dip * np.exp(-((angles / width) ** 2))
    outline -= dip / 2 * np.exp(-(((np.pi - angles) / width) ** 2))
    return floats(outline)


def tube(path: ArrayLike, radii: ArrayLike, colours: ArrayLike, count: int, **look: float) -> Balls:
    """A chain of `count` balls along (m, 3) points, with radii (k,) and colours (j, 3) along it."""
    along = np.linspace(0, 1, count)

    def spread(values: ArrayLike) -> Floats:
        columns = np.atleast_2d(np.asarray(values, float).T)
        at = np.linspace(0, 1, columns.shape[1])
        return floats([np.interp(along, at, column) for column in columns]).T

    return balls(spread(path), spread(radii)[:, 0], spread(colours), **look)


def join(parts: Sequence[Balls]) -> Balls:
    """Several balls drawn as one, with the look of the first."""
    return Balls(
        np.concatenate([part.centres for part in parts]),
        np.concatenate([part.radii for part in parts]),
        np.concatenate([part.colours for part in parts]),
        parts[0].gloss,
        parts[0].mottle,
    )


def noise(places: Floats, frequency: ArrayLike) -> Floats:
    """Smooth random values (n,), mean 0 and deviation 1, fixed to the places (3, n).

    `frequency`, for all axes or each, is in cells a unit; patches are about six cells wide.
    """
    scale = np.broadcast_to(floats(frequency), 3)[:, None]
    # The offset keeps the conversion to integers rounding down on both sides of the centre.
    cells = (places * scale + np.float32(4096)).astype(np.int32) & ((1 << _NOISE_BITS) - 1)
    rows = (cells[0] << 2 * _NOISE_BITS) | (cells[1] << _NOISE_BITS) | cells[2]
    return floats(_noise_volume()[rows])


@lru_cache(maxsize=1)
def _noise_volume() -> Floats:
    """White noise, low-passed by a periodic Gaussian of 4 cells."""
    side = 1 << _NOISE_BITS
    white = np.random.default_rng(360).standard_normal((side, side, side))
    wave = np.fft.fftfreq(side) ** 2
    squares = wave[:, None, None] + wave[:, None] + wave
    smooth = np.fft.ifftn(np.fft.fftn(white) * np.exp(-2 * (np.pi * 4) ** 2 * squares)).real
    return floats(smooth / smooth.std()).ravel()


def rotation(pitch: float, turn: float, lean: float) -> Floats:
    """The matrix (3, 3) of a fruit leaning on a turntable seen from above; all in degrees."""
    (cp, ct, cl), (sp, st, sl) = (f(np.radians([pitch, turn, lean])) for f in (np.cos, np.sin))
    camera = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    table = np.array([[ct, 0, st], [0, 1, 0], [-st, 0, ct]])
    pose = np.array([[cl, -sl, 0], [sl, cl, 0], [0, 0, 1]])
    return floats(camera @ table @ pose)


def render(parts: Sequence[Body | Balls], turned: Floats, size: int) -> NDArray[np.uint8]:
    """Draw the parts, turned by a rotation matrix (3, 3): uint8 (size, size, 3) RGB on white."""
    canvas = _Canvas(size * _SUPERSAMPLING)
    for part in parts:
        if isinstance(part, Body):
            _draw_body(canvas, part, turned)
        else:
            _draw_balls(canvas, part, turned)
    return np.asarray(Image.fromarray(_light(canvas)).reduce(_SUPERSAMPLING), np.uint8)


def _row(cosines: Floats) -> NDArray[np.int32]:
    half = np.float32(_TABLE / 2 - 0.5)
    return (np.clip(cosines, -1, 1) * half + half).astype(np.intp)


def _draw_body(canvas: _Canvas, body: Body, turned: Floats) -> None:
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
    _put(canvas, pixels, depth + shift[2], normals, colours, body.gloss)


def _rays(
    canvas: _Canvas, body: Body, to_body: Floats, shift: Floats
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
    return floats(length - radii[_row((height + depth * ray[1]) / length)])


def _normals(body: Body, places: Floats, to_body: Floats) -> Floats:
    """Unit normals (3, n) in the picture frame: the gradient of ``|q| - radius(q)``."""
    length = np.sqrt(_dot(places, places))
    toward = places / length
    slopes = np.gradient(body.radii, np.float32(2 / _TABLE))
    slope = slopes[_row(toward[1])] / length
    gradient = toward * (1 + slope * toward[1])
    gradient[1] -= slope
    normals = _unit(to_body.T @ gradient)
    if body.bump:
        for axis in range(3):
            normals[axis] += body.bump * noise(places, _PORES + 3 * axis)
        normals = _unit(normals)
    return normals


def _draw_balls(canvas: _Canvas, balls: Balls, turned: Floats) -> None:
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


def _put(
    canvas: _Canvas,
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


def _light(canvas: _Canvas) -> NDArray[np.uint8]:
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


def _openness(canvas: _Canvas) -> Floats:
    """How little of the light a pixel's surroundings take away, from their mean depth."""
    levels = np.clip((canvas.depth + 1.3) * (255 / 2.6), 0, 255).astype(np.uint8)
    flat = Image.fromarray(levels.reshape(canvas.size, canvas.size))
    around = np.asarray(flat.filter(ImageFilter.BoxBlur(canvas.size // 28))).ravel()
    buried = np.clip(around.astype(np.float32) - levels, 0, 60)
    return floats(1 - buried * np.float32(0.011))


def _dot(left: Floats, right: Floats) -> Floats:
    return floats(np.einsum("ij,ij->j", left, right))


def _unit(vectors: Floats) -> Floats:
    return floats(vectors / np.sqrt((vectors * vectors).sum(0)))
