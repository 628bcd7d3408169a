"""Images of any shape on their way to the network, also of one row or column.

A case is a shape, a size and a crop. What comes out is what a plain resampling of the
whole image gives, and takes no more memory than the image and the batch do.
"""

import resource

import ml_collections
import numpy as np
from hypothesis import strategies as st

from ifnas_jax.data import augment

_SIZE = 32
_GROWTH = 48  # MB
_sides = st.integers(1, 40) | st.integers(1, 600)
_shapes = st.tuples(_sides, _sides) | st.tuples(
    st.integers(1, 3), st.integers(100, 60_000)
)
CASES = st.tuples(
    _shapes.flatmap(lambda shape: st.sampled_from([shape, shape[::-1]])),
    st.sampled_from([1, 3]),
    st.sampled_from(["resized", "pad"]),
    st.integers(0, 99),
)
# The first two took gigabytes.
PINNED = [
    (shape, channels, crop, 0)
    for shape in ((1, 20_000), (20_000, 1), (1, 1), (1, 16), (17, 1), (2, 33))
    for channels in (1, 3)
    for crop in ("resized", "pad")
]


def check(case) -> bool:
    """Asserts that both transforms are right, within bounds of memory."""
    shape, channels, crop, seed = case
    image = np.random.default_rng(seed).integers(0, 256, (*shape, channels), np.uint8)
    config = ml_collections.ConfigDict(
        {
            **{"image_size": _SIZE, "channels": channels, "crop": crop, "padding": 0},
            **{"flip": False, "jitter": (0.0,) * 4, "mean": (), "std": ()},
        }
    )
    train, evaluate = augment.train_transform(config), augment.eval_transform(config)
    before = _peak()
    results = train(image, np.random.default_rng(seed)).image, evaluate(image)
    assert _peak() - before < _GROWTH, case
    box = 0, 0, *shape
    whole = expected = _resampled(image, shape, (_SIZE, _SIZE))
    if crop == "resized":
        box = augment.crop_box(*shape, np.random.default_rng(seed))
        short = round(_SIZE * 256 / 224)
        sides = [short * side // min(shape) for side in shape]
        whole = _resampled(image, shape, sides)
        top, left, height, width = box
        assert 0 <= top < top + height <= shape[0], case
        assert 0 <= left < left + width <= shape[1], case
        cut = image[top : top + height, left : left + width]
        expected = _resampled(cut, (height, width), (_SIZE, _SIZE))
    for result, wanted in zip(results, (expected, whole), strict=True):
        assert result.shape == (_SIZE, _SIZE, channels), case
        # PIL rounds twice, to whole values.
        assert np.abs(result.astype(float) - wanted).max() <= 2, case
    return True


def _peak() -> float:
    """Of this process' memory, in MB; it never falls."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _resampled(image: np.ndarray, old, new) -> np.ndarray:
    """The middle, of the network's size, of an image resampled by triangles."""
    image = image.astype(float)
    for axis in (0, 1):
        first = round((new[axis] - _SIZE) / 2)
        lines = [
            _line(np.moveaxis(image, axis, 0), old[axis] / new[axis], place)
            for place in range(first, first + _SIZE)
        ]
        image = np.moveaxis(np.stack(lines), 0, axis)
    return image


def _line(lines: np.ndarray, scale: float, place: int) -> np.ndarray:
    """One line of the result: those of the image about its centre, by distance."""
    centre, reach = (place + 0.5) * scale, max(scale, 1.0)
    places = np.arange(
        max(0, int(centre - reach)), min(len(lines), int(centre + reach) + 2)
    )
    weights = np.maximum(0, 1 - np.abs(places + 0.5 - centre) / reach)
    return np.tensordot(weights / weights.sum(), lines[places], 1)
