"""A collection of photos as a stream of inventory rows, in bounded memory.

A collection is a folder of any depth, or a manifest: a CSV or Parquet file with a ``path`` column
and optionally ``label`` and ``split``.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

from verger import schema, storage
from verger.errors import CollectionError, LayoutError, UsageError
from verger.layout import Labels, Layout, normal
from verger.settings import Settings

ROWS_PER_BATCH = 8192
#: So many extensions of ignored files are counted one by one, the others together.
MOST_KINDS = 1000
OTHER_KINDS = "*"
MANIFEST_EXTENSIONS = (".csv", ".parquet", ".pq")
MANIFEST_COLUMNS = ("path", "label", "split")
_PARSING = csv.ParseOptions(newlines_in_values=True)
_CSV_KIND = "CSV in UTF-8 with a line of column names"
_PARQUET_KIND = "Parquet with text in its columns path, label and split"

Row = tuple[str, int | None, int | None, str | None, str | None]


@dataclass
class Collection:
    """The photos of one run; iterate `batches` once, the counts are complete afterwards.

    Attributes
    ----------
    root : the folder, or the manifest file
    listed : photos so far
    ignored : files of other extensions, by extension
    unmatched : photos that the layout does not fit; they have no label
    examples : the first few of those, or of all photos where none matched
    """

    root: Path
    layout: Layout
    extensions: frozenset[str]
    skip: Path | None = None
    listed: int = 0
    ignored: Counter[str] = field(default_factory=Counter)
    unmatched: int = 0
    examples: list[str] = field(default_factory=list)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Record batches of `schema.INVENTORY`.

        Raises
        ------
        CollectionError : no photos, or a manifest that cannot be used
        LayoutError : the layout matches none of the photos
        """
        rows = self._manifest_rows() if self.root.is_file() else self._folder_rows()
        batch: list[Row] = []
        for row in rows:
            batch.append(row)
            if len(batch) == ROWS_PER_BATCH:
                yield _to_batch(batch)
                batch = []
        if batch:
            yield _to_batch(batch)
        self._check()

    def _folder_rows(self) -> Iterator[Row]:
        for entry in storage.walk(self.root, skip=self.skip):
            extension = os.path.splitext(entry.relative)[1].lower().lstrip(".")
            if entry.unreadable_folder:
                self.listed += 1
                yield entry.path, None, None, None, None
            elif self._wanted(extension):
                labels = self._labels(entry.relative)
                yield entry.path, entry.size, entry.modified, labels.label, labels.split
            else:
                self._ignore(extension)

    def _ignore(self, extension: str) -> None:
        # Numbered files (scan.0001, scan.0002) must not fill the memory.
        known = extension in self.ignored or len(self.ignored) < MOST_KINDS
        self.ignored[extension if known else OTHER_KINDS] += 1

    def _wanted(self, extension: str) -> bool:
        return "all" in self.extensions or extension in self.extensions

    def _labels(self, relative: str, *, needed: bool = True) -> Labels:
        """Count a photo and read its labels; `needed` where nothing else gives them."""
        self.listed += 1
        labels = self.layout.labels(relative)
        if labels is None and needed:
            self.unmatched += 1
            if len(self.examples) < 3:
                self.examples.append(storage.printable(relative))
        return labels or Labels()

    def _manifest_rows(self) -> Iterator[Row]:
        folder = storage.to_text(os.fsencode(self.root.parent))
        seen = bytearray()
        for batch in _manifest_batches(self.root):
            columns = {name: batch.column(name).to_pylist() for name in batch.schema.names}
            for number, given in enumerate(columns["path"]):
                path = _manifest_path(given, folder, self.root, len(seen) // 16 + 1)
                seen += path_digest(path)
                relative = path.removeprefix(f"{folder}/").lstrip("/")
                labels = self._labels(relative, needed="label" not in columns)
                label = columns["label"][number] if "label" in columns else labels.label
                split = columns["split"][number] if "split" in columns else labels.split
                yield path, *storage.describe(path), normal(label), normal(split)
        self._refuse_duplicates(seen)

    def _refuse_duplicates(self, seen: bytearray) -> None:
        digests = np.frombuffer(seen, dtype="S16")
        order = np.argsort(digests, kind="stable")
        same = np.flatnonzero(digests[order][1:] == digests[order][:-1])
        if len(same):
            pairs = sorted((int(order[i]) + 1, int(order[i + 1]) + 1) for i in same)
            rows = ", ".join(f"{first} and {second}" for first, second in pairs[:5])
            raise CollectionError(
                f"manifest {self.root} names paths again in {len(same)} of its rows "
                f"(data rows {rows}): expected one row a photo"
            )

    def _check(self) -> None:
        if not self.listed:
            raise CollectionError(self._empty_message())
        if self.unmatched == self.listed:
            listed = "".join(f"\n  {example}" for example in self.examples)
            raise LayoutError(
                f"layout {self.layout.template!r} matches none of the {self.listed} photos in "
                f"{self.root}; real paths are, for example:{listed}"
            )

    def _empty_message(self) -> str:
        if self.root.is_file():
            return f"manifest {self.root} has no rows: expected one a photo"
        message = f"no photos in {self.root}: looked for {', '.join(sorted(self.extensions))}"
        if self.ignored:
            kinds = ", ".join(
                f"{count} .{storage.printable(kind)}" if kind else f"{count} without extension"
                for kind, count in self.ignored.most_common(5)
            )
            message += f" at any depth; found other files ({kinds}); --extensions widens the search"
        return message


def path_digest(path: str) -> bytes:
    """16 bytes that stand for a path, so that millions of them can be compared in memory."""
    return hashlib.blake2b(path.encode(), digest_size=16).digest()


def open_collection(settings: Settings) -> Collection:
    """Check that the collection exists and is of a known kind.

    Raises
    ------
    CollectionError, LayoutError, UsageError
    """
    root = storage.local_path(settings.photos, "PHOTOS")
    out = storage.local_path(settings.out, "OUT")
    layout = Layout(settings.layout)
    _check_root(root)
    if os.path.realpath(root) == os.path.realpath(out):
        raise UsageError(f"OUT {out} is PHOTOS itself: expected a folder of its own")
    return Collection(root, layout, frozenset(settings.extensions), skip=out)


def _check_root(root: Path) -> None:
    try:
        if not root.is_file():
            os.scandir(root).close()
        elif root.suffix.lower() not in MANIFEST_EXTENSIONS:
            raise CollectionError(
                f"PHOTOS {root} is a file: expected a folder of photos, or a manifest named "
                f"{', '.join('*' + e for e in MANIFEST_EXTENSIONS)} with a path column"
            )
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise CollectionError(f"PHOTOS {root}: there is no such folder or manifest") from exc
    except (OSError, ValueError) as exc:
        raise CollectionError(f"PHOTOS {root} cannot be read: {exc}") from exc


def _to_batch(rows: list[Row]) -> pa.RecordBatch:
    path, size, modified, label, split = zip(*rows, strict=True)
    # Microseconds, rounded down: what Parquet readers agree on, and fine enough to see a change.
    times = [None if ns is None else ns // 1000 for ns in modified]
    return pa.RecordBatch.from_arrays(
        [
            pa.array(path, pa.string()),
            pa.array(size, pa.int64()),
            pa.array(times, pa.int64()).cast(pa.timestamp("us", tz="UTC")),
            pa.array(label, pa.string()),
            pa.array(split, pa.string()),
        ],
        schema=schema.INVENTORY,
    )


def _manifest_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Batches with the columns path, label and split as text, as far as the file has them."""
    is_csv = path.suffix.lower() == ".csv"
    try:
        # Opened here, as Arrow cannot open a path that is not UTF-8; twice, as it reads ahead.
        with open(path, "rb") as file:
            wanted = _wanted_columns(path, _csv_names(file) if is_csv else _parquet_names(file))
        with open(path, "rb") as file:
            for batch in _open_csv(file, wanted) if is_csv else _open_parquet(file, wanted):
                arrays = [column.cast(pa.string()) for column in batch.columns]
                yield pa.RecordBatch.from_arrays(arrays, batch.schema.names)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as exc:
        kind = _CSV_KIND if is_csv else _PARQUET_KIND
        found = storage.printable(str(exc))
        raise CollectionError(f"manifest {path} cannot be read: {found}; expected {kind}") from exc


def _wanted_columns(path: Path, names: list[str]) -> list[str]:
    wanted = [name for name in MANIFEST_COLUMNS if name in names]
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


def _open_parquet(file: IO[bytes], wanted: list[str]) -> Iterator[pa.RecordBatch]:
    yield from parquet.ParquetFile(file).iter_batches(ROWS_PER_BATCH, columns=wanted)


def _manifest_path(given: str | None, folder: str, manifest: Path, row: int) -> str:
    """The absolute path of a row, escaped as `storage.to_text` does, like those of a folder."""
    if not given:
        raise CollectionError(f"manifest {manifest}: data row {row} has no path")
    if storage.is_uri(given):
        try:
            given = storage.to_text(os.fsencode(storage.local_path(given, "path")))
        except UsageError as exc:
            raise CollectionError(f"manifest {manifest}: data row {row}: {exc}") from exc
    return os.path.normpath(os.path.join(folder, given))
