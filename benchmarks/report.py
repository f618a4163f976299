"""Measurements as Markdown: the spread of repeated ones, tables, the machine."""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from verger import versions


@dataclass(frozen=True)
class Spread:
    """Repeated measurements of one thing."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        return cls(tuple(values))

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def range(self, spec: str = ",.1f") -> str:
        """Smallest to largest, as text."""
        return f"{min(self.values):{spec}} to {max(self.values):{spec}}"

    def each(self, spec: str = ".3f") -> str:
        """Every value in the order in which they were measured, as text."""
        return ", ".join(format(value, spec) for value in self.values)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the first column to the left, numbers to the right."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    lines = [f"| {' | '.join(cells)} |" for cells in (header, rule, *rows)]
    return "\n".join(lines)


def progress(text: str) -> None:
    """Tell a person how far it is; standard output holds results only."""
    print(text, file=sys.stderr, flush=True)


def machine() -> str:
    """Processor, memory, systems and versions, as a Markdown list."""
    found = versions.installed() | {"scikit-learn": _version("scikit-learn"), "java": _java()}
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    facts = {
        "processor": f"{_processor()}, {usable} cores usable",
        "memory": _memory(),
        "system": platform.platform(),
        "load before": ", ".join(f"{load:.2f}" for load in os.getloadavg()),
        "versions": ", ".join(f"{name} {version}" for name, version in found.items() if version),
    }
    return "\n".join(f"- {name}: {value}" for name, value in facts.items())


def _processor() -> str:
    return _proc_value("/proc/cpuinfo", "model name") or platform.processor() or platform.machine()


def _memory() -> str:
    kilobytes = _proc_value("/proc/meminfo", "MemTotal").removesuffix(" kB")
    return f"{int(kilobytes) / 2**20:.1f} GiB" if kilobytes else "unknown"


def _proc_value(file: str, key: str) -> str:
    """The first value of a key in a file of "key : value" lines; empty where there is none."""
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def _version(package: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _java() -> str:
    if not shutil.which("java"):
        return ""
    done = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False)
    words = done.stderr.split('"')
    return words[1] if len(words) > 1 else ""
