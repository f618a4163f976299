"""Bytes of one photo to RGB pixels: the decoding policy, which `docs/decoding.md` tabulates.

Photos are hostile input. The kind of file is taken from its content, sizes are checked before
pixels are allocated, and whatever a decoder raises becomes an `ImageError` with a reason code.
"""

from __future__ import annotations

import io
import struct
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image, ImageCms

from verger.errors import ImageError

#: Raise when the same bytes would give other pixels; part of every run's fingerprint.
POLICY_VERSION: Final = 1
#: Tried in this order; what a file is called does not matter.
FORMATS: Final = ("JPEG", "PNG", "WEBP", "HEIF", "AVIF", "GIF", "TIFF", "BMP")
#: Pillow refuses larger pictures whatever we allow (its ``DecompressionBombError``).
CEILING_MEGAPIXELS: Final = 178.0

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
_WITH_ALPHA = {"RGBA", "LA", "PA", "La", "RGBa"}
_PROFILE_SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}

pillow_heif.register_heif_opener()
pillow_heif.options.DECODE_THREADS = 1  # a task slot is one thread
# Our own limit is checked on the same header; Pillow's warning about it would only be noise.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


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
    resized = image.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(resized), image.width, image.height


def _decode(data: bytes, limits: Limits) -> Image.Image:
    if not data:
        raise ImageError("decode", "empty", "the file has no bytes")
    if len(data) > limits.bytes:
        detail = f"{len(data)} bytes, the limit is {limits.bytes}"
        raise ImageError("read", "too_many_bytes", detail)
    try:
        with _open(data, limits) as image:
            image.load()
            return _to_srgb(_upright(image))
    except ImageError:
        raise
    except Image.DecompressionBombError as exc:
        raise ImageError("decode", "too_many_pixels", str(exc)) from exc
    except MemoryError as exc:
        raise ImageError("decode", "too_many_pixels", "the decoder ran out of memory") from exc
    except Exception as exc:  # decoders meet hostile bytes: anything may come out of them
        detail = f"{type(exc).__name__}: {exc}"
        cut_short = any(word in detail.lower() for word in ("truncated", "end of file", "eof"))
        raise ImageError("decode", "truncated" if cut_short else "corrupt", detail) from exc


def _open(data: bytes, limits: Limits) -> Image.Image:
    """Read the header only, and refuse what would unfold to too many pixels."""
    if webp_size := _webp_canvas(data):
        # The WebP decoder allocates its canvas when it opens, before Pillow knows the size.
        _check_pixels(*webp_size, limits)
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.UnidentifiedImageError as exc:
        detail = f"no known picture format; it starts with {data[:12]!r}"
        raise ImageError("decode", "not_an_image", detail) from exc
    _check_pixels(image.width, image.height, limits)
    return image


def _check_pixels(width: int, height: int, limits: Limits) -> None:
    if width * height > limits.pixels:
        detail = f"{width} x {height} pixels, the limit is {limits.megapixels:g} megapixels"
        raise ImageError("decode", "too_many_pixels", detail)


def _webp_canvas(data: bytes) -> tuple[int, int] | None:
    """Width and height from a WebP header (RFC 9649, sections 2.5 to 2.7), None for other files."""
    if len(data) < 30 or data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return None
    chunk = data[12:16]
    if chunk == b"VP8X":
        return (
            int.from_bytes(data[24:27], "little") + 1,
            int.from_bytes(data[27:30], "little") + 1,
        )
    if chunk == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF


def _upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation; unreadable EXIF data counts as none."""
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:
        return image
    method = _ORIENTATIONS.get(orientation) if isinstance(orientation, int) else None
    return image if method is None else _keep_info(image.transpose(method), image)


def _keep_info(changed: Image.Image, original: Image.Image) -> Image.Image:
    changed.info = original.info
    return changed


def _to_srgb(image: Image.Image) -> Image.Image:
    """Whatever the mode, to opaque sRGB: transparency over white, ICC profiles applied."""
    mode = image.mode
    if mode.startswith("I;16"):
        return _scale_16_bit(image).convert("RGB")
    if mode in {"I", "F"}:
        detail = f"{mode} pixels (32 bits a channel) have no agreed white"
        raise ImageError("decode", "unsupported", detail)
    if mode in _WITH_ALPHA or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        image = _keep_info(Image.alpha_composite(white, rgba).convert("RGB"), image)
    elif mode not in _PROFILE_SPACES:
        image = _keep_info(image.convert("RGB"), image)
    profile = image.info.get("icc_profile")
    transform = _profile_transform(profile, image.mode) if profile else None
    if transform is not None:
        return _apply(transform, image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _scale_16_bit(image: Image.Image) -> Image.Image:
    """0..65535 to 0..255 by true scaling (65535 = 255 * 257), which ``convert`` would clip."""
    wide = np.asarray(image).astype(np.uint32)
    return Image.fromarray(((wide + 128) // 257).astype(np.uint8))


@lru_cache(maxsize=32)
def _profile_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The transform to sRGB; None where the profile is sRGB already, broken, or of another space.

    Cached, since building one takes milliseconds and a camera writes the same profile each time.
    """
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        description = ImageCms.getProfileDescription(opened)
        if opened.profile.xcolor_space.strip() != _PROFILE_SPACES[mode] or "sRGB" in description:
            return None
        return ImageCms.buildTransform(
            opened,
            _srgb_profile(),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            # One transform serves several threads: it must not remember the last pixel.
            ImageCms.Flags.NOCACHE | ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except Exception:  # a profile is hostile input as well; the pixels are still good
        return None


@lru_cache(maxsize=1)
def _srgb_profile() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _apply(transform: ImageCms.ImageCmsTransform, image: Image.Image) -> Image.Image:
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None  # None only when working in place
    return converted
