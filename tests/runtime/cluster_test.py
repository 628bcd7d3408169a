import argparse

import pytest

from ifnas_jax.errors import InputError
from ifnas_jax.runtime.cluster import Cluster, add_flags, find_cluster

SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_STEP_NODELIST": "node[1-2]",
    "SLURM_STEP_NUM_TASKS": "2",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "0",
}


def find(flags=(), **environ):
    parser = argparse.ArgumentParser()
    add_flags(parser)
    return find_cluster(parser.parse_args(flags), environ)


BY_HAND = ["--coordinator=one:1234", "--processes=2", "--process=1"]
DETECTED = {
    "slurm": SLURM,
    "pod": {"TPU_WORKER_HOSTNAMES": "10.0.0.1,10.0.0.2"},
    "slices": {"MEGASCALE_NUM_SLICES": "2"},
    "kubernetes": {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "0"},
}


@pytest.mark.parametrize("environ", DETECTED.values(), ids=DETECTED)
def test_several_are_found_and_can_be_switched_off(environ):
    assert find(**environ) == Cluster()
    assert find(["--distributed=off"], **environ) is None
    # What is said by hand comes first.
    assert find(BY_HAND, **environ) == Cluster("one:1234", 2, 1)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {**SLURM, "SLURM_STEP_NUM_TASKS": "1"},
        {key: SLURM[key] for key in ("SLURM_JOB_ID", "SLURM_STEP_NUM_TASKS")},
        {"TPU_WORKER_HOSTNAMES": "localhost"},
        {"KUBERNETES_SERVICE_HOST": "10.0.0.1"},
    ],
)
def test_one_is_alone(environ):
    assert find(**environ) is None
    assert find(["--distributed=on"], **environ) == Cluster()


def test_the_environment_stands_for_flags():
    environ = {
        "JAX_COORDINATOR_ADDRESS": "one:1234",
        "JAX_NUM_PROCESSES": "2",
        "JAX_PROCESS_ID": "0",
    }
    assert find(**environ) == Cluster("one:1234", 2, 0)
    assert find(["--process=1"], **environ) == Cluster("one:1234", 2, 1)
    with pytest.raises(InputError, match="JAX_PROCESS_ID is 'x'"):
        find(**{**environ, "JAX_PROCESS_ID": "x"})


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (BY_HAND[:2], "--process is missing"),
        (BY_HAND[1:], "--coordinator is missing"),
        (["--coordinator=one", *BY_HAND[1:]], "--coordinator is 'one'"),
        ([*BY_HAND[:2], "--process=2"], "--process is 2 of --processes 2"),
        ([*BY_HAND[:2], "--process=-1"], "--process is -1"),
    ],
)
def test_what_does_not_fit_is_refused(flags, words):
    with pytest.raises(InputError, match=words):
        find(flags)
