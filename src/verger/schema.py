"""Every table's columns, Arrow types and meaning. `docs/outputs.md` says the same to users."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

#: What was listed. `modified` is kept in microseconds, the finest that every engine reads.
INVENTORY: Final = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("size", pa.int64()),
        pa.field("modified", pa.timestamp("us", tz="UTC")),
        pa.field("label", pa.string()),
        pa.field("split", pa.string()),
    ]
)

#: One row a photo that became features; `image_id` is the SHA-256 (hex) of the file's bytes,
#: width and height are those of the upright photo in pixels.
FEATURES: Final = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("label", pa.string()),
        pa.field("split", pa.string()),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("features", pa.list_(pa.float32()), nullable=False),
    ]
)

#: One row a photo that did not; `stage` is read, decode or infer.
REJECTED: Final = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("size", pa.int64()),
        pa.field("stage", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
    ]
)

#: Principal components of each row of features.
PCA: Final = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("label", pa.string()),
        pa.field("split", pa.string()),
        pa.field("pca", pa.list_(pa.float32()), nullable=False),
    ]
)


def list_column(matrix: NDArray[np.float32]) -> pa.ListArray:
    """A float32 matrix (n, d) as n lists of d floats, without copying the values.

    Raises
    ------
    ValueError : more values (2^31) than a list column can hold
    """
    count, length = matrix.shape
    if count * length > np.iinfo(np.int32).max:
        raise ValueError(f"matrix of shape {matrix.shape}: a list column holds 2^31 - 1 values")
    offsets = pa.array(np.arange(count + 1, dtype=np.int32) * np.int32(length))
    values = np.ascontiguousarray(matrix, dtype=np.float32).reshape(-1)
    return pa.ListArray.from_arrays(offsets, pa.array(values))


def matrix(column: pa.ChunkedArray | pa.Array, name: str = "features") -> NDArray[np.float32]:
    """The other way: equally long lists to a float32 matrix (n, d).

    Every kind of list will do: engines return small, large and fixed-size ones.

    Raises
    ------
    ValueError : lists of different lengths, null ones, or nulls in them
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    count = len(array)
    if array.null_count:
        raise ValueError(f"column {name!r} has {array.null_count} null rows, expected lists")
    if count == 0:
        return np.empty((0, 0), np.float32)
    flat = array.flatten()
    if flat.null_count:
        raise ValueError(f"column {name!r} has {flat.null_count} nulls in its lists, expected none")
    length, rest = divmod(len(flat), count)
    if rest or (pc.list_value_length(array).to_numpy() != length).any():
        raise ValueError(f"column {name!r} holds lists of different lengths, expected equal ones")
    values: NDArray[np.float32] = flat.to_numpy().astype(np.float32, copy=False)
    return values.reshape(count, length)
