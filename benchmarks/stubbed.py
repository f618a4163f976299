"""The main job in this process, if asked for with a stub in place of the network.

Everything else is as ever: photos are read and decoded, features written, components fitted. For
`benchmarks.memory`, which wants many photos and no wait for inference.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verger import features, pipeline
from verger.backbone import Backbone
from verger.engine import stages
from verger.engine.session import Engine
from verger.engine.tasks import Work, run_tasks
from verger.features import Extractor
from verger.settings import Settings


class StubNetwork(Extractor):
    """Takes some of the pixels for features."""

    def __init__(self, backbone: Backbone) -> None:
        self.size = backbone.size
        self.dimensions = backbone.dimensions

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        values = pixels.reshape(len(pixels), -1)
        step = values.shape[1] // self.dimensions
        return values[:, ::step][:, : self.dimensions] * np.float32(6 / 255)


@dataclass(frozen=True)
class StubbedChunk:
    """The work of a chunk, in a process whose network is a stub."""

    inner: stages.FeaturiseChunk

    def __call__(self, group: int) -> list[dict[str, Any]]:
        backbone = self.inner.backbone.value
        with features._lock:  # the pipeline may be opening the real one just now
            features._extractors[backbone.fingerprint] = StubNetwork(backbone)
        return self.inner(group)


def _run_stubbed(engine: Engine, count: int, work: Work, ddl: str) -> list[Any]:
    if isinstance(work, stages.FeaturiseChunk):
        work = StubbedChunk(work)
    return run_tasks(engine, count, work, ddl)


def main() -> None:
    """Run and print the report's counts as JSON."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("photos")
    options.add_argument("out")
    options.add_argument("--engine", default="embedded")
    options.add_argument("--weights", required=True)
    options.add_argument("--parallelism", type=int, default=2)
    options.add_argument("--stub", action="store_true", help="in place of the network")
    args = options.parse_args()
    if args.stub:
        vars(pipeline)["run_tasks"] = _run_stubbed
    settings = Settings(
        args.photos,
        args.out,
        engine=args.engine,
        weights=args.weights,
        parallelism=args.parallelism,
    )
    report = pipeline.run(settings)
    print(json.dumps({"counts": report.counts, "timings": report.timings}))


if __name__ == "__main__":
    main()
