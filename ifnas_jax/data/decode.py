"""Decoding: all pixels of an encoded image, or an error, never filler.

JPEGs are decoded whole, also where only a crop of them is used: TensorFlow, which can
decode a part, is no faster at it than libjpeg-turbo at the whole
(`benchmarks/input_pipeline.py`). So whether a file can be read does not depend on
which crop was drawn.
"""

import io
import struct

import numpy as np
import simplejpeg
from PIL import Image, UnidentifiedImageError

_MODES = {1: "L", 3: "RGB"}
# Where a PNG says how many bits a value has.
_PNG_DEPTH = 24
# What PIL raises on damaged or hostile files.
_PIL_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
)


class DecodeError(ValueError):
    """The bytes are no image, or only a part of one."""


def decode(data: bytes, channels: int) -> np.ndarray:
    """Decodes an image of any format that PIL knows.

    The pixels are PIL's, also those of JPEGs (CMYK: within 2 of 255), for which
    libjpeg-turbo is asked directly: PIL goes by way of four bytes a pixel. What is
    transparent shows white; EXIF's orientation is not applied.

    Args:
      data: the encoded image.
      channels: 1 or 3; a grey image becomes three equal channels.

    Returns:
      uint8 [H, W, channels].

    Raises:
      DecodeError: `data` is no image, pixels of it are missing, or they have more
          than 8 bits.
    """
    if data.startswith(b"\xff\xd8"):
        try:
            return _decode_jpeg(data, channels)
        except ValueError as error:
            if _lacks_pixels(str(error)):
                raise DecodeError(str(error)) from error
            # The other warnings concern no pixel, and PIL knows more formats.
    try:
        with Image.open(io.BytesIO(data)) as file:
            if file.mode[0] in "IF":  # PIL would cut their values off at 255.
                raise DecodeError("its values have more than 8 bits")
            file.load()  # With it comes all that `info` holds.
            image = _on_white(file, data) if _may_show_through(file) else file
            return np.atleast_3d(np.array(image.convert(_MODES[channels])))
    except UnidentifiedImageError as error:
        # PIL's own message is the address of the bytes in memory.
        raise DecodeError("PIL knows no such format") from error
    except _PIL_ERRORS as error:
        raise DecodeError(str(error)) from error


def _may_show_through(image: Image.Image) -> bool:
    """Whether a pixel can be transparent: by a channel, a colour or its palette."""
    if image.mode.upper().endswith("A") or "transparency" in image.info:
        return True
    palette = image.palette if image.mode == "P" else None
    return palette is not None and palette.mode.endswith("A")


def _on_white(image: Image.Image, data: bytes) -> Image.Image:
    """An image without transparency: under what has some lies white.

    Black drawings on a transparent ground would all be the same black otherwise.
    """
    if data.startswith(b"\x89PNG") and "transparency" in image.info:
        _mend_key(image, depth=data[_PNG_DEPTH])
    if image.mode == "La":  # PIL has no way from there to RGBA.
        image = image.convert("LA")
    rgba = image.convert("RGBA")
    if rgba.getchannel("A").getextrema()[0] == 255:
        # As it is, also how PIL makes it grey, but for PIL's warning of its palette.
        image.info.pop("transparency", None)
        return image
    white = Image.new("RGB", image.size, "white")
    white.paste(rgba, mask=rgba)
    return white


def _mend_key(image: Image.Image, depth: int) -> None:
    """Makes a PNG's transparent colour one of the 8-bit values that PIL makes."""
    if image.mode == "L" and depth < 8:
        image.info["transparency"] *= 255 // (2**depth - 1)
    elif image.mode == "RGB" and depth > 8:
        raise DecodeError("its transparent colour has more than 8 bits")


def _decode_jpeg(data: bytes, channels: int) -> np.ndarray:
    """A JPEG's pixels; ValueError if libjpeg warns."""
    if channels == 3:
        return simplejpeg.decode_jpeg(data, "RGB")
    if simplejpeg.decode_jpeg_header(data)[2] == "Gray":
        return simplejpeg.decode_jpeg(data, "GRAY")
    colours = Image.fromarray(simplejpeg.decode_jpeg(data, "RGB"))
    return np.atleast_3d(np.array(colours.convert("L")))


def _lacks_pixels(message: str) -> bool:
    """Whether libjpeg's message says that it made pixels up.

    PIL does not ask: a file that was cut and still ends like a JPEG would be grey
    from there on.
    """
    corrupt = message.startswith("Corrupt JPEG data") and "extraneous" not in message
    return corrupt or message.startswith("Premature end")
