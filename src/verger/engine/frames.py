"""Featurising as a stage of somebody's own job: DataFrame in, DataFrame out."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from verger.backbone import Backbone
from verger.engine.session import Shared
from verger.engine.stages import ROWS_PER_GROUP
from verger.errors import UsageError
from verger.features import BATCH, extractor
from verger.images import DEFAULT_LIMITS, Limits
from verger.photos import Outcome, featurise

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: What `featurise_frame` adds; features are null where stage, reason and detail say why.
OUTCOME_COLUMNS = ("image_id", "width", "height", "features", "stage", "reason", "detail")


def featurise_frame(
    frame: DataFrame,
    backbone: Shared[Backbone],
    *,
    column: str = "path",
    limits: Limits = DEFAULT_LIMITS,
    batch: int = BATCH,
) -> DataFrame:
    """Add features to a DataFrame of photos.

    Parameters
    ----------
    frame : with a column of paths (string) or of the photos' bytes (binary)
    backbone : as `Engine.share` gives it
    column : the name of that column
    limits, batch : as in `verger.photos.featurise`

    Returns
    -------
    the same rows with `OUTCOME_COLUMNS` added; a column of bytes is left out

    Raises
    ------
    UsageError : no such column, or one of another type
    """
    from pyspark.sql import types

    if column not in frame.columns:
        raise UsageError(f"the DataFrame has no column {column!r}, only {frame.columns[:5]}")
    kind = frame.schema[column].dataType
    if not isinstance(kind, types.BinaryType | types.StringType):
        raise UsageError(
            f"column {column!r} is {kind.simpleString()}, expected paths (string) or bytes (binary)"
        )
    is_bytes = isinstance(kind, types.BinaryType)
    kept = [name for name in frame.columns if not (is_bytes and name == column)]
    result = types.StructType([frame.schema[name] for name in kept])
    texts, integers = types.StringType(), types.IntegerType()
    floats = types.ArrayType(types.FloatType())
    for name in OUTCOME_COLUMNS:
        number = integers if name in ("width", "height") else texts
        result = result.add(name, floats if name == "features" else number)
    body = partial(
        _featurise_batches, backbone=backbone, column=column, kept=kept, limits=limits, batch=batch
    )
    return frame.mapInArrow(body, result)


def _featurise_batches(
    batches: Iterator[pa.RecordBatch],
    *,
    backbone: Shared[Backbone],
    column: str,
    kept: list[str],
    limits: Limits,
    batch: int,
) -> Iterator[pa.RecordBatch]:
    network = extractor(backbone.value)
    for whole in batches:
        # A slice at a time: features take 5 kB a row, an engine's batch has 10,000 rows.
        for start in range(0, whole.num_rows, ROWS_PER_GROUP):
            part = whole.slice(start, ROWS_PER_GROUP)
            given = part.column(column)
            nothing: str | bytes = b"" if pa.types.is_binary(given.type) else ""
            sources = (nothing if it is None else it for it in given.to_pylist())
            outcomes = list(featurise(sources, network, limits, batch))
            arrays = [part.column(name) for name in kept] + _outcome_columns(outcomes)
            names = [*kept, *OUTCOME_COLUMNS]
            yield pa.RecordBatch.from_arrays(arrays, names)


def _outcome_columns(outcomes: list[Outcome]) -> list[pa.Array]:
    errors = [outcome.error for outcome in outcomes]
    texts = [
        pa.array([getattr(error, name) if error else None for error in errors], pa.string())
        for name in ("stage", "reason", "detail")
    ]
    return [
        pa.array([outcome.image_id or None for outcome in outcomes], pa.string()),
        pa.array([outcome.width or None for outcome in outcomes], pa.int32()),
        pa.array([outcome.height or None for outcome in outcomes], pa.int32()),
        pa.array([outcome.features for outcome in outcomes], pa.list_(pa.float32())),
        *texts,
    ]
