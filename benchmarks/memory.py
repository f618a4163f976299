"""Peak memory of a run, for a collection and for one ten times as large.

The large collection is the small one through links. A stub takes the network's place in those
runs, so that they take a minute each; real runs of the small one, with the network, follow.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.inputs import (
    ALL_PHOTOS,
    at_least_one,
    check_weights,
    find_photos,
    parser,
    scratch,
)
from benchmarks.processes import DRIVER, JVM, WORKER, measure
from benchmarks.report import Spread, progress, table

ROLES = (DRIVER, JVM, WORKER)


@dataclass(frozen=True)
class Case:
    """One kind of run."""

    engine: str
    collection: Path
    photos: int
    stub: bool


#: Peaks in megabytes by role, one a repeat.
Megabytes = dict[str, list[float]]


def main() -> None:
    """Measure in turn and print a table."""
    args = _arguments()
    with scratch() as folder:
        weights = check_weights(args.weights)
        photos = find_photos(args.collection, args.photos, args.seed, folder)
        small = _link(folder / "small", photos.paths)
        large = _link(folder / "large", (str(small),) * args.copies)
        count = len(photos.paths)
        sizes = ((small, count), (large, count * args.copies))
        found: dict[Case, Megabytes] = {
            Case(engine, collection, number, True): {}
            for engine in args.engines
            for collection, number in sizes
        }
        if args.real_repeats > 0:
            found |= {Case(engine, small, count, False): {} for engine in args.engines}
        for number in range(max(args.repeats, args.real_repeats)):
            for case, megabytes in found.items():
                if number < (args.repeats if case.stub else args.real_repeats):
                    _run(case, megabytes, folder / "out", weights, args.parallelism)
    print(_result(found))
    print(_growth(found))
    print(f"\n{photos.note}; the large collection is these {args.copies} times, through links.")


def _arguments() -> argparse.Namespace:
    options = parser(__doc__)
    options.add_argument("--photos", type=at_least_one, default=ALL_PHOTOS, help="the small one")
    options.add_argument("--copies", type=at_least_one, default=10, help="of it in the large one")
    options.add_argument("--repeats", type=at_least_one, default=3, help="rounds with the stub")
    options.add_argument("--real-repeats", type=int, default=1, help="rounds with the network")
    options.add_argument("--parallelism", type=at_least_one, default=2, help="slots")
    engines = ("embedded", "spark")
    options.add_argument("--engines", nargs="+", choices=engines, default=engines, help="which")
    return options.parse_args()


def _link(folder: Path, targets: tuple[str, ...]) -> Path:
    """A folder of links to files or folders; a file's link keeps its extension."""
    folder.mkdir()
    for number, target in enumerate(targets):
        (folder / f"{number:06d}{Path(target).suffix}").symlink_to(target)
    return folder


def _run(case: Case, found: Megabytes, out: Path, weights: Path, parallelism: int) -> None:
    command = [sys.executable, "-m", "benchmarks.stubbed", str(case.collection), str(out)]
    command += [f"--engine={case.engine}", f"--weights={weights}", f"--parallelism={parallelism}"]
    peaks = measure([*command, "--stub"] if case.stub else command)
    report = json.loads(peaks.output)
    if report["counts"]["featurised"] != case.photos:
        raise SystemExit(f"expected features of {case.photos} photos, found {report['counts']}")
    shutil.rmtree(out)
    for role, megabytes in peaks.megabytes.items():
        found.setdefault(role, []).append(megabytes)
    told = ", ".join(f"{role} {megabytes:.0f} MB" for role, megabytes in peaks.megabytes.items())
    network = "stub" if case.stub else "network"
    seconds = report["timings"]["total"]
    progress(f"{case.engine}, {case.photos:,} photos, {network}, {seconds:.0f} s: {told}")


def _result(found: dict[Case, Megabytes]) -> str:
    rows = []
    for case, megabytes in found.items():
        cells = [_cell(megabytes[role]) if role in megabytes else "" for role in ROLES]
        network = "stub" if case.stub else "real"
        times = str(len(megabytes[DRIVER]))
        rows.append([case.engine, network, f"{case.photos:,}", *cells, times])
    header = ["engine", "network", "photos", "driver MB", "JVM MB", "largest Python worker MB"]
    return table([*header, "times"], rows)


def _cell(values: list[float]) -> str:
    spread = Spread.of(values)
    return f"{spread.median:,.0f} ({spread.range(',.0f')})"


def _growth(found: dict[Case, Megabytes]) -> str:
    """What each further photo costs the driver, by engine."""
    lines = []
    for engine in dict.fromkeys(case.engine for case in found):
        small, large = (case for case in found if case.engine == engine and case.stub)
        more = Spread.of(found[large][DRIVER]).median - Spread.of(found[small][DRIVER]).median
        photos = large.photos - small.photos
        each = f", {more * 1e3 / photos:.2f} kB a photo" if photos else ""
        lines.append(f"\nThe driver of {engine} takes {more:+,.0f} MB for the larger one{each}.")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
