"""Encoded images: whole ones, and with torn bytes.

A case is the bytes of a JPEG or PNG, and the channels that the network sees. They
become exactly the pixels of a whole and strict decoding, or an error if that fails.
"""

import io

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from benchmarks.fuzz.faults import faulty_bytes
from benchmarks.fuzz.harness import check_sentence
from ifnas_jax.data.source import Examples
from ifnas_jax.errors import StorageError

_MODES = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "JPEG": ("L", "RGB", "CMYK"),
}
# What Pillow raises on bytes that are no whole image.
UNREADABLE = OSError, ValueError, SyntaxError, Image.DecompressionBombError


@st.composite
def _cases(draw):
    form = draw(st.sampled_from(sorted(_MODES)))
    mode = draw(st.sampled_from(_MODES[form]))
    height, width = draw(st.integers(1, 24)), draw(st.integers(1, 24))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
    if mode == "I;16":
        image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    else:
        image = Image.fromarray(pixels).convert(mode)
    options = {"progressive": draw(st.booleans()), "quality": draw(st.integers(5, 95))}
    file = io.BytesIO()
    image.save(file, form, **(options if form == "JPEG" else {}))
    content, damaged = file.getvalue(), draw(st.integers(0, 3)) > 0
    if damaged:
        content = draw(faulty_bytes(content))
    return content, draw(st.sampled_from([1, 3])), damaged


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
            expected = np.array(file.convert("L" if channels == 1 else "RGB"))
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
