"""How tables are encoded in files: one way for all of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def write_table(table: pa.Table, file: Path) -> None:
    """The one way in which tables are encoded."""
    with open_writer(file, table.schema) as writer:
        writer.write_table(table)


def open_writer(file: Path, table_schema: pa.Schema) -> pq.ParquetWriter:
    """A writer whose settings suit features: floats do not repeat, so no dictionary for them."""
    texts = [f.name for f in table_schema if pa.types.is_string(f.type) and f.name != "image_id"]
    return pq.ParquetWriter(
        file, table_schema, compression="zstd", compression_level=1, use_dictionary=texts
    )


def count_reasons(rejected: pa.Table) -> dict[str, int]:
    """Rows by "stage/reason"."""
    pairs = zip(rejected["stage"].to_pylist(), rejected["reason"].to_pylist(), strict=True)
    return dict(Counter(f"{stage}/{reason}" for stage, reason in pairs))
