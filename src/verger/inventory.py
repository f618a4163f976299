"""A collection of photos as a stream of inventory rows, in bounded memory.

A collection is a folder of any depth, or a manifest: a CSV or Parquet file with a ``path`` column
and optionally ``label`` and ``split``.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from verger import schema, storage
from verger.errors import CollectionError, LayoutError
from verger.layout import Labels, Layout
from verger.settings import Settings

ROWS_PER_BATCH = 8192
MANIFEST_EXTENSIONS = (".csv", ".parquet", ".pq")

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
            unreadable_folder = entry.size is None and os.path.isdir(storage.to_os(entry.path))
            if not (unreadable_folder or self._wanted(extension)):
                self.ignored[extension] += 1
                continue
            labels = self._labels(entry.relative)
            yield entry.path, entry.size, entry.modified, labels.label, labels.split

    def _wanted(self, extension: str) -> bool:
        return "all" in self.extensions or extension in self.extensions

    def _labels(self, relative: str) -> Labels:
        self.listed += 1
        labels = self.layout.labels(relative)
        if labels is None:
            self.unmatched += 1
            if len(self.examples) < 3:
                self.examples.append(storage.printable(relative))
        return labels or Labels()

    def _manifest_rows(self) -> Iterator[Row]:
        folder = self.root.parent
        seen = bytearray()
        for batch in _manifest_batches(self.root):
            columns = {name: batch.column(name).to_pylist() for name in batch.schema.names}
            for number, given in enumerate(columns["path"]):
                path = _manifest_path(given, folder, self.root, len(seen) // 16 + 1)
                seen += path_digest(path)
                relative = os.path.relpath(path, folder) if path.startswith(f"{folder}/") else path
                labels = self._labels(relative.lstrip("/"))
                label = columns["label"][number] if "label" in columns else labels.label
                split = columns["split"][number] if "split" in columns else labels.split
                yield path, *storage.describe(path), label, split
        self._refuse_duplicates(seen)

    def _refuse_duplicates(self, seen: bytearray) -> None:
        digests = np.frombuffer(seen, dtype="S16")
        order = np.argsort(digests, kind="stable")
        same = np.flatnonzero(digests[order][1:] == digests[order][:-1])
        if len(same):
            rows = ", ".join(f"{order[i] + 1} and {order[i + 1] + 1}" for i in same[:5])
            raise CollectionError(
                f"manifest {self.root} names {len(same)} paths more than once "
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
                f"{count} .{kind}" if kind else f"{count} without extension"
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
    layout = Layout(settings.layout)
    if root.is_file():
        if root.suffix.lower() not in MANIFEST_EXTENSIONS:
            raise CollectionError(
                f"PHOTOS {root} is a file: expected a folder of photos, or a manifest named "
                f"{', '.join('*' + e for e in MANIFEST_EXTENSIONS)} with a path column"
            )
    elif not root.is_dir():
        raise CollectionError(f"PHOTOS {root}: there is no such folder or manifest")
    out = storage.local_path(settings.out, "OUT")
    return Collection(root, layout, frozenset(settings.extensions), skip=out)


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
    opened: Iterable[pa.RecordBatch]
    try:
        names, opened = _open_csv(path) if path.suffix.lower() == ".csv" else _open_parquet(path)
        if "path" not in names:
            raise CollectionError(
                f"manifest {path} has no column 'path', only {', '.join(map(repr, names[:5]))}"
            )
        for batch in opened:
            wanted = [name for name in ("path", "label", "split") if name in batch.schema.names]
            arrays = [batch.column(name).cast(pa.string()) for name in wanted]
            yield pa.RecordBatch.from_arrays(arrays, wanted)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as exc:
        raise CollectionError(f"manifest {path} cannot be read: {exc}") from exc


def _open_csv(path: Path) -> tuple[list[str], Iterable[pa.RecordBatch]]:
    from pyarrow import csv

    texts = {name: pa.string() for name in ("path", "label", "split")}
    reader = csv.open_csv(
        path,
        convert_options=csv.ConvertOptions(
            column_types=texts, strings_can_be_null=True, null_values=[""]
        ),
    )
    return reader.schema.names, reader


def _open_parquet(path: Path) -> tuple[list[str], Iterable[pa.RecordBatch]]:
    from pyarrow import parquet

    file = parquet.ParquetFile(path)
    names = file.schema_arrow.names
    wanted = [name for name in ("path", "label", "split") if name in names]
    return names, file.iter_batches(ROWS_PER_BATCH, columns=wanted)


def _manifest_path(given: str | None, folder: Path, manifest: Path, row: int) -> str:
    if not given:
        raise CollectionError(f"manifest {manifest}: data row {row} has no path")
    try:
        local = storage.local_path(given, "path") if "://" in given else given
    except Exception as exc:
        raise CollectionError(f"manifest {manifest}: data row {row}: {exc}") from exc
    return os.path.normpath(os.path.join(folder, local))
