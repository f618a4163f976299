"""Photos a second of one inference thread by batch size: why the default batch is small."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.inputs import at_least_one, check_weights, find_photos, parser, scratch
from benchmarks.report import Spread, progress, table
from verger import backbone, images, storage
from verger.features import BATCH, Extractor
from verger.images import DEFAULT_LIMITS

SIZES = (1, 2, 4, 8, 16, 32)


def main() -> None:
    """Measure in turn and print a table."""
    options = parser(__doc__)
    options.add_argument("--photos", type=at_least_one, default=128, help="photos a measurement")
    options.add_argument("--repeats", type=at_least_one, default=5, help="rounds")
    options.add_argument("--sizes", type=at_least_one, nargs="+", default=SIZES, help="batch sizes")
    args = options.parse_args()
    network = Extractor(backbone.load(check_weights(args.weights)))
    pixels, note = _load(args, network.size)
    rates = measure(network, pixels, args.sizes, args.repeats)
    first = rates[args.sizes[0]].median
    rows = [
        [
            f"{size} (the default)" if size == BATCH else str(size),
            f"{spread.median:.1f}",
            spread.range(),
            f"{spread.median / first:.3f}",
        ]
        for size, spread in rates.items()
    ]
    header = ["batch", "photos/s, median", "min to max", f"ratio to {args.sizes[0]}"]
    print(table(header, rows))
    print(f"\n{note}, decoded before; inference only, one thread; rounds: {args.repeats}.")


def _load(args: argparse.Namespace, size: int) -> tuple[NDArray[np.uint8], str]:
    with scratch() as folder:
        photos = find_photos(Path(args.collection), args.photos, args.seed, folder)
        data = (storage.read_photo(path, DEFAULT_LIMITS.bytes) for path in photos.paths)
        return np.stack([images.load_input(it, size)[0] for it in data]), photos.note


def measure(
    network: Extractor, pixels: NDArray[np.uint8], sizes: Sequence[int], repeats: int
) -> dict[int, Spread]:
    """Photos a second by batch size.

    Parameters
    ----------
    pixels : uint8 (n, size, size, 3)
    sizes : measured one after the other in every round, each time from another first one
    """
    rates: dict[int, list[float]] = {size: [] for size in sizes}
    for number in range(repeats):
        turn = number % len(sizes)
        for size in (*sizes[turn:], *sizes[:turn]):
            network(pixels[:size])  # memory for this shape
            started = time.perf_counter()
            for start in range(0, len(pixels), size):
                network(pixels[start : start + size])
            rates[size].append(len(pixels) / (time.perf_counter() - started))
        progress(f"round {number + 1} of {repeats}")
    return {size: Spread.of(values) for size, values in rates.items()}


if __name__ == "__main__":
    main()
