"""Sessions, tasks and the DataFrame stage on both engines and over Spark Connect."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import verger
from conftest import require_java
from test_pipeline import read, run, same_rows
from verger.engine.session import borrow, open_engine
from verger.engine.tasks import run_tasks
from verger.errors import EngineError, UsageError


class Square:
    def __call__(self, number):
        return [{"square": number**2}]


class Fail:
    def __call__(self, number):
        if number == 3:
            raise OSError(28, "No space left on device", "/out/features")
        return []


@pytest.fixture
def opened(engine):
    with open_engine(engine, 2) as found:
        yield found


def test_tasks_run_once_each(opened):
    rows = run_tasks(opened, 11, Square(), "square long")
    assert sorted(row["square"] for row in rows) == [n**2 for n in range(11)]
    assert run_tasks(opened, 0, Square(), "square long") == []


def test_a_failing_task_tells_its_last_words(opened):
    with pytest.raises(EngineError, match="No space left on device") as error:
        run_tasks(opened, 5, Fail(), "square long")
    assert "Traceback" not in str(error.value)


def test_shared_values_reach_tasks(opened):
    assert opened.share({"answer": 42}).value == {"answer": 42}


@pytest.fixture
def frame_session(opened):
    return opened.spark


def test_featurise_a_frame_of_paths(frame_session, photos, weights, tmp_path):
    paths = sorted(map(str, photos.rglob("*.jpg")))[:9]
    frame = frame_session.createDataFrame(
        [(i, path) for i, path in enumerate([*paths, "/nowhere.jpg", None])], "n int, photo string"
    )
    rows = verger.featurise(frame, column="photo", weights=weights).orderBy("n").collect()
    assert [row["photo"] for row in rows[:9]] == paths
    assert all(len(row["features"]) == 1280 and row["reason"] is None for row in rows[:9])
    assert rows[0]["width"] == rows[0]["height"] == 100
    assert [(row["stage"], row["reason"], row["features"]) for row in rows[9:]] == [
        ("read", "missing", None)
    ] * 2


def test_featurise_a_frame_of_bytes(frame_session, photos, weights, tmp_path):
    paths = sorted(photos.rglob("*.jpg"))[:3]
    data = [(path.name, bytearray(path.read_bytes())) for path in paths] + [("bad", None)]
    frame = frame_session.createDataFrame(data, "name string, content binary")
    result = verger.featurise(frame, column="content", weights=weights)
    assert "content" not in result.columns
    found = {row["name"]: row for row in result.collect()}
    out = tmp_path / "out"
    run(photos, out, weights)
    for row in read(out / "features").to_pylist():
        if (name := Path(row["path"]).name) in found and row["path"] in map(str, paths):
            assert np.allclose(found[name]["features"], row["features"], atol=1e-5)
            assert found[name]["image_id"] == row["image_id"]
    assert found["bad"]["reason"] == "empty"


def test_featurise_refuses_other_columns(frame_session, weights):
    frame = frame_session.range(3)
    with pytest.raises(UsageError, match="no column 'path'"):
        verger.featurise(frame, weights=weights)
    with pytest.raises(UsageError, match="'id' is bigint, expected paths"):
        verger.featurise(frame, column="id", weights=weights)


def test_an_address_where_nobody_listens():
    with (
        pytest.raises(EngineError, match=r"no Spark Connect server at sc://127\.0\.0\.1:1:"),
        open_engine("sc://127.0.0.1:1"),
    ):
        pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def connect_server():
    """A real Spark Connect server of Apache Spark, a process of its own."""
    require_java()
    import pyspark

    home = Path(pyspark.__file__).parent
    port = free_port()
    process = subprocess.Popen(
        [
            *(str(home / "bin" / "spark-submit"), "--master", "local[2]"),
            *("--class", "org.apache.spark.sql.connect.service.SparkConnectServer"),
            *("--conf", f"spark.connect.grpc.binding.port={port}"),
            *("--conf", "spark.connect.grpc.binding.address=127.0.0.1"),
            *("--conf", "spark.driver.host=127.0.0.1", "--conf", "spark.ui.enabled=false"),
            "spark-internal",
        ],
        env=os.environ | {"PYSPARK_PYTHON": sys.executable, "SPARK_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until_open(port, process)
        yield f"sc://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def wait_until_open(port, process):
    deadline = time.monotonic() + 90
    while True:
        assert process.poll() is None, "the Spark Connect server ended"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.3)


def test_a_spark_connect_server_of_apache_spark(connect_server, photos, weights, tmp_path):
    report = run(photos, tmp_path / "connect", weights, engine=connect_server)
    assert report.versions["engine"].startswith("Spark Connect 4.")
    assert report.counts["featurised"] == 48
    run(photos, tmp_path / "embedded", weights)
    same_rows(read(tmp_path / "connect" / "features"), read(tmp_path / "embedded" / "features"))


def test_a_sail_server_over_connect(photos, weights, tmp_path):
    from pysail.spark import SparkConnectServer

    server = SparkConnectServer("127.0.0.1", 0)
    server.start(background=True)
    try:
        host, port = server.listening_address
        report = run(photos, tmp_path / "out", weights, engine=f"sc://{host}:{port}", parallelism=2)
    finally:
        server.stop()
    assert report.counts["featurised"] == 48


def test_a_borrowed_engine_knows_its_slots(spark_session):
    engine = borrow(spark_session)
    assert engine.slots == 2
    assert not engine.in_process
