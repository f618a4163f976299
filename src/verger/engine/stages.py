"""The work of the main job's tasks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from verger import paths, schema, storage, tables
from verger.backbone import Backbone
from verger.beats import Beat
from verger.engine.session import Shared
from verger.entries import Entry
from verger.features import extractor
from verger.images import Limits
from verger.pca import PCA, Statistics, merge
from verger.photos import Outcome, featurise
from verger.plan import Plan, chunk_name

#: Rows of features in a Parquet row group: 5 MB, which bounds what a writer or reader holds.
ROWS_PER_GROUP = 1024

LANDED_DDL = "chunk long, featurised long, rejected long"
STATISTICS_DDL = "count long, mean binary, scatter binary"
PROJECTED_DDL = "file string, rows long"


@dataclass(frozen=True)
class FeaturiseChunk:
    """Task g: row group g of the plan to a chunk of features and rejected rows."""

    out: Path
    run_folder: Path
    plan: Plan
    backbone: Shared[Backbone]
    limits: Limits
    batch: int

    def __call__(self, group: int) -> list[dict[str, Any]]:
        started = time.monotonic()
        chunk = self.plan.first + group
        with pq.ParquetFile(self.plan.file) as plan:
            rows = plan.read_row_group(group)
        beat = Beat(self.run_folder, f"{chunk:06d}")
        beat.update(0)
        work = _ChunkTables(rows)
        file = self.out / "features" / chunk_name(chunk)
        outcomes = featurise(
            rows["path"].to_pylist(), extractor(self.backbone.value), self.limits, self.batch
        )
        storage.write_atomically(file, lambda temporary: work.write(outcomes, temporary, beat))
        work.write_rejected(self.out / "rejected" / chunk_name(chunk))
        if not work.featurised:
            storage.remove(file)
        beat.update(rows.num_rows, len(work.rejected), final=True)
        entry = Entry(
            chunk=chunk,
            plan=self.plan.number,
            group=group,
            rows=rows.num_rows,
            featurised=work.featurised,
            rejected=len(work.rejected),
            reasons=tables.count_reasons(work.rejected_table()),
            seconds=round(time.monotonic() - started, 3),
        )
        entry.write(self.run_folder)
        return [{"chunk": chunk, "featurised": work.featurised, "rejected": len(work.rejected)}]


@dataclass
class _ChunkTables:
    """Collects the outcomes of one chunk; features go to their file a row group at a time."""

    plan: pa.Table
    featurised: int = 0
    rejected: list[dict[str, Any]] = field(default_factory=list)
    _rows: list[int] = field(default_factory=list)
    _outcomes: list[Outcome] = field(default_factory=list)

    def write(self, outcomes: Iterator[Outcome], file: Path, beat: Beat) -> None:
        with tables.open_writer(file, schema.FEATURES) as writer:
            for row, outcome in enumerate(outcomes):
                if outcome.error is None:
                    self._rows.append(row)
                    self._outcomes.append(outcome)
                else:
                    self._reject(row, outcome)
                if len(self._rows) == ROWS_PER_GROUP:
                    self._flush(writer)
                beat.update(row + 1, len(self.rejected))
            self._flush(writer)

    def _reject(self, row: int, outcome: Outcome) -> None:
        assert outcome.error is not None
        photo = self.plan.slice(row, 1)
        self.rejected.append(
            {
                "path": photo["path"][0].as_py(),
                "size": photo["size"][0].as_py(),
                "stage": outcome.error.stage,
                "reason": outcome.error.reason,
                "detail": paths.printable(outcome.error.detail)[:500],
            }
        )

    def _flush(self, writer: pq.ParquetWriter) -> None:
        if not self._rows:
            return
        photos = self.plan.take(pa.array(self._rows))
        columns = [
            pa.array([outcome.image_id for outcome in self._outcomes]),
            photos["path"],
            photos["label"],
            photos["split"],
            pa.array([outcome.width for outcome in self._outcomes], pa.int32()),
            pa.array([outcome.height for outcome in self._outcomes], pa.int32()),
            schema.list_column(_stack(self._outcomes)),
        ]
        writer.write_table(pa.Table.from_arrays(columns, schema=schema.FEATURES))
        self.featurised += len(self._rows)
        self._rows, self._outcomes = [], []

    def rejected_table(self) -> pa.Table:
        return pa.Table.from_pylist(self.rejected, schema=schema.REJECTED)

    def write_rejected(self, file: Path) -> None:
        """A repeated task may find that an earlier try rejected what can be read now."""
        if self.rejected:
            table = self.rejected_table()
            storage.write_atomically(file, lambda temporary: tables.write_table(table, temporary))
        else:
            storage.remove(file)


def _stack(outcomes: list[Outcome]) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.stack([outcome.features for outcome in outcomes if outcome.features is not None])


@dataclass(frozen=True)
class SumUp:
    """Task g of n: statistics over every nth file of features."""

    files: tuple[Path, ...]
    groups: int
    dimensions: int
    run_folder: Path

    def __call__(self, group: int) -> list[dict[str, Any]]:
        beat = Beat(self.run_folder, f"statistics-{group:06d}")
        done = 0
        total = merge((), self.dimensions)
        for file in self.files[group :: self.groups]:
            with pq.ParquetFile(file) as features:
                for batch in features.iter_batches(2 * ROWS_PER_GROUP, columns=["features"]):
                    rows = schema.matrix(batch.column(0))
                    total = merge((total, Statistics.of(rows)), self.dimensions)
                    done += len(rows)
                    beat.update(done)
        beat.update(done, final=True)
        return [
            {
                "count": total.count,
                "mean": total.mean.astype("<f8").tobytes(),
                "scatter": total.scatter.astype("<f8").tobytes(),
            }
        ]


def unpack_statistics(row: Any, dimensions: int) -> Statistics:
    """The statistics in a row that `SumUp` returned."""
    mean = np.frombuffer(row["mean"], "<f8")
    scatter = np.frombuffer(row["scatter"], "<f8").reshape(dimensions, dimensions)
    return Statistics(int(row["count"]), mean, scatter)


@dataclass(frozen=True)
class ProjectFile:
    """Task i: principal components of the i-th file of features, under the same name."""

    files: tuple[Path, ...]
    target: Path
    pca: Shared[PCA]
    run_folder: Path

    def __call__(self, number: int) -> list[dict[str, Any]]:
        file = self.files[number]
        beat = Beat(self.run_folder, f"pca-{file.stem}")
        counted: list[int] = []

        def write(temporary: Path) -> None:
            done = 0
            keys = ["image_id", "path", "label", "split"]
            with (
                pq.ParquetFile(file) as features,
                tables.open_writer(temporary, schema.PCA) as writer,
            ):
                for batch in features.iter_batches(ROWS_PER_GROUP, columns=[*keys, "features"]):
                    rows = self.pca.value.transform(schema.matrix(batch["features"]))
                    columns = [batch[key] for key in keys]
                    columns.append(schema.list_column(rows.astype(np.float32)))
                    writer.write_table(pa.Table.from_arrays(columns, schema=schema.PCA))
                    done += len(rows)
                    beat.update(done)
            counted.append(done)

        storage.write_atomically(self.target / file.name, write)
        beat.update(counted[0], final=True)
        return [{"file": file.name, "rows": counted[0]}]
