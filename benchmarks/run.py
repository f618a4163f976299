"""Run all benchmarks, one after the other, into build/bench/RESULTS.md."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks.inputs import BUILD, ROOT
from benchmarks.report import machine, progress

#: Each benchmark with its title, and what `--quick` gives it.
PROGRAMS: Final = {
    "throughput": ("Photos to features", "--photos 200 --warm-up 100 --repeats 1"),
    "batch": ("Batch size", "--photos 32 --repeats 1"),
    "pca": ("Principal components", "--rows 3000 --repeats 1 --ml-repeats 1"),
    "memory": ("Peak memory", "--photos 200 --copies 3 --repeats 1"),
    "cold": ("Cold start", "--images 40 --repeats 1 --help-repeats 1"),
}


def main() -> None:
    """Run them and write the results; the exit code is 1 when one of them failed."""
    args = _arguments()
    started = datetime.now(UTC).isoformat(timespec="seconds")
    quick = "\n\nA trial with small sizes: the figures mean nothing." if args.quick else ""
    text = f"# Benchmarks of {started}{quick}\n\n{machine()}\n"
    args.out.parent.mkdir(parents=True, exist_ok=True)
    failed = []
    for name in args.only:
        section, passed = _run(name, args.quick)
        text += section
        failed += [] if passed else [name]
        args.out.write_text(text, encoding="utf-8")  # what is done stays when a later one fails
    progress(f"results in {args.out}")
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


def _arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    names = list(PROGRAMS)
    options.add_argument("--only", nargs="+", choices=names, default=names, help="some of them")
    options.add_argument("--quick", action="store_true", help="small sizes, to see that they run")
    options.add_argument("--out", type=Path, default=BUILD / "RESULTS.md", help="the results")
    return options.parse_args()


def _run(name: str, quick: bool) -> tuple[str, bool]:
    """One benchmark's section of the results, and whether it ended well."""
    title, small = PROGRAMS[name]
    arguments = small.split() if quick else []
    progress(f"== {title}")
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    print(done.stdout, flush=True)
    command = " ".join(["python -m", f"benchmarks.{name}", *arguments])
    minutes = (time.monotonic() - started) / 60
    section = f"\n## {title}\n\n`{command}`, {minutes:.1f} minutes\n\n{done.stdout.strip()}\n"
    if done.returncode:
        section += f"\nIt failed with exit code {done.returncode}.\n"
    return section, done.returncode == 0


if __name__ == "__main__":
    main()
