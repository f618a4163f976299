"""Is this machine ready: what is installed, and does a trial run through."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

from verger import pipeline, sample, versions, weights
from verger.errors import VergerError
from verger.settings import Settings

#: Megabytes that a run takes on two cores, with some room.
NEEDED_MEGABYTES: Final = 1500


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `ok` is None where it only informs."""

    name: str
    ok: bool | None
    detail: str


def examine(engine: str, option: str | None = None) -> Iterator[Finding]:
    """Look at everything that a run on `engine` needs, one finding at a time.

    Parameters
    ----------
    engine : as ``verger run --engine``
    option : as ``--weights``
    """
    found = versions.installed()
    yield Finding("versions", None, ", ".join(f"{name} {v}" for name, v in found.items()))
    yield _packages()
    yield from _engines()
    yield _memory()
    place = _weights(option)
    yield place
    if place.ok:
        yield _trial(engine, option)


def _packages() -> Finding:
    both = [name for name in ("pyspark", "pyspark-client") if _has(name)]
    if len(both) == 2:
        return Finding(
            "packages",
            False,
            "pyspark and pyspark-client hold the same module and overwrite each other: "
            "pip uninstall both, then install verger[embedded] or verger[spark]",
        )
    return Finding("packages", True, "no conflicts")


def _has(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _engines() -> Iterator[Finding]:
    client = _has("pyspark") or _has("pyspark-client")
    embedded = _has("pysail") and client
    yield Finding(
        "embedded engine",
        None,
        "installed" if embedded else "not installed: pip install 'verger[embedded]'",
    )
    java = shutil.which("java") or os.environ.get("JAVA_HOME")
    if _has("pyspark") and java:
        detail = f"installed, Java at {java}"
    elif _has("pyspark"):
        detail = "installed, but there is no Java: install a JRE 17 or 21"
    else:
        detail = "not installed: pip install 'verger[spark]'"
    yield Finding("Apache Spark", None, detail)


def _memory() -> Finding:
    try:
        page, pages = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_AVPHYS_PAGES")
    except (ValueError, OSError):
        return Finding("memory", None, "unknown on this system")
    free = _available() or page * pages // 10**6
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    enough = free >= NEEDED_MEGABYTES
    detail = f"{free:,} MB available, {cores} cores"
    return Finding("memory", enough, detail if enough else f"{detail}: {NEEDED_MEGABYTES} needed")


def _available() -> int | None:
    """Linux counts caches that it would give back."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(
            int(line.split()[1]) // 1000 for line in lines if line.startswith("MemAvailable")
        )
    except (OSError, StopIteration, ValueError):
        return None


def _weights(option: str | None) -> Finding:
    for source in weights.sources(option):
        if source.present:
            return Finding("weights", True, f"{source.place} ({source.kind})")
        if source.kind == "option":
            return Finding("weights", False, f"{source.place}: no such file")
    return Finding(
        "weights",
        False,
        f"none here; 'verger weights --download' fetches them into {weights.cache_folder()}",
    )


def _trial(engine: str, option: str | None) -> Finding:
    """The whole job on a few drawn photos."""
    with tempfile.TemporaryDirectory(prefix="verger-doctor-") as folder:
        photos, out = Path(folder) / "photos", Path(folder) / "out"
        try:
            sample.write_collection(photos, 4)
            report = pipeline.run(
                Settings.resolve(
                    photos, out, engine=engine, weights=option, components=2, environ={}
                )
            )
        except VergerError as exc:
            return Finding("trial", False, f"{engine}: {exc}")
        except Exception as exc:  # whatever it is, a doctor names it instead of falling ill
            return Finding("trial", False, f"{engine}: {type(exc).__name__}: {exc}")
    done = report.counts["featurised"]
    seconds = report.timings["total"]
    engine_version = report.versions["engine"]
    return Finding("trial", done == 4, f"{done} of 4 photos on {engine_version} in {seconds:.1f} s")
