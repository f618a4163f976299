"""Pixels of any mode and colour space to 8-bit sRGB: the colour part of the decoding policy."""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageCms, TiffImagePlugin

from verger.errors import ImageError

_MOST_PROFILE_BYTES = 8_000_000


def to_srgb(image: Image.Image) -> Image.Image:
    """Convert a loaded picture of any mode to 8-bit sRGB of the same size.

    Raises
    ------
    ImageError : ``unsupported``, for pixels without an agreed white
    """
    return _by_profile(_eight_bit(image))


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


def _by_profile(image: Image.Image) -> Image.Image:
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
    transform = profile_transform(profile, image.mode) if profile else None
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
def profile_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
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
