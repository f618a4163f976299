"""What a run holds: a summary of OUT, and its rows in one file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from verger import schema, storage, tables
from verger.errors import OutputError, UsageError

EXPORT_KINDS: Final = (".csv", ".parquet", ".npz")
_KEYS = ["image_id", "path", "label", "split"]


def summary(out: Path) -> dict[str, Any]:
    """What ``run.json`` says, with the rows that the tables hold now and some rejected photos.

    Raises
    ------
    OutputError : OUT holds no run
    """
    file = out / "run.json"
    ledger = out / "_verger" / "ledger.json"
    if not file.exists() and not ledger.exists():
        raise OutputError(f"OUT {out} holds no run: expected the output folder of 'verger run'")
    try:
        report: dict[str, Any] = (
            json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"status": "begun"}
        )
    except ValueError as exc:
        raise OutputError(f"{file} is damaged: {exc}") from exc
    report["out"] = str(out)
    report["rows"] = {
        table: sum(pq.read_metadata(part).num_rows for part in _parts(out, table))
        for table in ("features", "rejected", "pca")
    }
    report["rejected_examples"] = _rejected_examples(out, 5)
    report["photos_per_second_per_slot"] = _rate(ledger)
    return report


def _rate(ledger: Path) -> float | None:
    """Photos a second and slot over all chunks, whichever run computed them."""
    try:
        chunks = json.loads(ledger.read_text(encoding="utf-8"))["chunks"]
        seconds = sum(chunk["seconds"] for chunk in chunks)
        return round(sum(chunk["rows"] for chunk in chunks) / seconds, 2) if seconds else None
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise OutputError(f"{ledger} is damaged: {exc!r}") from exc


def _parts(out: Path, table: str) -> list[Path]:
    return sorted((out / table).glob("[!.]*.parquet"))


def _rejected_examples(out: Path, most: int) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []
    for part in _parts(out, "rejected"):
        rows += pq.ParquetFile(part).read(columns=["path", "stage", "reason"]).to_pylist()
        if len(rows) >= most:
            break
    return rows[:most]


def export(
    out: Path,
    file: Path,
    *,
    features: bool = False,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Write components (or features) with their labels into one file; replaces it if it is there.

    Parameters
    ----------
    out : a run's output folder
    file : ``.csv`` (a column a value: pca_0, pca_1, ...), ``.parquet`` (a list column) or ``.npz``
        (arrays ``pca`` or ``features`` float32 (n, d), and image_id, path, label, split as text,
        empty where there is none)
    progress : told the rows so far

    Returns
    -------
    the number of rows

    Raises
    ------
    UsageError : another kind of file, or a folder that is not there
    OutputError : OUT holds no such rows
    """
    if file.suffix.lower() not in EXPORT_KINDS:
        raise UsageError(f"export file {file}: expected a name ending in {', '.join(EXPORT_KINDS)}")
    if not file.parent.is_dir():
        raise UsageError(f"export file {file}: there is no folder {file.parent}")
    column = "features" if features else "pca"
    parts = _parts(out, column)
    if not parts:
        raise OutputError(f"OUT {out} holds no {column}: expected a finished run's output folder")
    write = {".csv": _write_csv, ".parquet": _write_parquet, ".npz": _write_npz}
    counted: list[int] = []
    storage.write_atomically(
        file,
        lambda temporary: counted.append(
            write[file.suffix.lower()](_batches(parts, column, progress), column, temporary)
        ),
    )
    return counted[0]


def _batches(
    parts: list[Path], column: str, progress: Callable[[int], None] | None
) -> Iterator[pa.RecordBatch]:
    rows = 0
    for part in parts:
        with pq.ParquetFile(part) as opened:
            for batch in opened.iter_batches(1024, columns=[*_KEYS, column]):
                yield batch
                rows += batch.num_rows
                if progress:
                    progress(rows)


def _write_parquet(batches: Iterator[pa.RecordBatch], column: str, file: Path) -> int:
    fields = [schema.PCA.field(key) for key in _KEYS]
    whole = schema.FEATURES if column == "features" else schema.PCA
    target = pa.schema([*fields, whole.field(column)])
    rows = 0
    with tables.open_writer(file, target) as writer:
        for batch in batches:
            writer.write_batch(batch.cast(target))
            rows += batch.num_rows
    return rows


def _write_csv(batches: Iterator[pa.RecordBatch], column: str, file: Path) -> int:
    from pyarrow import csv

    writer: csv.CSVWriter | None = None
    rows = 0
    for batch in batches:
        matrix = schema.matrix(batch[column], column)
        arrays = [batch[key] for key in _KEYS] + [pa.array(values) for values in matrix.T]
        names = _KEYS + [f"{column}_{i}" for i in range(matrix.shape[1])]
        table = pa.Table.from_arrays(arrays, names=names)
        writer = writer or csv.CSVWriter(file, table.schema)
        writer.write_table(table)
        rows += batch.num_rows
    if writer:
        writer.close()
    return rows


def _write_npz(batches: Iterator[pa.RecordBatch], column: str, file: Path) -> int:
    matrices, keys = [], {key: [] for key in _KEYS}  # type: ignore[var-annotated]
    for batch in batches:
        matrices.append(schema.matrix(batch[column], column))
        for key in _KEYS:
            keys[key] += [value or "" for value in batch[key].to_pylist()]
    # Text of fixed width, not objects: np.load then needs no pickle.
    arrays = {key: np.array(values, dtype=np.str_) for key, values in keys.items()}
    arrays[column] = np.concatenate(matrices)
    with open(file, "wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)
    return len(arrays[column])
