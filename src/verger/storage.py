"""Files and folders: the only module that lists, reads and writes them.

Paths travel as text in tables. A name that is not UTF-8 is written with ``\\xNN`` for each byte
that does not decode (and for a backslash that would read as such), so that it survives the way to
a worker and back: `to_text` and `to_os` are inverse to each other.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from verger.errors import ImageError, UsageError

_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")


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
    UsageError : another scheme
    """
    scheme, separator, _ = text.partition("://")
    if not separator:
        return Path(os.path.abspath(os.path.expanduser(text)))
    if scheme == "file":
        return Path(unquote(urlsplit(text).path))
    raise UsageError(f"{what} {text!r}: expected a local path; {scheme}:// is not supported yet")


@dataclass(frozen=True)
class Entry:
    """One thing found in a folder; size and modified (ns since 1970) are None where unknown."""

    path: str
    relative: str
    size: int | None
    modified: int | None


def walk(root: Path, *, skip: Path | None = None) -> Iterator[Entry]:
    """All files below a folder, any depth, in the order of their names' bytes.

    Names that start with a dot are passed over, and so is the folder `skip`. Links are followed;
    a link to a folder that encloses it is not entered again. A folder that cannot be read is
    yielded itself, so that it is rejected with its reason instead of vanishing.
    """
    base = os.fsencode(root)
    skipped = None if skip is None else os.path.realpath(os.fsencode(skip))
    yield from _walk(base, base, frozenset(), skipped)


def _walk(
    folder: bytes, base: bytes, inside: frozenset[tuple[int, int]], skipped: bytes | None
) -> Iterator[Entry]:
    try:
        status = os.stat(folder)
        identity = status.st_dev, status.st_ino
        if identity in inside or os.path.realpath(folder) == skipped:
            return
        names = sorted(name for name in os.listdir(folder) if not name.startswith(b"."))
    except OSError:
        yield _entry(folder, base, None)
        return
    for name in names:
        path = os.path.join(folder, name)
        try:
            found = os.stat(path)
        except OSError:  # vanished, a broken link, a loop of links: reading it will say which
            yield _entry(path, base, None)
            continue
        if stat.S_ISDIR(found.st_mode):
            yield from _walk(path, base, inside | {identity}, skipped)
        else:
            yield _entry(path, base, found)


def _entry(path: bytes, base: bytes, status: os.stat_result | None) -> Entry:
    relative = to_text(os.path.relpath(path, base))
    if status is None:
        return Entry(to_text(path), relative, None, None)
    return Entry(to_text(path), relative, status.st_size, status.st_mtime_ns)


def describe(path: str) -> tuple[int | None, int | None]:
    """Size in bytes and time of modification in ns; None, None where there is no such file."""
    try:
        status = os.stat(to_os(path))
    except (OSError, ValueError):
        return None, None
    return status.st_size, status.st_mtime_ns


def read_photo(path: str, most: int) -> bytes:
    """The bytes of one photo.

    Parameters
    ----------
    path : as in the tables (see `to_text`)
    most : bytes it may have

    Raises
    ------
    ImageError : with stage ``read`` and why it could not be read
    """
    try:
        # Not blocking: a named pipe that is called photo.jpg must not hang a worker.
        descriptor = os.open(to_os(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                is_folder = stat.S_ISDIR(status.st_mode)
                reason = "is_directory" if is_folder else "not_a_file"
                raise ImageError("read", reason, "it is a folder" if is_folder else "it is special")
            data = file.read(most + 1) if status.st_size <= most else b""
    except (OSError, ValueError) as exc:
        raise _unreadable(exc) from exc
    if status.st_size > most or len(data) > most:
        size = max(status.st_size, len(data))
        raise ImageError("read", "too_many_bytes", f"{size} bytes, the limit is {most}")
    return data


def _unreadable(exc: OSError | ValueError) -> ImageError:
    if isinstance(exc, FileNotFoundError | NotADirectoryError):
        return ImageError("read", "missing", "there is no such file")
    if isinstance(exc, IsADirectoryError):
        return ImageError("read", "is_directory", "it is a folder")
    if isinstance(exc, OSError) and exc.errno == errno.ENXIO:  # a socket
        return ImageError("read", "not_a_file", "it is special")
    return ImageError("read", "unreadable", getattr(exc, "strerror", None) or str(exc))


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Have `write` fill a temporary file beside `path`, then put it in place whole and durable.

    A file of that name is replaced; whoever reads sees the old one or the new one. The folder must
    exist: a worker that outlives its run finds it gone and stops.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}")
    try:
        write(temporary)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """`write_atomically` for UTF-8 text."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8") and None)


def replace_folder(new: Path, final: Path) -> None:
    """Put the folder `new` in the place of `final`, which may exist."""
    old = final.with_name(f".{final.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        final.rename(old)
    new.rename(final)
    shutil.rmtree(old, ignore_errors=True)


def remove(path: Path) -> None:
    """Remove a file or folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
