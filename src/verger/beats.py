"""How tasks tell how far they are: a small file each, which the driver adds up.

Files, because every engine and cluster has OUT in common while ports are often closed. The folder
also works as a leash: when the driver ends a run it removes the folder, and a task that outlives
its run stops at its next beat.
"""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from typing import Final

#: A task writes its file at most this often, in seconds.
INTERVAL: Final = 0.4


class RunOver(Exception):
    """The run that this task belongs to has ended."""


class Beat:
    """One task's progress.

    Parameters
    ----------
    folder : the run's folder, which all tasks share
    name : the task's name, unique in it
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._file = folder / f"{name}.beat"
        self._written = -math.inf

    def update(self, done: int, rejected: int = 0, *, final: bool = False) -> None:
        """Tell the number of items done so far, of which some were rejected.

        Raises
        ------
        RunOver : the run has ended
        """
        now = time.monotonic()
        if not final and now - self._written < INTERVAL:
            return
        self._written = now
        temporary = self._folder / f"{self._file.name}.{os.getpid()}-{id(self)}"
        try:
            temporary.write_text(f"{done} {rejected}")
            os.replace(temporary, self._file)
        except FileNotFoundError as exc:
            raise RunOver(f"run folder {self._folder} is gone") from exc


def total(folder: Path) -> tuple[int, int]:
    """Items done and items rejected, over all tasks."""
    done = rejected = 0
    for file in folder.glob("*.beat"):
        try:
            numbers = [int(word) for word in file.read_text().split()]
        except (OSError, ValueError):  # just being replaced
            continue
        if len(numbers) == 2:
            done += numbers[0]
            rejected += numbers[1]
    return done, rejected
