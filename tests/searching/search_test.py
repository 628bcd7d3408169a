"""The search job's decisions, with a few matrices for a super-network."""

import functools

import jax
import numpy as np
import pytest
from small_search import SmallNet, interrupt, left_in, make_config, make_dataset, run

from ifnas_jax import files, training
from ifnas_jax.architecture import from_kept, load
from ifnas_jax.report.logs import CandidateLog, SearchLogs
from ifnas_jax.searching import job as search_lib
from ifnas_jax.searching.derive import choose, is_pruned
from ifnas_jax.searching.make import make_search
from ifnas_jax.training import IN_FLIGHT

pytestmark = pytest.mark.usefixtures("compiles_soon")


@pytest.mark.parametrize(
    ("method", "changes"),
    [
        ("goldnas", {}),
        ("darts", {"darts.order": 2}),
        ("pcdarts", {}),
        ("randomws", {}),
    ],
)
def test_interrupted_it_ends_with_the_same_bytes(
    method, changes, tmp_path, monkeypatch
):
    config, dataset = make_config(method, **changes), make_dataset()
    run(config, dataset, tmp_path / "whole", SmallNet)
    expected = left_in(tmp_path / "whole")
    # At the end of a loop that has no checkpoint yet, and, with candidates, in the
    # middle of them.
    go_on = functools.partial(run, config, dataset, tmp_path / "killed", SmallNet)
    interrupt(monkeypatch, SearchLogs, "write_gates", 5, go_on)
    assert left_in(tmp_path / "killed") != expected
    if method == "randomws":
        interrupt(monkeypatch, CandidateLog, "write", 3, go_on)
        assert "candidates.jsonl" in left_in(tmp_path / "killed")
    go_on()
    assert left_in(tmp_path / "killed") == expected
    assert len(expected) >= 4


class Watched:
    """An array that a step made, of which it is noted who reads it or waits for it.

    It can do what the loop needs, so that nothing else is done with it unseen.
    """

    def __init__(self, array, read, waited):
        self.array, self._read, self._waited = array, read, waited

    def __array__(self, dtype=None, copy=None):
        self._read()
        return np.array(self.array, dtype)

    def __float__(self):
        return float(np.asarray(self))

    def __int__(self):
        return int(np.asarray(self))

    def block_until_ready(self):
        self._waited()
        return self


@pytest.mark.parametrize("curious", [None, "reads", "waits"])
def test_steps_are_queued_between_two_rows_of_the_log(curious, tmp_path, monkeypatch):
    """Nothing is read, the last steps are not waited for, and only batches are sent.

    The last two cases, in which somebody looks at each loss, must be noticed.
    """
    config = make_config("ifnas", **{"sampling.period": 4})
    made, reads, waits = [0], [], []
    compile_steps = search_lib.compile_steps

    def watched(tree):
        step = made[0]

        def watch(array):
            return Watched(
                array,
                lambda: reads.append(made[0]),
                lambda: waits.append(made[0] - step),
            )

        return jax.tree.map(watch, tree)

    def plain(tree):
        return jax.tree.map(lambda x: x.array if isinstance(x, Watched) else x, tree)

    def guarded(*arguments):
        compiled, seconds = compile_steps(*arguments)

        def train(state, *others):
            # The first step is given the state from the host. On a CPU the guard sees
            # what is sent only; hence the arrays that are watched.
            with jax.transfer_guard("disallow" if made[0] else "allow"):
                state, metrics = compiled.train(plain(state), *others)
            state, metrics = watched(state), watched(metrics)
            made[0] += 1
            if curious == "reads":
                float(metrics["loss"])
            if curious == "waits":
                jax.block_until_ready(metrics)
            return state, metrics

        def validate(state, masks):
            return compiled.evaluate(plain(state), masks)

        return training.Steps(train, validate), seconds

    monkeypatch.setattr(search_lib, "compile_steps", guarded)
    dataset = make_dataset()
    run(config, dataset, tmp_path / "run", SmallNet)
    period = make_search(config, dataset, SmallNet).schedule.period
    assert len(reads) > made[0] // period > 3
    assert period > 1
    assert any(read % period for read in reads) == (curious == "reads")
    assert waits
    assert any(steps <= IN_FLIGHT for steps in waits) == (curious == "waits")


def test_the_most_accurate_candidate_is_kept(tmp_path):
    config = make_config("randomws")
    job = make_search(config, make_dataset(), SmallNet)
    accuracies = iter([0.25, 0.5, 0.75, 0.125, 0.75, 0.5])
    asked = []

    def validate(state, masks):
        del state
        asked.append([stage.active for stage in masks])
        return next(accuracies)

    path = str(tmp_path / "candidates.jsonl")
    kept, met_by = choose(job, training.Steps(None, validate), None, path)
    # The first of the best.
    assert all(map(np.array_equal, kept, job.method.draw(2)))
    assert all(map(np.array_equal, kept, asked[2]))
    assert (met_by, len(asked)) == ("drawing", 6)
    rows = files.read_rows(path)
    assert [row["valid_accuracy"] for row in rows] == [
        0.25,
        0.5,
        0.75,
        0.125,
        0.75,
        0.5,
    ]
    assert not all(map(np.array_equal, kept, job.method.draw(3)))


def test_goldnas_is_done_when_every_node_has_its_number_of_inputs():
    config = make_config("goldnas", derive="keep1")
    job = make_search(config, make_dataset(), SmallNet)
    full = job.net.space.full()
    nearest = [stage & (np.arange(2) == 0)[:, None] for stage in full]
    assert nearest[0][0].sum() == 2  # both operators
    assert is_pruned(job, nearest, job.madds(nearest))
    one_more = [stage.copy() for stage in nearest]
    one_more[1][2, 1, 0] = True
    assert not is_pruned(job, one_more, job.madds(one_more))
    assert not is_pruned(job, full, job.madds(full))


def test_random_search_needs_no_super_network(tmp_path):
    config = make_config("random")

    class Untrained(SmallNet):
        def init(self, rng):
            raise AssertionError("a super-network was made")

    run(config, make_dataset(), tmp_path, Untrained)
    job = make_search(config, make_dataset(), SmallNet)
    expected = from_kept(job.net.space, job.method.draw(0), job.macro)
    assert load(tmp_path / "search" / "architecture.json") == expected
