import io

import numpy as np
import pytest
from PIL import Image

from ifnas_jax.architecture import cost, from_kept
from ifnas_jax.errors import StorageError
from ifnas_jax.report.events import Events
from ifnas_jax.spaces import lchain


def make_architecture():
    space = lchain(2, (2, 2, 2))
    return from_kept(space, space.full(), cost.Macro(8, 10, 28, 1, "small"))


def rows(first, last, loss):
    return [
        {"step": step, "loss": loss, "phase": "beta"} for step in range(first, last)
    ]


def gate_rows(first, last):
    """Two stages of a node with two candidates, one of which is gone from step 4 on."""
    far = [None if step >= 4 else 0.25 for step in range(first, last)]
    stages = [[[0.75, gate]] for gate in far]
    return [
        {
            "step": step,
            "beta": [stage, [[0.5, 0.5]]],
            "alpha": [[[[x, None] for x in stage[0]]], [[[0.5, 0.5], [0.5, 0.5]]]],
        }
        for step, stage in zip(range(first, last), stages, strict=True)
    ]


def write(events, metrics, gates):
    for row, own in zip(metrics, gates, strict=True):
        events.write_gates(own)
        events.write(row)


def test_a_resumed_run_has_no_step_twice(tmp_path):
    """Imports TensorFlow, so there is one such test."""
    (tmp_path / "metrics.jsonl").write_text("kept\n", encoding="utf-8")
    events = Events(tmp_path)
    write(events, rows(0, 6, loss=1.0), gate_rows(0, 6))
    events.close()
    # Killed; the last checkpoint was of step 3.
    events = Events(tmp_path, rows(0, 4, loss=1.0), gate_rows(0, 4))
    write(events, rows(4, 8, loss=2.0), gate_rows(4, 8))
    events.write_architecture(8, make_architecture())
    events.close()

    from tensorboard.backend.event_processing import event_accumulator
    from tensorboard.util import tensor_util

    unlimited = {event_accumulator.TENSORS: 0}
    reader = event_accumulator.EventAccumulator(str(tmp_path), unlimited)
    reader.Reload()
    names = [f"gates/{kind}/{stage}" for kind in ("alpha", "beta") for stage in (1, 2)]
    assert sorted(reader.Tags()["tensors"]) == ["architecture", *names, "loss"]

    def read(tag):
        return [
            (event.step, tensor_util.make_ndarray(event.tensor_proto))
            for event in reader.Tensors(tag)
        ]

    losses = [(step, float(value)) for step, value in read("loss")]
    assert losses == [(s, 1.0) for s in range(4)] + [(s, 2.0) for s in range(4, 8)]
    # Buckets are (left, right, count): so many gates survive.
    for tag, counts in (
        ("gates/beta/1", [2] * 4 + [1] * 4),
        ("gates/alpha/1", [2] * 4 + [1] * 4),
        ("gates/alpha/2", [4] * 8),
    ):
        histograms = read(tag)
        assert [step for step, _ in histograms] == list(range(8))
        assert [buckets[:, 2].sum() for _, buckets in histograms] == counts
    last = read("gates/beta/1")[-1][1]
    full = last[last[:, 2] > 0]
    assert full[0, 0] <= 0.75 <= full[0, 1]
    ((step, (width, height, image)),) = read("architecture")
    assert step == 8
    pixels = np.array(Image.open(io.BytesIO(image)))
    assert pixels.shape == (int(height), int(width), 3)
    # Blue separable convolutions on white.
    assert (pixels == 255).all(axis=2).mean() > 0.5
    assert (pixels == (0, 0x72, 0xB2)).all(axis=2).sum() > 100
    assert (tmp_path / "metrics.jsonl").exists()


def test_a_failure_of_the_worker_is_raised_when_closing(tmp_path, monkeypatch):
    def fail(self):
        raise OSError("disk full")

    monkeypatch.setattr(Events, "_open", fail)
    events = Events(tmp_path)
    for row in rows(0, 100, loss=1.0):
        events.write(row)
    with pytest.raises(StorageError, match="disk full"):
        events.close()


def test_closing_what_was_never_started_is_nothing(tmp_path):
    Events(tmp_path).close()
    assert not list(tmp_path.iterdir())
