"""What hostile photo files claim of their size, and the reason codes for those refused."""

from __future__ import annotations

import io
import math
import re
import struct
from collections.abc import Iterator, Sequence

from PIL import Image, UnidentifiedImageError

from verger.errors import ImageError

#: How decoders word it, in lower case.
_SAY_TRUNCATED = ("truncated", "end of file", "eof")
_SAY_UNSUPPORTED = ("unsupported", "not supported", "pixel mode", "been built in", "cannot handle")


def claimed_size(data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels that a GIF, HEIC or AVIF file makes its decoder allocate.

    Their decoders allocate more, or sooner, than the size that Pillow tells. None for other files.
    """
    return _gif_frame(data) or _largest_item(data)


def _gif_frame(data: bytes) -> tuple[int, int] | None:
    """Width and height of a GIF's first frame (GIF89a, section 20), None for other files."""
    if len(data) < 13 or data[:4] != b"GIF8":
        return None
    at = 13 + (3 * 2 ** ((data[10] & 7) + 1) if data[10] & 0x80 else 0)
    while at + 9 < len(data):
        block = data[at : at + 1]
        if block == b",":
            width, height = struct.unpack_from("<HH", data, at + 5)
            return width, height
        at += 1
        if block == b"!":  # an extension: its label, then sub-blocks up to an empty one
            at += 1
            while at < len(data) and data[at]:
                at += 1 + data[at]
            at += 1
    return None


def _largest_item(data: bytes) -> tuple[int, int] | None:
    """Width and height of the largest picture in a HEIC or AVIF file, None for other files.

    From its ``ispe`` boxes (ISO 23008-12, section 6.5.3): Pillow tells the size of the primary
    picture after its crop (``clap``), which is done on the decoded whole.
    """
    if data[4:8] != b"ftyp":
        return None
    boxes = re.finditer(rb"ispe\0{4}(.{8})", data, re.DOTALL)
    sizes: Iterator[tuple[int, int]] = (struct.unpack(">II", box[1]) for box in boxes)
    return max(sizes, key=math.prod, default=None)


class _Stream(io.BytesIO):
    """Remembers whether its reader asked for more than there was."""

    ran_out = False

    def read(self, size: int | None = -1, /) -> bytes:
        block = super().read(size)
        self.ran_out |= len(block) < (size or 0)
        return block


def refusal(data: bytes, exc: Exception, formats: Sequence[str]) -> ImageError:
    """Find the reason for what a decoder raised. Slow, but only bad files come here.

    Parameters
    ----------
    data : the file's bytes
    exc : what came out of Pillow
    formats : Pillow's names of the kinds that were tried
    """
    stream = _Stream(data)
    if isinstance(exc, UnidentifiedImageError):
        # Pillow says this of any header that a decoder gave up on, and keeps why to itself.
        cause = _header_error(stream, formats)
        if cause is None:
            detail = f"no known picture format; it starts with {data[:12]!r}"
            return ImageError("decode", "not_an_image", detail)
        exc = cause
    detail = f"{type(exc).__name__}: {exc}"
    said = detail.lower()
    if stream.ran_out or _ends_early(data) or any(words in said for words in _SAY_TRUNCATED):
        return ImageError("decode", "truncated", detail)
    if any(words in said for words in _SAY_UNSUPPORTED) or isinstance(exc.__cause__, KeyError):
        return ImageError("decode", "unsupported", detail)
    return ImageError("decode", "corrupt", detail)


def _header_error(stream: _Stream, formats: Sequence[str]) -> Exception | None:
    """What the decoder of this kind of file raises on its header; None: it is of no known kind."""
    error: Exception | None = None
    for kind in formats:
        opener, accepts = Image.OPEN[kind]
        if accepts is None or accepts(stream.getvalue()[:16]) is not True:
            continue
        try:
            stream.seek(0)
            opener(stream, b"")
        except Exception as exc:
            error = exc
    return error


def _ends_early(data: bytes) -> bool:
    """Whether a container (RIFF: WebP; ISO 14496-12: HEIC, AVIF) says it is longer than it is."""
    if data[:4] == b"RIFF":
        return 8 + int.from_bytes(data[4:8], "little") > len(data)
    if data[4:8] != b"ftyp":
        return False
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size < 8:  # 0: up to the end of the file; 1: in 64 bits, which no photo needs
            return False
        at += size
    return at != len(data)
