"""Progress: plain lines with their figures, and a bar on a real terminal that it leaves whole."""

from __future__ import annotations

import io
import os
import pty
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import pytest

from verger.progress import Live, Plain, Progress, Silent, _clock, for_stream


class Terminal:
    """A pseudo terminal: `file` to write to, `text` all that came out of it."""

    def __init__(self) -> None:
        self._master, slave = pty.openpty()
        self.file: TextIO = os.fdopen(slave, "w", encoding="utf-8")
        self._pieces: list[bytes] = []
        self._reader = threading.Thread(target=self._drain)
        self._reader.start()

    def _drain(self) -> None:
        while True:
            try:
                piece = os.read(self._master, 65536)
            except OSError:  # the other end is closed
                return
            if not piece:
                return
            self._pieces.append(piece)

    @property
    def text(self) -> str:
        self.close()
        return b"".join(self._pieces).decode()

    def close(self) -> None:
        if not self.file.closed:
            self.file.close()
            self._reader.join()
            os.close(self._master)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Terminal]]:
    """Makes standard error a terminal of 100 columns; called in the test, as pytest sets it too."""
    opened = Terminal()

    def attach() -> Terminal:
        monkeypatch.setattr(sys, "stderr", opened.file)
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setenv("COLUMNS", "100")
        for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
            monkeypatch.delenv(name, raising=False)
        return opened

    yield attach
    monkeypatch.undo()
    opened.close()


def lines(stream: io.StringIO) -> list[str]:
    return stream.getvalue().splitlines()


# --------------------------------------------------------------------------------------- plain


def test_a_stage_begins_with_its_total() -> None:
    stream = io.StringIO()
    with Plain(stream) as plain:
        plain.stage("Listing photos")
        plain.stage("Photos to features", 12_345)
        plain.stage("Nothing", 0)
    assert lines(stream) == ["Listing photos", "Photos to features: 12,345", "Nothing: 0"]


def test_a_line_has_done_total_rate_left_and_rejected() -> None:
    stream = io.StringIO()
    plain = Plain(stream, interval=0)
    plain.stage("Photos to features", 90_001_000)
    plain._started -= 1_000_000  # so that the time which this test takes does not show
    plain.update(90_000_000, 1_234)
    assert lines(stream)[1:] == [
        "Photos to features: 90,000,000 of 90,001,000, 90/s, 0:11 left, 1,234 rejected"
    ]


def test_slow_work_shows_tenths() -> None:
    stream = io.StringIO()
    plain = Plain(stream, interval=0)
    plain.stage("Slow", 260_000)
    plain._started -= 1_000_000
    plain.update(250_000)
    assert lines(stream)[1:] == ["Slow: 250,000 of 260,000, 0.2/s, 11:06:40 left"]


def test_a_line_without_total_has_no_time_left() -> None:
    stream = io.StringIO()
    plain = Plain(stream, interval=0)
    plain.stage("Listing photos")
    plain._started -= 1_000_000
    plain.update(30_000_000)
    assert lines(stream)[1:] == ["Listing photos: 30,000,000, 30/s"]


@pytest.mark.parametrize(("done", "total"), [(0, 10), (10, 10), (11, 10), (0, 0), (3, 0)])
def test_no_time_left_where_it_makes_no_sense(done: int, total: int) -> None:
    stream = io.StringIO()
    plain = Plain(stream, interval=0)
    plain.stage("Stage", total)
    plain.update(done)
    assert re.fullmatch(rf"Stage: {done} of {total}, [\d,.]+/s", lines(stream)[-1])


def test_lines_come_now_and_then() -> None:
    stream = io.StringIO()
    plain = Plain(stream, interval=3600)
    plain.stage("Stage", 9)
    for done in range(10):
        plain.update(done)
    assert lines(stream) == ["Stage: 9"]
    plain._told -= 3600
    plain.update(9)
    plain.update(9)
    assert len(lines(stream)) == 2


def test_notes_come_at_once_and_as_they_are() -> None:
    stream = io.StringIO()
    plain = Plain(stream, interval=3600)
    plain.note("[red]3 photos[/red] are gone: 100%")
    assert lines(stream) == ["[red]3 photos[/red] are gone: 100%"]


def test_plain_writes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    Plain().stage("Stage", 5)
    assert capsys.readouterr() == ("", "Stage: 5\n")


def test_lines_are_flushed(tmp_path: Path) -> None:
    """A log is read while the run goes on."""
    with open(tmp_path / "log", "w", encoding="utf-8") as stream:
        Plain(stream).stage("Stage", 5)
        assert (tmp_path / "log").read_text() == "Stage: 5\n"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0:00"),
        (9.4, "0:09"),
        (59.6, "1:00"),
        (600, "10:00"),
        (3599.5, "1:00:00"),
        (3661, "1:01:01"),
        (360_000, "100:00:00"),
    ],
)
def test_clock(seconds: float, shown: str) -> None:
    assert _clock(seconds) == shown


# ---------------------------------------------------------------------------------------- live


def work(progress: Progress) -> None:
    """What a run tells: it must be harmless in any order."""
    progress.update(1)
    progress.note("before all [bold]stages[/bold]")
    progress.stage("Listing photos")
    progress.update(0)
    progress.update(1_500)
    progress.stage("Photos to features", 2_000)
    progress.update(0)
    progress.update(500, 7)
    progress.update(2_000, 7)
    progress.update(2_001)
    progress.stage("Nothing to do", 0)
    progress.update(0)
    progress.note("a note [/] with 'é' ☃ and a \\ in it")


def test_live_on_a_terminal(terminal: Callable[[], Terminal]) -> None:
    screen = terminal()
    with Live() as live:
        work(live)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.text)
    for expected in (
        "before all [bold]stages[/bold]",
        "a note [/] with 'é' ☃ and a \\ in it",
        "Listing photos",
        "1,500  ",
        "Photos to features",
        "2,001/2,000  ",
        "Nothing to do",
    ):
        assert expected in plain


def test_live_shows_what_was_told(terminal: Callable[[], Terminal]) -> None:
    screen = terminal()
    with Live() as live:
        live.stage("Photos to features", 90_001_000)
        live._started -= 1_000_000
        live.update(90_000_000, 1_234)
    assert "90,000,000/90,001,000  90/s  0:11 left  1,234 rejected" in screen.text


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_live_gives_the_cursor_back(
    terminal: Callable[[], Terminal], error: type[BaseException] | None
) -> None:
    screen = terminal()

    def run() -> None:
        with Live() as live:
            live.stage("Photos to features", 10)
            live.update(5)
            if error:
                raise error("in mid-work")

    if error:
        with pytest.raises(error):
            run()
    else:
        run()
    text = screen.text
    assert "\x1b[?25l" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


def test_live_finishes_its_bars_only_when_all_went_well(terminal: Callable[[], Terminal]) -> None:
    terminal()
    with Live() as live:
        live.stage("One", 10)
        live.stage("Two")
        live.update(3)
    assert all(task.finished for task in live._bar.tasks)
    stopped = Live()
    with suppress(ValueError), stopped:
        stopped.stage("One", 10)
        stopped.update(3)
        raise ValueError
    assert [task.completed for task in stopped._bar.tasks] == [3]


def test_live_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with Live() as live:
        work(live)
    assert "Photos to features" in stream.getvalue()


def test_live_may_be_told_by_several_threads(terminal: Callable[[], Terminal]) -> None:
    """The pipeline watches the tasks in a thread of its own."""
    screen = terminal()
    with Live() as live:
        live.stage("Photos to features", 400)

        def tell() -> None:
            for done in range(100):
                live.update(done)

        threads = [threading.Thread(target=tell) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        live.update(400)
    assert "400/400" in screen.text


def test_silent_takes_everything(capsys: pytest.CaptureFixture[str]) -> None:
    work(Silent())
    assert capsys.readouterr() == ("", "")


def test_plain_takes_everything() -> None:
    stream = io.StringIO()
    work(Plain(stream, interval=0))
    assert "Photos to features: 2,000 of 2,000, " in stream.getvalue()


# ---------------------------------------------------------------------------------- for_stream


def test_a_terminal_gets_the_bar(terminal: Callable[[], Terminal]) -> None:
    terminal()
    assert isinstance(for_stream(quiet=False), Live)


@pytest.mark.parametrize("kind", ["dumb", "unknown"])
def test_a_terminal_that_cannot_move_gets_lines(
    terminal: Callable[[], Terminal], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    terminal()
    monkeypatch.setenv("TERM", kind)
    assert isinstance(for_stream(quiet=False), Plain)


def test_a_file_gets_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open(tmp_path / "log", "w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        assert isinstance(for_stream(quiet=False), Plain)


def test_quiet_gets_nothing(terminal: Callable[[], Terminal]) -> None:
    terminal()
    assert for_stream(quiet=True) is None
