"""`verger.schema`: matrices to list columns and back."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verger import schema


def numbers(n, d):
    return np.arange(n * d, dtype=np.float32).reshape(n, d) / 3


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 20), st.integers(0, 9), st.data())
def test_round_trip_of_any_slice(n, d, data):
    start = data.draw(st.integers(0, n - 1))
    length = data.draw(st.integers(1, n - start))
    rows = numbers(n, d)
    column = schema.list_column(rows)
    np.testing.assert_array_equal(schema.matrix(column), rows)
    np.testing.assert_array_equal(
        schema.matrix(column.slice(start, length)), rows[start : start + length]
    )


@pytest.mark.parametrize("d", [0, 1, 5])
def test_no_rows(d):
    column = schema.list_column(np.empty((0, d), np.float32))
    assert len(column) == 0
    assert column.type == pa.list_(pa.float32())
    # How wide no rows are cannot be told from a column.
    assert schema.matrix(column).shape == (0, 0)
    assert schema.matrix(column.slice(0, 0)).dtype == np.float32
    assert schema.matrix(pa.chunked_array([], pa.list_(pa.float32()))).shape == (0, 0)


def test_an_empty_slice_of_many_rows():
    assert schema.matrix(schema.list_column(numbers(5, 3)).slice(2, 0)).shape == (0, 0)


@pytest.mark.parametrize("chunks", [(5,), (2, 3), (0, 5), (1, 1, 0, 3)])
def test_chunked_columns(chunks):
    rows = numbers(5, 3)
    column = schema.list_column(rows)
    starts = np.cumsum([0, *chunks])[:-1]
    pieces = [column.slice(start, size) for start, size in zip(starts, chunks, strict=True)]
    np.testing.assert_array_equal(schema.matrix(pa.chunked_array(pieces)), rows)


@pytest.mark.parametrize(
    "kind",
    [
        pa.large_list(pa.float32()),
        pa.list_(pa.float32(), 3),
        pa.list_(pa.float64()),
        pa.list_(pa.field("element", pa.float32(), nullable=False)),
    ],
    ids=str,
)
def test_every_kind_of_list_that_engines_return(kind):
    rows = numbers(6, 3)
    column = pa.array(rows.tolist(), kind)
    for found, expected in [
        (schema.matrix(column), rows),
        (schema.matrix(column.slice(2, 3)), rows[2:5]),
    ]:
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected)


def test_values_that_are_not_finite_are_kept():
    rows = np.array([[np.nan, np.inf], [-np.inf, -0.0]], np.float32)
    np.testing.assert_array_equal(schema.matrix(schema.list_column(rows)), rows)


def test_matrices_of_other_layout_or_type():
    rows = numbers(4, 6)
    for view in (rows[:, ::2], rows.T, rows[::-1], rows.astype(np.float64), rows.astype(">f4")):
        np.testing.assert_array_equal(schema.matrix(schema.list_column(view)), view)


def test_values_are_not_copied():
    rows = numbers(4, 6)
    there = schema.list_column(rows)
    assert np.shares_memory(there.flatten().to_numpy(), rows)
    assert np.shares_memory(schema.matrix(there), rows)


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ([[1.0], None, None], "has 2 null rows, expected lists"),
        ([[1.0, 2.0], [3.0]], "lists of different lengths"),
        ([[1.0, 2.0, 3.0], [4.0]], "lists of different lengths"),
        ([[], [1.0, 2.0]], "lists of different lengths"),
        ([[1.0, None], [2.0, 3.0]], "has 1 nulls in its lists, expected none"),
    ],
)
def test_columns_that_are_no_matrix(lists, message):
    column = pa.array(lists, pa.list_(pa.float32()))
    with pytest.raises(ValueError, match=message):
        schema.matrix(column)
    with pytest.raises(ValueError, match="column 'pca'"):
        schema.matrix(column, "pca")


def test_what_a_slice_leaves_out_does_not_matter():
    column = pa.array([None, [1.0], [2.0, 3.0], [4.0, 5.0], [None]], pa.list_(pa.float32()))
    np.testing.assert_array_equal(schema.matrix(column.slice(2, 2)), [[2, 3], [4, 5]])


def test_more_values_than_a_column_can_hold():
    huge = np.broadcast_to(np.float32(0), (2**21, 1280))
    with pytest.raises(ValueError, match=r"shape \(2097152, 1280\): a list column holds"):
        schema.list_column(huge)


def test_features_survive_a_file(tmp_path):
    rows = numbers(7, 4)
    texts = pa.array(["a"] * 7)
    sizes = pa.array([1] * 7, pa.int32())
    columns = [texts, texts, texts, texts, sizes, sizes, schema.list_column(rows)]
    table = pa.Table.from_arrays(columns, schema=schema.FEATURES)
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=3)
    back = pq.read_table(tmp_path / "t.parquet")
    assert back.schema.equals(schema.FEATURES)
    np.testing.assert_array_equal(schema.matrix(back["features"]), rows)
    np.testing.assert_array_equal(schema.matrix(back["features"].slice(2, 3)), rows[2:5])


@pytest.mark.parametrize("name", ["INVENTORY", "FEATURES", "REJECTED", "PCA"])
def test_tables_have_named_columns_once(name):
    names = getattr(schema, name).names
    assert len(names) == len(set(names))
    assert "path" in names
