"""Beats: what tasks tell adds up, and a task whose run is over stops."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from verger import beats, storage
from verger.beats import Beat, RunOver, Tally
from verger.errors import VergerError


def total(folder):
    return Tally(folder).total()


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every beat is written."""
    monkeypatch.setattr(beats, "INTERVAL", 0.0)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No second beat in the time of a test."""
    monkeypatch.setattr(beats, "INTERVAL", 3600.0)


def test_nothing_told_is_nothing_done(tmp_path: Path) -> None:
    assert total(tmp_path) == (0, 0)
    assert total(tmp_path / "not there") == (0, 0)


@pytest.mark.usefixtures("eager")
def test_tasks_add_up(tmp_path: Path) -> None:
    one, other = Beat(tmp_path, "000000"), Beat(tmp_path, "000001")
    one.update(0)
    assert total(tmp_path) == (0, 0)
    one.update(5, 1)
    other.update(7)
    assert total(tmp_path) == (12, 1)
    one.update(6, 2)
    assert total(tmp_path) == (13, 2)


@pytest.mark.usefixtures("eager")
def test_a_task_that_starts_again_counts_once(tmp_path: Path) -> None:
    Beat(tmp_path, "000000").update(50, 9)
    Beat(tmp_path, "000000").update(2, 1)
    assert total(tmp_path) == (2, 1)


@pytest.mark.usefixtures("eager")
def test_beats_leave_one_file_each(tmp_path: Path) -> None:
    beat = Beat(tmp_path, "000000")
    for done in range(20):
        beat.update(done)
    assert os.listdir(tmp_path) == ["000000.beat"]


@pytest.mark.usefixtures("patient")
def test_beats_between_are_left_out(tmp_path: Path) -> None:
    beat = Beat(tmp_path, "000000")
    beat.update(1)
    beat.update(2, 1)
    assert total(tmp_path) == (1, 0)
    beat.update(3, 2, final=True)
    assert total(tmp_path) == (3, 2)


@pytest.mark.usefixtures("patient")
def test_the_first_beat_is_always_written(tmp_path: Path) -> None:
    """Also on a machine that started less than an interval ago, whose clock is near zero."""
    Beat(tmp_path, "000000").update(1)
    assert total(tmp_path) == (1, 0)


@pytest.mark.usefixtures("eager")
def test_a_task_stops_when_its_run_is_over(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    beat = Beat(folder, "000000")
    beat.update(1)
    storage.remove(folder)
    with pytest.raises(RunOver, match=f"run folder {folder} is gone"):
        beat.update(2)
    assert not folder.exists()


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("started", [True, False])
def test_the_last_beat_asks_whether_the_run_is_over(tmp_path: Path, started: bool) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    beat = Beat(folder, "000000")
    if started:
        beat.update(1)
    storage.remove(folder)
    with pytest.raises(RunOver):
        beat.update(2, final=True)


def test_a_run_that_is_over_is_no_fault_of_the_user() -> None:
    """It must not be caught with the errors that are told to one."""
    assert not issubclass(RunOver, VergerError)


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("content", [b"", b"5", b"5 ", b"1 2 3", b"five 1", b"\xff\xfe", b"1.5 2"])
def test_a_file_that_is_no_beat_is_passed_over(tmp_path: Path, content: bytes) -> None:
    Beat(tmp_path, "000000").update(4, 1)
    (tmp_path / "000001.beat").write_bytes(content)
    (tmp_path / "000002.beat.77-1").write_text("100 100")  # a task died between write and rename
    (tmp_path / "000003.json").write_text("100 100")
    (tmp_path / "000004.beat").mkdir()
    (tmp_path / "000005.beat").symlink_to("nowhere")
    assert total(tmp_path) == (4, 1)


@pytest.mark.usefixtures("eager")
def test_many_tasks_at_once(tmp_path: Path) -> None:
    """The driver reads while they write: it sees no half of a beat, and at the end all."""
    tasks, steps = 6, 60
    seen: list[tuple[int, int]] = []
    over = threading.Event()

    def work(number: int) -> None:
        beat = Beat(tmp_path, f"{number:06d}")
        for done in range(1, steps + 1):
            beat.update(1000 * done, done)

    def watch() -> None:
        while not over.is_set():
            seen.append(total(tmp_path))

    watcher = threading.Thread(target=watch)
    watcher.start()
    workers = [threading.Thread(target=work, args=(number,)) for number in range(tasks)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    over.set()
    watcher.join()
    assert total(tmp_path) == (1000 * tasks * steps, tasks * steps)
    assert all(done == 1000 * rejected for done, rejected in seen)
    assert len(os.listdir(tmp_path)) == tasks


def test_tasks_in_processes_of_their_own(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from verger.beats import Beat\n"
        "Beat(Path(sys.argv[1]), sys.argv[2]).update(int(sys.argv[2]), 1, final=True)\n"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", script, tmp_path, str(number)])
        for number in (10, 20, 30)
    ]
    assert [process.wait(60) for process in started] == [0, 0, 0]
    assert total(tmp_path) == (60, 3)


def test_tasks_that_have_ended_are_read_once(tmp_path):
    tally = Tally(tmp_path)
    Beat(tmp_path, "one").update(5, 1, final=True)
    Beat(tmp_path, "two").update(2)
    assert tally.total() == (7, 1)
    (tmp_path / "one.beat").write_text("gone wrong")
    (tmp_path / "two.beat").write_text("3 1")
    assert tally.total() == (8, 2)
