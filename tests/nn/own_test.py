"""Operators of one's own: that of docs/own_operator.md, and what is refused."""

import functools
import importlib
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from ifnas_jax.architecture import cost, from_json, from_kept
from ifnas_jax.architecture.cost import Cost, Macro
from ifnas_jax.config.command_line import load_config
from ifnas_jax.config.validation import validate
from ifnas_jax.errors import InputError
from ifnas_jax.methods.pcdarts import PartialChannels
from ifnas_jax.nn.supernet import Supernet
from ifnas_jax.report.drawing import draw_architecture
from ifnas_jax.spaces import darts, lchain

OWN = "my_operators:sep_conv_5x5"
OPERATORS = ("skip_connect", OWN)

pytestmark = pytest.mark.usefixtures("own_operators")


@pytest.mark.parametrize("stride", [1, 2])
def test_cost_by_hand(stride):
    size, width = 14, 8
    madds = size * size * (25 * width + width * width)
    params = 25 * width + width * width + 2 * width
    assert cost.operator_cost(OWN, size, width, stride) == Cost(2 * madds, 2 * params)


def test_what_is_counted(write_operator):
    """A loop counts as often as it runs, a condition its larger branch."""
    counted = write_operator(
        "counted",
        "kernel = jnp.ones((features, features), dtype)",
        "x, _ = jax.lax.scan(lambda x, _: (x @ kernel, None), x, None, length=3)",
        "once, twice = lambda x: x @ kernel, lambda x: x @ kernel @ kernel",
        "return jax.lax.cond(x.sum() > 0, once, twice, x)",
    )
    assert cost.operator_cost(counted, 6, 4, 1) == Cost(5 * 36 * 16, 0)


def test_an_architecture_names_it_and_is_built_from_its_file():
    space = lchain(2, (2, 2, 2), operators=OPERATORS)
    found = from_kept(space, space.full(), Macro(4, 3, 8, 1, "small"))
    data = found.to_json()
    assert data["stages"][0]["edges"][0]["ops"] == list(OPERATORS)
    assert from_json(data) == found
    assert found.space.operators == ("sep_conv_3x3", *OPERATORS)
    data["cost"]["params"] += 1
    with pytest.raises(InputError, match="params"):
        from_json(data)


def test_figures_have_a_line_for_each_operator_and_a_legend():
    space = lchain(1, (2, 2, 2), operators=("sep_conv_3x3", *OPERATORS))
    found = from_kept(space, space.full(), Macro(4, 3, 8, 1, "small"))
    (legend,) = draw_architecture(found).legends
    assert [text.get_text() for text in legend.get_texts()] == sorted(
        ("sep_conv_3x3", *OPERATORS)
    )
    lines = [(line.get_color(), line.get_linestyle()) for line in legend.get_lines()]
    assert len(set(lines)) == 3


def test_partial_channels_take_it_where_a_cell_reduces():
    net = Supernet(
        darts(2, 3, OPERATORS),
        Macro(8, 5, 8, 1, "small", cells=3),
        wrap=functools.partial(PartialChannels, parts=4),
        width=lambda width: width // 4,
    )
    params = jax.eval_shape(net.init, jax.random.key(0))
    active = [jnp.array(stage) for stage in net.space.full()]
    weights = [stage.astype(jnp.float32) for stage in active]
    logits = jax.eval_shape(net.apply, params, weights, active, jnp.zeros((2, 8, 8, 1)))
    assert logits.shape == (2, 5)
    kernel = params["strided"][1][OWN]["operator"]["PointwiseConv_0"]["kernel"]
    assert kernel.shape == (2, 2, 4, 4)


def test_pricing_starts_no_device():
    """So that processes can be connected after it."""
    priced = f"f({OWN!r}, 4, 2, 2)"
    code = (
        f"from ifnas_jax.architecture.cost import operator_cost as f; print({priced})"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "JAX_PLATFORMS": "none"},
        capture_output=True,
        text=True,
    )
    assert done.stdout == f"{cost.operator_cost(OWN, 4, 2, 2)}\n", done.stderr


BODIES = {
    "narrower": ("return x[..., 1:]", "makes (1, 28, 28, 15) of (1, 28, 28, 16)"),
    "smaller": (
        "return nn.Conv(features, (3, 3), padding=0, dtype=dtype)(x)",
        "makes (1, 26, 26, 16) of (1, 28, 28, 16) with stride 1; make it return (1, 28",
    ),
    "float32": ("return nn.Conv(features, (1, 1))(x)", "makes float32 where dtype is"),
    "integers": ("return x.astype('int8')", "makes int8 where dtype is bfloat16"),
    "nothing": ("x + 1", "returns a NoneType; return one array"),
    "mixed up": ("return x @ x", "to (1, 28, 28, 16), with stride 1 (TypeError: dot_"),
    "dropout": (
        "return nn.Dropout(0.1, deterministic=not train)(x)",
        "can't be applied to (2, 28, 28, 16), and with the same variables to (1, 28, ",
    ),
    "misspelt": ("return relu(x)", "(NameError: name 'relu' is not defined); correct"),
    "silent": ("raise RuntimeError", "with stride 1 (RuntimeError); correct"),
    "per image": (
        "return nn.LayerNorm(feature_axes=0, reduction_axes=-1, dtype=dtype)(x)",
        "shape (1,), but the existing parameter it received has shape (2,).",
    ),
    "state": ("return Cached()(x)", "keeps cache"),
    "half": (
        "return nn.Conv(features, (1, 1), dtype=dtype, param_dtype=dtype)(x)",
        "has variables of bfloat16",
    ),
}


HEAD = """
import flax.linen as nn
import jax
import jax.numpy as jnp

class Cached(nn.Module):
    @nn.compact
    def __call__(self, x):
        return x + self.variable("cache", "seen", jnp.zeros, ()).value.astype(x.dtype)

def operator(x, train, *, features, dtype, sync, stride):
"""


@pytest.fixture
def write_operator(tmp_path):
    """A function: writes `module:operator`, which returns `body`."""

    def write(module, *body):
        lines = "".join(f"    {line}\n" for line in body)
        (tmp_path / f"{module}.py").write_text(HEAD + lines)
        importlib.invalidate_caches()
        return f"{module}:operator"

    return write


@pytest.mark.parametrize("case", BODIES)
def test_what_can_not_be_used_is_one_sentence(case, write_operator):
    body, message = BODIES[case]
    operator = write_operator(f"own_{case.replace(' ', '_')}", body)
    config = make_config(operator)
    with pytest.raises(InputError) as error:
        validate(config)
    assert message in str(error.value)
    assert str(error.value).startswith(f"operator {operator!r} ")
    assert "\n" not in str(error.value)


def make_config(operator, *more, path="configs/lchain4.py"):
    operators = ("sep_conv_3x3", "skip_connect", operator)
    fields = [f"--config.space.operators={operators}", *more]
    return load_config(f"{path}:mnist5k", fields)


@pytest.mark.parametrize(
    ("operator", "message"),
    [
        ("my_operators", "space.operators: operator 'my_operators' is unknown"),
        ("my operators:conv", "is unknown; choose from"),
        ("nowhere:conv", "'nowhere' can't be imported (ModuleNotFoundError: No module"),
        ("torn:conv", "module 'torn' can't be imported (SyntaxError: "),
        ("broken:conv", "can't be imported (RuntimeError: two lines); correct it"),
        ("ending:conv", "can't be imported (SystemExit: 3); correct it"),
        ("my_operators:conv", "module 'my_operators' has no function 'conv'"),
        ("math:pi", "module 'math' has no function 'pi'"),
    ],
)
def test_what_can_not_be_found_is_one_sentence(operator, message, tmp_path):
    (tmp_path / "torn.py").write_text("def conv(")
    (tmp_path / "broken.py").write_text("raise RuntimeError('two\\nlines')")
    (tmp_path / "ending.py").write_text("raise SystemExit(3)")
    with pytest.raises(InputError) as error:
        validate(make_config(operator))
    assert message in str(error.value)


def test_it_is_tried_at_the_sizes_of_the_search_too(write_operator):
    grouped = write_operator(
        "grouped",
        "return nn.Conv(features, (1, 1), feature_group_count=8, dtype=dtype)(x)",
    )
    validate(make_config(grouped))
    with pytest.raises(InputError, match="can't be applied to \\(2, 28, 28, 4\\)"):
        validate(make_config(grouped, "--config.method=pcdarts"))


def test_only_a_space_with_reductions_asks_for_stride_2(write_operator):
    unstrided = write_operator("unstrided", "return x")
    validate(make_config(unstrided))
    cells = make_config(unstrided, path="configs/darts_space.py")
    with pytest.raises(InputError, match="of \\(1, 28, 28, 32\\) with stride 2"):
        validate(cells)
