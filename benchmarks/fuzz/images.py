"""Encoded images: whole ones, also transparent ones, and with torn bytes.

A case is the bytes of an image, and the channels that the network sees. They become
exactly the pixels of a whole and strict decoding, on white where it is transparent, or
an error if that fails.
"""

import io
import struct
import zlib

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from benchmarks.fuzz.faults import faulty_bytes
from benchmarks.fuzz.harness import check_sentence
from ifnas_jax.data.source import Examples
from ifnas_jax.errors import StorageError

_MODES = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "grey"),
    "JPEG": ("L", "RGB", "CMYK"),
    "WEBP": ("RGB", "RGBA"),
    "GIF": ("L", "P"),
    "TIFF": ("LA", "PA", "RGBA"),
}
# In which one colour, or those of a palette, may be transparent.
_KEYED = {"PNG": ("1", "L", "P", "RGB"), "GIF": ("L", "P")}
# What Pillow raises on bytes that are no whole image.
UNREADABLE = OSError, ValueError, SyntaxError, Image.DecompressionBombError


@st.composite
def _cases(draw):
    # As often as there are modes of it.
    form, mode = draw(st.sampled_from([(f, m) for f in _MODES for m in _MODES[f]]))
    height, width = draw(st.integers(1, 24)), draw(st.integers(1, 24))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    pixels = rng.integers(0, 256, (height, width, 4), np.uint8)
    options = {"progressive": draw(st.booleans()), "quality": draw(st.integers(5, 95))}
    options = {"JPEG": options, "WEBP": {"lossless": True}}.get(form, {})
    if mode in _KEYED.get(form, ()) and draw(st.booleans()):
        options["transparency"] = draw(_transparency(form, mode, pixels))
    if mode == "grey":
        content = _grey_png(pixels[..., 0], draw(st.sampled_from([2, 4])))
    else:
        content = _saved(pixels, form, mode, options)
    # Of others that are torn Pillow warns, as they have no checksums: of a header that
    # lacks fields, or a size of many millions of pixels.
    damaged = form in ("PNG", "JPEG", "WEBP") and draw(st.integers(0, 3)) > 0
    if damaged:
        content = draw(faulty_bytes(content))
    return content, draw(st.sampled_from([1, 3])), damaged


def _transparency(form: str, mode: str, pixels: np.ndarray):
    """What is transparent: often a colour that is there."""
    grey = int(np.asarray(Image.fromarray(pixels).convert("RGB").convert("L"))[0, 0])
    values = {
        "1": st.integers(0, 1),
        "L": st.sampled_from([grey, 7]),
        "P": st.integers(0, 255),
        "RGB": st.just(tuple(pixels[0, 0, :3].tolist())),
    }[mode]
    if (form, mode) == ("PNG", "P"):
        return values | st.binary(min_size=1, max_size=256)
    return values


def _saved(pixels: np.ndarray, form: str, mode: str, options: dict) -> bytes:
    if mode == "I;16":
        image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    else:
        image = Image.fromarray(pixels)
        image = image.convert(mode if "A" in mode else "RGB").convert(mode)
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def _grey_png(pixels: np.ndarray, bits: int) -> bytes:
    """A grey PNG of 2 or 4 bits, which Pillow doesn't write, of which 1 is clear."""

    def chunk(name: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + check

    height, width = pixels.shape
    values = (pixels >> (8 - bits))[..., None] >> np.arange(bits)[::-1] & 1
    rows = np.packbits(values.reshape(height, -1), axis=1)
    rows = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    chunks = {b"IHDR": header, b"tRNS": b"\0\1", b"IDAT": zlib.compress(rows)}
    chunks = [chunk(*item) for item in (*chunks.items(), (b"IEND", b""))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


CASES = _cases()
PINNED = [
    (content, 3, True) for content in (b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
]


def check(case) -> bool:
    """Whether an image is read; asserts that this is right, and its pixels.

    A damaged one may be refused where PIL would fill in what is missing.
    """
    content, channels, damaged = case
    try:
        records = [{"image": content, "label": 0}]
        found = Examples(records, np.arange(1), channels, range(1))[0]
    except StorageError as error:
        check_sentence(error, ["record 0"])
        found = None
    try:
        with Image.open(io.BytesIO(content)) as file:
            file.load()
            if file.mode[0] in "IF":
                raise ValueError("more than 8 bits are refused")
            # Its conversion differs from libjpeg's by rounding.
            tolerance = 2 if file.mode == "CMYK" else 0
            expected = _on_white(file, content, channels)
    except UNREADABLE:
        expected = None
    if found is None:
        assert damaged or expected is None, case
        return False
    assert expected is not None, case
    image = found["image"]
    assert image.dtype == np.uint8 and image.shape == (*expected.shape[:2], channels)
    difference = image.astype(int) - expected.reshape(image.shape)
    assert np.abs(difference).max() <= tolerance, case
    return True


def _on_white(file: Image.Image, content: bytes, channels: int) -> np.ndarray:
    """The pixels, mixed with white by what they cover."""
    colours, cover = _parts(file, content)
    mode = "L" if channels == 1 else "RGB"
    if cover is None or cover.min() == 255:
        file.info.pop("transparency", None)
        return np.array(file.convert(mode))
    mixed = (colours * (cover / 255)[..., None]) + 255 - cover[..., None]
    return np.array(Image.fromarray(np.round(mixed).astype(np.uint8)).convert(mode))


def _parts(file: Image.Image, content: bytes):
    """Colours [H, W, 3], and how much of what is under it each covers, of 255."""
    values, key = np.array(file), file.info.get("transparency")
    shape = (file.height, file.width, 3)
    if file.mode in ("RGBA", "LA"):
        return np.broadcast_to(values[..., :-1], shape), values[..., -1]
    if file.mode in ("P", "PA"):
        palette = np.zeros((256, 3), np.uint8)
        known = np.array(file.getpalette("RGB"), np.uint8).reshape(-1, 3)
        palette[: len(known)] = known
        if file.mode == "PA":
            return palette[values[..., 0]], values[..., 1]
        cover = np.full(256, 255)
        if isinstance(key, bytes):
            cover[: len(key)] = list(key)
        elif key is not None:
            cover[key] = 0
        return palette[values], cover[values]
    if key is None:
        return None, None
    if file.format == "PNG" and file.mode == "L" and content[24] < 8:
        key = key * 255 // (2 ** content[24] - 1)
    if file.mode == "1":
        values = values * 255
    colours = np.broadcast_to(np.atleast_3d(values), shape)
    return colours, 255 * (colours != np.array(key)).any(-1)
