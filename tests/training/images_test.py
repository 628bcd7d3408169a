"""What the devices do to images, against PIL, NumPy and the standard library."""

import colorsys
import functools

import jax
import numpy as np
import pytest
from official_tars import encode, photograph

from benchmarks.input_pipeline import plain_eval, plain_train
from ifnas_jax import config as config_lib
from ifnas_jax.data import augment
from ifnas_jax.data.decode import decode
from ifnas_jax.training import jit_once, preparer
from ifnas_jax.training.images import colour_jitter, turn_hue

SIZE = 28


def settings(**changes):
    config = config_lib.default("imagenet2012").dataset
    config.update(image_size=SIZE, **changes)
    return config


def batch_of(config, data, keys):
    """Of one image, cut and drawn with many generators."""
    transform, image = augment.train_transform(config), decode(data, config.channels)
    rows = [transform(image, np.random.default_rng(key)) for key in keys]
    return {
        name: np.stack([getattr(row, field) for row in rows])
        for name, field in (("image", "image"), ("draws", "draws"))
    }


def levels(config, images):
    """In units of a byte's levels."""
    return images * np.array(config.std) * 255


@pytest.mark.parametrize("size", [(120, 90), (61, 100)])
@pytest.mark.parametrize("jitter", [(0.0,) * 4, (0.4, 0.4, 0.4, 0.2)])
def test_images_are_those_of_a_loop_over_pil(size, jitter):
    """Mirrored or not, jittered in different orders; PIL rounds after each change."""
    config, data = settings(jitter=jitter), encode(photograph(1, size), quality=90)
    keys = range(24)
    batch = batch_of(config, data, keys)
    found = jit_once(preparer(config))(batch)
    expected = [plain_train(data, np.random.default_rng(key), config) for key in keys]
    gaps = np.abs(levels(config, np.array(found) - np.array(expected)))
    if not any(jitter):
        assert gaps.max() < 1e-3
    else:
        # PIL's hue has 256 steps, of which each is 1.4 degrees.
        assert gaps.mean() < 1.5
        assert np.percentile(gaps, 99) < 8
    # The wrong draws would be seen.
    batch["draws"] = batch["draws"][::-1]
    wrong = jit_once(preparer(config))(batch)
    gaps = np.abs(levels(config, np.array(wrong) - np.array(expected)))
    assert gaps.mean() > 5


def test_evaluation_is_normalised_only():
    config, data = settings(), encode(photograph(1, (61, 100)), quality=90)
    image = augment.eval_transform(config)(decode(data, 3))
    found = jit_once(preparer(config))({"image": image[None]})
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], plain_eval(data, config), atol=1e-5)


def test_normalisation_is_in_units_of_the_unit_interval():
    config = settings(mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 0.2))
    image = np.full((1, 1, 1, 3), 51, np.uint8)  # 0.2 of 255
    result = preparer(config)({"image": image})
    np.testing.assert_allclose(result[0, 0, 0], [0.2, 0, -0.5], atol=1e-6)


def test_images_of_floats_are_taken_as_they_are():
    images = np.ones((2, 4, 4, 3), np.float32)
    assert preparer(settings())({"image": images}) is images


def test_changes_are_those_of_numpy_in_their_order():
    """Brightness, contrast and saturation, with nothing rounded."""
    rng = np.random.default_rng(0)
    images = rng.random((12, 5, 4, 3)).astype(np.float32)
    strengths = (0.4, 0.4, 0.4, 0.0)
    draws = np.array([augment.draw_changes(rng, False, strengths) for _ in images])
    found = jit_once(functools.partial(colour_jitter, strengths=strengths))(
        images, draws
    )
    for image, own, result in zip(images, draws, found, strict=True):
        expected = image.astype(np.float64)
        for which in own[augment.ORDER].astype(int):
            grey = (expected @ [0.299, 0.587, 0.114])[..., None]
            others = (0.0, grey.mean(), grey, expected)
            factor = own[augment.FACTORS][which] if which < 3 else 1.0
            other = others[which]
            expected = np.clip(other + factor * (expected - other), 0, 1)
        np.testing.assert_allclose(result, expected, atol=1e-5)


def test_hue_turns_the_circle_and_keeps_saturation_and_value():
    rng = np.random.default_rng(0)
    pixels = rng.random((40, 3))
    pixels[:4] = [[1, 0, 0], [0, 0, 1], [0.3, 0.3, 0.3], [0, 0, 0]]
    for shift in (-0.5, -0.2, 0.0, 1 / 3):
        found = turn_hue(pixels.reshape(8, 5, 3).astype(np.float32), shift)
        for pixel, result in zip(pixels, np.reshape(found, (40, 3)), strict=True):
            hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
            expected = colorsys.hsv_to_rgb((hue + shift) % 1, saturation, value)
            np.testing.assert_allclose(result, expected, atol=1e-5)
    grey = np.ones((2, 2, 1), np.float32)
    assert turn_hue(grey, 0.3) is grey


def test_every_platform_jitters_alike():
    """One by one, as on a CPU, and side by side, as elsewhere."""
    rng, strengths = np.random.default_rng(0), (0.4, 0.4, 0.4, 0.2)
    images = rng.random((6, 5, 4, 3)).astype(np.float32)
    draws = np.array([augment.draw_changes(rng, False, strengths) for _ in images])

    def jitter(images, draws):
        return colour_jitter(images, draws, strengths)

    alone = jit_once(jitter)(images, draws)
    # Under vmap a switch becomes a selection on the CPU too.
    together = jit_once(jax.vmap(lambda x, d: jitter(x[None], d[None])[0]))(
        images, draws
    )
    np.testing.assert_allclose(alone, together, atol=1e-6)
