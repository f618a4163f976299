"""Everything Verger raises on purpose.

::

    VergerError
    ├── UsageError            what was asked for makes no sense (exit code 2)
    │   ├── SettingsError     an option, environment variable or settings file
    │   └── LayoutError       a layout template, or one that matches no photo
    ├── CollectionError       the photos cannot be listed, or there are none
    ├── ImageError            one photo cannot be used: has a ``stage`` and a ``reason``
    ├── WeightsError          backbone weights are missing or not what they should be
    │   └── DownloadError     they could not be fetched
    ├── BundleError           a saved model is missing, damaged or of another version
    ├── StatisticsError       principal components cannot be computed from these rows
    ├── EngineError           no engine, or the engine failed
    ├── OutputError           the output folder is in use, foreign or of other settings
    └── TooManyRejected       more photos were rejected than ``--max-rejected`` allows

Every message names the thing, its value and what was expected.
"""

from __future__ import annotations


class VergerError(Exception):
    """The root of the tree: catch this to catch all of it."""


class UsageError(VergerError):
    """What was asked for makes no sense."""


class SettingsError(UsageError):
    """An option, environment variable or settings file has a bad value."""


class LayoutError(UsageError):
    """A layout template is malformed, or matches none of the photos."""


class CollectionError(VergerError):
    """The photos cannot be listed, or there are none."""


class ImageError(VergerError):
    """One photo cannot be used.

    Parameters
    ----------
    stage : ``"read"``, ``"decode"`` or ``"infer"``
    reason : a short code such as ``"truncated"``; `docs/decoding.md` lists them
    detail : a sentence for a person
    """

    def __init__(self, stage: str, reason: str, detail: str) -> None:
        super().__init__(f"{stage}: {reason}: {detail}")
        self.stage = stage
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[ImageError], tuple[str, str, str]]:
        return type(self), (self.stage, self.reason, self.detail)


class WeightsError(VergerError):
    """Backbone weights are missing or not what they should be."""


class DownloadError(WeightsError):
    """Backbone weights could not be fetched."""


class BundleError(VergerError):
    """A saved model is missing, damaged or of another version."""


class StatisticsError(VergerError):
    """Principal components cannot be computed from these rows."""


class EngineError(VergerError):
    """There is no such engine here, or the engine failed."""


class OutputError(VergerError):
    """The output folder is in use, foreign, or holds a run with other settings."""


class TooManyRejected(VergerError):
    """More photos were rejected than ``--max-rejected`` allows."""
