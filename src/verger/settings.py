"""What a run is asked to do: frozen, checked once, from options, environment and file.

Precedence: an option, then the environment variable ``VERGER_<NAME>``, then the ``[run]`` table of
``verger.toml`` in the working folder (or of the file named by ``--config``), then the default.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from verger.errors import SettingsError

#: Extensions that are taken for photos unless ``--extensions`` says otherwise.
PHOTO_EXTENSIONS: Final = (
    *("avif", "bmp", "dib", "gif", "heic", "heif", "jfif"),
    *("jpe", "jpeg", "jpg", "png", "tif", "tiff", "webp"),
)
SETTINGS_FILE: Final = "verger.toml"

Parser = Callable[[str, Any], Any]


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise SettingsError(f"{name} {value!r}: expected a non-empty text")
    return value


def _flag(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    words = {"1": True, "true": True, "yes": True, "on": True}
    words |= {"0": False, "false": False, "no": False, "off": False, "": False}
    try:
        return words[str(value).lower()]
    except KeyError:
        raise SettingsError(f"{name} {value!r}: expected true or false") from None


def _count(name: str, value: Any) -> int:
    try:
        number = int(str(value))
    except ValueError:
        number = 0
    if number < 1 or isinstance(value, bool):
        raise SettingsError(f"{name} {value!r}: expected a whole number of at least 1")
    return number


def _positive(most: float) -> Parser:
    def parse(name: str, value: Any) -> float:
        number = _number(value)
        if number is None or not 0 < number <= most:
            raise SettingsError(f"{name} {value!r}: expected a number above 0 and up to {most:g}")
        return number

    return parse


def _share(name: str, value: Any) -> float:
    number = _number(value)
    if number is None or not 0 <= number <= 1:
        raise SettingsError(f"{name} {value!r}: expected a share from 0 to 1, as 0.05 or 5%")
    return number


def _components(name: str, value: Any) -> int | float:
    """A whole number is a count of components, anything with a point or % a share of variance."""
    text = str(value).strip()
    # Eighteen digits are far beyond any sense, and int() refuses thousands of them its own way.
    if re.fullmatch(r"[0-9]{1,18}", text):
        if int(text) >= 1:
            return int(text)
    elif (number := _number(text)) is not None and 0 < number <= 1:
        return number
    raise SettingsError(
        f"{name} {value!r}: expected a number of components, as 200, or a share of variance "
        "above 0 and up to 1.0, as 0.95 or 95%"
    )


def _number(value: Any) -> float | None:
    text = str(value).strip()
    try:
        return float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None


def _extensions(name: str, value: Any) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    cleaned: tuple[str, ...] = ()
    if isinstance(parts, list | tuple | set | frozenset) and all(isinstance(p, str) for p in parts):
        cleaned = tuple(sorted({part.strip().lower().lstrip("*.") for part in parts} - {""}))
    if not cleaned:
        raise SettingsError(f"{name} {value!r}: expected extensions as 'jpg,png', or 'all'")
    return cleaned


def _engine(name: str, value: Any) -> str:
    text = str(value)
    if text in {"embedded", "spark"} or re.fullmatch(r"sc://[^/\s]+(/.*)?", text):
        return text
    raise SettingsError(f"{name} {value!r}: expected embedded, spark or sc://host:port")


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
        _engine,
        "Where the work is done: 'embedded' in this process without Java, 'spark' on the active "
        "Apache Spark session or a local one, 'sc://host:port' on a Spark Connect server.",
        "ENGINE",
    )
    layout: str = _setting(
        "parent",
        _text,
        "Where labels stand in the path: 'parent' takes the photo's folder, 'none' takes nothing, "
        "a template such as '{split}/{fruit}/{label}/{file}' names the folders below PHOTOS "
        "(* is any one of them, ** any number).",
        "TEMPLATE",
    )
    extensions: tuple[str, ...] = _setting(
        PHOTO_EXTENSIONS,
        _extensions,
        "File extensions to take from a folder, as 'jpg,png', or 'all' to try every file.",
        "LIST",
    )
    components: int | float = _setting(
        0.95,
        _components,
        "Principal components to keep: a number, as 200, or the share of variance that they must "
        "hold together, as 0.95.",
        "K|SHARE",
    )
    pca_from: str | None = _setting(
        None,
        _text,
        "Project onto the components of an earlier run (its output folder) instead of fitting new "
        "ones, so that both can be compared.",
        "OUT2",
    )
    weights: str | None = _setting(
        None,
        _text,
        "MobileNetV2 weights without top in Keras' .h5 layout; without it they are looked for as "
        "'verger weights' shows.",
        "FILE",
    )
    chunk: int | None = _setting(
        None,
        _count,
        "Photos in a chunk, the unit that lands whole or not at all; by default a 16th of each "
        "core's share, between 64 and 8192.",
        "N",
    )
    batch: int = _setting(
        4, _count, "Photos given to the network at once; small ones stay in the cache.", "N"
    )
    parallelism: int | None = _setting(
        None,
        _count,
        "Chunks worked on at once; by default the processor cores that the engine reports.",
        "N",
    )
    max_megapixels: float = _setting(
        100.0,
        _positive(178),
        "Reject photos that would unfold to more millions of pixels; at most 178.",
        "MP",
    )
    max_megabytes: float = _setting(
        64.0, _positive(4096), "Reject photo files of more megabytes.", "MB"
    )
    max_rejected: float = _setting(
        0.05,
        _share,
        "Fail when more than this share of the photos had to be rejected, as 0.05 or 5%.",
        "SHARE",
    )
    fresh: bool = _setting(
        False, _flag, "Throw away what OUT holds of earlier runs and start anew."
    )
    prune: bool = _setting(
        False, _flag, "Drop the rows of photos that are no longer there; by default they are kept."
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
        return cls(photos=_text("PHOTOS", photos), out=_text("OUT", out), **values)


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
