"""What OUT holds and what is still to do: the plan, the ledger of chunks, and the lock.

::

    OUT/_verger/
        ledger.json            identity of the run, and every chunk that has landed
        plans/000001.parquet   inventory rows to do; row group g is chunk first + g
        runs/<token>/          of the run under way: an entry for each chunk that has landed
        lock                   held by the process that runs

A chunk's table files have the chunk's own name and are put in place whole; then its entry is
written; `Ledger` folds entries into ``ledger.json``. Table files without an entry are leftovers of
a crash and are removed when the next run starts. Only entries of the run that holds the lock, or
that were there when it started, count: whatever a lost worker of an old run writes is void.
"""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from verger import schema, storage, tables
from verger.changes import Known
from verger.entries import Entry, kept_rows, landed, to_entry
from verger.errors import OutputError
from verger.inventory import path_digest
from verger.lock import STATE, lock
from verger.plan import Listing, Plan, chunk_name, write_plan

FORMAT = 1
#: Everything a run writes into OUT; ``--fresh`` removes these and nothing else.
PRODUCTS = ("features", "rejected", "pca", "model", "run.json", STATE)


class Ledger:
    """The state of one OUT, held by one run at a time; use it in a ``with`` statement.

    Parameters
    ----------
    out : the output folder; made if it is not there
    identity : what must be equal for rows of several runs to stand in one table
    fresh : remove what earlier runs left

    Raises
    ------
    OutputError : OUT cannot be written, is not Verger's, is in use, or has another identity
    """

    def __init__(self, out: Path, identity: Mapping[str, Any], *, fresh: bool = False) -> None:
        self.out = out
        self.state = out / STATE
        self.entries: dict[int, Entry] = {}
        self._identity = dict(identity)
        self._folded: list[str] = []
        self.token = uuid.uuid4().hex[:12]
        self.run_folder = self.state / "runs" / self.token
        created = not out.exists()
        self._lock = lock(out)
        self._created = created
        try:
            if fresh:
                self._clear()
            self._open()
        except BaseException:
            self._lock.close()
            raise

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.fold()
            self._remove_orphans()
            if kind is not None and self._created and not self.entries:
                storage.remove(self.out)  # nothing came of it, as when there are no photos
        finally:
            self._lock.close()

    def _clear(self) -> None:
        for name in PRODUCTS:
            if name != STATE:
                storage.remove(self.out / name)
        for name in ("ledger.json", "plans", "runs"):
            storage.remove(self.state / name)

    def _open(self) -> None:
        file = self.state / "ledger.json"
        if file.exists():
            self._load(file)
        self.fold()
        self._remove_orphans()
        for name in ("features", "rejected", "pca"):
            (self.out / name).mkdir(exist_ok=True)
        (self.state / "plans").mkdir(exist_ok=True)
        self.run_folder.mkdir(parents=True)
        self._clean()

    def _load(self, file: Path) -> None:
        try:
            document = json.loads(file.read_text(encoding="utf-8"))
            before, entries = document["identity"], [to_entry(row) for row in document["chunks"]]
            self._folded = document["runs"]
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise OutputError(f"{file} is damaged ({exc!r}): --fresh starts anew") from exc
        if document["format"] != FORMAT:
            raise OutputError(
                f"{file} has format {document['format']}, this version reads {FORMAT}: "
                "use another OUT, or --fresh to start anew"
            )
        self.entries = {entry.chunk: entry for entry in entries}
        if before != self._identity and (self.entries or any(self.state.glob("runs/*/*.json"))):
            raise OutputError(_difference(self.out, before, self._identity))

    def absorb(self) -> None:
        """Take the entries that tasks have written so far into `entries`."""
        runs = self.state / "runs"
        for folder in sorted(runs.iterdir()) if runs.exists() else ():
            if folder.name not in self._folded:
                self.entries |= {entry.chunk: entry for entry in landed(folder)}

    def fold(self) -> None:
        """Take the entries of all runs into ``ledger.json`` and end those runs."""
        self.absorb()
        runs = self.state / "runs"
        found = [folder.name for folder in runs.iterdir()] if runs.exists() else []
        self._folded += [name for name in sorted(found) if name not in self._folded]
        self._save()
        storage.remove(runs)

    def _save(self) -> None:
        document = {
            "format": FORMAT,
            "identity": self._identity,
            "runs": self._folded[-100:],
            "chunks": [asdict(self.entries[chunk]) for chunk in sorted(self.entries)],
        }
        storage.write_text(self.state / "ledger.json", json.dumps(document, indent=1))

    def _remove_orphans(self) -> None:
        for table in ("features", "rejected"):
            for file in (self.out / table).glob("*"):
                if not (file.stem.isdigit() and int(file.stem) in self.entries):
                    storage.remove(file)
        # Half-written when a run was killed.
        for folder, names in ((self.state, ".*"), (self.out, ".run.json.*"), (self.out, ".*.old")):
            for file in folder.glob(names):
                storage.remove(file)

    def compare(self, batches: Iterable[pa.RecordBatch], *, prune: bool = False) -> Listing:
        """Write down what is there now and find out what is new.

        Rows of changed photos, of photos that could not be read before, and with `prune` of
        removed ones are dropped from the tables.
        """
        known = self._known()
        file = self.state / "listing.parquet"
        pending: list[NDArray[np.bool_]] = [np.zeros(0, bool)]
        with pq.ParquetWriter(file, schema.INVENTORY) as writer:
            for batch in batches:
                writer.write_batch(batch)
                pending.append(known.compare(batch))
        drop = known.stale | (known.retry & known.found)
        removed = ~known.found
        self._drop(known, drop | removed if prune else drop)
        return Listing(
            file=file,
            listed=sum(map(len, pending)),
            pending=np.concatenate(pending),
            changed=int(known.stale.sum()),
            removed=int(removed.sum()),
            retried=int((known.retry & known.found & ~known.stale).sum()),
        )

    def plan(self, listing: Listing, chunk: int) -> Plan:
        """Cut what is to do into chunks of at most `chunk` photos."""
        return write_plan(self.state / "plans", listing, chunk)

    def _known(self) -> Known:
        keys, numbers, retries = [np.zeros(0, "S16")], [np.zeros((0, 4), np.int64)], set[bytes]()
        by_plan = sorted(self.entries.values(), key=lambda entry: (entry.plan, entry.group))
        for number, entries in itertools.groupby(by_plan, key=lambda entry: entry.plan):
            with self._plan_file(number) as file:
                for entry in entries:
                    digests, columns = kept_rows(file, entry)
                    keys.append(digests)
                    numbers.append(columns)
        for entry in self.entries.values():
            if any(reason.startswith("read/") for reason in entry.reasons):
                retries |= self._unread(entry.chunk)
        return Known.of(np.concatenate(keys), np.concatenate(numbers), retries)

    def _plan_file(self, number: int) -> pq.ParquetFile:
        path = self.state / "plans" / chunk_name(number)
        try:
            return pq.ParquetFile(path)
        except (OSError, pa.ArrowException) as exc:
            raise OutputError(f"{path} is missing or damaged: --fresh starts anew") from exc

    def _unread(self, chunk: int) -> set[bytes]:
        """Photos that could not be read: they may be readable now."""
        table = pq.read_table(self.out / "rejected" / chunk_name(chunk), columns=["path", "stage"])
        unread = table.filter(pc.equal(table["stage"], "read"))
        return set(map(path_digest, unread["path"].to_pylist()))

    def _drop(self, known: Known, which: NDArray[np.bool_]) -> None:
        """Note the dropped rows in the ledger first, then clean the tables: both can be redone."""
        for chunk in np.unique(known.chunks[which]).tolist():
            rows = known.rows[which & (known.chunks == chunk)].tolist()
            entry = self.entries[chunk]
            dropped = tuple(sorted({*entry.dropped, *rows}))
            self.entries[chunk] = replace(entry, dropped=dropped, dirty=True)
        if which.any():
            self._save()
            self._clean()

    def _clean(self) -> None:
        dirty = [entry for entry in self.entries.values() if entry.dirty]
        for entry in dirty:
            with self._plan_file(entry.plan) as plan:
                paths = plan.read_row_group(entry.group, columns=["path"])["path"]
            dropped = paths.take(pa.array(entry.dropped, pa.int64()))
            features = self._without(self.out / "features" / chunk_name(entry.chunk), dropped)
            rejected = self._without(self.out / "rejected" / chunk_name(entry.chunk), dropped)
            self.entries[entry.chunk] = replace(
                entry,
                dirty=False,
                featurised=0 if features is None else features.num_rows,
                rejected=0 if rejected is None else rejected.num_rows,
                reasons={} if rejected is None else tables.count_reasons(rejected),
            )
        if dirty:
            self._save()

    def _without(self, file: Path, paths: pa.ChunkedArray) -> pa.Table | None:
        """A table file without the rows of these photos; the file goes when no row is left."""
        if not file.exists():
            return None
        table = pq.ParquetFile(file).read()
        kept = table.filter(pc.invert(pc.is_in(table["path"], paths)))
        if kept.num_rows == 0:
            file.unlink()
            return None
        if kept.num_rows < table.num_rows:
            storage.write_atomically(file, lambda temporary: tables.write_table(kept, temporary))
        return kept


def _difference(out: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    lines = [
        f"\n  {name}: {before.get(name)!r} then, {now.get(name)!r} now"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    ]
    return (
        f"OUT {out} holds a run with other settings:{''.join(lines)}\n"
        "use the same settings, another OUT, or --fresh to throw the old results away"
    )
