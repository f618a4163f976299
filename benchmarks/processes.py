"""Peak memory of a command and of every process it starts (Linux: /proc)."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

PROC = Path("/proc")
DRIVER, JVM, WORKER = "driver", "JVM", "Python worker"
#: Seconds between two looks; the kernel keeps the peak, so only the end of a process can be missed.
INTERVAL = 0.1


@dataclass
class Peaks:
    """What a command printed, and the largest peak of resident memory by role, in MB (10^6)."""

    output: str = ""
    megabytes: dict[str, float] = field(default_factory=dict)


def measure(command: Sequence[str]) -> Peaks:
    """Run a command and watch it and its descendants.

    Raises
    ------
    SystemExit : it failed, or there is no /proc
    """
    if not (PROC / "self" / "status").exists():
        raise SystemExit("peak memory is read from /proc, which this system does not have")
    peaks = Peaks()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            _look(process.pid, peaks)
            time.sleep(INTERVAL)
        assert process.stdout is not None
        peaks.output = process.stdout.read()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ends with {process.returncode}")
    return peaks


def _look(root: int, peaks: Peaks) -> None:
    for pid in _tree(root):
        try:
            # Not ru_maxrss: a child inherits that of the process which started it.
            peak = _status(pid, "VmHWM")
            role = DRIVER if pid == root else _role(pid)
        except (OSError, ValueError):  # it has just ended
            continue
        if role:
            peaks.megabytes[role] = max(peaks.megabytes.get(role, 0.0), peak * 1024 / 1e6)


def _tree(root: int) -> list[int]:
    """The process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for folder in PROC.glob("[0-9]*"):
        try:
            children.setdefault(_status(int(folder.name), "PPid"), []).append(int(folder.name))
        except (OSError, ValueError):
            continue
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def _status(pid: int, key: str) -> int:
    """A number in a process's status: a process id, or kibibytes."""
    lines = (PROC / str(pid) / "status").read_text().splitlines()
    value = next((line.split()[1] for line in lines if line.startswith(f"{key}:")), None)
    if value is None:
        raise ValueError(f"process {pid} has no {key}: it is ending")
    return int(value)


def _role(pid: int) -> str | None:
    words = (PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
    if Path(words[0]).name == "java":
        return JVM
    # A fork that has not become its command yet still shows the driver's words.
    return WORKER if any(word.startswith("pyspark.") for word in words) else None
