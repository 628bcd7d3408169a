import jax
import pytest

from ifnas_jax import config as config_lib
from ifnas_jax.errors import InputError
from ifnas_jax.methods.schedule import retrain_rate, search_rate, search_schedule


def make(num_examples=1000, num_masks=5, sampling=(), **search):
    """10 steps an epoch, 3 steps a sampling step, loops of 15 steps."""
    config = config_lib.default("mnist5k")
    config.sampling.period = 3
    config.sampling.update(dict(sampling))
    phases = {"weights_epochs": 2.0, "beta_epochs": 1.0, "alpha_epochs": 0.5}
    config.search.update(batch_size=100, max_epochs=10.0, **phases)
    config.search.update(search)
    return search_schedule(config, num_examples, num_masks)


def test_phases_begin_at_their_steps():
    schedule = make()
    begins = {}
    for step in range(schedule.total):
        begins.setdefault(schedule.phase(step), step)
    assert begins == {"weights": 0, "beta": 20, "alpha": 30, "prune": 35}


def test_the_paper_phases_on_imagenet():
    config = config_lib.default("imagenet2012")
    examples = 1_281_167
    schedule = search_schedule(config, examples, 5)
    epoch = examples // 256
    assert schedule.epoch == epoch
    assert (schedule.beta, schedule.alpha) == (20 * epoch, 30 * epoch)
    assert schedule.prune == 35 * epoch
    assert schedule.loop == 500
    assert 0 <= schedule.total - 100 * epoch < schedule.loop
    assert schedule.total % schedule.loop == 0


def test_a_loop_indexes_each_mask_for_one_period():
    schedule = make()
    expected = [step // 3 % 5 for step in range(60)]
    assert [int(schedule.mask(step)) for step in range(60)] == expected
    traced = jax.jit(jax.vmap(schedule.mask))(jax.numpy.arange(60))
    assert traced.tolist() == expected


def test_a_loop_without_its_warm_up_never_takes_the_whole_network():
    schedule = make(sampling={"loop_warmup": False})
    assert schedule.loop == 12
    expected = [1 + step // 3 % 4 for step in range(60)]
    assert [int(schedule.mask(step)) for step in range(60)] == expected


def test_sampling_can_wait_for_the_architecture():
    schedule = make(sampling={"warmup_sampling": False})
    found = [int(schedule.mask(step)) for step in range(60)]
    assert found == [0] * 20 + [step // 3 % 5 for step in range(20, 60)]


@pytest.mark.parametrize("max_epochs", [9.1, 10.0, 12.0])
def test_a_search_is_whole_loops_and_at_least_its_epochs(max_epochs):
    schedule = make(max_epochs=max_epochs)
    assert schedule.total % schedule.loop == 0
    assert 0 <= schedule.total - 10 * max_epochs < schedule.loop


@pytest.mark.parametrize("max_epochs", [-1.0, 0.0, 3.0])
def test_no_time_for_pruning_is_refused(max_epochs):
    with pytest.raises(InputError, match=r"max_epochs is .* take 3\.5 epochs;"):
        make(max_epochs=max_epochs)


def test_a_set_smaller_than_a_batch_is_an_epoch_of_one_step():
    assert make(num_examples=30, max_epochs=100.0).epoch == 1


def test_search_rate_falls_linearly_to_zero():
    config = config_lib.default("imagenet2012")
    schedule = search_schedule(config, 256_000, 5)
    rate = search_rate(config, schedule)
    assert float(rate(0)) == pytest.approx(0.1)
    assert float(rate(schedule.total // 4)) == pytest.approx(0.075)
    assert float(rate(schedule.total)) == 0


def paper_rate(epoch):
    if epoch < 5:
        return 0.5 * (epoch + 1) / 5
    if epoch < 245:
        return 0.5 * (245 - epoch) / 245
    return 0.5 * (250 - epoch) / 1225


def test_retrain_rate_is_the_recipe_of_250_epochs():
    rate = jax.jit(jax.vmap(retrain_rate(config_lib.default("imagenet2012"), 7)))
    steps = jax.numpy.arange(250 * 7)
    expected = [paper_rate(step // 7) for step in range(250 * 7)]
    assert rate(steps).tolist() == pytest.approx(expected, rel=1e-5)


def test_retrain_rate_takes_plain_integers():
    rate = retrain_rate(config_lib.default("imagenet2012"), 7)
    for epoch in (0, 4, 5, 244, 245, 249):
        assert float(rate(7 * epoch + 6)) == pytest.approx(paper_rate(epoch))


@pytest.mark.parametrize("epochs", [1, 2, 5, 6])
@pytest.mark.parametrize("warmup", [0, 1, 5])
@pytest.mark.parametrize("final", [0, 1, 5])
def test_short_retraining_has_usable_rates(epochs, warmup, final):
    config = config_lib.default("mnist5k")
    config.retrain.update(epochs=epochs, warmup_epochs=warmup, final_epochs=final)
    rate = retrain_rate(config, 1)
    for epoch in range(epochs):
        assert 0 < float(rate(epoch)) <= config.retrain.learning_rate * (1 + 1e-6)
