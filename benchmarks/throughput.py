"""Photos a second, from photos to features in Parquet, beside a bare loop.

(a) bare loop: processes that read, decode, resize and infer, and do nothing else; they take the
next few photos in turn, so that none waits for another. (b) Verger embedded: the stage "features"
of a whole run in a fresh process, from the start of the tasks to all files written and durable.
(c) the same on an Apache Spark session that is up and has run before.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import shutil
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.inputs import (
    ALL_PHOTOS,
    at_least_one,
    check_weights,
    find_photos,
    parser,
    scratch,
    write_manifest,
)
from benchmarks.report import Spread, progress, table
from verger.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LOOP, EMBEDDED, SPARK = "a  bare loop", "b  Verger, embedded", "c  Verger, Apache Spark"


def main() -> None:
    """Measure in turn and print a table."""
    args = _arguments()
    with scratch() as folder:
        weights = check_weights(args.weights)
        photos = find_photos(args.collection, args.photos, args.seed, folder)
        rates = _measure(photos.paths, weights, args, folder)
    print(_result(rates))
    print(
        f"\n{photos.note}; {args.processes} processes, threads or slots; batch {args.batch}; "
        f"rounds of a, b, c: {args.repeats}."
    )


def _arguments() -> argparse.Namespace:
    options = parser(__doc__)
    options.add_argument("--photos", type=at_least_one, default=ALL_PHOTOS, help="photos a run")
    options.add_argument("--repeats", type=at_least_one, default=3, help="rounds")
    options.add_argument("--processes", type=at_least_one, default=2, help="at work at once")
    options.add_argument("--batch", type=at_least_one, default=4, help="photos an inference call")
    options.add_argument("--warm-up", type=at_least_one, default=1000, help="photos before (c)")
    return options.parse_args()


def _measure(
    paths: tuple[str, ...], weights: Path, args: argparse.Namespace, folder: Path
) -> dict[str, Spread]:
    from verger.engine.session import open_engine

    manifest = write_manifest(folder / "all.parquet", paths)
    first = write_manifest(folder / "first.parquet", paths[: args.warm_up])
    common = {"weights": str(weights), "parallelism": args.processes, "batch": args.batch}
    out = folder / "out"
    rates: dict[str, list[float]] = {LOOP: [], EMBEDDED: [], SPARK: []}
    with open_engine("spark", args.processes) as engine:
        progress("warming up Apache Spark")
        run_once(Settings(str(first), str(out), **common), engine.spark)
        for number in range(args.repeats):
            rates[LOOP].append(bare_loop(paths, weights, args.processes, args.batch))
            settings = Settings(str(manifest), str(out), **common)
            rates[EMBEDDED].append(_in_fresh_process(settings))
            rates[SPARK].append(run_once(settings, engine.spark))
            told = ", ".join(f"{name}: {values[-1]:.1f}/s" for name, values in rates.items())
            progress(f"round {number + 1} of {args.repeats}: {told}")
    return {name: Spread.of(values) for name, values in rates.items()}


def run_once(settings: Settings, session: SparkSession | None = None) -> float:
    """Run the main job once and return the photos a second of its stage "features".

    Parameters
    ----------
    settings : OUT is removed afterwards
    session : to borrow; without it ``settings.engine`` is opened
    """
    from verger import pipeline

    report = pipeline.run(settings, session=session)
    shutil.rmtree(settings.out)
    if report.counts["featurised"] != report.counts["listed"] or not report.photos_per_second:
        raise SystemExit(f"expected features of every photo, found {report.counts}")
    return report.photos_per_second


def _in_fresh_process(settings: Settings) -> float:
    """As a user starts it: this process has a JVM and memory of earlier rounds already."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        rate: float = pool.submit(run_once, settings).result()
        return rate


def bare_loop(paths: tuple[str, ...], weights: Path, processes: int, batch: int) -> float:
    """Photos a second of the least that any program has to do; start-up is not counted."""
    from verger import backbone

    loaded = backbone.load(weights)
    context = multiprocessing.get_context("spawn")
    shared = (context.Barrier(processes), context.Value("q", 0))
    with ProcessPoolExecutor(
        processes, mp_context=context, initializer=_share, initargs=shared
    ) as pool:
        given = (loaded.model, loaded.size, paths, batch)
        futures = [pool.submit(_loop, *given) for _ in range(processes)]
        spans = [future.result() for future in futures]
    return len(paths) / (max(end for _, end in spans) - min(start for start, _ in spans))


#: Of a process of the bare loop: where all start together, and the number of the next photo.
_shared: list[Any] = []


def _share(barrier: Barrier, counter: Any) -> None:
    _shared[:] = barrier, counter


def _loop(model: bytes, size: int, paths: tuple[str, ...], batch: int) -> tuple[float, float]:
    """One process of the bare loop; when it started and ended."""
    import numpy as np
    import onnxruntime
    from PIL import Image

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    session.run(["features"], {"pixels": np.zeros((batch, size, size, 3), np.uint8)})
    barrier, counter = _shared
    barrier.wait(timeout=120)
    started = time.monotonic()
    while True:
        with counter.get_lock():
            start = counter.value
            counter.value += batch
        if start >= len(paths):
            break
        pixels = []
        for path in paths[start : start + batch]:
            data = Path(path).read_bytes()
            image = Image.open(io.BytesIO(data)).convert("RGB")
            pixels.append(np.asarray(image.resize((size, size), Image.Resampling.BICUBIC)))
        session.run(["features"], {"pixels": np.stack(pixels)})
    return started, time.monotonic()  # one clock for all processes of a machine


def _result(rates: dict[str, Spread]) -> str:
    rows = []
    for name, spread in rates.items():
        pairs = zip(spread.values, rates[LOOP].values, strict=True)
        ratios = Spread.of(rate / loop for rate, loop in pairs)
        rows.append(
            [name, f"{spread.median:.1f}", spread.range(), f"{ratios.median:.3f}", ratios.each()]
        )
    header = ["photos to features", "photos/s, median", "min to max", "ratio to a", "by round"]
    return table(header, rows)


if __name__ == "__main__":
    main()
