"""The retrain job: train a derived architecture from scratch, then test it."""

import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any, NamedTuple

import jax
import optax
from ml_collections import ConfigDict

from ifnas_jax import files, storage, training
from ifnas_jax.architecture import Architecture, from_json, load
from ifnas_jax.data.augment import eval_transform, train_transform
from ifnas_jax.data.pipeline import eval_batches, train_batches
from ifnas_jax.data.source import Dataset
from ifnas_jax.data.views import Joined
from ifnas_jax.errors import PreemptedError
from ifnas_jax.methods.schedule import retrain_steps
from ifnas_jax.nn.network import Network
from ifnas_jax.report.logs import MetricsLog
from ifnas_jax.report.progress import Progress
from ifnas_jax.retraining.step import (
    State,
    initial_state,
    make_network,
    make_optimizer,
    make_step,
)
from ifnas_jax.retraining.trained import check_trained, checksum_of
from ifnas_jax.retraining.weights import start_with
from ifnas_jax.run.workdir import Workdir
from ifnas_jax.runtime import distributed, termination
from ifnas_jax.runtime.checkpoint import Checkpoints, check_finite


class Retrain(NamedTuple):
    """What stays the same over a retraining; `epoch` and `total` in steps.

    `checksum` is that of the architecture's file: a network that was trained goes with
    the architecture that reads it.
    """

    config: ConfigDict
    checksum: int
    images: Sequence
    network: Network
    optimizer: optax.GradientTransformationExtraArgs
    epoch: int
    total: int


class Clock(NamedTuple):
    """Seconds of all starts together."""

    seconds: float
    compile_seconds: float


class Writers(NamedTuple):
    """Where a retraining leaves what it does."""

    checkpoints: Checkpoints
    logs: MetricsLog
    progress: Progress


def retrain(
    config: ConfigDict, dataset: Dataset, workdir: Workdir, name: str = "retrain"
) -> None:
    """Trains `search/architecture.json`, and writes `retrain/summary.json`.

    Does nothing if that is done already.

    Args:
      config: what `check` did not refuse.
      dataset: trained on its whole training split, tested on its test part.
      workdir: of the run.
      name: of the retraining, on the progress line.

    Raises:
      InputError: the architecture is another than the one that was trained before.
      DivergedError: the loss is not finite.
    """
    ours = workdir.retrain
    job = _prepare(config, dataset, workdir)
    termination.catch()
    if distributed.from_primary(lambda: _is_trained(job, ours.summary)):
        return
    with closing(Checkpoints(ours.checkpoints)) as checkpoints:
        state, clock, rows = _restore(checkpoints, job)
        step = int(state.step)
        with (
            closing(MetricsLog(ours, step, config.tensorboard)) as logs,
            closing(_batches(job, step)) as batches,
            Progress(name, job.total) as progress,
        ):
            logs.begin()
            logs.expect(step - len(rows))
            progress.note(f"{name}: compiling ...")
            steps, seconds = _compile(job, dataset, state, batches.peek())
            progress.note(f"{name}: compiled in {seconds:.1f} s")
            clock = clock._replace(compile_seconds=clock.compile_seconds + seconds)
            writers = Writers(checkpoints, logs, progress)
            meter = training.Meter(rows)
            state, clock = _loop(job, steps, state, clock, meter, batches, writers)
            last = distributed.from_primary(lambda: logs.rows[-1] if logs.rows else {})
            if last.get("step") != job.total or "test_top1" not in last:
                # The end of a trained network's log was lost.
                last = {f"test_{key}": x for key, x in steps.evaluate(state).items()}
    if distributed.is_primary():
        summary = {
            "steps": job.total,
            "architecture": job.checksum,
            "top1": last["test_top1"],
            "top5": last["test_top5"],
            "retrain_seconds": round(clock.seconds, 1),
            "compile_seconds": round(clock.compile_seconds, 1),
        }
        files.write_json(ours.summary, summary)


def _loop(
    job: Retrain,
    steps: training.Steps,
    state: State,
    clock: Clock,
    meter: training.Meter,
    batches: training.ShardedBatches,
    writers: Writers,
) -> tuple[State, Clock]:
    """Trains to the end."""
    fields, step, shown = job.config.retrain, int(state.step), {}
    started = time.perf_counter() - clock.seconds
    while step < job.total:
        state, metrics = steps.train(state, next(batches))
        meter.add(metrics)
        step += 1
        epoch, ended = step / job.epoch, step % job.epoch == 0
        if ended or step % job.config.log_every == 0:
            row = {"step": step, "epoch": round(epoch, 4), **meter.mean(step)}
            if step == job.total or (ended and epoch % fields.test_every == 0):
                result = steps.evaluate(state)
                row |= {f"test_{key}": value for key, value in result.items()}
            writers.logs.write(row)
            shown |= _shown(row)
        writers.progress.update(step, **shown)
        clock = clock._replace(seconds=time.perf_counter() - started)
        preempted = termination.came()
        due = step == job.total or (ended and epoch % fields.checkpoint_every == 0)
        if due or preempted:
            writers.logs.sync()
            facts = {"architecture": job.checksum, "rows": meter.rows()}
            writers.checkpoints.save(step, state._asdict(), facts | clock._asdict())
        if preempted:
            raise PreemptedError
    check_finite(jax.device_get(state), step)
    return state, clock


def _load(path: str) -> tuple[Architecture, int]:
    """An architecture, and the checksum of its file."""

    def read():
        return load(path).to_json(), checksum_of(path)

    data, checksum = distributed.from_primary(read)
    return from_json(data), checksum


def _prepare(config: ConfigDict, dataset: Dataset, workdir: Workdir) -> Retrain:
    architecture, checksum = _load(workdir.search.architecture)
    images = Joined(dataset.train, dataset.valid)
    epoch, total = retrain_steps(config, len(images))
    network = make_network(config, architecture)
    optimizer = make_optimizer(config, epoch)
    return Retrain(config, checksum, images, network, optimizer, epoch, total)


def _shown(row: dict[str, Any]) -> dict[str, str]:
    """What the progress line shows of a row of metrics."""
    shown = {
        "epoch": f"epoch {row['epoch']:.1f}",
        "loss": f"loss {row['loss']:.3f}",
        "accuracy": f"acc {100 * row['accuracy']:.1f}%",
    }
    if "test_top1" in row:
        shown["test"] = f"test {100 * row['test_top1']:.2f}%"
    return shown


def _batches(job: Retrain, step: int) -> training.ShardedBatches:
    return training.ShardedBatches(
        train_batches(
            job.images,
            train_transform(job.config.dataset),
            batch_size=job.config.retrain.batch_size,
            seed=job.config.seed,
            start_step=step,
            **distributed.processes(),
        )
    )


def _compile(
    job: Retrain, dataset: Dataset, state: State, batch: Any
) -> tuple[training.Steps, float]:
    """Compiles the train step, and the test over every test example once."""
    config, network = job.config, job.network
    step = make_step(config, network, job.optimizer)
    train, seconds = training.compile_step(step, (state, batch))
    batches = eval_batches(
        dataset.test,
        eval_transform(config.dataset),
        batch_size=config.retrain.batch_size,
        **distributed.processes(),
    )

    prepare = training.preparer(config.dataset)

    def test_step(params, stats, batch):
        variables = {"params": params, "batch_stats": stats}
        logits, _ = network.apply(variables, prepare(batch), train=False)
        return training.count_hits(logits, batch["label"], batch["mask"])

    example = training.evaluation_batch(batch)
    arguments = state.params, state.batch_stats, example
    compiled, more = training.compile_step(test_step, arguments, donate=False)

    def test(state: State) -> dict[str, float]:
        arguments = state.params, state.batch_stats
        return training.evaluate(compiled, arguments, batches)

    return training.Steps(train, test), seconds + more


def _restore(checkpoints: Checkpoints, job: Retrain):
    """The state, the clock, and the metrics since the last row of the log.

    Of the newest checkpoint, or of the beginning.
    """
    state = initial_state(job.config, job.network, job.optimizer)
    restored = checkpoints.restore(
        state._asdict(),
        lambda facts: check_trained(job.checksum, facts, "its checkpoint"),
    )
    if restored is None:
        return (
            start_with(job.config, job.network.architecture, state),
            Clock(0.0, 0.0),
            [],
        )
    _, tree, facts = restored
    clock = Clock(facts["seconds"], facts["compile_seconds"])
    return State(**tree), clock, facts["rows"]


def _is_trained(job: Retrain, path: str) -> bool:
    """Whether there is a summary, which is of this architecture's training.

    Raises:
      InputError: it can't be read, or is of another.
    """
    if not storage.exists(path):
        return False
    check_trained(job.checksum, files.read_json(path, {"architecture": int}), path)
    return True
