"""The ledger: what counts as done after crashes, changes and lost workers."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pytest

from verger import schema, tables
from verger.entries import Entry
from verger.errors import OutputError
from verger.ledger import Ledger
from verger.plan import chunk_name

IDENTITY = {"layout": "parent"}


def inventory(paths, size=1):
    rows = [
        {"path": path, "size": size, "modified": 0, "label": None, "split": None} for path in paths
    ]
    return [pa.RecordBatch.from_pylist(rows, schema=schema.INVENTORY)]


def land(ledger, plan, group, folder=None):
    """Do what a task does: table file, then entry."""
    table = ledger_plan(plan, group)
    chunk = plan.first + group
    write_features(ledger.out, chunk, table["path"].to_pylist())
    rows = table.num_rows
    Entry(chunk, plan.number, group, rows, featurised=rows, rejected=0).write(
        folder or ledger.run_folder
    )


def write_features(out, chunk, paths):
    rows = [
        {"image_id": path, "path": path, "width": 1, "height": 1, "features": [0.0]}
        for path in paths
    ]
    table = pa.Table.from_pylist(rows, schema=schema.FEATURES)
    tables.write_table(table, out / "features" / chunk_name(chunk))


def ledger_plan(plan, group):
    import pyarrow.parquet as pq

    return pq.ParquetFile(plan.file).read_row_group(group)


def paths_in(out):
    import pyarrow.parquet as pq

    return sorted(
        path
        for file in (out / "features").glob("*.parquet")
        for path in pq.ParquetFile(file).read()["path"].to_pylist()
    )


def test_what_landed_before_a_crash_is_not_done_again(tmp_path):
    ledger = Ledger(tmp_path / "out", IDENTITY)
    plan = ledger.plan(ledger.compare(inventory("abcdef")), 2)
    land(ledger, plan, 1)
    write_features(ledger.out, plan.first, ["a", "b"])  # its entry was never written
    (ledger.out / "features" / ".000002.parquet.99-ab").write_bytes(b"half")
    ledger._lock.close()  # as the system does for a process that was killed

    with Ledger(tmp_path / "out", IDENTITY) as again:
        assert paths_in(again.out) == ["c", "d"]
        listing = again.compare(inventory("abcdef"))
        assert listing.reused == 2
        second = again.plan(listing, 10)
        assert ledger_plan(second, 0)["path"].to_pylist() == ["a", "b", "e", "f"]
        assert second.first >= plan.first + 3  # numbers are never used again


def test_an_entry_that_a_loss_of_power_spoilt_is_none(tmp_path):
    ledger = Ledger(tmp_path / "out", IDENTITY)
    plan = ledger.plan(ledger.compare(inventory("ab")), 1)
    land(ledger, plan, 0)
    land(ledger, plan, 1)
    (ledger.run_folder / "000001.json").write_bytes(b"")
    ledger._lock.close()
    with Ledger(tmp_path / "out", IDENTITY) as again:
        assert paths_in(again.out) == ["a"]
        assert again.compare(inventory("ab")).pending.tolist() == [False, True]


def test_a_worker_that_outlives_its_run_changes_nothing(tmp_path):
    ledger = Ledger(tmp_path / "out", IDENTITY)
    old = ledger.plan(ledger.compare(inventory("ab")), 1)
    old_folder = ledger.run_folder
    ledger._lock.close()

    with Ledger(tmp_path / "out", IDENTITY) as again:
        assert not old_folder.exists()
        plan = again.plan(again.compare(inventory("ab")), 2)
        land(again, plan, 0)
        old_folder.mkdir()  # an object store has no folders to be gone
        land(again, old, 0, old_folder)
    with Ledger(tmp_path / "out", IDENTITY) as last:
        assert paths_in(last.out) == ["a", "b"]
        assert list(last.entries) == [plan.first]


def test_dropping_rows_can_be_interrupted(tmp_path):
    with Ledger(tmp_path / "out", IDENTITY) as ledger:
        plan = ledger.plan(ledger.compare(inventory("abc")), 3)
        land(ledger, plan, 0)
    file = tmp_path / "out" / "_verger" / "ledger.json"
    document = json.loads(file.read_text())
    # Killed after the drop was noted, before the table was rewritten.
    document["chunks"][0] |= {"dropped": [1], "dirty": True}
    file.write_text(json.dumps(document))
    with Ledger(tmp_path / "out", IDENTITY) as again:
        assert paths_in(again.out) == ["a", "c"]
        assert again.entries[plan.first].featurised == 2
        assert again.compare(inventory("abc")).pending.tolist() == [False, True, False]


def test_a_changed_size_or_time_is_a_changed_photo(tmp_path):
    with Ledger(tmp_path / "out", IDENTITY) as ledger:
        plan = ledger.plan(ledger.compare(inventory("abc")), 3)
        land(ledger, plan, 0)
    with Ledger(tmp_path / "out", IDENTITY) as again:
        listing = again.compare(inventory("ab", size=2))
        assert (listing.changed, listing.removed) == (2, 1)
        assert listing.pending.all()
        assert paths_in(again.out) == ["c"]


def test_two_runs_into_one_folder_are_refused(tmp_path):
    with (
        Ledger(tmp_path / "out", IDENTITY),
        pytest.raises(OutputError, match=r"in use by process \d+ on"),
    ):
        Ledger(tmp_path / "out", IDENTITY)
    with Ledger(tmp_path / "out", IDENTITY):
        pass


@pytest.mark.parametrize("content", ["", "{", '{"format": 1}', "[]", '{"chunks": [{}]}'])
def test_a_damaged_ledger_is_told_and_fresh_helps(tmp_path, content):
    with Ledger(tmp_path / "out", IDENTITY):
        pass
    (tmp_path / "out" / "_verger" / "ledger.json").write_text(content)
    with pytest.raises(OutputError, match="damaged"):
        Ledger(tmp_path / "out", IDENTITY)
    with Ledger(tmp_path / "out", IDENTITY, fresh=True) as ledger:
        assert ledger.entries == {}


def test_a_missing_plan_is_told(tmp_path):
    with Ledger(tmp_path / "out", IDENTITY) as ledger:
        land(ledger, ledger.plan(ledger.compare(inventory("abc")), 3), 0)
    shutil.rmtree(tmp_path / "out" / "_verger" / "plans")
    with (
        pytest.raises(OutputError, match="missing or damaged"),
        Ledger(tmp_path / "out", IDENTITY) as again,
    ):
        again.compare(inventory("abc"))


def test_out_must_be_a_folder_that_can_be_written(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot be written"):
        Ledger(tmp_path / "file", IDENTITY)


def test_comparing_takes_few_bytes_a_photo(tmp_path):
    paths = [f"/photos/{i:07d}.jpg" for i in range(20_000)]
    with Ledger(tmp_path / "out", IDENTITY) as ledger:
        plan = ledger.plan(ledger.compare(inventory(paths)), 8192)
        for group in range(len(plan.sizes)):
            rows = plan.sizes[group]
            Entry(plan.first + group, plan.number, group, rows, rows, 0).write(ledger.run_folder)
        ledger.absorb()
        known = ledger._known()
    held = sum(column.nbytes for column in vars(known).values() if isinstance(column, np.ndarray))
    assert held / len(paths) < 64
    assert known.compare(inventory(paths)[0]).sum() == 0
