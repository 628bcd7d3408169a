import io
import struct
import zlib

import numpy as np
import pytest
from official_tars import encode, photograph
from PIL import Image

from ifnas_jax.data.decode import DecodeError, decode

PHOTO = photograph(0, (75, 50))


def pil(data, mode="RGB"):
    with Image.open(io.BytesIO(data)) as file:
        return np.asarray(file.convert(mode))


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("progressive", [False, True])
def test_pixels_are_those_of_pil(subsampling, progressive):
    data = encode(PHOTO, subsampling=subsampling, progressive=progressive)
    assert np.array_equal(decode(data, 3), pil(data))


def test_grey_cmyk_and_other_formats():
    grey = encode(PHOTO.convert("L"))
    assert np.array_equal(decode(grey, 1)[..., 0], pil(grey, "L"))
    assert np.array_equal(decode(grey, 3), np.repeat(decode(grey, 1), 3, axis=-1))
    cmyk = encode(PHOTO.convert("CMYK"))
    assert np.abs(decode(cmyk, 3) - pil(cmyk).astype(int)).max() <= 1
    png = encode(PHOTO, "PNG")
    assert np.array_equal(decode(png, 3), np.asarray(PHOTO))


@pytest.mark.parametrize("end", [b"", b"\xff\xd9"], ids=["cut", "cut and closed"])
@pytest.mark.parametrize("share", [0.1, 0.6, 0.98])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_cut_jpeg_is_no_image(end, share, channels, progressive):
    photo = PHOTO.convert("L") if channels == 1 else PHOTO
    data = encode(photo, quality=95, progressive=progressive)
    with pytest.raises(DecodeError):
        decode(data[: int(share * len(data))] + end, channels)


def test_what_is_no_image():
    png = encode(PHOTO, "PNG")
    for data in (b"", b"<html>", b"\xff\xd8", png[:40], png[: len(png) // 2]):
        with pytest.raises(DecodeError, match=r"\w") as error:
            decode(data, 3)
        assert "0x" not in str(error.value)


def test_more_than_8_bits_are_not_cut_off():
    deep = encode(Image.fromarray(np.full((4, 4), 300, np.uint16)), "PNG")
    with pytest.raises(DecodeError, match="more than 8 bits"):
        decode(deep, 1)


def test_what_follows_the_image_does_not_harm_it():
    data = encode(PHOTO)
    odd = data[:-2] + b"junk" + data[-2:], data + b"junk"
    assert all(np.array_equal(decode(one, 3), pil(data)) for one in odd)


def saved(image, form="PNG", **options):
    data = io.BytesIO()
    image.save(data, form, **options)
    return data.getvalue()


def premultiplied(image):
    """A TIFF that says that its colours are, as those of a black image are."""
    extra = [struct.pack("<HHIH", 338, 3, 1, kind) for kind in (2, 1)]
    data = saved(image, "TIFF")
    assert data.count(extra[0]) == 1
    return data.replace(*extra)


def png(rows, depth, kind, key):
    """A PNG of one column of pixels, of which one colour is transparent."""

    def chunk(name, data):
        sum_ = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + sum_

    header = struct.pack(">IIBBBBB", 1, len(rows), depth, kind, 0, 0, 0)
    lines = zlib.compress(b"".join(b"\0" + row for row in rows))
    chunks = ((b"IHDR", header), (b"tRNS", key), (b"IDAT", lines), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks)


# A drawing, black all over: what it shows is how much of it covers.
COVER = np.random.default_rng(0).integers(0, 256, (9, 7), np.uint8)
DRAWING = Image.fromarray(np.stack([*[COVER * 0] * 3, COVER], axis=-1))
KEYED = Image.fromarray(np.where(COVER < 128, 0, 5).astype(np.uint8))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (saved(DRAWING), 255 - COVER),
        (saved(DRAWING.convert("LA")), 255 - COVER),
        (saved(DRAWING, "WEBP", lossless=True, exact=True), 255 - COVER),
        (saved(DRAWING, "TIFF"), 255 - COVER),
        (saved(DRAWING.convert("PA"), "TIFF"), 255 - COVER),
        (premultiplied(DRAWING), 255 - COVER),
        (premultiplied(DRAWING.convert("LA")), 255 - COVER),
        (saved(KEYED, transparency=0), np.where(COVER < 128, 255, 5)),
        (saved(KEYED.convert("RGB"), transparency=(5,) * 3), (COVER > 127) * 255),
        (saved(KEYED.convert("P"), transparency=0), np.where(COVER < 128, 255, 5)),
        (
            saved(KEYED.convert("P"), transparency=bytes([51] + [255] * 255)),
            np.where(COVER < 128, 204, 5),
        ),
        (saved(KEYED.convert("P"), "GIF", transparency=0), (COVER < 128) * 250 + 5),
        (png([b"\0", b"\x80"], 1, 0, b"\0\1"), [[0], [255]]),
        (png([b"\0", b"\x40", b"\x80"], 2, 0, b"\0\1"), [[0], [255], [170]]),
        (png([b"\x20", b"\x50"], 4, 0, b"\0\2"), [[255], [85]]),
    ],
)
def test_what_is_transparent_is_white(data, expected):
    expected = np.broadcast_to(
        np.asarray(expected)[..., None], (*np.shape(expected), 3)
    )
    for channels in (3, 1):
        found = decode(data, channels).astype(int)
        np.testing.assert_array_equal(found, expected[..., :channels])


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "PA", "L", "RGB", "1"])
def test_opaque_pixels_are_what_pil_makes_of_them(mode):
    image = PHOTO.convert("RGB" if mode == "RGBA" else mode)
    options = {"transparency": bytes([255] * 256)} if mode == "P" else {}
    data = saved(image.convert(mode), "TIFF" if mode == "PA" else "PNG", **options)
    plain = saved(image.convert("P")) if mode == "P" else data
    for channels, target in ((3, "RGB"), (1, "L")):
        expected = np.atleast_3d(pil(plain, target))
        assert np.array_equal(decode(data, channels), expected)


def test_a_transparent_colour_of_16_bits_is_refused():
    with pytest.raises(DecodeError, match="transparent colour has more than 8 bits"):
        decode(png([bytes(6)], 16, 2, bytes(6)), 3)


def test_a_photograph_lies_as_it_was_taken():
    turned = Image.Exif()
    turned[0x0112] = 6
    for form in ("JPEG", "PNG", "WEBP"):
        assert decode(saved(PHOTO, form, exif=turned), 3).shape == (50, 75, 3)
