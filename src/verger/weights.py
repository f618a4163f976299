"""Where the backbone's weights come from: a file, the cache, a checkout's neighbour, a download."""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from verger.errors import DownloadError, WeightsError

OFFICIAL_NAME: Final = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
OFFICIAL_URL: Final = (
    f"https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/{OFFICIAL_NAME}"
)
#: As a public source gives it; where it proves wrong, ``--accept-sha256`` names another.
OFFICIAL_SHA256: Final = "f8aff69536bd77a692c594f559c798c19bf7f3f36668fc9fa00b21c6aab4797c"
URL_VARIABLE: Final = "VERGER_WEIGHTS_URL"
CACHE_VARIABLE: Final = "VERGER_CACHE"
SHARED_NAME: Final = "mobilenet_v2_1.0_224_no_top.h5"

_TRIES = 4
_TIMEOUT = 30.0
_MOST_BYTES = 256 * 2**20
_BLOCK = 1 << 18

#: Called with bytes so far and in all (None where the server does not say).
DownloadProgress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Source:
    """One place where weights are looked for, in this order."""

    kind: str  # option, cache, checkout, download
    place: str
    present: bool


def cache_folder() -> Path:
    """``$VERGER_CACHE``, else ``verger`` in the user's cache folder (XDG base directories)."""
    if own := os.environ.get(CACHE_VARIABLE):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "verger"


def sources(option: str | None = None) -> list[Source]:
    """Where weights are looked for, best first; `option` is ``--weights`` or ``VERGER_WEIGHTS``."""
    found = []
    if option:
        path = Path(option).expanduser()
        found.append(Source("option", str(path), path.is_file()))
    cached = cache_folder() / OFFICIAL_NAME
    found.append(Source("cache", str(cached), cached.is_file()))
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "pyproject.toml").is_file():
        shared = checkout.parent / "shared" / "weights" / SHARED_NAME
        found.append(Source("checkout", str(shared), shared.is_file()))
    found.append(Source("download", _url(), False))
    return found


def find(option: str | None = None, progress: DownloadProgress | None = None) -> Path:
    """The weights to use; downloaded into the cache when they are nowhere else.

    Raises
    ------
    WeightsError : the file named by `option` is not there
    DownloadError : nothing is there and the download failed; says the ways out
    """
    for source in sources(option):
        if source.present:
            return Path(source.place)
        if source.kind == "option":
            raise WeightsError(f"weights {source.place}: no such file")
    return download(progress=progress)


def download(
    *, sha256: str | None = None, progress: DownloadProgress | None = None, pause: float = 1.0
) -> Path:
    """Fetch the official weights into the cache.

    A broken transfer is taken up where it stopped, `_TRIES` times with growing pauses.

    Parameters
    ----------
    sha256 : accept this hash (hex) instead of the pinned one
    progress : told how far it is
    pause : seconds before the second try

    Raises
    ------
    DownloadError : it could not be fetched, or its hash is another
    """
    final = cache_folder() / OFFICIAL_NAME
    part = final.with_name(final.name + ".part")
    expected = (sha256 or OFFICIAL_SHA256).lower()
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        with open(final.with_name(final.name + ".lock"), "w") as lock:
            with suppress(OSError):  # a file system without locks: then without
                fcntl.flock(lock, fcntl.LOCK_EX)
            # Another process may have been quicker; two at once would spoil each other's part.
            if not (final.is_file() and _sha256(final) == expected):
                _transfer(part, progress, pause)
                _check(part, expected)
                os.replace(part, final)
    except OSError as exc:
        raise _failure(f"cache {final.parent}: {exc}") from exc
    return final


def _url() -> str:
    return os.environ.get(URL_VARIABLE) or OFFICIAL_URL


def _transfer(part: Path, progress: DownloadProgress | None, pause: float) -> None:
    """As many tries as it takes and `_TRIES` allows; what is there already is kept."""
    failure: Exception | None = None
    with open(part, "ab") as file:
        for attempt in range(_TRIES):
            if attempt:
                time.sleep(pause * 2 ** (attempt - 1))
            try:
                _fetch(_url(), file, progress)
                file.flush()
                return os.fsync(file.fileno())
            except urllib.error.HTTPError as exc:
                exc.close()
                if exc.code < 500 and exc.code not in (408, 416, 429):
                    raise _failure(f"the server answers {exc.code} {exc.reason}") from exc
                failure = exc
            except (ValueError, http.client.InvalidURL) as exc:  # trying again will not help
                raise _failure(str(exc)) from exc
            except (OSError, http.client.HTTPException, EOFError) as exc:
                failure = exc
    raise _failure(f"{_TRIES} tries failed, the last with: {failure}") from failure


def _fetch(url: str, file: IO[bytes], progress: DownloadProgress | None) -> None:
    """One try: the whole file, or the rest of it where the server can."""
    have = file.seek(0, os.SEEK_END)
    request = urllib.request.Request(url, headers={"User-Agent": "verger"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
            if answer.status != 206:
                have = file.truncate(0)
            length = answer.headers.get("Content-Length")
            total = have + int(length) if length else None
            _copy(answer, file, have, total, progress)
    except urllib.error.HTTPError as exc:
        if exc.code == 416:  # what is there is longer than the file: start again
            file.truncate(0)
        raise


def _copy(
    answer: IO[bytes],
    file: IO[bytes],
    done: int,
    total: int | None,
    progress: DownloadProgress | None,
) -> None:
    while block := answer.read(_BLOCK):
        file.write(block)
        done += len(block)
        if done > _MOST_BYTES:
            file.truncate(0)
            raise _failure(f"the server sends more than {_MOST_BYTES} bytes: not the file")
        if progress:
            progress(done, total)
    if total is not None and done < total:
        raise EOFError(f"the connection ended after {done} of {total} bytes")


def _sha256(file: Path) -> str:
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _check(part: Path, expected: str) -> None:
    found = _sha256(part)
    if found != expected:
        part.unlink(missing_ok=True)
        raise _failure(
            f"the file has SHA-256 {found}, expected {expected}; if you know that this file is "
            f"right: verger weights --download --accept-sha256 {found}"
        )


def _failure(what: str) -> DownloadError:
    return DownloadError(
        f"weights could not be downloaded from {_url()}: {what}\n"
        "ways out:\n"
        "  1. name a file you have: --weights FILE (or VERGER_WEIGHTS=FILE)\n"
        f"  2. put {OFFICIAL_NAME}\n     into {cache_folder()}\n"
        "  3. on a machine with network run 'verger weights --download', or name a mirror with "
        f"{URL_VARIABLE}=https://..."
    )
