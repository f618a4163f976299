"""The decoding policy, on files of every kind that the tests write themselves."""

import io
import re
import struct
import subprocess
import sys
import textwrap
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from verger import colours, images
from verger.errors import ImageError
from verger.images import Limits

SHARED = Path(__file__).parents[1].parent / "shared" / "data" / "fruits-360"
TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a.transpose(1, 0, 2)[:, ::-1],
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: a.transpose(1, 0, 2)[::-1],
}
"""What each EXIF orientation asks for, on arrays (height, width, 3)."""


# files


def picture(width: int = 64, height: int = 48) -> Image.Image:
    """Smooth, so that lossy formats keep it, and different in every corner."""
    y, x = np.mgrid[0:height, 0:width]
    red, green = 40 + 200 * x / width, 30 + 200 * y / height
    blue = 220 - 150 * (x / width) * (y / height)
    return Image.fromarray(np.stack([red, green, blue], axis=-1).astype(np.uint8))


def encode(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def heif(mode: str, size: tuple[int, int], data: bytes, **options) -> bytes:
    stream = io.BytesIO()
    pillow_heif.from_bytes(mode, size, data).save(stream, quality=-1, chroma=444, **options)
    return stream.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width, height, depth, colour, rows, extra=b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    chunks = chunk(b"IHDR", header) + extra + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def tiff(width, height, bits, photometric, data, order="<", **more) -> bytes:
    """One uncompressed page unless ``more`` says otherwise; keys like t259, values 16 or 32 bit."""
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1}
    tags |= {278: height, 279: len(data)} | {int(key[1:]): value for key, value in more.items()}
    data += b"\0" * (len(data) % 2)
    start = 8 + len(data)
    entries = b"".join(
        struct.pack(order + "HHL", tag, 4 if tag != 258 else 3, 1)
        + struct.pack(order + ("L" if tag != 258 else "Hxx"), value)
        for tag, value in sorted(tags.items())
    )
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HL", 42, start)
    return head + data + struct.pack(order + "H", len(tags)) + entries + b"\0" * 4


def gif(screen, frame, disposal=0) -> bytes:
    """A GIF of two colours whose one frame holds one pixel's worth of data."""
    control = b"!\xf9\x04" + bytes([disposal << 2 | 1, 0, 0, 0, 0])
    comment = b"!\xfe\x03abc\x02de\0"
    body = b"," + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\x02\x02\x4c\x01\0;"
    header = b"GIF89a" + struct.pack("<HHBBB", *screen, 0x80, 0, 0) + bytes(range(1, 7))
    return header + comment + control + body


def bmp(width, height) -> bytes:
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 100, 0, 0, 54) + info + bytes(100)


def webp(chunk_name: bytes, body: bytes) -> bytes:
    body = body.ljust(80, b"\0")
    inner = b"WEBP" + chunk_name + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", len(inner)) + inner


def without_adobe(jpeg: bytes) -> bytes:
    at = jpeg.index(b"\xff\xee")
    return jpeg[:at] + jpeg[at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big") :]


def every_kind() -> dict[str, bytes]:
    """The same picture as a file of each kind."""
    image = picture()
    return {
        "jpeg": encode(image, "JPEG", quality=95),
        "jpeg progressive": encode(image, "JPEG", quality=95, progressive=True),
        "mpo": encode(image, "MPO", quality=95, save_all=True, append_images=[image.rotate(90)]),
        "png": encode(image, "PNG"),
        "webp lossy": encode(image, "WEBP", quality=95),
        "webp lossless": encode(image, "WEBP", lossless=True),
        "gif": encode(image.quantize(256), "GIF"),
        "bmp": encode(image, "BMP"),
        "tiff": encode(image, "TIFF"),
        "tiff lzw": encode(image, "TIFF", compression="tiff_lzw"),
        "avif": encode(image, "AVIF", quality=95),
        "heic": encode(image, "HEIF", quality=95),
        "heic 10 bit": heif("RGB;16", image.size, (np.asarray(image) * np.uint16(257)).tobytes()),
    }


FILES = every_kind()
EXACT = {"png", "webp lossless", "bmp", "tiff", "tiff lzw"}


# ICC profiles, by the bytes (ICC.1:2001-04)

D50 = (0.9642, 1.0, 0.8249)
D65 = (0.9505, 1.0, 1.0891)
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
DISPLAY_P3 = (
    (0.51512, 0.24120, -0.00105),
    (0.29198, 0.69225, 0.04189),
    (0.15710, 0.06657, 0.78407),
)
"""Red, green and blue as XYZ under D50."""


def linear(value):
    value = np.asarray(value, float)
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def encoded(value):
    value = np.clip(value, 0, 1)
    return np.where(value <= 0.0031308, value * 12.92, 1.055 * value ** (1 / 2.4) - 0.055)


def profile(space: bytes, tags: dict[bytes, bytes], kind=b"mntr", pcs=b"XYZ ") -> bytes:
    text = b"made by a test\0"
    description = b"desc" + struct.pack(">II", 0, len(text)) + text + bytes(78)
    tags = {b"desc": description, b"wtpt": xyz(D50)} | tags
    table, body, at = b"", b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", at + len(body), len(data))
        body += data
    header = struct.pack(
        ">I4xI4s4s4s12x4s28x", at + len(body), 0x02400000, kind, space, pcs, b"acsp"
    )
    header += xyz(D50)[8:]
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def xyz(values) -> bytes:
    return b"XYZ " + struct.pack(">I3i", 0, *(round(value * 65536) for value in values))


def curve(values) -> bytes:
    steps = np.round(np.asarray(values) * 65535).astype(">u2")
    return b"curv" + struct.pack(">II", 0, len(steps)) + steps.tobytes()


def matrix_profile(primaries, steps: int = 1024) -> bytes:
    bend = curve(linear(np.linspace(0, 1, steps)))
    tags = {name + b"TRC": bend for name in (b"r", b"g", b"b")}
    tags[b"wtpt"] = xyz(D65)  # by relative colorimetric it is of no consequence
    for name, primary in zip((b"r", b"g", b"b"), primaries, strict=True):
        tags[name + b"XYZ"] = xyz(primary)
    return profile(b"RGB ", tags)


def grey_profile() -> bytes:
    return profile(b"GRAY", {b"kTRC": curve([0, 1])})  # linear light


def table_profile(space: bytes, corners: list[tuple[int, int, int]]) -> bytes:
    """Inks at none or all, the last changing fastest, to Lab in 8 bits (white: 255, 128, 128).

    The table for the perceptual intent (A2B0) is white all over, that for the relative one counts.
    """
    inks = len(corners).bit_length() - 1
    identity = bytes(range(256))
    head = b"mft1" + bytes(4) + bytes([inks, 3, 2, 0])
    head += struct.pack(">9i", *(np.eye(3, dtype=int).ravel() * 65536).tolist())
    head += identity * inks
    relative = head + b"".join(bytes(corner) for corner in corners) + identity * 3
    perceptual = head + b"\xff\x80\x80" * len(corners) + identity * 3
    return profile(space, {b"A2B0": perceptual, b"A2B1": relative}, kind=b"prtr", pcs=b"Lab ")


def cmyk_profile() -> bytes:
    """Cyan ink is red here, black is black and the others are nothing: nobody's own idea."""
    white, red, black = (255, 128, 128), (136, 208, 195), (0, 128, 128)
    return table_profile(b"CMYK", [white, black] * 4 + [red, black] * 4)


def faded_profile() -> bytes:
    """Red, green and blue light whose darkest is grey, L* = 20."""
    return table_profile(b"RGB ", [(51, 128, 128)] * 7 + [(255, 128, 128)])


# helpers


def refusal(data: bytes, limits: Limits = images.DEFAULT_LIMITS) -> tuple[str, str]:
    with pytest.raises(ImageError) as caught:
        images.decode(data, limits)
    return caught.value.stage, caught.value.reason


def assert_close(got, expected, mean: float = 6.0) -> None:
    assert got.shape == expected.shape
    assert np.abs(got.astype(int) - expected).mean() < mean


def grey_levels(data: bytes) -> list[int]:
    pixels = images.decode(data)
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0].ravel().tolist()


def over_white(colours, alpha):
    share = np.asarray(alpha, float)[..., None] / 255
    return np.asarray(colours) * share + 255 * (1 - share)


# kinds of files


@pytest.mark.parametrize("kind", FILES)
def test_every_kind_gives_the_picture(kind):
    pixels = images.decode(FILES[kind])
    assert pixels.dtype == np.uint8
    expected = np.asarray(picture())
    if kind in EXACT:
        np.testing.assert_array_equal(pixels, expected)
    else:
        assert_close(pixels, expected)


def test_what_each_file_is_really():
    kinds = {Image.open(io.BytesIO(data)).format for data in FILES.values()}
    assert kinds == {"JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF"}
    assert b"hvcC" in FILES["heic"]
    assert b"\x03\x0a\x0a\x0a" in FILES["heic 10 bit"]  # pixi: 3 channels of 10 bits


@pytest.mark.parametrize("kind", ["avif", "heic"])
def test_the_brand_mif1_is_told_apart_by_content(kind):
    data = FILES[kind]
    np.testing.assert_array_equal(
        images.decode(data[:8] + b"mif1" + data[12:]), images.decode(data)
    )


@pytest.mark.parametrize("kind", ["WEBP", "GIF", "AVIF", "TIFF", "PNG"])
def test_the_first_frame_counts(kind):
    first, second = Image.new("RGB", (64, 64), (200, 30, 40)), Image.new("RGB", (64, 64), "blue")
    data = encode(first, kind, save_all=True, append_images=[second])
    assert Image.open(io.BytesIO(data)).n_frames == 2
    assert_close(images.decode(data), np.asarray(first))


# modes


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "AVIF", "HEIF", "GIF"])
def test_grey(kind):
    grey = picture().convert("L")
    assert_close(images.decode(encode(grey, kind)), np.asarray(grey.convert("RGB")))


@pytest.mark.parametrize(
    ("depth", "row", "expected"),
    [
        (1, b"\xa0", [255, 0, 255, 0]),
        (2, b"\x1b", [0, 85, 170, 255]),
        (4, b"\x0f\x5a", [0, 255, 85, 170]),
        (8, b"\x00\x01\x80\xff", [0, 1, 128, 255]),
        (16, struct.pack(">4H", 0, 128, 129, 65535), [0, 0, 1, 255]),
    ],
)
def test_grey_png_of_every_depth(depth, row, expected):
    assert grey_levels(png(4, 1, depth, 0, [row])) == expected


def test_16_bit_grey_is_scaled_truly():
    values = np.arange(65536, dtype=">u2").reshape(256, 256)
    expected = (values.astype(int) + 128) // 257
    got = images.decode(png(256, 256, 16, 0, [row.tobytes() for row in values]))
    np.testing.assert_array_equal(got, np.repeat(expected[..., None], 3, axis=2))


def test_16_bit_grey_with_a_transparent_level():
    row = struct.pack(">3H", 1000, 1001, 1002)
    transparent = chunk(b"tRNS", struct.pack(">H", 1001))
    assert grey_levels(png(3, 1, 16, 0, [row], transparent)) == [4, 255, 4]


def test_16_bit_colour_keeps_the_high_byte():
    row = struct.pack(">3H", 0x1234, 0x80FF, 0xFF00)
    assert images.decode(png(1, 1, 16, 2, [row])).ravel().tolist() == [0x12, 0x80, 0xFF]


@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_grey_tiff_of_both_byte_orders(order):
    data = struct.pack(order + "4H", 0, 128, 129, 65535)
    assert grey_levels(tiff(4, 1, 16, 1, data, order)) == [0, 0, 1, 255]
    packed = zlib.compress(data)
    assert grey_levels(tiff(4, 1, 16, 1, packed, order, t259=8)) == [0, 0, 1, 255]


def test_12_bit_grey_tiff():
    assert grey_levels(tiff(2, 1, 12, 1, b"\xff\xf8\x00")) == [255, 128]


def test_min_is_white_tiff():
    assert grey_levels(tiff(3, 1, 8, 0, b"\x00\x0a\xff")) == [255, 245, 0]
    assert grey_levels(tiff(3, 1, 1, 0, b"\xa0")) == [0, 255, 0]
    assert grey_levels(tiff(2, 1, 16, 0, struct.pack("<2H", 0, 65535))) == [255, 0]


@pytest.mark.parametrize(
    ("bits", "sample_format"), [(32, 1), (32, 2), (32, 3), (64, 3), (16, 2), (16, 3)]
)
def test_numbers_without_an_agreed_white_are_unsupported(bits, sample_format):
    data = tiff(1, 1, bits, 1, bytes(bits // 8), t339=sample_format)
    assert refusal(data) == ("decode", "unsupported")


def test_an_unknown_tiff_compression_is_unsupported():
    assert refusal(tiff(1, 1, 8, 1, b"\0", t259=34712)) == ("decode", "unsupported")


def test_palette():
    indexed = picture().quantize(64)
    for kind in ("PNG", "BMP", "TIFF", "GIF"):
        np.testing.assert_array_equal(
            images.decode(encode(indexed, kind)), np.asarray(indexed.convert("RGB"))
        )


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_transparency_is_laid_over_white(mode, kind):
    colours = np.full((16, 16, 3), (90, 90, 90) if mode == "LA" else (200, 100, 0), np.uint8)
    alpha = np.arange(256, dtype=np.uint8).reshape(16, 16)
    image = Image.fromarray(np.dstack([colours, alpha])).convert(mode)
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    got = images.decode(encode(image, kind, **options))
    np.testing.assert_allclose(got, over_white(colours, alpha), atol=1)


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_transparency_of_lossy_formats(kind):
    image = Image.new("RGBA", (64, 64), (200, 100, 0, 128))
    expected = over_white(np.full((64, 64, 3), (200, 100, 0)), np.full((64, 64), 128))
    assert_close(images.decode(encode(image, kind, quality=95)), expected)


def test_premultiplied_heic():
    data = heif("RGBa", (64, 64), bytes([100, 50, 0, 128]) * 64 * 64)
    assert_close(images.decode(data), np.full((64, 64, 3), (227, 177, 127)), mean=3)


def test_transparent_palette_entries():
    indexed = Image.new("P", (3, 1))
    indexed.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    indexed.putdata([0, 1, 2])
    got = images.decode(encode(indexed, "PNG", transparency=bytes([255, 0, 128])))
    np.testing.assert_allclose(got[0], [[10, 20, 30], [255] * 3, [162, 167, 172]], atol=1)
    got = images.decode(encode(indexed, "GIF", transparency=1))
    assert got[0].tolist() == [[10, 20, 30], [255, 255, 255], [70, 80, 90]]


def test_transparent_colours_of_png():
    grey = chunk(b"tRNS", struct.pack(">H", 7))
    assert grey_levels(png(2, 1, 8, 0, [b"\x07\x08"], grey)) == [255, 8]
    colour = chunk(b"tRNS", struct.pack(">3H", 1, 2, 3))
    got = images.decode(png(2, 1, 8, 2, [bytes([1, 2, 3, 1, 2, 4])], colour))
    assert got[0].tolist() == [[255, 255, 255], [1, 2, 4]]


def inks() -> tuple[Image.Image, np.ndarray]:
    image = Image.new("CMYK", (48, 16))
    for at, ink in enumerate([(0, 255, 255, 0), (255, 0, 0, 0), (0, 0, 0, 255)]):
        image.paste(ink, (16 * at, 0, 16 * at + 16, 16))
    return image, np.asarray(image.convert("RGB"))


def test_cmyk_jpeg_of_both_polarities():
    image, expected = inks()
    adobe = encode(image, "JPEG", quality=98)  # Pillow writes it inverted, as Adobe does
    assert_close(images.decode(adobe), expected)
    negative = Image.fromarray(255 - np.asarray(image), "CMYK")
    plain = without_adobe(encode(negative, "JPEG", quality=98))
    assert_close(images.decode(plain), expected)


def test_ycck_jpeg():
    image, expected = inks()
    colours, black = np.asarray(image)[..., :3], np.asarray(image)[..., 3]
    brightness = np.asarray(Image.fromarray(colours.copy()).convert("YCbCr"))
    stored = np.dstack([brightness, 255 - black])  # the polarity as in the test above
    data = bytearray(encode(Image.fromarray(255 - stored, "CMYK"), "JPEG", quality=98))
    data[data.index(b"Adobe") + 11] = 2  # APP14's transform: YCCK
    assert_close(images.decode(bytes(data)), expected)


def test_cmyk_tiff():
    image, expected = inks()
    np.testing.assert_array_equal(images.decode(encode(image, "TIFF")), expected)


def test_lab_and_ycbcr_tiff():
    white = Image.new("LAB", (2, 2), (255, 128, 128))
    assert_close(images.decode(encode(white, "TIFF")), np.full((2, 2, 3), 255), mean=3)
    image = picture()
    got = images.decode(encode(image.convert("YCbCr"), "TIFF", compression="jpeg"))
    assert_close(got, np.asarray(image))


# orientation


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "TIFF lzw", "HEIF", "AVIF"])
def test_orientation_is_applied_once(kind, orientation):
    image, (kind, *packed) = picture(), kind.split()
    options = {"compression": "tiff_lzw"} if packed else {}
    quality = {} if kind in {"PNG", "TIFF"} else {"quality": 95}
    data = encode(image, kind, exif=exif(orientation), **options, **quality)
    expected = TURNS[orientation](np.asarray(image))
    assert_close(images.decode(data), expected)
    _, width, height = images.load_input(data, 32)
    assert (height, width) == expected.shape[:2]


@pytest.mark.parametrize("order", ["<", ">"])
def test_orientation_of_16_bit_tiff(order):
    data = tiff(3, 1, 16, 1, struct.pack(order + "3H", 0, 257, 514), order, t274=6)
    assert images.decode(data)[..., 0].tolist() == [[0], [1], [2]]
    data = tiff(3, 1, 16, 1, struct.pack(order + "3H", 0, 257, 514), order, t274=3)
    assert images.decode(data)[..., 0].tolist() == [[2, 1, 0]]


def test_heic_orientation_is_the_containers_not_that_of_exif():
    tags = Image.Exif()
    tags[0x0112] = 6
    data = encode(picture(), "HEIF", quality=95, exif=tags)  # an object: no irot box is written
    assert b"irot" not in data
    assert_close(images.decode(data), np.asarray(picture()))


def test_orientation_from_xmp_where_exif_has_none():
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    data = encode(picture(), "JPEG", quality=95, xmp=xmp)
    assert_close(images.decode(data), TURNS[6](np.asarray(picture())))


BROKEN_EXIF = [
    b"",
    b"Exif\0\0",
    b"Exif\0\0garbage, not TIFF",
    b"Exif\0\0II*\0\xff\xff\xff\x7f",
    b"Exif\0\0MM\0*\0\0\0\x08\0\x05\x01\x12",
    b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x04\0\0\0abc\0\0\0\0\0",  # a text
    b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0\0\0\0\0\0\0",  # 99
]


@pytest.mark.parametrize("broken", BROKEN_EXIF)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_broken_exif_counts_as_none(kind, broken):
    expected = images.decode(encode(picture(), kind))
    np.testing.assert_array_equal(images.decode(encode(picture(), kind, exif=broken)), expected)


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_broken_exif_in_a_container(kind):
    tags = Image.Exif()
    tags[0x010F] = "a maker"
    data = encode(picture(), kind, exif=tags.tobytes())
    at = data.rindex(b"MM\0*")
    broken = data[:at] + b"MM\0*\xff\xff\xff\xf0" + data[at + 8 :]
    np.testing.assert_array_equal(images.decode(broken), images.decode(data))


# colour


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG", "AVIF", "HEIF"])
def test_a_wide_gamut_is_converted(kind):
    colours = np.array([(200, 100, 50), (60, 160, 90), (90, 110, 180), (128, 128, 128)])
    image = Image.fromarray(np.repeat(np.repeat(colours[None], 64, 1), 32, 0).astype(np.uint8))
    light = linear(colours / 255) @ np.array(DISPLAY_P3) @ np.linalg.inv(SRGB)
    expected = 255 * encoded(light)
    assert np.abs(expected - colours)[:3].max() > 10  # there is something to convert
    options = {} if kind in {"PNG", "TIFF"} else {"quality": 98}
    options |= {"lossless": True} if kind == "WEBP" else {}
    got = images.decode(encode(image, kind, icc_profile=matrix_profile(DISPLAY_P3), **options))
    tolerance = 1.5 if kind in {"PNG", "TIFF", "WEBP"} else 6
    np.testing.assert_allclose(got[16, 32::64], expected, atol=tolerance)


@pytest.mark.parametrize(
    "srgb",
    [
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        matrix_profile(SRGB),
        matrix_profile(np.round(SRGB, 4), steps=200),
    ],
    ids=["by lcms", "of another maker and name", "coarsely rounded"],
)
def test_an_srgb_profile_changes_nothing(srgb):
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(18, -1, 3)
    data = encode(Image.fromarray(colours), "PNG", icc_profile=srgb)
    np.testing.assert_array_equal(images.decode(data), colours)


@pytest.mark.parametrize(
    "useless",
    [
        b"not a profile",
        matrix_profile(DISPLAY_P3)[:300],
        matrix_profile(DISPLAY_P3)[:128] + bytes(200),
        grey_profile(),
        cmyk_profile(),
        matrix_profile(DISPLAY_P3) + bytes(8_000_000),
    ],
    ids=["text", "cut", "emptied", "grey", "cmyk", "oversize"],
)
def test_a_useless_profile_is_ignored(useless):
    data = encode(picture(), "TIFF", icc_profile=useless)
    assert Image.open(io.BytesIO(data)).info["icc_profile"] == useless
    np.testing.assert_array_equal(images.decode(data), np.asarray(picture()))


@pytest.mark.parametrize("mode", ["L", "LA", "I;16", "1"])
def test_a_grey_profile(mode):
    grey = {"L": 128, "LA": (128, 255), "I;16": 128 * 257, "1": 1}[mode]
    data = encode(Image.new(mode, (4, 4), grey), "PNG", icc_profile=grey_profile())
    expected = 255 if mode == "1" else 188  # linear 0.502 is 188 in sRGB
    np.testing.assert_allclose(images.decode(data), expected, atol=1)


def test_an_rgb_profile_on_grey_is_ignored():
    data = encode(Image.new("L", (4, 4), 128), "PNG", icc_profile=matrix_profile(DISPLAY_P3))
    assert (images.decode(data) == 128).all()


@pytest.mark.parametrize("kind", ["TIFF", "JPEG"])
def test_a_cmyk_profile(kind):
    image, _ = inks()
    options = {"quality": 98} if kind == "JPEG" else {}
    data = encode(image, kind, icc_profile=cmyk_profile(), **options)
    magenta_yellow, cyan, black = images.decode(data)[8, 8::16].astype(int)
    np.testing.assert_allclose(magenta_yellow, 255, atol=3)
    np.testing.assert_allclose(cyan, (255, 0, 0), atol=12)
    assert black.max() < 5


def test_the_darkest_becomes_black():
    data = encode(Image.new("RGB", (4, 4)), "PNG", icc_profile=faded_profile())
    assert images.decode(data).max() < 3  # 48 without black point compensation
    data = encode(Image.new("RGB", (4, 4), "white"), "PNG", icc_profile=faded_profile())
    assert images.decode(data).min() > 252


def test_colours_are_converted_before_they_are_laid_over_white():
    opaque = encode(Image.new("RGB", (1, 1), (200, 100, 50)), "PNG", icc_profile=P3)
    half = encode(Image.new("RGBA", (1, 1), (200, 100, 50, 128)), "PNG", icc_profile=P3)
    expected = over_white(images.decode(opaque), np.array([[128]]))
    np.testing.assert_allclose(images.decode(half), expected, atol=1)


P3 = matrix_profile(DISPLAY_P3)


# bounds


def claiming(kind: str, width: int, height: int) -> bytes:
    """An AVIF or HEIC file whose ``ispe`` box claims another size."""
    data = encode(picture(), kind)
    box = b"ispe" + bytes(4)
    assert box + struct.pack(">II", 64, 48) in data or box + struct.pack(">II", 64, 64) in data
    return re.sub(box + b".{8}", box + struct.pack(">II", width, height), data, flags=re.DOTALL)


def bombs() -> dict[str, bytes]:
    side = 12_000
    row = bytes(side // 8)
    lossless = b"\x2f" + struct.pack("<I", 16382 | 16382 << 14)
    lossy = b"\x10\0\0\x9d\x01\x2a" + struct.pack("<HH", side, side)
    packed = zlib.compressobj()
    tile = b"".join(packed.compress(bytes(1 << 20)) for _ in range(144)) + packed.flush()
    return {
        "png of zeros": png(side, side, 1, 0, [row] * side),
        "png claiming more": png(2**31 - 1, 2**31 - 1, 8, 2, []),
        "png text": png(1, 1, 8, 2, [bytes(3)], chunk(b"zTXt", b"k\0\0" + tile)),
        "webp canvas": webp(b"VP8X", bytes(4) + (16382).to_bytes(3, "little") * 2),
        "webp lossless": webp(b"VP8L", lossless),
        "webp lossy": webp(b"VP8 ", lossy),
        "webp frame": webp(b"VP8X", bytes(4) + b"\x0f\0\0" * 2 + b"VP8 P\0\0\0" + lossy),
        "gif screen": gif((65535, 65535), (1, 1)),
        "gif smaller screen": gif((side, side), (1, 1)),
        "gif frame": gif((1, 1), (side, side)),
        "gif frame to be cleared": gif((1, 1), (side, side), disposal=2),
        "gif frame to be restored": gif((1, 1), (side, side), disposal=3),
        "bmp": bmp(side, side),
        "bmp upside down": bmp(100_000, -100_000),
        "tiff": tiff(side, side, 8, 1, bytes(100)),
        "tiff lzw": tiff(1 << 20, 1 << 20, 8, 1, bytes(100), t259=5),
        "tiff tile": tiff(9, 9, 8, 1, tile, t259=8, t322=side, t323=side, t324=8, t325=len(tile)),
        "avif": claiming("AVIF", side, side),
        "heic": claiming("HEIF", side, side),
        "heic with a crop": claiming("HEIF", 40_000, 20_000),
    }


WATCH = """
import pathlib, re, sys
from verger import images
from verger.errors import ImageError

def peak():
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]) / 1000

folder = pathlib.Path(sys.argv[1])
for path in sorted((folder / "small").iterdir()):
    images.decode(path.read_bytes())
for path in sorted((folder / "bombs").iterdir()):
    data, before = path.read_bytes(), peak()
    try:
        images.decode(data)
        reason = "none"
    except ImageError as exc:
        reason = exc.reason
    print(f"{path.name},{reason},{peak() - before:.0f}")
before = peak()
images.decode((folder / "large").read_bytes())
print(f"control,none,{peak() - before:.0f}")
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc to measure with")
def test_bombs_cost_no_memory(tmp_path):
    for folder, files in (("small", FILES), ("bombs", bombs())):
        (tmp_path / folder).mkdir()
        for name, data in files.items():
            (tmp_path / folder / name).write_bytes(data)
    (tmp_path / "large").write_bytes(png(5000, 5000, 1, 0, [bytes(625)] * 5000))
    command = [sys.executable, "-c", textwrap.dedent(WATCH), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.split(",") for line in done.stdout.splitlines()]
    growth = {name: int(megabytes) for name, _, megabytes in rows}
    assert growth.pop("control") > 60  # what a picture within the limits costs: it is measured
    assert set(growth) == set(bombs())
    assert max(growth.values()) < 40, growth
    reasons = {name: reason for name, reason, _ in rows if reason != "too_many_pixels"}
    assert reasons == {"control": "none", "png text": "corrupt", "webp frame": "corrupt"}


def test_limits_are_the_ones_given():
    data = FILES["png"]
    assert images.decode(data, Limits(megapixels=64 * 48 / 1e6)).shape == (48, 64, 3)
    for file in FILES.values():
        assert refusal(file, Limits(megapixels=0.003)) == ("decode", "too_many_pixels")
    at_most = Limits(megabytes=len(data) / 1e6)
    assert images.decode(data, at_most).shape == (48, 64, 3)
    assert refusal(data + b"\0", at_most) == ("read", "too_many_bytes")


def test_default_limits():
    assert (images.DEFAULT_LIMITS.pixels, images.DEFAULT_LIMITS.bytes) == (100_000_000, 64_000_000)


def test_a_gif_frame_may_be_larger_than_its_screen():
    data = bytearray(encode(picture().quantize(16), "GIF"))
    data[6:10] = struct.pack("<HH", 4, 4)
    assert images.decode(bytes(data)).shape == (48, 64, 3)
    assert refusal(bytes(data), Limits(megapixels=0.003)) == ("decode", "too_many_pixels")


# bad files


@pytest.mark.parametrize("share", [0.02, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("kind", FILES)
def test_truncated(kind, share):
    data = FILES["tiff" if kind == "mpo" else kind]
    assert refusal(data[: max(16, int(share * len(data)))]) == ("decode", "truncated")


def test_a_truncated_mpo_is_refused_only_when_its_first_picture_is_cut():
    data = FILES["mpo"]
    assert refusal(data[: len(data) // 4]) == ("decode", "truncated")
    np.testing.assert_array_equal(images.decode(data[:-100]), images.decode(data))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"A text about apples.\n" * 20, "not_an_image"),
        (b"<!doctype html><html><body>404 Not Found</body></html>", "not_an_image"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"></svg>', "not_an_image"),
        (np.random.default_rng(7).bytes(5000), "not_an_image"),
        (b"PK\x03\x04" + bytes(200), "not_an_image"),
        (b"%PDF-1.7\n" + bytes(200), "not_an_image"),
        (b"P6 1 1 255 abc", "not_an_image"),
        (bytes(1000), "not_an_image"),
        (b"\0", "not_an_image"),
        (FILES["png"][:16] + b"\xff" * 17 + FILES["png"][33:], "corrupt"),
        (FILES["webp lossless"][:20] + bytes(len(FILES["webp lossless"]) - 20), "corrupt"),
        (b"BM" + struct.pack("<IHHI", 100, 0, 0, 54) + b"\x07" + bytes(100), "unsupported"),
    ],
)
def test_what_is_no_photo(data, reason):
    assert refusal(data) == ("decode", reason)


def test_the_detail_tells_a_person_what_came_instead():
    with pytest.raises(ImageError, match=r"decode: not_an_image: .*b'<!doctype ht'"):
        images.decode(b"<!doctype html>")


def damage(data: bytes, hits: list[tuple[float, int]], cut: float, doubled: float) -> bytes:
    changed = bytearray(data)
    for where, value in hits:
        changed[int(where * (len(data) - 1))] = value
    at = int(doubled * len(changed))
    changed[at:at] = changed[at : at + 40]
    return bytes(changed[: int(cut * len(changed)) + 1])


def images_or_reason(data: bytes) -> np.ndarray | str:
    try:
        return images.decode(data, Limits(megapixels=0.5))
    except ImageError as exc:
        return exc.reason


REASONS = {"not_an_image", "truncated", "corrupt", "too_many_pixels", "unsupported"}
SHARES = st.floats(0, 1)
NEAR_START = SHARES.map(lambda share: share**4)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(
    kind=st.sampled_from(sorted(FILES)),
    hits=st.lists(st.tuples(NEAR_START, st.integers(0, 255)), max_size=6),
    cut=st.one_of(st.just(1.0), SHARES),
    doubled=st.one_of(st.just(1.0), NEAR_START),
)
def test_damaged_files_give_pixels_or_an_image_error(kind, hits, cut, doubled):
    data = damage(FILES[kind], hits, cut, doubled)
    outcome = images_or_reason(data)
    if isinstance(outcome, str):
        assert outcome in REASONS
    else:
        assert (outcome.dtype, outcome.ndim, outcome.shape[2]) == (np.uint8, 3, 3)


def test_warnings_of_the_host_do_not_decide():
    """Pillow warns of this EXIF block; where warnings are errors the pixels stay the same."""
    half_read = b"Exif\0\0MM\0*\0\0\0\x08\0\x02\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\x01"
    data = encode(picture(), "PNG", exif=half_read)
    with pytest.warns(UserWarning, match="Corrupt EXIF"):
        Image.open(io.BytesIO(data)).getexif()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        strict = images.decode(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_array_equal(images.decode(data), strict)


# threads and input


def test_threads_decode_alike():
    wide = encode(picture(256, 256), "PNG", icc_profile=P3)
    cmyk = encode(inks()[0].resize((256, 256)), "TIFF", icc_profile=cmyk_profile())
    files = [*FILES.values(), wide, cmyk] * 6
    expected = [images.decode(data) for data in files]
    colours.profile_transform.cache_clear()
    with ThreadPoolExecutor(4) as pool:
        for got, wanted in zip(pool.map(images.decode, files), expected, strict=True):
            np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("size", [224, 64, 7])
def test_load_input_is_decode_and_bicubic(kind, size):
    whole = Image.fromarray(images.decode(FILES[kind]))
    pixels, width, height = images.load_input(FILES[kind], size)
    assert (width, height) == whole.size
    assert pixels.dtype == np.uint8
    expected = np.asarray(whole.resize((size, size), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(pixels, expected)


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"no real photos at {SHARED}")
def test_real_photos_come_out_as_keras_loads_them():
    paths = sorted(SHARED.glob("**/*.jpg"))[::500]
    assert len(paths) > 5
    for path in paths:
        expected = Image.open(path).convert("RGB").resize((224, 224), Image.Resampling.BICUBIC)
        pixels, _, _ = images.load_input(path.read_bytes(), 224)
        np.testing.assert_array_equal(pixels, np.asarray(expected))
