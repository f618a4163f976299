"""Spread numbered tasks over an engine and collect what they return.

A task is a number; it reads what it needs and writes what it makes by itself, and only small rows
come back. So photos and features never pass through the JVM (Spark's row-wise copies of 1,280
floats a photo cost more than a twentieth of the whole), and every engine writes the same files.
"""

from __future__ import annotations

import itertools
import threading
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from verger.beats import RunOver
from verger.engine.session import Engine, local_tasks, root_cause
from verger.errors import EngineError

if TYPE_CHECKING:
    from pyspark.sql import Row

#: A task's work: its number to the rows it returns.
Work = Callable[[int], list[dict[str, Any]]]

_counters: dict[str, Iterator[int]] = {}


def run_tasks(engine: Engine, count: int, work: Work, ddl: str) -> list[Row]:
    """Run tasks 0 to count - 1 and return their rows, in no particular order.

    Parameters
    ----------
    engine : where to run
    count : number of tasks
    work : picklable; called once a task in some worker, perhaps again when a worker is lost
    ddl : the rows' columns as Spark DDL

    Raises
    ------
    EngineError : a task failed for good, with its last words
    """
    if count == 0:
        return []
    from pyspark.errors import PySparkException

    counter = uuid.uuid4().hex if engine.in_process else None
    # Sail starts all partitions at once, each with memory of its own: so one a slot, which take
    # the next number in turn. Apache Spark has a scheduler: a partition a task.
    partitions = min(count, engine.slots) if counter else count
    if counter:
        _counters[counter] = iter(range(count))
    try:
        numbers = engine.spark.range(0, partitions, 1, partitions)
        body = partial(_run_partition, work=work, counter=counter)
        frame = numbers.mapInArrow(body, ddl)
        return _interruptibly(frame.collect)
    except (PySparkException, OSError) as exc:
        raise EngineError(f"{engine.version} failed: {root_cause(exc)}") from exc
    except Exception as exc:
        # Py4J errors have no public base class, and belong to packages that may be missing.
        if type(exc).__module__.partition(".")[0] in {"py4j", "grpc"}:
            raise EngineError(f"{engine.version} failed: {root_cause(exc)}") from exc
        raise
    finally:
        if counter:
            _counters.pop(counter, None)


def _interruptibly(collect: Callable[[], list[Row]]) -> list[Row]:
    """Wait in another thread: Ctrl-C inside the client's own wait would break its connection."""
    result: list[list[Row]] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            result.append(collect())
        except BaseException as exc:
            failure.append(exc)

    worker = threading.Thread(target=work, name="verger-engine", daemon=True)
    worker.start()
    while worker.is_alive():
        worker.join(0.5)
    if failure:
        raise failure[0]
    return result[0]


def _run_partition(
    batches: Iterator[pa.RecordBatch], *, work: Work, counter: str | None
) -> Iterator[pa.RecordBatch]:
    given = itertools.chain.from_iterable(batch.column(0).to_pylist() for batch in batches)
    if counter is None:
        numbers: Iterator[int] = given
    else:
        next(given, None)
        numbers = _counters.get(counter, iter(()))
    for number in numbers:
        try:
            with local_tasks:
                rows = work(number)
        except RunOver:
            return
        if rows:
            yield pa.RecordBatch.from_pylist(rows)
