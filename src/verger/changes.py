"""Which photos are new: this listing against the rows of earlier runs, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from verger.inventory import path_digest


@dataclass(frozen=True)
class Known:
    """The photos of earlier runs, sorted by the digest of their path: about 45 bytes each."""

    digests: NDArray[np.bytes_]
    sizes: NDArray[np.int64]
    times: NDArray[np.int64]
    chunks: NDArray[np.int64]
    rows: NDArray[np.int64]
    retry: NDArray[np.bool_]
    found: NDArray[np.bool_]  # listed again
    stale: NDArray[np.bool_]  # listed again with another size or time

    @classmethod
    def of(
        cls, digests: NDArray[np.bytes_], numbers: NDArray[np.int64], retries: set[bytes]
    ) -> Known:
        """Sort by digest.

        Parameters
        ----------
        digests : (n,), of the paths
        numbers : (n, 4), each photo's size, time in microseconds, chunk, and row in the chunk
        retries : digests of photos that could not be read then
        """
        order = np.argsort(digests)
        digests = digests[order]
        sizes, times, chunks, rows = numbers[order].T
        retry = np.isin(digests, np.array(sorted(retries), "S16"))
        found, stale = np.zeros((2, len(digests)), bool)
        return cls(digests, sizes, times, chunks, rows, retry, found, stale)

    def compare(self, batch: pa.RecordBatch) -> NDArray[np.bool_]:
        """Which rows of an inventory batch are to do; notes what was found again."""
        if not len(self.digests):
            return np.ones(batch.num_rows, bool)
        digests = digests_of(batch["path"])
        at = np.minimum(np.searchsorted(self.digests, digests), len(self.digests) - 1)
        known = self.digests[at] == digests
        same = known & (self.sizes[at] == integers_of(batch["size"]))
        same &= self.times[at] == integers_of(batch["modified"])
        self.found[at[known]] = True
        self.stale[at[known & ~same]] = True
        pending: NDArray[np.bool_] = ~same | self.retry[at]
        return pending


def digests_of(paths: pa.Array | pa.ChunkedArray) -> NDArray[np.bytes_]:
    """The digest of each path, as 16-byte strings."""
    return np.array([path_digest(path) for path in paths.to_pylist()], "S16")


def integers_of(column: pa.Array | pa.ChunkedArray) -> NDArray[np.int64]:
    """Sizes or times as integers, -1 where unknown."""
    numbers = pc.fill_null(column.cast(pa.int64()), -1)
    return np.asarray(numbers.to_numpy(), dtype=np.int64)
