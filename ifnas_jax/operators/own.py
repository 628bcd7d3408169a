"""An operator of one's own in a network: its module, its checks and its price.

A config names it as `module:function`; `docs/own_operator.md` says what the function
takes and returns. What it costs is counted in its trace, as JAX would build it.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ifnas_jax.errors import InputError, describe
from ifnas_jax.own import find


class OwnOperator(nn.Module):
    """The function as a Linen module; the layers that it makes are submodules.

    Attributes:
      operator: `module:function`.
    """

    operator: str
    features: int
    dtype: jnp.dtype = jnp.float32
    sync: bool = False
    stride: int = 1

    @nn.compact
    def __call__(self, x, train: bool):
        """[batch, height, width, features] to [batch, h, w, features]."""
        how = {"dtype": self.dtype, "sync": self.sync, "stride": self.stride}
        return find("operator", self.operator)(x, train, features=self.features, **how)


def own_cost(operator: str, size: int, width: int, stride: int) -> tuple[int, int]:
    """Checks an operator at a shape by tracing it, and counts it; nothing is compiled.

    Args:
      operator: `module:function`.
      size: height and width of what it shall make.
      width: channels, of its input too.
      stride: by which its input is larger.

    Returns:
      Multiply-adds of its convolutions and matrix products for one image (the larger
      branch of a condition; a loop whose length is data counts once), and parameters.

    Raises:
      InputError: it can't be found or applied, or does not keep width, size (divided by
        the stride) or dtype.
    """
    return _own_cost(find("operator", operator), operator, size, width, stride)


# By the function, too: a module may be loaded again.
@functools.cache
def _own_cost(
    function: Callable, operator: str, size: int, width: int, stride: int
) -> tuple[int, int]:
    del function
    shape = 1, size * stride, size * stride, width
    for train in (True, False):
        for dtype in (jnp.bfloat16, jnp.float32):
            module = OwnOperator(operator, width, dtype, stride=stride)
            x = jax.ShapeDtypeStruct(shape, dtype)
            variables, y, jaxpr = _trace(module, x, train)
            _check_output(module, x, y)
            _check_variables(operator, variables)
    params = jax.tree.leaves(variables.get("params", {}))
    return madds(jaxpr.jaxpr), sum(math.prod(leaf.shape) for leaf in params)


def _trace(module: OwnOperator, x: jax.ShapeDtypeStruct, train: bool):
    """Shapes of an operator's variables and of what it makes, and its program.

    Its variables are made for a batch of 2 and used for one of 1, as `x` is: a run
    makes them once and uses them at several batch sizes.
    """
    two = jax.ShapeDtypeStruct((2, *x.shape[1:]), x.dtype)
    apply = functools.partial(module.apply, train=train, mutable=["batch_stats"])
    try:
        key = jax.eval_shape(jax.random.key, 0)
        init = functools.partial(module.init, train=True)
        variables = jax.eval_shape(init, key, two)
        jaxpr, (y, _) = jax.make_jaxpr(apply, return_shape=True)(variables, x)
    # It is the user's own code, which may raise anything.
    except Exception as error:
        raise InputError(
            f"operator {module.operator!r} can't be applied to {two.shape}, and with "
            f"the same variables to {x.shape}, with stride {module.stride} "
            f"({describe(error)}); correct its function."
        ) from error
    return variables, y, jaxpr


def _check_output(module: OwnOperator, x: jax.ShapeDtypeStruct, y: Any) -> None:
    batch, height, width, _ = x.shape
    stride = module.stride
    wanted = batch, height // stride, width // stride, module.features
    if not isinstance(y, jax.ShapeDtypeStruct):
        raise InputError(
            f"operator {module.operator!r} returns a {type(y).__name__}; return one "
            "array, [batch, height, width, channels]."
        )
    if y.shape != wanted:
        raise InputError(
            f"operator {module.operator!r} makes {y.shape} of {x.shape} with stride "
            f"{stride}; make it return {wanted}, so that it can be added to others."
        )
    if y.dtype != x.dtype:
        raise InputError(
            f"operator {module.operator!r} makes {y.dtype} where dtype is {x.dtype}; "
            "give dtype to its layers, or cast what it returns."
        )


def _check_variables(operator: str, variables: Any) -> None:
    """Only what a super-network can stack, and a checkpoint keeps."""
    others = sorted(set(variables) - {"params", "batch_stats"})
    if others:
        raise InputError(
            f"operator {operator!r} keeps {', '.join(others)}; let it keep nothing but "
            "parameters and batch statistics."
        )
    for leaf in jax.tree.leaves(variables):
        if leaf.dtype != jnp.float32:
            raise InputError(
                f"operator {operator!r} has variables of {leaf.dtype}; leave their "
                "dtype (param_dtype of Flax's layers) at float32."
            )


def madds(jaxpr: Any) -> int:
    """Multiply-adds of the convolutions and matrix products in a program's trace."""
    total = 0
    for equation in jaxpr.eqns:
        name, params = equation.primitive.name, equation.params
        if name == "conv_general_dilated":
            kernel = equation.invars[1].aval.shape
            taps = math.prod(kernel) // kernel[params["dimension_numbers"].rhs_spec[0]]
            total += math.prod(equation.outvars[0].aval.shape) * taps
        elif name == "dot_general":
            (contracted, _), _ = params["dimension_numbers"]
            depth = math.prod(equation.invars[0].aval.shape[i] for i in contracted)
            total += math.prod(equation.outvars[0].aval.shape) * depth
        elif name == "cond":
            total += max(madds(branch.jaxpr) for branch in params["branches"])
        else:
            inner = [getattr(value, "jaxpr", value) for value in params.values()]
            times = params["length"] if name == "scan" else 1
            total += times * sum(madds(one) for one in inner if hasattr(one, "eqns"))
    return total
