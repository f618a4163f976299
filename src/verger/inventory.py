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

import numpy as np
import pyarrow as pa

from verger import manifest, paths, schema, storage
from verger.errors import CollectionError, LayoutError, UsageError
from verger.layout import Labels, Layout, normal
from verger.settings import Settings

ROWS_PER_BATCH = 8192
#: So many extensions of ignored files are counted one by one, the others together.
MOST_KINDS = 1000
OTHER_KINDS = "*"

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
                self.examples.append(paths.printable(relative))
        return labels or Labels()

    def _manifest_rows(self) -> Iterator[Row]:
        folder = paths.to_text(os.fsencode(self.root.parent))
        seen = bytearray()
        for batch in manifest.read_manifest(self.root, ROWS_PER_BATCH):
            columns = {name: batch.column(name).to_pylist() for name in batch.schema.names}
            for number, given in enumerate(columns["path"]):
                path = manifest.photo_path(given, folder, self.root, len(seen) // 16 + 1)
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
                f"{count} .{paths.printable(kind)}" if kind else f"{count} without extension"
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
    root = paths.local_path(settings.photos, "PHOTOS")
    out = paths.local_path(settings.out, "OUT")
    layout = Layout(settings.layout)
    _check_root(root)
    if os.path.realpath(root) == os.path.realpath(out):
        raise UsageError(f"OUT {out} is PHOTOS itself: expected a folder of its own")
    return Collection(root, layout, frozenset(settings.extensions), skip=out)


def _check_root(root: Path) -> None:
    try:
        if not root.is_file():
            os.scandir(root).close()
        elif root.suffix.lower() not in manifest.EXTENSIONS:
            raise CollectionError(
                f"PHOTOS {root} is a file: expected a folder of photos, or a manifest named "
                f"{', '.join('*' + e for e in manifest.EXTENSIONS)} with a path column"
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
