"""Manifests: CSV or Parquet files with a row a photo, read as text in batches."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pyarrow as pa
from pyarrow import csv, parquet

from verger import paths
from verger.errors import CollectionError, UsageError

EXTENSIONS = (".csv", ".parquet", ".pq")
COLUMNS = ("path", "label", "split")
_PARSING = csv.ParseOptions(newlines_in_values=True)
_CSV_KIND = "CSV in UTF-8 with a line of column names"
_PARQUET_KIND = "Parquet with text in its columns path, label and split"


def read_manifest(path: Path, rows: int) -> Iterator[pa.RecordBatch]:
    """Batches with the columns path, label and split as text, as far as the file has them.

    Parameters
    ----------
    rows : of a batch at most, where the file is Parquet

    Raises
    ------
    CollectionError : a file that cannot be read, or that lacks what it needs
    """
    is_csv = path.suffix.lower() == ".csv"
    try:
        # Opened here, as Arrow cannot open a path that is not UTF-8; twice, as it reads ahead.
        with open(path, "rb") as file:
            wanted = _wanted_columns(path, _csv_names(file) if is_csv else _parquet_names(file))
        with open(path, "rb") as file:
            for batch in _open_csv(file, wanted) if is_csv else _open_parquet(file, wanted, rows):
                arrays = [column.cast(pa.string()) for column in batch.columns]
                yield pa.RecordBatch.from_arrays(arrays, batch.schema.names)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as exc:
        kind = _CSV_KIND if is_csv else _PARQUET_KIND
        found = paths.printable(str(exc))
        raise CollectionError(f"manifest {path} cannot be read: {found}; expected {kind}") from exc


def photo_path(given: str | None, folder: str, manifest: Path, row: int) -> str:
    """The absolute path of a row, escaped as `paths.to_text` does, like those of a folder.

    Raises
    ------
    CollectionError : no path, or one that is not local
    """
    if not given:
        raise CollectionError(f"manifest {manifest}: data row {row} has no path")
    if paths.is_uri(given):
        try:
            given = paths.to_text(os.fsencode(paths.local_path(given, "path")))
        except UsageError as exc:
            raise CollectionError(f"manifest {manifest}: data row {row}: {exc}") from exc
    return os.path.normpath(os.path.join(folder, given))


def _wanted_columns(path: Path, names: list[str]) -> list[str]:
    wanted = [name for name in COLUMNS if name in names]
    if "path" not in wanted:
        found = ", ".join(map(repr, names[:5]))
        raise CollectionError(f"manifest {path} has no column 'path', only {found}")
    if twice := [name for name in wanted if names.count(name) > 1]:
        raise CollectionError(f"manifest {path} has column {twice[0]!r} more than once")
    return wanted


def _csv_names(file: IO[bytes]) -> list[str]:
    with csv.open_csv(file, parse_options=_PARSING) as reader:
        names: list[str] = reader.schema.names
    return names


def _open_csv(file: IO[bytes], wanted: list[str]) -> Iterator[pa.RecordBatch]:
    options = csv.ConvertOptions(
        # The other columns are left out: their types would be guessed, and the guess may fail.
        include_columns=wanted,
        column_types=dict.fromkeys(wanted, pa.string()),
        strings_can_be_null=True,
        null_values=[""],
    )
    yield from csv.open_csv(file, parse_options=_PARSING, convert_options=options)


def _parquet_names(file: IO[bytes]) -> list[str]:
    names: list[str] = parquet.read_schema(file).names
    return names


def _open_parquet(file: IO[bytes], wanted: list[str], rows: int) -> Iterator[pa.RecordBatch]:
    yield from parquet.ParquetFile(file).iter_batches(rows, columns=wanted)
