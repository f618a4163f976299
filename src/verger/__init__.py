"""Verger: fruit photos to MobileNetV2 features and principal components.

::

    import verger

    verger.run("photos", "out")                          # the main job, as `verger run`
    verger.featurise(frame)                              # a DataFrame of paths or bytes, on Spark
    pca = verger.fit_pca(rows, components=0.95)          # (n, d) array
    pca.transform(rows)                                  # (n, k)
    verger.save_pca(pca, "model"); verger.load_pca("model")
    verger.decode_image(data)                            # bytes to uint8 (height, width, 3)

Importing it loads neither Spark nor ONNX Runtime.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from verger._version import __version__

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray
    from pyspark.sql import DataFrame, SparkSession

    from verger.pca import PCA
    from verger.runreport import RunReport

    PathLike = str | os.PathLike[str]

__all__ = [
    "__version__",
    "decode_image",
    "featurise",
    "fit_pca",
    "load_pca",
    "run",
    "save_pca",
]


def run(
    photos: PathLike, out: PathLike, *, session: SparkSession | None = None, **options: Any
) -> RunReport:
    """Photos in, features and principal components out; goes on where an earlier call stopped.

    Parameters
    ----------
    photos : a folder of any depth, or a manifest (.csv, .parquet) with a ``path`` column
    out : the output folder
    session : a Spark session to use instead of the ``engine`` option
    options : the options of ``verger run``, with ``_`` for ``-``: ``components=200``

    Returns
    -------
    the report that ``out/run.json`` holds

    Raises
    ------
    verger.errors.VergerError : see there
    """
    from verger import pipeline
    from verger.settings import Settings

    return pipeline.run(Settings.resolve(photos, out, **options), session=session)


def featurise(
    frame: DataFrame,
    *,
    column: str = "path",
    weights: PathLike | None = None,
    max_megapixels: float = 100.0,
    max_megabytes: float = 64.0,
) -> DataFrame:
    """Add MobileNetV2 features to a DataFrame of photos, on the session it belongs to.

    Parameters
    ----------
    frame : classic or Connect; any columns
    column : names the column with paths (string) or with the photos' bytes (binary)
    weights : as ``verger run --weights``
    max_megapixels, max_megabytes : reject larger photos

    Returns
    -------
    the same rows, lazily, with image_id, width, height, features (array<float>), stage, reason and
    detail; features are null where the last three say why. A column of bytes is left out.

    Raises
    ------
    verger.errors.WeightsError, verger.errors.UsageError
    """
    from verger import backbone
    from verger import weights as places
    from verger.engine.frames import featurise_frame
    from verger.engine.session import borrow
    from verger.images import Limits

    option = os.fspath(weights) if weights else os.environ.get("VERGER_WEIGHTS")
    network = backbone.load(places.find(option))
    engine = borrow(frame.sparkSession, parallelism=1)
    limits = Limits(max_megapixels, max_megabytes)
    return featurise_frame(frame, engine.share(network), column=column, limits=limits)


def fit_pca(rows: ArrayLike, components: int | float = 0.95) -> PCA:
    """Fit principal components to rows (n, d); see `verger.pca.fit`."""
    from verger import pca

    return pca.fit(pca.Statistics.of(rows), components)


def save_pca(pca: PCA, folder: PathLike) -> None:
    """Save a PCA as a bundle of ONNX and JSON; see `verger.bundle.save`."""
    from verger import bundle

    bundle.save(folder, pca)


def load_pca(folder: PathLike) -> PCA:
    """Load a PCA from a bundle or a run's output folder; see `verger.bundle.load`."""
    from verger import bundle

    return bundle.load(folder).pca


def decode_image(data: bytes) -> NDArray[np.uint8]:
    """One photo's bytes to upright sRGB pixels, uint8 (height, width, 3); see `verger.images`."""
    from verger import images

    return images.decode(data)
