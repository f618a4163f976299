"""Principal components from statistics that add up: NumPy only.

Rows are summed up where they lie, as `Statistics`; those merge pairwise and exactly (Chan, Golub
and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979),
so that the components do not depend on how the rows were spread (beyond 1e-9 of the variance, where
values spread by more than a millionth of their mean).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from verger.errors import StatisticsError

#: Rows centred at once: bounds the float64 copy to 20 MB at 1,280 features.
BLOCK: Final = 2048


@dataclass(frozen=True)
class Statistics:
    """Count, mean and scatter of some rows.

    Attributes
    ----------
    count : number of rows n
    mean : float64 (d,)
    scatter : float64 (d, d), the sum of outer products of rows minus mean
    """

    count: int
    mean: NDArray[np.float64]
    scatter: NDArray[np.float64]

    @classmethod
    def of(cls, rows: ArrayLike) -> Statistics:
        """Sum up rows.

        Parameters
        ----------
        rows : (n, d), any real type; computed in float64

        Raises
        ------
        StatisticsError : not a matrix of numbers, no columns, or values that are not finite or
            too large to be squared
        """
        matrix = np.asarray(rows)
        if matrix.ndim != 2 or matrix.shape[1] == 0:
            raise StatisticsError(f"rows have shape {matrix.shape}, expected (n, d) with d > 0")
        if matrix.dtype.kind not in "fiub":
            raise StatisticsError(f"rows have type {matrix.dtype}, expected real numbers")
        if not np.isfinite(matrix).all():
            raise StatisticsError("rows hold values that are not finite: expected numbers")
        blocks = (matrix[i : i + BLOCK] for i in range(0, len(matrix), BLOCK))
        return merge((_block(block) for block in blocks), matrix.shape[1])


def _block(rows: NDArray[np.number]) -> Statistics:
    # Centred on its own mean: the usual E[xy] - E[x]E[y] loses the digits we promise. On the first
    # row before that, so that a large offset costs nothing and equal values give exactly zero.
    values = rows.astype(np.float64)
    first = values[0].copy()
    with np.errstate(over="ignore", invalid="ignore"):
        values -= first
        mean = values.mean(axis=0)
        values -= mean
        # NumPy sees a product with its own transpose and calls syrk, which does half the work.
        scatter = values.T @ values
    if not np.isfinite(scatter).all():
        raise StatisticsError("rows hold values that are too large: float64 cannot square them")
    return Statistics(len(values), first + mean, scatter)


def merge(parts: Iterable[Statistics], dimensions: int) -> Statistics:
    """Add up statistics of disjoint rows of `dimensions` values.

    Raises
    ------
    StatisticsError : one is over rows of another width
    """
    zero = Statistics(0, np.zeros(dimensions), np.zeros((dimensions, dimensions)))
    return reduce(_merge, parts, zero)


def _merge(a: Statistics, b: Statistics) -> Statistics:
    if a.mean.shape != b.mean.shape:
        raise StatisticsError(
            f"statistics are over {len(b.mean)} columns, expected {len(a.mean)} as in the others"
        )
    if b.count == 0 or a.count == 0:
        return a if b.count == 0 else b
    count = a.count + b.count
    shift = b.mean - a.mean
    scatter = a.scatter + b.scatter
    scatter += np.outer(shift, shift * (a.count * b.count / count))
    return Statistics(count, a.mean + shift * (b.count / count), scatter)


@dataclass(frozen=True)
class PCA:
    """A fitted projection.

    Attributes
    ----------
    mean : float64 (d,)
    components : float64 (k, d), orthonormal rows, by falling variance; the loading of largest
        magnitude in each is positive, the first one where several are equal to nine digits
    variances : float64 (k,), sample variance along each component (divisor n - 1)
    total_variance : the sum over all d of them
    count : rows it was fitted on
    """

    mean: NDArray[np.float64]
    components: NDArray[np.float64]
    variances: NDArray[np.float64]
    total_variance: float
    count: int

    @property
    def explained(self) -> NDArray[np.float64]:
        """The share of variance along each component, float64 (k,)."""
        return self.variances / self.total_variance

    def transform(self, rows: ArrayLike) -> NDArray[np.float64]:
        """Project rows (n, d) to components (n, k), computed in float64.

        Raises
        ------
        StatisticsError : rows of another width
        """
        matrix = np.asarray(rows, dtype=np.float64)
        if matrix.ndim != 2 or matrix.shape[1] != len(self.mean):
            raise StatisticsError(
                f"rows have shape {matrix.shape}, expected (n, {len(self.mean)}) as in the fit"
            )
        projected: NDArray[np.float64] = (matrix - self.mean) @ self.components.T
        return projected


def fit(statistics: Statistics, components: int | float = 0.95) -> PCA:
    """Principal components of the rows that were summed up.

    Equal to ``sklearn.decomposition.PCA`` but for the sign, which is fixed here.

    Parameters
    ----------
    statistics : over all rows
    components : how many (int), or (float, above 0 and up to 1) the share of variance that the
        kept ones exceed together; 1.0 keeps all that have variance

    Raises
    ------
    StatisticsError : fewer than two rows, no variance at all, or more components than rows or
        columns
    """
    count = statistics.count
    if count < 2:
        raise StatisticsError(f"principal components need at least 2 rows, found {count}")
    values, vectors = np.linalg.eigh(statistics.scatter / (count - 1))
    variances = np.maximum(values[::-1], 0.0)  # rounding leaves tiny negative ones
    total = float(variances.sum())
    if total == 0:
        raise StatisticsError(f"all {count} rows are equal: there is no variance to explain")
    kept = _how_many(components, variances, total, count)
    axes = np.ascontiguousarray(vectors[:, ::-1][:, :kept].T)
    return PCA(statistics.mean, _fix_signs(axes), variances[:kept].copy(), total, count)


def _how_many(
    components: int | float, variances: NDArray[np.float64], total: float, count: int
) -> int:
    most = min(count, len(variances))
    if isinstance(components, float):
        if not 0 < components <= 1:
            raise StatisticsError(f"components {components}: expected a share in (0, 1] or a count")
        share = np.cumsum(variances) / total
        wanted = int(np.searchsorted(share, components, side="right")) + 1
        return min(wanted, _rank(variances, count))
    if not 1 <= components <= most:
        raise StatisticsError(
            f"components {components}: expected 1 to {most}, the smaller of "
            f"{count} rows and {len(variances)} columns"
        )
    return components


def _rank(variances: NDArray[np.float64], count: int) -> int:
    """How many variances are more than rounding."""
    # As in np.linalg.matrix_rank; with few columns the rounding of the sums over rows prevails,
    # which comes to a few epsilons however many there are.
    floor = variances[0] * max(len(variances), 64) * np.finfo(np.float64).eps
    return min(int((variances > floor).sum()), count - 1)


def _fix_signs(axes: NDArray[np.float64]) -> NDArray[np.float64]:
    magnitude = np.abs(axes)
    # The first of those that tie: rounding must not decide between equal loadings.
    largest = magnitude >= magnitude.max(axis=1, keepdims=True) * (1 - 1e-9)
    chosen = np.take_along_axis(axes, largest.argmax(axis=1)[:, None], axis=1)
    signed: NDArray[np.float64] = axes * np.where(chosen < 0, -1.0, 1.0)
    return signed
