"""`verger.tables`: one way of encoding for all of them."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from verger import schema, tables

REJECTED = [
    {"path": "a.jpg", "size": 3, "stage": "decode", "reason": "corrupt", "detail": "x"},
    {"path": "b.jpg", "size": None, "stage": "read", "reason": "missing", "detail": ""},
    {"path": "c.jpg", "size": 0, "stage": "decode", "reason": "corrupt", "detail": "y"},
]


def test_reasons_are_counted_by_stage():
    table = pa.Table.from_pylist(REJECTED, schema=schema.REJECTED)
    assert tables.count_reasons(table) == {"decode/corrupt": 2, "read/missing": 1}
    assert tables.count_reasons(table.slice(0, 0)) == {}


@pytest.mark.parametrize("count", [0, 3])
def test_tables_come_back_as_they_were(tmp_path, count):
    table = pa.Table.from_pylist(REJECTED[:count], schema=schema.REJECTED)
    tables.write_table(table, tmp_path / "t.parquet")
    back = pq.read_table(tmp_path / "t.parquet")
    assert back.equals(table)
    assert back.schema.equals(schema.REJECTED)


def test_features_are_compressed_without_a_dictionary(tmp_path):
    row = {"image_id": "0f", "path": "a.jpg", "width": 1, "height": 2, "features": [0.5, 1.5]}
    table = pa.Table.from_pylist([row] * 4, schema=schema.FEATURES)
    with tables.open_writer(tmp_path / "t.parquet", schema.FEATURES) as writer:
        writer.write_table(table)
        writer.write_table(table)
    found = pq.read_metadata(tmp_path / "t.parquet")
    assert (found.num_rows, found.num_row_groups) == (8, 2)
    group = found.row_group(0)
    columns = {group.column(i).path_in_schema.split(".")[0]: i for i in range(group.num_columns)}
    encodings = {name: group.column(i).encodings for name, i in columns.items()}
    assert all(group.column(i).compression == "ZSTD" for i in columns.values())
    assert "RLE_DICTIONARY" in encodings["path"]
    assert "RLE_DICTIONARY" not in encodings["features"]
    assert "RLE_DICTIONARY" not in encodings["image_id"]
