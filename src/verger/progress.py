"""Telling a person how far a run is: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, TextIO

if TYPE_CHECKING:
    from rich.progress import TaskID

#: Seconds between plain lines.
PLAIN_INTERVAL: Final = 5.0


class Progress(Protocol):
    """What the pipeline tells; `Silent` ignores it."""

    def stage(self, name: str, total: int | None = None) -> None:
        """A stage of the work begins; `total` items if that is known."""

    def update(self, done: int, rejected: int = 0) -> None:
        """So many items of the stage are done, of which some were rejected."""

    def note(self, message: str) -> None:
        """Something a person should read."""


class Silent:
    """No progress."""

    def stage(self, name: str, total: int | None = None) -> None: ...

    def update(self, done: int, rejected: int = 0) -> None: ...

    def note(self, message: str) -> None: ...


class Plain:
    """A line now and then, for logs and pipes."""

    def __init__(self, stream: TextIO | None = None, interval: float = PLAIN_INTERVAL) -> None:
        self._stream = stream or sys.stderr
        self._interval = interval
        self._name = ""
        self._total: int | None = None
        self._started = self._told = 0.0

    def __enter__(self) -> Plain:
        return self

    def __exit__(self, *_: object) -> None: ...

    def stage(self, name: str, total: int | None = None) -> None:
        self._name, self._total = name, total
        self._started = self._told = time.monotonic()
        self._say(name if total is None else f"{name}: {total:,}")

    def update(self, done: int, rejected: int = 0) -> None:
        now = time.monotonic()
        if now - self._told < self._interval:
            return
        self._told = now
        passed = now - self._started
        rate = done / max(passed, 1e-3)
        parts = [f"{done:,}" if self._total is None else f"{done:,} of {self._total:,}"]
        parts.append(_rate(rate))
        if self._total and 0 < done < self._total:
            parts.append(f"{_clock((self._total - done) / rate)} left")
        if rejected:
            parts.append(f"{rejected:,} rejected")
        self._say(f"{self._name}: {', '.join(parts)}")

    def note(self, message: str) -> None:
        self._say(message)

    def _say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


class Live:
    """A bar that moves, for terminals."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TextColumn
        from rich.progress import Progress as Bar

        self._console = Console(stderr=True)
        self._bar = Bar(
            SpinnerColumn(),
            TextColumn("{task.description:<20}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[text]}"),
            console=self._console,
        )
        self._task: TaskID | None = None
        self._total: int | None = None
        self._started = 0.0

    def __enter__(self) -> Live:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self._finish()
        self._bar.stop()

    def _finish(self) -> None:
        if self._task is not None:
            total = self._total or 1
            self._bar.update(self._task, total=total, completed=total)

    def stage(self, name: str, total: int | None = None) -> None:
        self._finish()
        self._total, self._started = total, time.monotonic()
        self._task = self._bar.add_task(name, total=total, text="")

    def update(self, done: int, rejected: int = 0) -> None:
        if self._task is None:
            return
        rate = done / max(time.monotonic() - self._started, 1e-3)
        text = f"{done:,}" if self._total is None else f"{done:,}/{self._total:,}"
        text += f"  {_rate(rate)}"
        if self._total and 0 < done < self._total:
            text += f"  {_clock((self._total - done) / rate)} left"
        if rejected:
            text += f"  {rejected:,} rejected"
        self._bar.update(self._task, completed=done, text=text)

    def note(self, message: str) -> None:
        from rich.text import Text

        self._console.print(Text(message))


def for_stream(quiet: bool) -> Live | Plain | None:
    """The reporter that suits standard error; None when nothing is wanted."""
    if quiet:
        return None
    # A dumb terminal, as in an editor, cannot move the cursor back.
    moves = sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")
    return Live() if moves else Plain()


def _rate(a_second: float) -> str:
    return f"{a_second:,.1f}/s" if a_second < 10 else f"{a_second:,.0f}/s"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
