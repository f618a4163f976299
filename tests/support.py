"""Helpers of several test modules."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def verger(*arguments: object, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    return subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        timeout=240,
        env=os.environ | environ,
        check=False,
    )


def command(*arguments: object) -> list[str]:
    """The command line as this environment runs it."""
    return [sys.executable, "-m", "verger", *map(str, arguments)]


def read(folder: Path) -> pa.Table:
    """A table of a run's output, sorted by path."""
    files = sorted(folder.glob("*.parquet"))
    table = pa.concat_tables([pq.ParquetFile(file).read() for file in files])
    return table.sort_by("path")


def add_bad_files(photos: Path) -> dict[str, tuple[str, str]]:
    """Files that must be rejected; their names with the stage and reason expected."""
    first = next(photos.rglob("*.jpg"))
    good = first.read_bytes()
    (photos / "empty.jpg").touch()
    (photos / "text.png").write_text("this is not a picture\n" * 9)
    (photos / "short.jpg").write_bytes(good[: len(good) // 2])
    (photos / "gone.jpg").symlink_to(photos / "nowhere.jpg")
    os.mkfifo(photos / "pipe.jpg")
    return {
        "empty.jpg": ("decode", "empty"),
        "text.png": ("decode", "not_an_image"),
        "short.jpg": ("decode", "truncated"),
        "gone.jpg": ("read", "missing"),
        "pipe.jpg": ("read", "not_a_file"),
    }
