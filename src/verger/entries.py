"""Entries of the ledger: what a task writes down of a chunk that has landed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from verger import storage
from verger.changes import digests_of, integers_of


@dataclass(frozen=True)
class Entry:
    """One chunk that has landed.

    Attributes
    ----------
    chunk, plan, group : its number, the plan it stands in, and its row group there
    rows : photos in the plan's row group = featurised + rejected + len(dropped)
    reasons : rejected by "stage/reason"
    seconds : the time that its task took
    dropped : rows of the group that do not count any more: changed, removed or to be tried again
    dirty : the tables may still hold the dropped rows
    """

    chunk: int
    plan: int
    group: int
    rows: int
    featurised: int
    rejected: int
    reasons: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    dropped: tuple[int, ...] = ()
    dirty: bool = False

    def write(self, run_folder: Path) -> None:
        """Enter the chunk in the ledger of the run under way; called by its task, last of all.

        Not durable: a chunk whose entry is lost with the power is computed again.
        """
        storage.write_text(
            run_folder / f"{self.chunk:06d}.json", json.dumps(asdict(self)), durable=False
        )


def landed(run_folder: Path) -> Iterator[Entry]:
    """The entries that tasks of one run have written; one that a loss of power spoilt is none."""
    for file in sorted(run_folder.glob("[!.]*.json")):
        with suppress(ValueError, KeyError, TypeError):
            yield to_entry(json.loads(file.read_text(encoding="utf-8")))


def to_entry(row: dict[str, Any]) -> Entry:
    """The inverse of `dataclasses.asdict`, also after the way through JSON."""
    return Entry(**{**row, "dropped": tuple(row["dropped"])})


def kept_rows(plan: pq.ParquetFile, entry: Entry) -> tuple[NDArray[np.bytes_], NDArray[np.int64]]:
    """Path digests (n,) and size, time, chunk, row (n, 4) of a chunk's rows that still count."""
    table = plan.read_row_group(entry.group, columns=["path", "size", "modified"])
    keep = np.ones(table.num_rows, bool)
    keep[list(entry.dropped)] = False
    columns = (
        integers_of(table["size"]),
        integers_of(table["modified"]),
        np.full(len(keep), entry.chunk),
        np.arange(len(keep)),
    )
    return digests_of(table["path"])[keep], np.stack(columns, axis=1)[keep]
