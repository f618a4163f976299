"""Killed at any moment, run again: the same tables as an undisturbed run."""

import signal
import subprocess
import time

import pytest

from support import add_bad_files, command, read, verger
from test_pipeline import run, same_rows


def started(photos, out, weights, engine):
    arguments = ["run", photos, out, "--engine", engine, "--weights", weights, "--chunk", 4]
    return subprocess.Popen(
        command(*arguments, "--max-rejected", "0.5", "--batch", 1),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_chunks(out, count, process):
    deadline = time.monotonic() + 120
    while len(list(out.glob("_verger/runs/*/*.json"))) < count:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(params=["embedded", "spark"])
def cold_engine(request):
    """An engine that the process under test starts itself."""
    if request.param == "spark":
        request.getfixturevalue("spark_session")  # skips where there is no Java
    return request.param


@pytest.fixture
def many(photos, weights, tmp_path):
    """Photos enough to be interrupted, some of them bad."""
    add_bad_files(photos)
    files = sorted(photos.rglob("*/*.jpg"))
    for number in range(8):
        for file in files:
            file.with_name(f"{file.stem}-{number}.jpg").symlink_to(file)
    return photos


def test_killed_runs_end_in_the_tables_of_an_undisturbed_one(cold_engine, many, weights, tmp_path):
    out = tmp_path / "out"
    for chunks in (1, 3) if cold_engine == "embedded" else (2,):
        process = started(many, out, weights, cold_engine)
        wait_for_chunks(out, chunks, process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    landed = len(list((out / "features").glob("[!.]*.parquet")))
    options = {"engine": cold_engine, "chunk": 4, "max_rejected": 0.5, "batch": 1}
    finished = run(many, out, weights, **options)
    assert 0 < finished.counts["reused"] < finished.counts["listed"]
    # What was finished is not done again: at most the chunks under way were lost.
    assert finished.counts["reused"] >= 4 * (landed - 2 * 2) - 5

    undisturbed = tmp_path / "undisturbed"
    run(many, undisturbed, weights, max_rejected=0.5)
    same_rows(read(out / "features"), read(undisturbed / "features"))
    same_rows(read(out / "pca"), read(undisturbed / "pca"), "pca")
    assert read(out / "rejected") == read(undisturbed / "rejected")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_runs_say_how_to_go_on(cold_engine, how, many, weights, tmp_path):
    if cold_engine == "spark" and how == signal.SIGTERM:
        pytest.skip("the same way as embedded; saves a start of Java")
    out = tmp_path / "out"
    process = started(many, out, weights, cold_engine)
    wait_for_chunks(out, 2, process)
    process.send_signal(how)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "The same command goes on" in errors
    assert "Traceback" not in errors
    assert output == ""
    report = run(many, out, weights, chunk=4, max_rejected=0.5, batch=1)
    assert report.counts["reused"] >= 8


def test_a_second_run_into_the_same_folder_is_refused(many, weights, tmp_path):
    out = tmp_path / "out"
    process = started(many, out, weights, "embedded")
    try:
        wait_for_chunks(out, 1, process)
        second = verger("run", many, out, "--weights", weights, "--max-rejected", "0.5")
        assert second.returncode == 1
        assert f"in use by process {process.pid}" in second.stderr
    finally:
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
