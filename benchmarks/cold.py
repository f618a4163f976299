"""Seconds from the command to its end: `verger --help`, `verger sample` and a first `verger run`.

Every command is a new process and every OUT a new folder; files stay in the system's cache.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from benchmarks.inputs import at_least_one, check_weights, parser, scratch
from benchmarks.report import Spread, progress, table

VERGER = Path(sys.executable).with_name("verger")


def main() -> None:
    """Measure in turn and print a table."""
    options = parser(__doc__)
    options.add_argument("--images", type=at_least_one, default=600, help="photos to draw")
    options.add_argument("--repeats", type=at_least_one, default=3, help="of sample and run")
    options.add_argument("--help-repeats", type=at_least_one, default=5, help="of verger --help")
    args = options.parse_args()
    weights = check_weights(args.weights)
    if not VERGER.exists():
        raise SystemExit(f"{VERGER}: no such command; expected Verger installed beside Python")
    times: dict[str, list[float]] = {"--help": [], "sample": [], "run": [], "run again": []}
    for _ in range(args.help_repeats):
        times["--help"].append(_seconds("--help"))
    images = [f"--images={args.images}", f"--seed={args.seed}"]
    for number in range(args.repeats):
        progress(f"round {number + 1} of {args.repeats}")
        with scratch() as folder:
            photos, out = str(folder / "photos"), str(folder / "out")
            job = ["run", photos, out, f"--weights={weights}", "--quiet"]
            times["sample"].append(_seconds("sample", photos, *images))
            times["run"].append(_seconds(*job))
            times["run again"].append(_seconds(*job))
    print(_result({name: Spread.of(values) for name, values in times.items()}, args.images))
    print("\nNew processes each time; the files they load are in the system's cache.")


def _seconds(*arguments: str) -> float:
    started = time.monotonic()
    done = subprocess.run(
        [VERGER, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - started
    if done.returncode:
        raise SystemExit(f"verger {' '.join(arguments)} ends with {done.returncode}: {done.stderr}")
    return seconds


def _result(times: dict[str, Spread], images: int) -> str:
    what = {
        "--help": "verger --help",
        "sample": f"verger sample, {images:,} photos",
        "run": f"verger run, {images:,} photos, new OUT",
        "run again": "the same again: no photo to do, components anew",
    }
    rows = [
        [what[name], f"{spread.median:.2f}", spread.range(".2f"), str(len(spread.values))]
        for name, spread in times.items()
    ]
    return table(["command", "seconds, median", "min to max", "times"], rows)


if __name__ == "__main__":
    main()
