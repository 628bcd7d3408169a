"""The exported PyTorch module computes what the Flax network does."""

import numpy as np
import pytest
from networks import random_architecture, random_variables

from ifnas_jax import training
from ifnas_jax.architecture.cost import Macro
from ifnas_jax.formats import torch_source
from ifnas_jax.nn.network import Network
from ifnas_jax.spaces import darts, goldnas, lchain

torch = pytest.importorskip("torch")

# Each stem, stage and head; 64 pixels are too few for an auxiliary head.
CASES = {
    "lchain": (lchain(3, (2, 3, 2)), Macro(4, 7, 28, 1, "small"), True),
    "lchain imagenet": (lchain(2, (2, 1, 1)), Macro(6, 5, 96, 3, "imagenet"), False),
    "darts": (darts(), Macro(4, 7, 28, 1, "small", cells=3), True),
    "goldnas": (goldnas(4, 3, 3), Macro(4, 5, 64, 3, "imagenet", cells=4), False),
}


@pytest.mark.parametrize("case", CASES)
def test_outputs_are_those_of_the_flax_network(case):
    from benchmarks.torch_network import make_module

    space, macro, auxiliary = CASES[case]
    network = Network(random_architecture(1, macro, space), auxiliary)
    variables = random_variables(network)
    shape = (4, macro.image_size, macro.image_size, macro.channels)
    images = np.random.default_rng(0).normal(size=shape).astype(np.float32)

    @training.jit_once
    def both(variables, images):
        tested, _ = network.apply(variables, images, train=False)
        trained, new = network.apply(
            variables, images, train=True, mutable=["batch_stats"]
        )
        return tested, trained, new["batch_stats"]

    tested, (trained, head), new = both(variables, images)
    assert (head is not None) == auxiliary
    module = make_module(network.architecture, variables)
    given = torch.tensor(images.transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        close(module.eval()(given), tested)
        output = module.train()(given)
    if auxiliary:
        output, theirs = output
        close(theirs, head)
    close(output, trained)
    assert not np.allclose(tested, trained, rtol=0.1, atol=0.1)
    # What it then keeps of the batch: the means are equal by definition, the variances
    # are not, as PyTorch's are unbiased.
    state, stem = module.state_dict(), next(iter(new["stem"].values()))
    name = f"stem.{next(iter(new['stem']))}.norm.running_mean"
    close(state[name], stem["norm"]["mean"])


def close(theirs, ours):
    scale = np.abs(ours).max()
    np.testing.assert_allclose(theirs.numpy(), ours, rtol=1e-4, atol=1e-4 * scale)


def test_weights_cover_the_whole_module_and_no_more():
    """Loading is strict: the auxiliary head's come with it, or not at all."""
    from benchmarks.torch_network import make_module

    space, macro, _ = CASES["lchain"]
    architecture = random_architecture(1, macro, space)
    plain = random_variables(Network(architecture))
    module = make_module(architecture, plain)
    assert module.auxiliary is None
    count = sum(parameter.numel() for parameter in module.parameters())
    assert count == architecture.cost().params
    # As docs/export.md says.
    both = torch_source.state_dict(random_variables(Network(architecture, True)))
    source = torch_source.network_source(architecture, "", (1.0,), (1.0,), True)
    other = torch_source.load(source).make_network(num_classes=5, auxiliary=False)
    state = {n: torch.tensor(x) for n, x in both.items() if ".dense." not in n}
    missing, rest = other.load_state_dict(state, strict=False)
    assert missing == ["classifier.dense.weight", "classifier.dense.bias"]
    assert {name.partition(".")[0] for name in rest} == {"auxiliary"}
    del plain["params"]["classifier"]["dense"]["bias"]
    with pytest.raises(RuntimeError, match=r"classifier\.dense\.bias"):
        make_module(architecture, plain)
