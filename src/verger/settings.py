"""What a run is asked to do: frozen, checked once, from options, environment and file.

Precedence: an option, then the environment variable ``VERGER_<NAME>``, then the ``[run]`` table of
``verger.toml`` in the working folder (or of the file named by ``--config``), then the default.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from verger import parsers
from verger.errors import SettingsError
from verger.parsers import Parser

#: Extensions that are taken for photos unless ``--extensions`` says otherwise.
PHOTO_EXTENSIONS: Final = (
    *("avif", "bmp", "dib", "gif", "heic", "heif", "jfif"),
    *("jpe", "jpeg", "jpg", "png", "tif", "tiff", "webp"),
)
SETTINGS_FILE: Final = "verger.toml"


def _setting(default: Any, parse: Parser, help: str, metavar: str = "", short: str = "") -> Any:
    metadata = {"parse": parse, "help": help, "metavar": metavar, "short": short}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Settings:
    """One run of the main job.

    Build it with `Settings.resolve`, which checks every value, or directly with checked values.
    """

    photos: str
    out: str
    engine: str = _setting(
        "embedded",
        parsers.engine,
        "Where the work is done: 'embedded' in this process without Java, 'spark' on the active "
        "Apache Spark session or a local one, 'sc://host:port' on a Spark Connect server.",
        "ENGINE",
    )
    layout: str = _setting(
        "parent",
        parsers.text,
        "Where labels stand in the path: 'parent' takes the photo's folder, 'none' takes nothing, "
        "a template such as '{split}/{fruit}/{label}/{file}' names the folders below PHOTOS "
        "(* is any one of them, ** any number).",
        "TEMPLATE",
    )
    extensions: tuple[str, ...] = _setting(
        PHOTO_EXTENSIONS,
        parsers.extensions,
        "File extensions to take from a folder, as 'jpg,png', or 'all' to try every file.",
        "LIST",
    )
    components: int | float = _setting(
        0.95,
        parsers.components,
        "Principal components to keep: a number, as 200, or the share of variance that they must "
        "hold together, as 0.95.",
        "K|SHARE",
    )
    pca_from: str | None = _setting(
        None,
        parsers.text,
        "Project onto the components of an earlier run (its output folder) instead of fitting new "
        "ones, so that both can be compared.",
        "OUT2",
    )
    weights: str | None = _setting(
        None,
        parsers.text,
        "MobileNetV2 weights without top in Keras' .h5 layout; without it they are looked for as "
        "'verger weights' shows.",
        "FILE",
    )
    chunk: int | None = _setting(
        None,
        parsers.count,
        "Photos in a chunk, the unit that lands whole or not at all; by default a share "
        "that keeps all cores busy to the end, between 64 and 8192.",
        "N",
    )
    batch: int = _setting(
        4, parsers.count, "Photos given to the network at once; small ones stay in the cache.", "N"
    )
    parallelism: int | None = _setting(
        None,
        parsers.count,
        "Chunks worked on at once; by default the processor cores that the engine reports.",
        "N",
    )
    max_megapixels: float = _setting(
        100.0,
        parsers.positive(178),
        "Reject photos that would unfold to more millions of pixels; at most 178.",
        "MP",
    )
    max_megabytes: float = _setting(
        64.0, parsers.positive(4096), "Reject photo files of more megabytes.", "MB"
    )
    max_rejected: float = _setting(
        0.05,
        parsers.share,
        "Fail when more than this share of the photos had to be rejected, as 0.05 or 5%.",
        "SHARE",
    )
    fresh: bool = _setting(
        False, parsers.flag, "Throw away what OUT holds of earlier runs and start anew."
    )
    prune: bool = _setting(
        False,
        parsers.flag,
        "Drop the rows of photos that are no longer there; by default they are kept.",
    )

    @classmethod
    def resolve(
        cls,
        photos: str | os.PathLike[str],
        out: str | os.PathLike[str],
        *,
        environ: Mapping[str, str] | None = None,
        file: str | os.PathLike[str] | None = None,
        **options: Any,
    ) -> Settings:
        """Check and merge options, environment and settings file.

        Parameters
        ----------
        photos, out : where the photos are and where results go
        environ : defaults to ``os.environ``
        file : a TOML file with a ``[run]`` table; defaults to ``verger.toml`` where there is one
        options : any other field of `Settings`; None counts as not given

        Raises
        ------
        SettingsError : an unknown name or a bad value, and where it came from
        """
        environ = os.environ if environ is None else environ
        known = {f.name: f.metadata["parse"] for f in fields(cls) if f.metadata}
        if unknown := sorted(set(options) - set(known)):
            raise SettingsError(
                f"unknown option {unknown[0]!r}: expected one of {', '.join(known)}"
            )
        sources = [
            {name: (option_name(name), value) for name, value in options.items()},
            _from_environment(environ, known),
            _from_file(file, known),
        ]
        values = {}
        for name, parse in known.items():
            given = [source[name] for source in sources if name in source]
            if first := next((pair for pair in given if pair[1] is not None), None):
                values[name] = parse(*first)
        photos, out = os.fspath(photos), os.fspath(out)
        return cls(photos=parsers.text("PHOTOS", photos), out=parsers.text("OUT", out), **values)


def option_name(name: str) -> str:
    """``max_rejected`` to ``--max-rejected``."""
    return "--" + name.replace("_", "-")


#: By name of the setting: where its value stands, for messages, and the value.
_Given = dict[str, tuple[str, Any]]


def _from_environment(environ: Mapping[str, str], known: Mapping[str, Parser]) -> _Given:
    variables = {name: f"VERGER_{name.upper()}" for name in known}
    return {
        name: (f"environment variable {variable}", environ[variable])
        for name, variable in variables.items()
        if environ.get(variable)
    }


def _from_file(file: str | os.PathLike[str] | None, known: Mapping[str, Parser]) -> _Given:
    path = Path(SETTINGS_FILE if file is None else file)
    if file is None and not path.is_file():
        return {}
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # editors may add a BOM
    except (OSError, ValueError) as exc:
        raise SettingsError(f"settings file {path}: {exc}") from exc
    if foreign := sorted(set(document) - {"run"}):
        raise SettingsError(
            f"settings file {path}: unknown {foreign[0]!r}, expected settings in a table [run]"
        )
    table = document.get("run", {})
    if not isinstance(table, dict):
        raise SettingsError(f"settings file {path}: [run] is {table!r}, expected a table")
    if unknown := sorted(set(table) - set(known)):
        raise SettingsError(
            f"settings file {path}: unknown setting {unknown[0]!r} in [run], "
            f"expected one of {', '.join(sorted(known))}"
        )
    return {name: (f"{path}: {name}", value) for name, value in table.items()}
