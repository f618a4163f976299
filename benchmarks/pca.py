"""Seconds for principal components of many features: Verger beside Spark ML, and beside reading.

Reading alone is what Verger's statistics do before they compute: the column `features` of every
row group to a matrix, in as many threads. The cost "on top of reading" is the difference.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks import contenders, synthetic
from benchmarks.contenders import Components, Engines, open_engines
from benchmarks.inputs import at_least_one, scratch
from benchmarks.report import Spread, progress, table
from verger import pca
from verger.engine.stages import ROWS_PER_GROUP
from verger.pipeline import choose_chunk

READ, EMBEDDED, SPARK = "reading alone", "Verger, embedded", "Verger, Apache Spark"
ML_READ, ML = "Spark reading alone", "Spark ML PCA"
#: Components that are compared between the contenders.
COMPARED = 5


@dataclass
class Results:
    """Seconds by contender and round, and the components of its last fit, (k, d)."""

    rows: int
    libraries: str
    seconds: dict[str, list[float]] = field(default_factory=dict)
    components: dict[str, Components] = field(default_factory=dict)

    def time(self, name: str, work: Callable[[], Components | None]) -> None:
        started = time.monotonic()
        found = work()
        self.seconds.setdefault(name, []).append(time.monotonic() - started)
        if found is not None:
            self.components[name] = found
        progress(f"{name}, {self.rows:,} rows: {self.seconds[name][-1]:.2f} s")


def main() -> None:
    """Draw features, measure in turn and print tables."""
    args = _arguments()
    with scratch() as folder, open_engines(args.parallelism, args.driver_memory) as engines:
        _warm_up(engines, folder, args)
        for rows, with_ml in _cases(args):
            files = _features(folder / f"features-{rows}", rows, args)
            print(_result(_compare(engines, files, rows, with_ml, args), args))


def _arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    options.add_argument("--rows", type=at_least_one, default=100_000, help="photos")
    options.add_argument("--components", type=at_least_one, default=200, help="to keep")
    options.add_argument("--repeats", type=at_least_one, default=3, help="rounds")
    options.add_argument(
        "--ml-rows", type=at_least_one, help="rows for Spark ML, if fewer: a second comparison"
    )
    options.add_argument("--ml-repeats", type=int, default=3, help="rounds with Spark ML, or 0")
    options.add_argument("--parallelism", type=at_least_one, default=2, help="slots, threads")
    options.add_argument("--driver-memory", default="8g", help="of Apache Spark")
    options.add_argument("--seed", type=int, default=0, help="of the features")
    return options.parse_args()


def _cases(args: argparse.Namespace) -> list[tuple[int, bool]]:
    fewer = min(args.ml_rows or args.rows, args.rows)
    if args.ml_repeats < 1 or fewer == args.rows:
        return [(args.rows, args.ml_repeats > 0)]
    return [(args.rows, False), (fewer, True)]


def _features(folder: Path, rows: int, args: argparse.Namespace) -> tuple[Path, ...]:
    folder.mkdir()
    progress(f"drawing {rows:,} rows of features")
    chunk = choose_chunk(rows, args.parallelism)
    return synthetic.write_features(folder, rows, chunk, args.seed)


def _warm_up(engines: Engines, folder: Path, args: argparse.Namespace) -> None:
    """Start the workers, and give the JVM a look at the code that is going to be timed."""
    files = _features(folder / "warm-up", 2 * synthetic.DIMENSIONS, args)
    for engine in (engines.embedded, engines.spark):
        contenders.fit(engine, files, COMPARED)
    if args.ml_repeats > 0:
        contenders.fit_spark_ml(engines.spark.spark, files, COMPARED)


def _compare(
    engines: Engines, files: tuple[Path, ...], rows: int, with_ml: bool, args: argparse.Namespace
) -> Results:
    spark, kept = engines.spark.spark, args.components
    results = Results(rows, contenders.libraries(spark))
    for number in range(max(args.repeats, args.ml_repeats if with_ml else 0)):
        if number < args.repeats:
            results.time(READ, lambda: contenders.read(files, args.parallelism))
            results.time(EMBEDDED, lambda: contenders.fit(engines.embedded, files, kept))
            results.time(SPARK, lambda: contenders.fit(engines.spark, files, kept))
        if with_ml and number < args.ml_repeats:
            results.time(ML_READ, lambda: contenders.read_with_spark(spark, files))
            results.time(ML, lambda: contenders.fit_spark_ml(spark, files, kept))
    return results


def _result(results: Results, args: argparse.Namespace) -> str:
    spreads = {name: Spread.of(seconds) for name, seconds in results.seconds.items()}
    on_top = {
        name: spreads[name].median - spreads[ML_READ if name == ML else READ].median
        for name in (EMBEDDED, SPARK, ML)
        if name in spreads
    }
    rows = []
    for name, spread in spreads.items():
        more = f"{on_top[name]:.2f}" if name in on_top else ""
        times = str(len(spread.values))
        rows.append([name, f"{spread.median:.2f}", spread.range(".2f"), times, more])
    header = [f"{results.rows:,} x {synthetic.DIMENSIONS:,}", "seconds, median", "min to max"]
    text = table([*header, "times", "on top of reading"], rows)
    text += (
        f"\n\n{args.components} components kept, {args.parallelism} slots. The features are drawn: "
        f"{_needed(results.rows, args.seed)} of their components hold 90 % of the variance.\n"
    )
    if ML in spreads:
        text += _ratios(spreads, on_top)
        text += f"\nSpark ML computes with {results.libraries}.\n"
    return text + _agreement(results.components)


def _needed(rows: int, seed: int) -> int:
    """Components that hold 90 % of the variance, estimated from the first rows."""
    sample = np.concatenate(list(synthetic.draw(min(rows, 8 * ROWS_PER_GROUP), seed)))
    return len(pca.fit(pca.Statistics.of(sample), 0.9).components)


def _ratios(spreads: dict[str, Spread], on_top: dict[str, float]) -> str:
    lines = [
        f"Spark ML takes {spreads[ML].median / spreads[name].median:.1f} times as long as {name}, "
        f"and {on_top[ML] / on_top[name]:.1f} times on top of reading.\n"
        for name in (EMBEDDED, SPARK)
    ]
    return "\n" + "\n".join(lines)


def _agreement(components: dict[str, Components]) -> str:
    """Smallest |cosine| of each contender's first components with those of embedded Verger."""
    reference = components[EMBEDDED]
    lines = []
    for name, axes in components.items():
        cosines = np.abs((axes[:COMPARED] * reference[:COMPARED]).sum(axis=1))
        if cosines.min() < 1 - 1e-6:
            raise SystemExit(f"{name} finds other components: |cosine| {cosines}, expected 1")
        if name != EMBEDDED:
            lines.append(f"{name} 1 - {1 - cosines.min():.0e}")
    told = ", ".join(lines)
    return f"\nSmallest |cosine| of the first {COMPARED} components with {EMBEDDED}: {told}.\n"


if __name__ == "__main__":
    main()
