"""What is said of devices that are not there, and of memory that is full."""

import shutil

import jax
import numpy as np
import pytest
from tiny import TINY

from ifnas_jax import config, main, training
from ifnas_jax.errors import InputError
from ifnas_jax.runtime import devices

FULL = [
    "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 5307082856 bytes.",
    "RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory in memory "
    "space hbm. Used 30.1G of 15.75G hbm.\n\nTotal hbm usage >= 30.6G:\n",
    "RESOURCE_EXHAUSTED: Attempting to reserve 3.46G at the bottom of memory.",
    "INTERNAL: failed: CUDA_ERROR_OUT_OF_MEMORY: out of memory",
]


@pytest.mark.parametrize(
    "error",
    [*map(jax.errors.JaxRuntimeError, FULL), MemoryError()],
    ids=lambda error: str(error)[:40],
)
def test_full_memory_is_one_sentence(error):
    with (
        pytest.raises(InputError) as refused,
        devices.memory_errors(config.default("mnist5k"), "search"),
    ):
        raise error
    said = str(refused.value)
    assert "search.batch_size is 32 and search.accumulate 1, for which" in said
    assert said.endswith(" in a new workdir.") and "\n" not in said


@pytest.mark.parametrize(
    "error",
    [jax.errors.JaxRuntimeError("INVALID_ARGUMENT: a shape"), ValueError(FULL[0])],
)
def test_any_other_error_stays_what_it_is(error):
    with (
        pytest.raises(type(error)),
        devices.memory_errors(config.default("mnist5k"), "search"),
    ):
        raise error


@pytest.mark.parametrize("job", ["search", "retrain"])
def test_a_job_that_does_not_fit_names_its_own_fields(
    job, finished, tiny_flags, tmp_path, monkeypatch, capsys
):
    def full(*args, **kwargs):
        raise jax.errors.JaxRuntimeError(FULL[0])

    monkeypatch.setattr(training, "compile_step", full)
    workdir = tmp_path / "run"
    if job == "retrain":
        shutil.copytree(finished[0] / "search", workdir / "search")
    assert main.main(tiny_flags(workdir)) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    size = TINY[f"{job}.batch_size"]
    assert error.startswith(f"ifnas_jax: {job}.batch_size is {size} and {job}.acc")
    assert ("architecture.json may be copied" in error) == (job == "retrain")


def test_an_array_that_the_machine_has_no_room_for_is_full_memory():
    with (
        pytest.raises(InputError, match=r"retrain\.accumulate 1, for which"),
        devices.memory_errors(config.default("mnist5k"), "retrain"),
    ):
        np.zeros(2**50)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("Unable to initialize 'tpu': in use. (set JAX_P"), "in use); "),
        (AssertionError(), "there is no such device"),
    ],
)
@pytest.mark.parametrize("platforms", ["tpu", None])
def test_devices_that_are_not_there(error, words, platforms, monkeypatch):
    def fail():
        raise error

    monkeypatch.setattr(jax, "devices", fail)
    before = jax.config.jax_platforms
    jax.config.update("jax_platforms", platforms)
    try:
        with pytest.raises(InputError) as refused:
            devices.check()
    finally:
        jax.config.update("jax_platforms", before)
    said = str(refused.value)
    assert words in said
    assert ("JAX_PLATFORMS is 'tpu'" if platforms else "JAX_PLATFORMS=cpu") in said


def test_a_process_that_was_lost_is_no_bad_input(monkeypatch):
    def fail():
        raise RuntimeError("DEADLINE_EXCEEDED: Barrier timed out.")

    monkeypatch.setattr(jax, "devices", fail)
    with pytest.raises(RuntimeError, match="DEADLINE"):
        devices.check()
