import io

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
