import functools
import itertools
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from ifnas_jax.data import augment, resize
from ifnas_jax.errors import InputError


def rng(key=0):
    return np.random.default_rng(key)


@pytest.fixture
def settings(make_config):
    return functools.partial(make_config, "", channels=3)


def test_no_flip_and_no_jitter_draw_nothing(settings):
    config = settings(padding=0)
    image = rng().integers(0, 256, (28, 28, 3), np.uint8)
    transform = augment.train_transform(config)
    for key in range(5):
        generator = rng(key)
        found = transform(image, generator)
        np.testing.assert_array_equal(found.image, image)
        assert found.draws.tolist() == [0, 1, 1, 1, 0, 0, 1, 2, 3]
        assert generator.random() == rng(key).random()


def test_what_is_drawn_lies_in_its_range():
    strengths = (0.4, 1.5, 0.0, 0.2)
    draws = np.array(
        [augment.draw_changes(rng(k), True, strengths) for k in range(300)]
    )
    assert 110 < draws[:, augment.FLIP].sum() < 190
    assert set(draws[:, augment.FLIP]) == {0, 1}
    for strength, own in zip(strengths, draws[:, augment.FACTORS].T, strict=True):
        low, high = max(0.0, 1 - strength), 1 + strength
        if strength == 0.2:
            low, high = -0.2, 0.2
        # Over all of it.
        np.testing.assert_allclose([own.min(), own.max()], [low, high], atol=0.03)
    orders = {tuple(row) for row in draws[:, augment.ORDER].astype(int).tolist()}
    assert orders == set(itertools.permutations(range(4)))


def test_shifts_reach_the_padding_and_bring_in_black():
    image = np.full((4, 4, 1), 255, np.uint8)
    results = {augment.pad_crop(image, rng(k), 1).tobytes() for k in range(100)}

    shifts = {
        np.pad(image[..., 0], 1)[i : i + 4, j : j + 4].tobytes()
        for i in range(3)
        for j in range(3)
    }
    assert results == shifts


@pytest.mark.parametrize("crop", ["pad", "resized"])
def test_same_key_same_image(crop, colour, settings):
    config = settings(crop=crop, flip=True, jitter=(0.4, 0.4, 0.4, 0.2))
    transform = augment.train_transform(config)
    first, again, other = (transform(colour, rng(key)) for key in (1, 1, 2))

    assert first.image.shape == (28, 28, 3)
    for one, two, three in zip(first, again, other, strict=True):
        assert np.array_equal(one, two)
        assert not np.array_equal(one, three)


@pytest.mark.parametrize(("height", "width"), [(20, 30), (200, 10), (10, 200), (1, 9)])
def test_crop_boxes_fit_with_allowed_area_and_ratio(height, width):
    for key in range(50):
        top, left, h, w = augment.crop_box(height, width, rng(key))
        assert 0 <= top <= height - h < height
        assert 0 <= left <= width - w < width
        assert abs(w - h * 4 / 3) <= 1 or w < h * 4 / 3
        assert abs(h - w * 4 / 3) <= 1 or h < w * 4 / 3


def test_evaluation_resizes_the_shorter_side_and_cuts_the_centre(settings):
    config = settings(crop="resized", image_size=14)
    image = np.zeros((32, 64, 3), np.uint8)
    image[:, 32:] = 255
    result = augment.eval_transform(config)(image)

    assert result.shape == (14, 14, 3)
    assert (result[:, :6] == 0).all()
    assert (result[:, 8:] == 255).all()


def plain_resize(image, height, width):
    """As PIL does it, in one go."""
    size = (width, height)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))


@pytest.mark.parametrize("shape", [(5, 80), (80, 5), (1, 16), (16, 1), (7, 100)])
def test_ordinary_shapes_are_resized_in_one_go(shape):
    image = rng().integers(0, 256, (*shape, 3), np.uint8)
    found = resize.resize(image, 28, 28)
    np.testing.assert_array_equal(found, plain_resize(image, 28, 28))
    short = [32 * side // min(shape) for side in shape]
    top, left = (round((side - 28) / 2) for side in short)
    expected = plain_resize(image, *short)[top : top + 28, left : left + 28]
    np.testing.assert_array_equal(resize.resize_centre_crop(image, 28), expected)


@pytest.mark.parametrize("shape", [(2, 33), (33, 2), (1, 400), (401, 1), (600, 7)])
def test_long_images_look_as_if_they_were(shape):
    image = rng().integers(0, 256, (*shape, 3), np.uint8)
    found = resize.resize(image, 28, 28).astype(int)
    assert np.abs(found - plain_resize(image, 28, 28)).max() <= 1
    short = [32 * side // min(shape) for side in shape]
    top, left = (round((side - 28) / 2) for side in short)
    expected = plain_resize(image, *short)[top : top + 28, left : left + 28]
    found = resize.resize_centre_crop(image, 28).astype(int)
    assert np.abs(found - expected).max() <= 1


def test_long_images_take_little_memory():
    """Of 1 × 20,000 pixels one took 9 GB."""
    script = """
import resource
import numpy as np
from ifnas_jax import config
from ifnas_jax.data import augment

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # MB

data = config.default("imagenet2012").dataset
images = [np.zeros((*shape, 3), np.uint8) for shape in ((1, 100_000), (100_000, 1))]
before = peak()
for data.crop in ("resized", "pad"):
    train, evaluate = augment.train_transform(data), augment.eval_transform(data)
    for image in images:
        for result in (train(image, np.random.default_rng(0)).image, evaluate(image)):
            assert result.shape == (224, 224, 3)
print(peak() - before)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 50


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("crop", "random"),
        ("jitter", (0.4, 0.4, 0.4)),
        ("jitter", (0.0, 0.0, 0.0, 0.6)),
        ("mean", (0.5,)),
        ("std", (1.0, 0.0, 1.0)),
        ("padding", -1),
        ("image_size", 0),
    ],
)
def test_settings_out_of_range(field, value, settings):
    config = settings()
    config[field] = value
    with pytest.raises(InputError, match=f"dataset.{field}"):
        augment.train_transform(config)
