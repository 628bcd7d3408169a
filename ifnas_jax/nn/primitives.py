"""Convolutions and the pool, written so that each platform is fast at them.

XLA's CPU backend is slow at depthwise convolutions, at products over all pixels, and at
the gradient of a max pool; the same is said in another way there. Other platforms keep
the plain form, but for the pool, of which only TPUs do. What a network has many of is
under `jax.jit`, so that it is traced once a shape and not once a call. Images are
[batch, height, width, channels].
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def _native(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """The depthwise convolution as one XLA convolution."""
    side = kernel.shape[0] // 2
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(stride, stride),
        padding=((side, side), (side, side)),
        dimension_numbers=DIMENSIONS,
        feature_group_count=x.shape[-1],
    )


def _windows(x: jax.Array, size: int, stride: int = 1) -> list[jax.Array]:
    """The shifted copies of x that a kernel of size × size sees, row by row."""
    (height, width), side = x.shape[1:3], size // 2
    padded = jnp.pad(x, ((0, 0), (side, side), (side, side), (0, 0)))
    return [
        padded[:, i : i + height : stride, j : j + width : stride]
        for i in range(size)
        for j in range(size)
    ]


def _shifted(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    """The same as `_native`, as multiply-adds that XLA fuses into one loop."""
    taps = kernel.reshape(-1, kernel.shape[-1])
    windows = _windows(x, kernel.shape[0], stride)
    return sum(window * tap for window, tap in zip(windows, taps, strict=True))


def _shifted_input_grad(x, kernel, grad, stride: int) -> jax.Array:
    """Gradient with respect to x: the same sum with the kernel flipped."""
    if stride > 1:
        # Where the window did not start, it has no gradient.
        rest = [
            size - stride * (out - 1) - 1
            for size, out in zip(x.shape[1:3], grad.shape[1:3], strict=True)
        ]
        spread = [(0, 0, 0), *((0, more, stride - 1) for more in rest), (0, 0, 0)]
        grad = lax.pad(grad, jnp.zeros((), grad.dtype), spread)
    return _shifted(grad, kernel[::-1, ::-1])


def _shifted_kernel_grad(
    x: jax.Array, grad: jax.Array, size: int, stride: int
) -> jax.Array:
    """Gradient with respect to the kernel: sums over batch, height and width.

    One variadic reduction over the width reads x and grad once and is split over the
    cores by batch and height; the small rest is summed after it.
    """
    products = [(w * grad).astype(jnp.float32) for w in _windows(x, size, stride)]
    zeros = [jnp.zeros((), jnp.float32)] * len(products)
    add = lambda a, b: [p + q for p, q in zip(a, b, strict=True)]  # noqa: E731
    rows = lax.reduce(products, zeros, add, dimensions=(2,))
    sums = jnp.stack([row.sum(axis=(0, 1)) for row in rows])
    return sums.reshape(size, size, 1, -1).astype(x.dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def depthwise_conv(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    """Depthwise convolution with a kernel of odd size, zero padded.

    XLA's CPU backend runs one of 3×3 25 to 55 times slower than the nine shifted
    multiply-adds used there; other platforms keep the convolution. The gradients are
    written out because those that JAX derives from shifted sums are slow (they scatter
    into the padded image).

    Args:
      x: [batch, height, width, channels].
      kernel: [size, size, 1, channels].
      stride: of both directions.

    Returns:
      [batch, ceil(height / stride), ceil(width / stride), channels].
    """
    return _depthwise(x, kernel, stride)


@functools.partial(jax.jit, static_argnums=2)
def _depthwise(x, kernel, stride):
    return lax.platform_dependent(
        x,
        kernel,
        cpu=functools.partial(_shifted, stride=stride),
        default=functools.partial(_native, stride=stride),
    )


def _depthwise_forward(x, kernel, stride):
    # Not the function itself: second order differentiates this one forwards.
    return _depthwise(x, kernel, stride), (x, kernel)


@functools.partial(jax.jit, static_argnums=0)
def _depthwise_backward(stride, residuals, grad):
    x, kernel = residuals

    def shifted(x, kernel, grad):
        d_x = _shifted_input_grad(x, kernel, grad, stride)
        return d_x, _shifted_kernel_grad(x, grad, kernel.shape[0], stride)

    def native(x, kernel, grad):
        return jax.vjp(lambda x, k: _native(x, k, stride), x, kernel)[1](grad)

    return lax.platform_dependent(x, kernel, grad, cpu=shifted, default=native)


depthwise_conv.defvjp(_depthwise_forward, _depthwise_backward)


@jax.custom_vjp
def pointwise_conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """1×1 convolution, as a matrix product: faster on the CPU, and the same elsewhere.

    XLA's CPU backend gets the kernel's gradient, a product over all pixels, by copying
    x transposed on one core, and a search step spends a fifth of its time on that. It
    recognises the same as a sum of outer products, and does it in place.

    Args:
      x: [batch, height, width, channels].
      kernel: [channels, features].

    Returns:
      [batch, height, width, features].
    """
    return x @ kernel


def _pointwise_forward(x, kernel):
    return x @ kernel, (x, kernel)


@jax.jit
def _pointwise_backward(residuals, grad):
    x, kernel = residuals

    def product(x, grad):
        return jnp.einsum("bhwi,bhwo->io", x, grad)

    def fused(x, grad):
        wide, grad = x.astype(jnp.float32), grad.astype(jnp.float32)
        rows = wide.reshape(-1, x.shape[-1], 1), grad.reshape(-1, 1, grad.shape[-1])
        return (rows[0] * rows[1]).sum(axis=0).astype(x.dtype)

    d_kernel = lax.platform_dependent(x, grad, cpu=fused, default=product)
    return grad @ kernel.T, d_kernel


pointwise_conv.defvjp(_pointwise_forward, _pointwise_backward)


@jax.custom_vjp
def max_pool_3x3(x: jax.Array) -> jax.Array:
    """3×3 max pool of stride 2, padded as in PyTorch.

    Its gradient goes to the first of equal maxima, as in XLA's own, which is several
    times slower on the CPU, where every pixel of every window is numbered, and is
    refused on GPUs when they shall be deterministic. TPUs keep theirs.

    Args:
      x: [batch, height, width, channels].

    Returns:
      [batch, ceil(height / 2), ceil(width / 2), channels].
    """
    return _pool(x)


def _pool(x):
    return nn.max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))


def _pool_forward(x):
    return _pool(x), x


def _pool_backward(x, grad):
    def native(x, grad):
        return jax.vjp(_pool, x)[1](grad)[0]

    return (lax.platform_dependent(x, grad, tpu=native, default=_unpooled),)


def _unpooled(x, grad):
    """For each pixel, the gradients of the up to four windows whose maximum it is."""
    height, width = grad.shape[1:3]
    lowest = jnp.array(-jnp.inf, x.dtype)
    padded = lax.pad(x, lowest, ((0, 0, 0), (1, 1, 0), (1, 1, 0), (0, 0, 0)))
    # Not those that equal the pool's output: XLA may have computed x anew, rounded in
    # another way.
    best, first = jnp.full(grad.shape, lowest), jnp.zeros(grad.shape, jnp.int32)
    for tap in range(9):
        i, j = divmod(tap, 3)
        window = padded[:, i : i + 2 * height - 1 : 2, j : j + 2 * width - 1 : 2]
        better = window > best
        best, first = jnp.where(better, window, best), jnp.where(better, tap, first)
    after = ((0, 0), (0, 1), (0, 1), (0, 0))
    grad, first = jnp.pad(grad, after), jnp.pad(first, after, constant_values=9)

    def given(i, j):
        """What tap (i, j) gives to its pixel; tap 0 is of the next window's."""
        rows = slice(1, None) if i == 0 else slice(0, height)
        columns = slice(1, None) if j == 0 else slice(0, width)
        here = first[:, rows, columns] == 3 * i + j
        return jnp.where(here, grad[:, rows, columns], 0)

    # Pixels of even rows are the middle of their window, others the end of one and the
    # begin of the next; the same holds for columns.
    taps = ((1,), (0, 2))
    quarters = [
        [sum(given(i, j) for i in rows for j in columns) for columns in taps]
        for rows in taps
    ]
    pairs = jnp.stack([jnp.stack(row, axis=3) for row in quarters], axis=2)
    whole = pairs.reshape(len(x), 2 * height, 2 * width, -1)
    return whole[:, : x.shape[1], : x.shape[2]]


max_pool_3x3.defvjp(_pool_forward, _pool_backward)
