"""Files and folders: the only module that lists, reads and writes them."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from verger.errors import ImageError
from verger.paths import to_os, to_text


@dataclass(frozen=True)
class Entry:
    """One thing found in a folder; size and modified (ns since 1970) are None where unknown.

    An unreadable folder is one whose files could not be listed.
    """

    path: str
    relative: str
    size: int | None
    modified: int | None
    unreadable_folder: bool = False


def walk(root: Path, *, skip: Path | None = None) -> Iterator[Entry]:
    """All files below a folder, any depth, in the order of their names' bytes.

    Names that start with a dot are passed over, and so is the folder `skip`. Links are followed;
    a link to a folder that encloses it is not entered again. A folder that cannot be read is
    yielded itself, so that it is rejected with its reason instead of vanishing.
    """
    base = os.fsencode(root)
    barred: set[tuple[int, int] | None] = set()
    if skip is not None:
        with suppress(OSError):  # not there: nothing to pass over
            barred.add(_identity(os.stat(skip)))
    # Not recursive: generators inside one another fail a thousand folders down.
    trail = [_Folder(b"", None, iter([base]), {base})]
    while trail:
        name = next(trail[-1].names, None)
        if name is None:
            barred.discard(trail.pop().identity)
            continue
        path = os.path.join(trail[-1].path, name)
        status, folder = None, name in trail[-1].folders
        try:
            status = os.stat(path)
            if stat.S_ISDIR(status.st_mode):
                folder = True
                if _identity(status) not in barred:
                    trail.append(_open_folder(path, _identity(status)))
                    barred.add(_identity(status))
                continue
        except OSError:  # vanished, forbidden, a broken link, a loop of links: reading says which
            status = None
        yield _entry(path, base, status, folder)


@dataclass
class _Folder:
    """A folder being walked: what is still to come of it, and which names are surely folders."""

    path: bytes
    identity: tuple[int, int] | None
    names: Iterator[bytes]
    folders: set[bytes]


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _open_folder(path: bytes, identity: tuple[int, int]) -> _Folder:
    names, folders = [], set()
    with os.scandir(path) as found:
        for entry in found:
            if not entry.name.startswith(b"."):
                names.append(entry.name)
                if entry.is_dir(follow_symlinks=False):
                    folders.add(entry.name)
    return _Folder(path, identity, iter(sorted(names)), folders)


def _entry(path: bytes, base: bytes, status: os.stat_result | None, folder: bool) -> Entry:
    relative = to_text(path[len(os.path.join(base, b"")) :] or b".")
    if status is None:
        return Entry(to_text(path), relative, None, None, unreadable_folder=folder)
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
    path : as in the tables (see `paths.to_text`)
    most : bytes it may have

    Raises
    ------
    ImageError : with stage ``read`` and why it could not be read
    """
    try:
        # Not blocking: a named pipe that is called photo.jpg must not hang a worker.
        descriptor = os.open(to_os(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return _read_regular(descriptor, most)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as exc:
        raise _unreadable(exc) from exc


def _read_regular(descriptor: int, most: int) -> bytes:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        is_folder = stat.S_ISDIR(status.st_mode)
        reason = "is_directory" if is_folder else "not_a_file"
        raise ImageError("read", reason, "it is a folder" if is_folder else "it is special")
    blocks: list[bytes] = []
    size = status.st_size
    if size <= most:
        while block := os.read(descriptor, max(status.st_size, 65536) + 1):
            blocks.append(block)
            if sum(map(len, blocks)) > most:  # it is growing
                break
        size = sum(map(len, blocks))
    if size > most:
        raise ImageError("read", "too_many_bytes", f"{size} bytes, the limit is {most}")
    return blocks[0] if len(blocks) == 1 else b"".join(blocks)


def _unreadable(exc: OSError | ValueError) -> ImageError:
    if isinstance(exc, FileNotFoundError | NotADirectoryError):
        return ImageError("read", "missing", "there is no such file")
    if isinstance(exc, IsADirectoryError):
        return ImageError("read", "is_directory", "it is a folder")
    if isinstance(exc, OSError) and exc.errno == errno.ENXIO:  # a socket
        return ImageError("read", "not_a_file", "it is special")
    return ImageError("read", "unreadable", getattr(exc, "strerror", None) or str(exc))


def write_atomically(path: Path, write: Callable[[Path], object], *, durable: bool = True) -> None:
    """Have `write` fill a temporary file beside `path`, then put it in place whole.

    Durable, it outlives a loss of power as well, which costs a wait for the disk.

    A file of that name is replaced; whoever reads sees the old one or the new one. The folder must
    exist: a worker that outlives its run finds it gone and stops.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}")
    try:
        write(temporary)
        if durable:
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
        os.replace(temporary, path)
        if durable:
            _sync_folder(path.parent)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    """Make a rename durable, where the file system has such a thing for folders."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_text(path: Path, text: str, *, durable: bool = True) -> None:
    """`write_atomically` for UTF-8 text."""
    write_atomically(
        path, lambda temporary: temporary.write_text(text, encoding="utf-8"), durable=durable
    )


def replace_folder(new: Path, final: Path) -> None:
    """Put the folder `new` in the place of `final`, which may exist; on an error it stays.

    Raises
    ------
    OSError : as when `new` is not there
    """
    old = final.with_name(f".{final.name}.old")
    remove(old)
    if os.path.lexists(final):
        final.rename(old)
    try:
        new.rename(final)
    except OSError:
        if os.path.lexists(old):
            old.rename(final)
        raise
    remove(old)


def remove(path: Path) -> None:
    """Remove a file or folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
