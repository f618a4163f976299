"""Bytes of one photo to RGB pixels: the decoding policy, which `docs/decoding.md` tabulates.

Photos are hostile input. The kind of file is taken from its content, sizes are checked before
pixels are allocated, and whatever a decoder raises becomes an `ImageError` with a reason code.
"""

from __future__ import annotations

import io
import threading
import warnings
from dataclasses import dataclass
from typing import Final

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import AvifImagePlugin, Image, TiffImagePlugin

from verger import colours, refusals
from verger.errors import ImageError

#: Raise when the same bytes would give other pixels; part of every run's fingerprint.
POLICY_VERSION: Final = 1
#: Tried in this order; what a file is called does not matter. AVIF stands before HEIF because
#: both take the brand ``mif1`` and libheif opens AVIF files that it then cannot decode.
FORMATS: Final = ("JPEG", "PNG", "WEBP", "AVIF", "HEIF", "GIF", "TIFF", "BMP")

_ORIENTATION_TAG = 0x0112
_ORIENTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

pillow_heif.register_heif_opener()
# A task slot is one thread.
pillow_heif.options.DECODE_THREADS = 1
AvifImagePlugin.DEFAULT_MAX_THREADS = 1
# Pillow's remarks on odd files would flood a run's output; what matters becomes an ImageError.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", module=r"PIL\.\w+Plugin")
_QUIET = threading.Lock()


@dataclass(frozen=True)
class Limits:
    """What a photo may cost.

    Attributes
    ----------
    megapixels : most millions of pixels it may unfold to
    megabytes : most megabytes (10^6) of the file itself
    """

    megapixels: float = 100.0
    megabytes: float = 64.0

    @property
    def pixels(self) -> int:
        return int(self.megapixels * 1e6)

    @property
    def bytes(self) -> int:
        return int(self.megabytes * 1e6)


DEFAULT_LIMITS: Final = Limits()


def decode(data: bytes, limits: Limits = DEFAULT_LIMITS) -> NDArray[np.uint8]:
    """Decode one photo to upright sRGB pixels.

    Parameters
    ----------
    data : the file's bytes: JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC
    limits : refused above these, before any pixel is allocated

    Returns
    -------
    uint8 array (height, width, 3), channels red, green, blue, range 0 to 255

    Raises
    ------
    ImageError : with stage ``decode`` and a reason code
    """
    return np.asarray(_decode(data, limits))


def load_input(
    data: bytes, size: int, limits: Limits = DEFAULT_LIMITS
) -> tuple[NDArray[np.uint8], int, int]:
    """Decode one photo and stretch it to the backbone's square input with Pillow's bicubic filter.

    Returns
    -------
    uint8 array (size, size, 3) RGB; width and height in pixels of the upright photo before that

    Raises
    ------
    ImageError : as `decode`
    """
    image = _decode(data, limits)
    # Tried: recycling Pillow's memory blocks (`set_blocks_max`), a quarter faster here alone, but
    # no faster between batches of the network, whose larger blocks keep the memory mapped.
    resized = image.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(resized), image.width, image.height


def _decode(data: bytes, limits: Limits) -> Image.Image:
    if not data:
        raise ImageError("decode", "empty", "the file has no bytes")
    if len(data) > limits.bytes:
        detail = f"{len(data)} bytes, the limit is {limits.bytes}"
        raise ImageError("read", "too_many_bytes", detail)
    try:
        return _pixels(data, limits)
    except Warning:
        # The host makes errors of warnings; that must not decide what becomes of a photo.
        with _QUIET, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _pixels(data, limits)


def _pixels(data: bytes, limits: Limits) -> Image.Image:
    try:
        with _open(data, limits) as image:
            image.load()
            method = _ORIENTATIONS.get(_orientation(image))
            srgb = colours.to_srgb(image)
            return srgb if method is None else srgb.transpose(method)
    except (ImageError, Warning):
        raise
    except Image.DecompressionBombError as exc:
        raise ImageError("decode", "too_many_pixels", str(exc)) from exc
    except MemoryError as exc:
        raise ImageError("decode", "too_many_pixels", "the decoder ran out of memory") from exc
    except Exception as exc:  # decoders meet hostile bytes: anything may come out of them
        raise refusals.refusal(data, exc, FORMATS) from exc


def _open(data: bytes, limits: Limits) -> Image.Image:
    """Read the header only, and refuse what would unfold to too many pixels."""
    if claimed := refusals.claimed_size(data):
        _check_pixels(*claimed, limits)
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    _check_pixels(image.width, image.height, limits)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        # libtiff unfolds whole tiles, and a tile may be larger than the picture.
        tags = image.tag_v2
        tile = tags.get(TiffImagePlugin.TILEWIDTH, 0), tags.get(TiffImagePlugin.TILELENGTH, 0)
        _check_pixels(*tile, limits)
    return image


def _check_pixels(width: int, height: int, limits: Limits) -> None:
    if width * height > limits.pixels:
        detail = f"{width} x {height} pixels, the limit is {limits.megapixels:g} megapixels"
        raise ImageError("decode", "too_many_pixels", detail)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; unreadable EXIF data counts as none.

    TIFF and HEIC come out of their decoders upright, and without it.
    """
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG, 1)
    except Warning:
        raise
    except Exception:
        return 1
    return orientation if isinstance(orientation, int) else 1
