"""What `benchmarks.pca` compares: ways to read features and to fit components to them."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks import synthetic
from verger import pca, schema
from verger.engine import stages
from verger.engine.session import Engine, borrow, open_engine
from verger.engine.tasks import run_tasks
from verger.pipeline import MOST_STATISTICS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

#: The first principal axes (k, d), float64.
Components = NDArray[np.float64]


@dataclass(frozen=True)
class Engines:
    """What the contenders run on; both are up before anything is timed."""

    embedded: Engine
    spark: Engine


@contextmanager
def open_engines(parallelism: int, memory: str) -> Iterator[Engines]:
    """Embedded, and Apache Spark with so much memory (as "8g") for its driver."""
    spark = _start_spark(parallelism, memory)
    try:
        with open_engine("embedded", parallelism) as embedded:
            yield Engines(embedded, borrow(spark, parallelism))
    finally:
        spark.stop()


def _start_spark(parallelism: int, memory: str) -> SparkSession:
    """As Verger starts it, with the memory that Spark ML needs on the driver."""
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    log4j = resources.files("verger.engine") / "log4j2.properties"
    spark: SparkSession = (
        SparkSession.builder.appName("verger-benchmark")
        .master(f"local[{parallelism}]")
        .config("spark.driver.memory", memory)
        .config("spark.driver.maxResultSize", memory)
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.driver.extraJavaOptions", f"-Dlog4j2.configurationFile={log4j}")
        .getOrCreate()
    )
    return spark


def read(files: tuple[Path, ...], threads: int) -> None:
    """The loop of `stages.SumUp` without its sums."""

    def read_group(group: int) -> int:
        rows = 0
        for file in files[group::threads]:
            with pq.ParquetFile(file) as features:
                for batch in features.iter_batches(4 * stages.ROWS_PER_GROUP, columns=["features"]):
                    rows += len(schema.matrix(batch.column(0)))
        return rows

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(read_group, range(threads)))


def fit(engine: Engine, files: tuple[Path, ...], components: int) -> Components:
    """What the pipeline does to fit: statistics on the engine, merged and decomposed here."""
    folder = files[0].parent / f"run-{uuid.uuid4().hex}"
    folder.mkdir()
    groups = min(len(files), engine.slots, MOST_STATISTICS)
    work = stages.SumUp(files, groups, synthetic.DIMENSIONS, folder)
    rows = run_tasks(engine, groups, work, stages.STATISTICS_DDL)
    parts = (stages.unpack_statistics(row, synthetic.DIMENSIONS) for row in rows)
    return pca.fit(pca.merge(parts, synthetic.DIMENSIONS), components).components


def fit_spark_ml(spark: SparkSession, files: tuple[Path, ...], components: int) -> Components:
    """The usual way on Spark."""
    from pyspark.ml.feature import PCA

    fitted = PCA(k=components, inputCol="vector", outputCol="pca").fit(_vectors(spark, files))
    found: Components = fitted.pc.toArray().T
    return found


def libraries(spark: SparkSession) -> str:
    """What Spark ML computes with: native libraries where it finds them, else Java."""
    netlib = spark._jvm.dev.ludovic.netlib
    blas = netlib.blas.BLAS.getInstance().getClass().getSimpleName()
    lapack = netlib.lapack.LAPACK.getInstance().getClass().getSimpleName()
    return f"{blas} and {lapack}"


def read_with_spark(spark: SparkSession, files: tuple[Path, ...]) -> None:
    """All vectors made by Spark, and thrown away."""
    _vectors(spark, files).write.format("noop").mode("overwrite").save()


def _vectors(spark: SparkSession, files: tuple[Path, ...]) -> DataFrame:
    from pyspark.ml.functions import array_to_vector

    frame = spark.read.parquet(*map(str, files))
    return frame.select(array_to_vector("features").alias("vector"))
