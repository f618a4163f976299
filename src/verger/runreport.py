"""What a run did: the content of ``run.json``."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from verger import storage


@dataclass
class RunReport:
    """What a run did; the content of ``run.json``, which `docs/outputs.md` explains."""

    status: str = "running"
    counts: dict[str, int] = field(default_factory=dict)
    tables: dict[str, int] = field(default_factory=dict)
    rejections: dict[str, int] = field(default_factory=dict)
    ignored: dict[str, int] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    photos_per_second: float | None = None
    pca: dict[str, Any] = field(default_factory=dict)
    backbone: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    started: str = field(default_factory=lambda: _now())
    finished: str = ""

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Note the seconds that a stage takes."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.timings[stage] = round(time.monotonic() - started, 3)

    def write(self, out: Path) -> None:
        """Write ``run.json``."""
        self.finished = _now()
        storage.write_text(out / "run.json", json.dumps(asdict(self), indent=1))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
