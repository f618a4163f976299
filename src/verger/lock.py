"""One run at a time in one OUT."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO, Final

from verger.errors import OutputError

#: The folder in OUT that holds the state of runs; readers of tables pass over the underscore.
STATE: Final = "_verger"


def lock(out: Path) -> IO[str]:
    """Take OUT for this process; the operating system frees it however the process ends.

    Returns
    -------
    the lock file, open: closing it gives OUT back

    Raises
    ------
    OutputError : OUT cannot be written, is not Verger's, or is in use
    """
    try:
        os.fsencode(out).decode()
    except UnicodeDecodeError as exc:
        raise OutputError(f"OUT {os.fsencode(out)!r}: expected a path in UTF-8") from exc
    try:
        state = out / STATE
        if out.is_dir() and not state.exists() and any(out.iterdir()):
            raise OutputError(
                f"OUT {out} is not empty and not from Verger: expected a new or empty folder"
            )
        state.mkdir(parents=True, exist_ok=True)
        file = open(state / "lock", "a+", encoding="utf-8")  # noqa: SIM115 - held open on purpose
    except OSError as exc:
        raise OutputError(f"OUT {out} cannot be written: {exc.strerror or exc}") from exc
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        file.seek(0)
        holder = file.read().strip() or "another process"
        file.close()
        raise OutputError(
            f"OUT {out} is in use by {holder}: wait for that run, or use another OUT"
        ) from exc
    file.truncate(0)
    file.write(f"process {os.getpid()} on {os.uname().nodename}")
    file.flush()
    return file
