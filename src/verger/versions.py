"""Which versions of what matters are installed here."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Final

from verger._version import __version__

#: Packages whose version may change a result or explain a failure.
PACKAGES: Final = (
    "numpy",
    "pyarrow",
    "pillow",
    "pillow-heif",
    "onnxruntime",
    "onnx",
    "pysail",
    "pyspark",
    "pyspark-client",
)


def installed() -> dict[str, str]:
    """Package name to version, of those that are there; with Python and Verger itself."""
    found = {"verger": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
