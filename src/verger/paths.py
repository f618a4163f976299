"""Paths as text, as tables and users write them; nothing here touches a file.

Paths travel as text in tables. A name that is not UTF-8 is written with ``\\xNN`` for each byte
that does not decode (and for a backslash that would read as such), so that it survives the way to
a worker and back: `to_text` and `to_os` are inverse to each other.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote_to_bytes

from verger.errors import UsageError

_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")
#: ``file:///a``, ``file://localhost/a`` and, as Java writes it, ``file:/a``.
_FILE_URI = re.compile(r"file:(?://(?:localhost)?)?(?=/(?!/))", re.IGNORECASE)
_URI = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def to_text(raw: bytes) -> str:
    """A file system path as text that Arrow and Parquet can hold."""
    try:
        text = raw.decode()
        if not _ESCAPE.search(raw):
            return text
    except UnicodeDecodeError:
        pass
    escaped = _ESCAPE.sub(rb"\\x5cx\1", raw)
    return escaped.decode(errors="backslashreplace")


def to_os(path: str) -> bytes:
    """The inverse of `to_text`."""
    return _ESCAPE.sub(lambda match: bytes.fromhex(match[1].decode()), path.encode())


def printable(path: str) -> str:
    """A path fit for a terminal: control characters, which a hostile name may hold, escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in path)


def local_path(text: str, what: str) -> Path:
    """The absolute path that a user's PHOTOS, OUT or FILE stands for; ``file://`` is understood.

    Raises
    ------
    UsageError : another scheme, or a ``file://`` without an absolute path
    """
    if match := _FILE_URI.match(text):
        raw = unquote_to_bytes(os.fsencode(text[match.end() :]))
        return Path(os.path.abspath(os.fsdecode(raw)))
    if match := _URI.match(text):
        raise UsageError(
            f"{what} {text!r}: expected a local path, or file:// with an absolute one; "
            f"{match.group()} is not supported yet"
        )
    return Path(os.path.abspath(os.path.expanduser(text)))


def is_uri(text: str) -> bool:
    """Whether a path is written with a scheme, as ``file:///a`` or ``s3://a/b``."""
    return bool(_FILE_URI.match(text) or _URI.match(text))
