"""Floating-point arithmetic that gives the same bits on every machine.

A BLAS sums in an order that depends on the CPU and on the number of threads, and the libraries'
exp differs in the last bit. Training amplifies such differences until the rounded weights differ.
Everything here uses only operations whose result IEEE 754 fixes: element-wise +, -, *, /, sqrt and
rint, and matrix products made exact by construction. So the weights can be regenerated anywhere.
"""

import numpy as np

LN2 = 0.6931471805599453


def on_grid(a, bits):
    """Round `a` to multiples of a power of two: each element an integer of `bits` bits."""
    _, exponent = np.frexp(np.abs(a).max(initial=0.0))
    step = np.ldexp(1.0, int(exponent) - bits)
    return np.rint(a / step) * step


def matmul(a, b):
    """a @ b without any rounding inside: every partial sum fits the 53 bits of a double.

    The operands are rounded first (to about 20 bits of their largest element), which is harmless
    for training; after that the order of summation cannot matter.
    """
    bits = (53 - a.shape[-1].bit_length()) // 2
    return on_grid(a, bits) @ on_grid(b, bits)


def column_sums(a):
    """Sum over the first axis of a matrix, independent of order."""
    return matmul(np.ones((1, a.shape[0])), a)[0]


def exp(x):
    """e**x for x <= 0 by range reduction and a Taylor polynomial (relative error below 1e-12)."""
    k = np.rint(x / LN2)
    r = x - k * LN2
    y = np.ones_like(r)
    for n in range(12, 0, -1):
        y = 1.0 + y * r / n
    return np.ldexp(y, np.maximum(k, -1000).astype(np.int64))


def softmax(x):
    """Softmax over the columns of a matrix."""
    e = exp(x - x.max(axis=1, keepdims=True))
    total = np.zeros(len(x))
    for column in e.T:
        total = total + column
    return e / total[:, None]
