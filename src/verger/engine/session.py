"""Borrow or own a session: embedded Sail, Apache Spark, or any Spark Connect server."""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata, resources
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar
from urllib.parse import urlsplit

from verger.errors import EngineError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_log = logging.getLogger(__name__)

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class Shared(Protocol[T_co]):
    """Something that reached every worker once."""

    @property
    def value(self) -> T_co: ...


@dataclass(frozen=True)
class Held(Generic[T]):
    """A value that travels in the closure of a stage: for Spark Connect, which has no broadcast."""

    value: T


@dataclass(frozen=True)
class Engine:
    """A session and what Verger must know of it.

    Attributes
    ----------
    name : embedded, spark, or the sc:// address
    version : for reports, as "Sail 0.7.2"
    slots : tasks that it works on at once
    in_process : its tasks run in threads of this process
    """

    name: str
    version: str
    spark: SparkSession
    slots: int
    in_process: bool = False

    def share(self, value: T) -> Shared[T]:
        """Bring a value to the workers once: broadcast where there is a SparkContext."""
        if is_connect(self.spark):
            return Held(value)
        shared: Shared[T] = self.spark.sparkContext.broadcast(value)
        return shared


class LocalTasks:
    """Counts the tasks that run in threads of this process."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running = 0

    def __enter__(self) -> None:
        with self._changed:
            self._running += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._running -= 1
            self._changed.notify_all()

    def wait(self, seconds: float) -> bool:
        """Wait until none runs; False when some still do after `seconds`."""
        with self._changed:
            return self._changed.wait_for(lambda: self._running == 0, seconds)


local_tasks = LocalTasks()


@contextmanager
def open_engine(name: str, parallelism: int | None = None) -> Iterator[Engine]:
    """Open the engine; a session that was there before is borrowed and left as it was.

    Parameters
    ----------
    name : embedded, spark or sc://host:port
    parallelism : tasks at once; by default what the engine has cores for

    Raises
    ------
    EngineError : its packages or Java are missing, or it cannot be reached
    """
    if name == "embedded":
        opened = _embedded(parallelism)
    elif name == "spark":
        opened = _spark(parallelism)
    else:
        opened = _connect(name, parallelism)
    with opened as engine:
        yield engine


def borrow(spark: SparkSession, parallelism: int | None = None) -> Engine:
    """Wrap a session of the caller's, classic or Connect."""
    slots = parallelism or _count_slots(spark)
    kind = "Spark Connect" if is_connect(spark) else "Apache Spark"
    return Engine("borrowed", f"{kind} {spark.version}", spark, slots)


def is_connect(spark: SparkSession) -> bool:
    """Whether a session speaks Spark Connect, which has no SparkContext."""
    return type(spark).__module__.startswith("pyspark.sql.connect")


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _embedded(parallelism: int | None) -> Iterator[Engine]:
    os.environ.setdefault("RUST_LOG", "error")
    try:
        from pysail.spark import SparkConnectServer
        from pyspark.sql.connect.session import SparkSession as ConnectSession
    except ImportError as exc:
        raise EngineError(
            f"the embedded engine is not installed ({exc}): pip install 'verger[embedded]', "
            "or use --engine spark"
        ) from exc
    server = SparkConnectServer("127.0.0.1", 0)
    server.start(background=True)
    try:
        host, port = server.listening_address
        with _quiet():
            spark = ConnectSession.builder.remote(f"sc://{host}:{port}").create()
        version = f"Sail {metadata.version('pysail')}"
        try:
            yield Engine("embedded", version, spark, parallelism or cores(), in_process=True)
        finally:
            # Threads that are inside ONNX Runtime when the process exits would abort it.
            local_tasks.wait(seconds=20)
            _stop(spark)
    finally:
        server.stop()


@contextmanager
def _spark(parallelism: int | None) -> Iterator[Engine]:
    try:
        from pyspark.sql import SparkSession
    except ImportError as exc:
        raise EngineError(
            f"Apache Spark is not installed ({exc}): pip install 'verger[spark]', "
            "or use --engine embedded"
        ) from exc
    active = SparkSession.getActiveSession()
    try:
        spark = active or _start_spark(parallelism)
    except EngineError:
        raise
    except Exception as exc:
        raise EngineError(f"Apache Spark could not be started: {root_cause(exc)}") from exc
    try:
        slots = parallelism or _count_slots(spark)
        yield Engine("spark", f"Apache Spark {spark.version}", spark, slots)
    finally:
        if active is None:
            _stop(spark)


def _start_spark(parallelism: int | None) -> SparkSession:
    """The session that spark-submit has configured, else a local one on all cores."""
    try:
        from pyspark import SparkContext
        from pyspark.sql import SparkSession
    except ImportError as exc:
        raise EngineError(
            "only the thin client 'pyspark-client' is installed, which cannot run Apache Spark "
            "here: pip uninstall pyspark-client, then pip install 'verger[spark]'"
        ) from exc
    builder = SparkSession.builder.appName("verger")
    submitted = "PYSPARK_GATEWAY_PORT" in os.environ or SparkContext._active_spark_context
    if not submitted:
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        log4j = resources.files("verger.engine") / "log4j2.properties"
        builder = (
            builder.master(f"local[{parallelism or cores()}]")
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.ui.enabled", "false")
            .config("spark.ui.showConsoleProgress", "false")
            .config("spark.log.level", "FATAL")  # what fails is raised, and told once
            .config("spark.driver.extraJavaOptions", f"-Dlog4j2.configurationFile={log4j}")
        )
    with _quiet():
        return builder.getOrCreate()


@contextmanager
def _connect(address: str, parallelism: int | None) -> Iterator[Engine]:
    try:
        from pyspark.sql.connect.session import SparkSession as ConnectSession
    except ImportError as exc:
        raise EngineError(
            f"the Spark Connect client is not installed ({exc}): pip install 'verger[embedded]'"
        ) from exc
    url = urlsplit(address)
    try:
        # The client itself would go on asking for ten minutes.
        socket.create_connection((url.hostname or "", url.port or 15002), timeout=15).close()
        with _quiet():
            spark = ConnectSession.builder.remote(address).create()
            version = f"Spark Connect {spark.version}"
        slots = parallelism or _count_slots(spark)
    except Exception as exc:
        raise EngineError(f"no Spark Connect server at {address}: {root_cause(exc)}") from exc
    try:
        yield Engine(address, version, spark, slots)
    finally:
        _stop(spark)


def _count_slots(spark: SparkSession) -> int:
    """The default parallelism: known to a SparkContext, else the partitions of a plain range."""
    if not is_connect(spark):
        return max(1, int(spark.sparkContext.defaultParallelism))
    partitions = spark.range(4096).selectExpr("spark_partition_id() AS p").distinct()
    return max(1, int(partitions.count()))


def _stop(spark: Any) -> None:
    try:
        if is_connect(spark):
            # The client would ask a server that is gone for ten minutes. Sail is gone after a
            # Ctrl-C, which it receives as well.
            spark.client.set_retry_policies([])
        spark.stop()
    except Exception as exc:  # must not hide the first error, which brought us here
        _log.debug("session did not stop cleanly: %s", exc)


@contextmanager
def _quiet() -> Iterator[None]:
    """PySpark warns about versions of pandas that Verger does not use with it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def root_cause(exc: BaseException) -> str:
    """The last line that a worker's or server's stack trace says, without the trace."""
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    told = [
        line
        for line in lines
        if ("Error" in line or "Exception" in line) and not line.startswith(("File ", "at "))
    ]
    return (told[-1] if told else lines[-1] if lines else type(exc).__name__)[:1000]
