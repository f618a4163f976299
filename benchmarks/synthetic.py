"""Features as a large run leaves them, drawn instead of computed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from verger import schema, tables
from verger.engine.stages import ROWS_PER_GROUP
from verger.plan import chunk_name

DIMENSIONS: Final = 1280
#: Variances fall as i ** -1.47 before the clipping at 0: then about 150 components hold 90 %, as
#: in features of fruit photos.
DECAY: Final = 1.47
MEAN: Final = 0.3
DEVIATION: Final = 0.5


def draw(rows: int, seed: int) -> Iterator[NDArray[np.float32]]:
    """Blocks of non-negative features, float32 (at most ROWS_PER_GROUP, DIMENSIONS)."""
    random = np.random.default_rng(seed)
    axes = np.linalg.qr(random.standard_normal((DIMENSIONS, DIMENSIONS)))[0]
    scale = np.arange(1, DIMENSIONS + 1) ** (-DECAY / 2)
    scale *= DEVIATION / np.sqrt(np.square(scale).mean())
    mixing = (scale[:, None] * axes.T).astype(np.float32)
    for start in range(0, rows, ROWS_PER_GROUP):
        count = min(ROWS_PER_GROUP, rows - start)
        latent = random.standard_normal((count, DIMENSIONS), dtype=np.float32)
        yield np.maximum(latent @ mixing + np.float32(MEAN), 0)


def write_features(folder: Path, rows: int, chunk: int, seed: int) -> tuple[Path, ...]:
    """Files of features with Verger's own columns, encoding, row groups and names.

    Parameters
    ----------
    folder : must exist
    rows : photos in all
    chunk : photos a file, rounded down to whole row groups
    seed : of the drawing
    """
    files: list[Path] = []
    waiting: list[NDArray[np.float32]] = []
    blocks = max(1, chunk // ROWS_PER_GROUP)
    for block in draw(rows, seed):
        waiting.append(block)
        if len(waiting) == blocks:
            files.append(_write(folder / chunk_name(len(files)), waiting))
            waiting = []
    if waiting:
        files.append(_write(folder / chunk_name(len(files)), waiting))
    return tuple(files)


def _write(file: Path, blocks: list[NDArray[np.float32]]) -> Path:
    with tables.open_writer(file, schema.FEATURES) as writer:
        for number, block in enumerate(blocks):
            names = [f"{file.stem}-{number}-{row}" for row in range(len(block))]
            sides = pa.array(np.full(len(block), 100, np.int32))
            columns = [
                pa.array([name.rjust(64, "0") for name in names]),
                pa.array([f"photos/Apple/{name}.jpg" for name in names]),
                pa.array(["Apple"] * len(block)),
                pa.array(["Training"] * len(block)),
                sides,
                sides,
                schema.list_column(block),
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema.FEATURES))
    return file
