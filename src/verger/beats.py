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


_ENDED = "end"


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
            temporary.write_text(f"{done} {rejected} {_ENDED if final else ''}")
            os.replace(temporary, self._file)
        except FileNotFoundError as exc:
            raise RunOver(f"run folder {self._folder} is gone") from exc


class Tally:
    """Adds up the tasks of one folder, reading those that have ended only once.

    Parameters
    ----------
    folder : as for `Beat`
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ended: dict[str, tuple[int, int]] = {}

    def total(self) -> tuple[int, int]:
        """Items done and items rejected so far, over all tasks."""
        running = []
        for name in os.listdir(self._folder) if self._folder.is_dir() else ():
            if not name.endswith(".beat") or name in self._ended:
                continue
            try:
                words = (self._folder / name).read_text().split()
                numbers = int(words[0]), int(words[1])
            except (OSError, ValueError, IndexError):  # not ours, or gone with the run
                continue
            if words[2:] == [_ENDED]:
                self._ended[name] = numbers
            elif len(words) == 2:
                running.append(numbers)
        done, rejected = zip((0, 0), *self._ended.values(), *running, strict=True)
        return sum(done), sum(rejected)
