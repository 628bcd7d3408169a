import pytest

from ifnas_jax.errors import StorageError
from ifnas_jax.report.events import Events


def rows(first, last, loss):
    return [
        {"step": step, "loss": loss, "phase": "beta"} for step in range(first, last)
    ]


def test_a_resumed_run_has_no_step_twice(tmp_path):
    """Imports TensorFlow, so there is one such test."""
    (tmp_path / "metrics.jsonl").write_text("kept\n", encoding="utf-8")
    events = Events(tmp_path)
    events.start()
    for row in rows(0, 6, loss=1.0):
        events.write(row)
    events.close()
    # Killed; the last checkpoint was of step 3.
    events = Events(tmp_path)
    events.start(rows(0, 4, loss=1.0))
    for row in rows(4, 8, loss=2.0):
        events.write(row)
    events.close()

    from tensorboard.backend.event_processing import event_accumulator
    from tensorboard.util import tensor_util

    reader = event_accumulator.EventAccumulator(str(tmp_path))
    reader.Reload()
    assert reader.Tags()["tensors"] == ["loss"]
    read = [
        (event.step, float(tensor_util.make_ndarray(event.tensor_proto)))
        for event in reader.Tensors("loss")
    ]
    assert read == [(s, 1.0) for s in range(4)] + [(s, 2.0) for s in range(4, 8)]
    assert (tmp_path / "metrics.jsonl").exists()


def test_a_failure_of_the_worker_is_raised_when_closing(tmp_path, monkeypatch):
    def fail(self, rows):
        raise OSError("disk full")

    monkeypatch.setattr(Events, "_open", fail)
    events = Events(tmp_path)
    events.start()
    for row in rows(0, 100, loss=1.0):
        events.write(row)
    with pytest.raises(StorageError, match="disk full"):
        events.close()


def test_closing_what_was_never_started_is_nothing(tmp_path):
    Events(tmp_path).close()
    assert not list(tmp_path.iterdir())
