"""Layers in NumPy, written from their definitions, that run on the weights of a torch module."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

Array = NDArray[np.float64]


def array(tensor: Any) -> Array:
    return tensor.detach().double().numpy()


def pair(value: Any) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


def conv(layer: nn.Conv2d, x: Array) -> Array:
    """Cross-correlation: the sum over kernel positions of a shifted map times the weights there."""
    weight, (sy, sx), (dy, dx), (py, px) = array(layer.weight), layer.stride, layer.dilation, pair(layer.padding)
    x = np.pad(x, ((0, 0), (0, 0), (py, py), (px, px)))
    _, _, ky, kx = weight.shape
    height = (x.shape[2] - dy * (ky - 1) - 1) // sy + 1
    width = (x.shape[3] - dx * (kx - 1) - 1) // sx + 1
    n_in = x.shape[1] // layer.groups
    n_out = len(weight) // layer.groups
    result = np.zeros((len(x), len(weight), height, width))
    for i in range(ky):
        for j in range(kx):
            shifted = x[:, :, i * dy :, j * dx :][:, :, : height * sy : sy, : width * sx : sx]
            for g in range(layer.groups):
                inside, outside = slice(g * n_in, (g + 1) * n_in), slice(g * n_out, (g + 1) * n_out)
                result[:, outside] += np.einsum("oc,bchw->bohw", weight[outside, :, i, j], shifted[:, inside])
    return result if layer.bias is None else result + array(layer.bias)[:, None, None]


def conv_transpose(layer: nn.ConvTranspose2d, x: Array) -> Array:
    """Each input pixel adds its value times the kernel to the output at `stride` times its position."""
    weight, (sy, sx), (py, px) = array(layer.weight), layer.stride, pair(layer.padding)
    batch, _, height, width = x.shape
    _, n_out, ky, kx = weight.shape
    result = np.zeros((batch, n_out, (height - 1) * sy + ky, (width - 1) * sx + kx))
    for i in range(ky):
        for j in range(kx):
            result[:, :, i : i + height * sy : sy, j : j + width * sx : sx] += np.einsum(
                "co,bchw->bohw", weight[:, :, i, j], x
            )
    result = result[:, :, py : result.shape[2] - py, px : result.shape[3] - px]
    return result + array(layer.bias)[:, None, None]


def norm(layer: nn.BatchNorm2d, x: Array) -> Array:
    """Batch normalization by the running statistics."""
    scale = array(layer.weight) / np.sqrt(array(layer.running_var) + layer.eps)
    return (x - array(layer.running_mean)[:, None, None]) * scale[:, None, None] + array(layer.bias)[:, None, None]


def linear(layer: nn.Linear, x: Array) -> Array:
    y = x @ array(layer.weight).T
    return y if layer.bias is None else y + array(layer.bias)


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def leaky(x: Array) -> Array:
    return np.where(x > 0, x, 0.2 * x)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def softmax(x: Array, axis: int) -> Array:
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def concatenate(*maps: Array) -> Array:
    return np.concatenate(maps, axis=1)


def resize(x: Array, height: int, width: int) -> Array:
    """Bilinear, pixel centers at half-integers, edges continued."""
    for axis, size in ((2, height), (3, width)):
        n = x.shape[axis]
        at = np.clip((np.arange(size) + 0.5) * n / size - 0.5, 0, n - 1)
        low = np.floor(at).astype(int)
        share = (at - low).reshape([-1 if k == axis else 1 for k in range(4)])
        x = (1 - share) * x.take(low, axis) + share * x.take(np.minimum(low + 1, n - 1), axis)
    return x


def pool_mean(x: Array, rows: int, columns: int) -> Array:
    """Adaptive average pooling."""
    result = np.zeros((*x.shape[:2], rows, columns))
    for i in range(rows):
        for j in range(columns):
            top, bottom = i * x.shape[2] // rows, -(-(i + 1) * x.shape[2] // rows)
            left, right = j * x.shape[3] // columns, -(-(j + 1) * x.shape[3] // columns)
            result[:, :, i, j] = x[:, :, top:bottom, left:right].mean(axis=(2, 3))
    return result


def reflect(x: Array, n: int) -> Array:
    return np.pad(x, ((0, 0), (0, 0), (n, n), (n, n)), mode="reflect")
