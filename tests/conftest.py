"""What several test modules need: weights, photos, and both engines."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from golden.seeded_weights import draw, write
from verger import sample

JAVA = shutil.which("java") or os.environ.get("JAVA_HOME")


def require_java() -> None:
    """Skip where there is no Java; fail in CI, which must test Apache Spark."""
    if JAVA:
        return
    if os.environ.get("CI"):
        pytest.fail("no Java: CI must test Apache Spark, install a JRE 17 or 21")
    pytest.skip("no Java: Apache Spark is not tested")


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small real network: width 0.35, drawn from a seed."""
    file = tmp_path_factory.mktemp("weights") / "seeded_0.35.h5"
    return write(file, draw(0.35))


@pytest.fixture(scope="session")
def _drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn") / "photos"
    sample.write_collection(folder, 48)
    return folder


@pytest.fixture
def photos(_drawn: Path, tmp_path: Path) -> Path:
    """48 good photos of several kinds, in folders by kind."""
    folder = tmp_path / "photos"
    shutil.copytree(_drawn, folder)
    return folder


@pytest.fixture(scope="session")
def spark_session() -> Iterator[Any]:
    """One local Apache Spark for all tests; `--engine spark` borrows it as the active session."""
    require_java()
    from verger.engine.session import _start_spark

    os.environ["PYTHONPATH"] = str(Path(__file__).parent)  # its workers unpickle the tests' tasks
    spark = _start_spark(2)
    yield spark
    spark.stop()


@pytest.fixture(params=["embedded", "spark"])
def engine(request: pytest.FixtureRequest) -> str:
    """The conformance suite runs on both."""
    if request.param == "spark":
        request.getfixturevalue("spark_session")
    return str(request.param)
