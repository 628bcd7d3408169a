import colorsys
import functools
import subprocess
import sys

import numpy as np
import pytest
from official_tars import encode, photograph
from PIL import Image

from benchmarks.input_pipeline import plain_eval, plain_train
from ifnas_jax.data import augment, resize
from ifnas_jax.data.decode import decode
from ifnas_jax.errors import InputError


def rng(key=0):
    return np.random.default_rng(key)


@pytest.fixture
def settings(make_config):
    return functools.partial(make_config, "", channels=3)


def undo(image):
    """The pixels of an image normalised with 0.5 and 0.5."""
    return np.round((image + 1) * 127.5).astype(np.uint8)


def test_normalisation_is_in_units_of_the_unit_interval(settings):
    config = settings(mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 0.2))
    image = np.full((1, 1, 3), 51, np.uint8)  # 0.2 of 255

    result = augment.normaliser(config)(image)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result[0, 0], [0.2, 0, -0.5], atol=1e-6)


def test_no_flip_and_no_jitter_leave_only_shifts(settings):
    config = settings(padding=0)
    image = rng().integers(0, 256, (28, 28, 3), np.uint8)
    transform = augment.train_transform(config)

    assert all(np.array_equal(undo(transform(image, rng(k))), image) for k in range(20))


def test_flips_are_half_of_all():
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    mirrored = sum(
        np.array_equal(augment.flip(image, rng(k)), image[:, ::-1]) for k in range(200)
    )
    assert 70 < mirrored < 130


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
    first = transform(colour, rng(1))

    assert first.shape == (28, 28, 3)
    assert np.array_equal(first, transform(colour, rng(1)))
    assert not np.array_equal(first, transform(colour, rng(2)))


@pytest.mark.parametrize("size", [(120, 90), (61, 100)])
def test_images_are_those_of_a_loop_over_pil(size, settings):
    config = settings(
        crop="resized",
        flip=True,
        jitter=(0.4, 0.4, 0.4, 0.2),
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    )
    data = encode(photograph(1, size), quality=90)
    train, evaluate = augment.train_transform(config), augment.eval_transform(config)
    row = np.empty((28, 28, 3), np.float32)
    for key in range(10):  # Mirrored or not, jittered in different orders.
        expected = plain_train(data, rng(key), config)
        train(decode(data, 3), rng(key), out=row)
        np.testing.assert_allclose(row, expected, atol=1e-6)
    evaluate(decode(data, 3), out=row)
    np.testing.assert_allclose(row, plain_eval(data, config), atol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(20, 30), (200, 10), (10, 200), (1, 9)])
def test_crop_boxes_fit_with_allowed_area_and_ratio(height, width):
    for key in range(50):
        top, left, h, w = augment.crop_box(height, width, rng(key))
        assert 0 <= top <= height - h < height
        assert 0 <= left <= width - w < width
        assert abs(w - h * 4 / 3) <= 1 or w < h * 4 / 3
        assert abs(h - w * 4 / 3) <= 1 or h < w * 4 / 3


def test_brightness_multiplies_and_clips(colour):
    factor = rng().uniform(0.6, 1.4)  # The first draw, as in colour_jitter.
    result = augment.colour_jitter(colour, rng(), (0.4, 0, 0, 0))

    expected = np.clip(colour.astype(np.float64) * factor, 0, 255)
    assert np.abs(result - expected).max() <= 1


def test_hue_turns_the_circle_and_keeps_saturation_and_value():
    red, grey = (255, 0, 0), (90, 90, 90)
    image = Image.fromarray(np.array([[red, grey]], np.uint8))
    result = np.asarray(augment.shift_hue(image, 1 / 3))

    green = np.array(colorsys.hsv_to_rgb(1 / 3, 1, 1)) * 255
    assert np.abs(result[0, 0] - green).max() <= 3
    assert result[0, 1].tolist() == list(grey)


def test_evaluation_resizes_the_shorter_side_and_cuts_the_centre(settings):
    config = settings(crop="resized", image_size=14)
    image = np.zeros((32, 64, 3), np.uint8)
    image[:, 32:] = 255
    result = undo(augment.eval_transform(config)(image))

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
        for result in (train(image, np.random.default_rng(0)), evaluate(image)):
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
