"""What a setting's value may be: from text, or a value of a settings file, to the checked value.

Each of them raises `SettingsError`, which names the setting, its value and what was expected.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from verger.errors import SettingsError

#: From a setting's name, for messages, and a value as given to the checked value.
Parser = Callable[[str, Any], Any]


def text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise SettingsError(f"{name} {value!r}: expected a non-empty text")
    return value


def flag(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    words = {"1": True, "true": True, "yes": True, "on": True}
    words |= {"0": False, "false": False, "no": False, "off": False, "": False}
    try:
        return words[str(value).lower()]
    except KeyError:
        raise SettingsError(f"{name} {value!r}: expected true or false") from None


def count(name: str, value: Any) -> int:
    try:
        number = int(str(value))
    except ValueError:
        number = 0
    if number < 1 or isinstance(value, bool):
        raise SettingsError(f"{name} {value!r}: expected a whole number of at least 1")
    return number


def positive(most: float) -> Parser:
    def parse(name: str, value: Any) -> float:
        number = _number(value)
        if number is None or not 0 < number <= most:
            raise SettingsError(f"{name} {value!r}: expected a number above 0 and up to {most:g}")
        return number

    return parse


def share(name: str, value: Any) -> float:
    number = _number(value)
    if number is None or not 0 <= number <= 1:
        raise SettingsError(f"{name} {value!r}: expected a share from 0 to 1, as 0.05 or 5%")
    return number


def components(name: str, value: Any) -> int | float:
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


def extensions(name: str, value: Any) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    cleaned: tuple[str, ...] = ()
    if isinstance(parts, list | tuple | set | frozenset) and all(isinstance(p, str) for p in parts):
        cleaned = tuple(sorted({part.strip().lower().lstrip("*.") for part in parts} - {""}))
    if not cleaned:
        raise SettingsError(f"{name} {value!r}: expected extensions as 'jpg,png', or 'all'")
    return cleaned


def engine(name: str, value: Any) -> str:
    text = str(value)
    if text in {"embedded", "spark"} or re.fullmatch(r"sc://[^/\s]+(/.*)?", text):
        return text
    raise SettingsError(f"{name} {value!r}: expected embedded, spark or sc://host:port")
