"""What is to do, cut into chunks: a Parquet file with a row group for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from verger import schema, storage


def chunk_name(chunk: int) -> str:
    """The name that a chunk's table files share; plans are numbered alike."""
    return f"{chunk:06d}.parquet"


@dataclass(frozen=True)
class Listing:
    """The photos of this run, compared with those of earlier ones."""

    file: Path
    listed: int
    pending: NDArray[np.bool_]
    changed: int
    removed: int
    retried: int

    @property
    def reused(self) -> int:
        return self.listed - int(self.pending.sum())


@dataclass(frozen=True)
class Plan:
    """The work of this run: row group g of `file` is chunk `first` + g."""

    file: Path
    number: int
    first: int
    sizes: tuple[int, ...]


def write_plan(folder: Path, listing: Listing, chunk: int) -> Plan:
    """Write the next plan: the pending rows of the listing, whose file is removed."""
    first, number = 0, 1
    # Chunk numbers are never used again, so that a lost worker cannot overwrite a new chunk.
    for used in folder.glob("*.parquet"):
        metadata = pq.read_metadata(used)
        first = max(first, int(metadata.metadata[b"first"]) + metadata.num_row_groups)
        number = max(number, int(used.stem) + 1)
    file = folder / chunk_name(number)
    sizes: list[int] = []

    def write(temporary: Path) -> None:
        noted = schema.INVENTORY.with_metadata({"first": str(first)})
        with pq.ParquetWriter(temporary, noted) as writer:
            for table in _regroup(_pending_batches(listing), chunk):
                writer.write_table(table, row_group_size=chunk)
                sizes.append(table.num_rows)

    storage.write_atomically(file, write)
    storage.remove(listing.file)
    return Plan(file, number, first, tuple(sizes))


def _pending_batches(listing: Listing) -> Iterator[pa.Table]:
    start = 0
    with pq.ParquetFile(listing.file) as file:
        for batch in file.iter_batches(65536):
            mask = listing.pending[start : start + batch.num_rows]
            start += batch.num_rows
            yield pa.Table.from_batches([batch]).filter(pa.array(mask))


def _regroup(tables: Iterable[pa.Table], size: int) -> Iterator[pa.Table]:
    """The same rows in tables of exactly `size` rows, the last one smaller."""
    rest = schema.INVENTORY.empty_table()
    for table in tables:
        rest = pa.concat_tables([rest, table])
        while rest.num_rows >= size:
            yield rest.slice(0, size)
            rest = rest.slice(size)
    if rest.num_rows:
        yield rest
