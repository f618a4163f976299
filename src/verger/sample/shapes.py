"""The solids fruits are made of: solids of revolution and balls, and the noise on their skins.

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

Floats: TypeAlias = NDArray[np.float32]
#: Body coordinates (3, n) to colours (3, n), both float32; colours 0 to 1.
Paint: TypeAlias = Callable[[Floats], Floats]

#: Entries of an outline.
TABLE: Final = 1024
_NOISE_BITS: Final = 6


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
        radii = self.radii[row(toward[:, 1])]
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
    angles = np.arccos(np.linspace(-1, 1, TABLE))
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


def row(cosines: Floats) -> NDArray[np.int32]:
    """The entries of an outline for cosines (n,) of the angle to +y."""
    half = np.float32(TABLE / 2 - 0.5)
    return (np.clip(cosines, -1, 1) * half + half).astype(np.intp)
