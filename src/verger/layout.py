"""Labels from paths: ``{split}/{fruit}/{label}/{file}`` against ``Training/Apple/Golden/1.jpg``."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Final

from verger.errors import LayoutError

PARENT: Final = "parent"
NONE: Final = "none"

_TOKEN = re.compile(r"\{([^{}]*)\}|(\*\*|\*)")


@dataclass(frozen=True)
class Labels:
    """What a path says of its photo; None where it says nothing."""

    label: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class Layout:
    """A compiled layout template.

    Parameters
    ----------
    template : ``parent`` (label is the folder the photo lies in; none directly in the root),
        ``none``, or folders below the root separated by ``/`` with ``{label}``, optionally
        ``{split}``, any other ``{field}`` of letters, digits and ``_``, ``*`` for one name
        or a part of it and ``**`` for any number of folders. Where a name can be divided in more
        than one way the label takes as much as it can: ``{label}_{n}.jpg`` finds
        ``Golden_Delicious`` in ``Golden_Delicious_7.jpg``

    Raises
    ------
    LayoutError : the template is malformed or has no ``{label}``
    """

    template: str
    _pattern: re.Pattern[str] | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.template in (PARENT, NONE):
            pattern = None
        else:
            pattern = re.compile(_to_regex(self.template), re.DOTALL)
        object.__setattr__(self, "_pattern", pattern)

    def labels(self, relative: str) -> Labels | None:
        """Read the labels of one photo.

        Parameters
        ----------
        relative : its path below the root, ``/`` between names

        Returns
        -------
        the labels, in Unicode normal form C so that one name typed on two systems is one label;
        None where the template does not match
        """
        if self.template == NONE:
            return Labels()
        if self._pattern is None:
            folders = relative.split("/")[:-1]
            return Labels(label=normal(folders[-1])) if folders else Labels()
        match = self._pattern.fullmatch(unicodedata.normalize("NFC", relative))
        if match is None:
            return None
        found = match.groupdict()
        return Labels(label=normal(found["label"]), split=normal(found.get("split")))


def normal(text: str | None) -> str | None:
    """A label in Unicode normal form C."""
    return None if text is None else unicodedata.normalize("NFC", text)


def _to_regex(template: str) -> str:
    """Translate a template; names do not cross ``/``."""
    clean = "/".join(part for part in unicodedata.normalize("NFC", template).split("/") if part)
    _check(template, clean)
    parts = [_part_to_regex(part) for part in clean.split("/")]
    # "**/" stands for no folder as well, so the separator belongs to it.
    return "/".join(parts).replace("(?:.*)/", "(?:.*/)?")


def _check(template: str, clean: str) -> None:
    names = [name for name, star in _TOKEN.findall(clean) if not star]
    for name in names:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise LayoutError(
                f"layout {template!r}: field {{{name}}} must be a name of letters, digits and _"
            )
        if names.count(name) > 1:
            raise LayoutError(f"layout {template!r} has {{{name}}} more than once")
    if "label" not in names:
        raise LayoutError(
            f"layout {template!r} has no {{label}}: expected e.g. '{{split}}/{{label}}/{{file}}', "
            "or 'parent', or 'none'"
        )
    rest = _TOKEN.sub("", clean)
    if "{" in rest or "}" in rest:
        raise LayoutError(f"layout {template!r} has a brace without its partner")
    if touching := re.search(r"\}(\{[^{}]*\}|\*)|\*\{[^{}]*\}", clean):
        raise LayoutError(
            f"layout {template!r}: nothing divides the parts at {touching.group()!r}: expected "
            "something between them, as in '{label}_{n}.jpg'"
        )


def _part_to_regex(part: str) -> str:
    if part == "**":
        return "(?:.*)"
    pieces, position = [], 0
    for token in _TOKEN.finditer(part):
        pieces.append(re.escape(part[position : token.start()]))
        name = token.group(1)
        if name == "label":
            pieces.append("(?P<label>[^/]+)")
        else:
            pieces.append(f"(?P<{name}>[^/]+?)" if name else "[^/]*?")
        position = token.end()
    return "".join(pieces) + re.escape(part[position:])
