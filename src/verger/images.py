"""Bytes of one photo to RGB pixels: the decoding policy, which `docs/decoding.md` tabulates.

Photos are hostile input. The kind of file is taken from its content, sizes are checked before
pixels are allocated, and whatever a decoder raises becomes an `ImageError` with a reason code.
"""

from __future__ import annotations

import io
import math
import re
import struct
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import (
    AvifImagePlugin,
    Image,
    ImageChops,
    ImageCms,
    TiffImagePlugin,
    UnidentifiedImageError,
)

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
_MOST_PROFILE_BYTES = 8_000_000
#: How decoders word it, in lower case.
_SAY_TRUNCATED = ("truncated", "end of file", "eof")
_SAY_UNSUPPORTED = ("unsupported", "not supported", "pixel mode", "been built in", "cannot handle")

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
            colours = _to_srgb(_eight_bit(image))
            return colours if method is None else colours.transpose(method)
    except (ImageError, Warning):
        raise
    except Image.DecompressionBombError as exc:
        raise ImageError("decode", "too_many_pixels", str(exc)) from exc
    except MemoryError as exc:
        raise ImageError("decode", "too_many_pixels", "the decoder ran out of memory") from exc
    except Exception as exc:  # decoders meet hostile bytes: anything may come out of them
        raise _refusal(data, exc) from exc


def _open(data: bytes, limits: Limits) -> Image.Image:
    """Read the header only, and refuse what would unfold to too many pixels."""
    # The decoders of these allocate more, or sooner, than the size that Pillow tells.
    if claimed := _gif_frame(data) or _largest_item(data):
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


def _eight_bit(image: Image.Image) -> Image.Image:
    """The same picture in 8 bits a channel and of the usual polarity."""
    if image.mode in {"I", "F"}:
        detail = f"{image.mode} pixels (32 bits a channel) have no agreed white"
        raise ImageError("decode", "unsupported", detail)
    if image.mode.startswith("I;16"):
        return _scale_16_bit(image)
    if image.mode == "CMYK" and image.format in {"JPEG", "MPO"} and "adobe" not in image.info:
        # Pillow takes every CMYK JPEG for one of Adobe's, which are inverted.
        return ImageChops.invert(image)
    return image


def _scale_16_bit(image: Image.Image) -> Image.Image:
    """0..65535 to 0..255 by true scaling (65535 = 255 * 257), which ``convert`` would clip."""
    values = np.asarray(image)
    tags = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
    white = 2 ** tags.get(TiffImagePlugin.BITSPERSAMPLE, (16,))[0] - 1  # TIFF has 12 bits as well
    grey = values.astype(np.uint32)
    grey *= 255
    grey += white // 2
    grey //= white
    if tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0:
        grey = 255 - grey  # MinIsWhite, which Pillow heeds up to 8 bits only
    info = dict(image.info)
    transparent = info.pop("transparency", None)
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    narrow = Image.fromarray(grey.astype(np.uint8))
    narrow.info = info
    return narrow


def _to_srgb(image: Image.Image) -> Image.Image:
    """Colours by their ICC profile, then whatever is transparent over white."""
    grey = image.mode in {"1", "L", "LA", "La"}
    alpha = None
    if image.mode in {"RGBA", "RGBa", "LA", "La", "PA"} or "transparency" in image.info:
        image = image.convert("LA" if grey else "RGBA")
        alpha = image.getchannel("A")
    colours = "L" if grey else "CMYK" if image.mode == "CMYK" else "RGB"
    if image.mode != colours:
        image = image.convert(colours)
    profile = image.info.get("icc_profile")
    transform = _profile_transform(profile, image.mode) if profile else None
    if transform is not None:
        image = _apply(transform, image)
    elif image.mode != "RGB":
        image = image.convert("RGB")
    if alpha is None:
        return image
    paper = Image.new("RGB", image.size, "white")
    paper.paste(image, mask=alpha)
    return paper


@lru_cache(maxsize=8)
def _profile_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The transform to sRGB; None where the profile is sRGB already, broken, or of another space.

    Cached, since building one takes milliseconds and a camera writes the same profile each time.
    """
    if len(profile) > _MOST_PROFILE_BYTES:
        return None
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(
            opened,
            _srgb_profile(),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            # One transform serves several threads: it must not remember the last pixel.
            ImageCms.Flags.NOCACHE | ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        return None if _changes_nothing(transform, mode) else transform
    except Exception:  # a profile is hostile input as well; the pixels are still good
        return None


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether a profile is sRGB, by what it does: names and versions of it are many.

    Two of 255 levels are allowed, for tables and matrices are rounded differently.
    """
    if mode == "CMYK":
        return False
    ramp = np.linspace(0, 255, 18 if mode == "RGB" else 256).round().astype(np.uint8)
    swatches = np.stack(np.meshgrid(*[ramp] * len(mode)), axis=-1).reshape(1, -1, len(mode))
    before = Image.fromarray(swatches if mode == "RGB" else swatches[..., 0])
    after = np.asarray(_apply(transform, before)).astype(int)
    return bool(np.abs(after - swatches).max() <= 2)


@lru_cache(maxsize=1)
def _srgb_profile() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _apply(transform: ImageCms.ImageCmsTransform, image: Image.Image) -> Image.Image:
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None  # None only when working in place
    return converted


class _Stream(io.BytesIO):
    """Remembers whether its reader asked for more than there was."""

    ran_out = False

    def read(self, size: int | None = -1, /) -> bytes:
        block = super().read(size)
        self.ran_out |= len(block) < (size or 0)
        return block


def _refusal(data: bytes, exc: Exception) -> ImageError:
    """Find the reason for what a decoder raised. Slow, but only bad files come here."""
    stream = _Stream(data)
    if isinstance(exc, UnidentifiedImageError):
        # Pillow says this of any header that a decoder gave up on, and keeps why to itself.
        cause = _header_error(stream)
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


def _header_error(stream: _Stream) -> Exception | None:
    """What the decoder of this kind of file raises on its header; None: it is of no known kind."""
    error: Exception | None = None
    for kind in FORMATS:
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
