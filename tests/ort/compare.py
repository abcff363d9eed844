"""Distances of results from the exact ones, and what is allowed."""

from dataclasses import dataclass

import numpy as np

# How much larger than the vendor's our largest distance may be, by the width of activations.
ALLOWANCE = {"8": 1.0, "16": 4.0, "32": 1e-3}


@dataclass
class Distance:
    """Steps in a quantized model, parts of the largest exact value in a float one."""

    maximum: float
    mean: float


def width(scheme):
    """Bits of the activations."""
    return "".join(filter(str.isdigit, scheme))


def distance(model, left, right, exact):
    """The largest distance over all outputs, and the mean of their elements."""
    parts = []
    for name, one, other, true in zip(model.outputs, left, right, exact):
        if one.shape != other.shape or one.dtype != other.dtype:
            return Distance(float("inf"), float("inf"))
        apart = np.abs(one.astype(np.float64) - other.astype(np.float64))
        apart = np.where(np.isnan(apart), np.inf, apart)
        parts.append((apart / unit(model, name, true)).ravel())
    every = np.concatenate(parts)
    return Distance(float(every.max()), float(every.mean()))


def unit(model, name, exact):
    """What a distance of one is: a step, a whole number, or the largest value."""
    if name in model.steps:
        return model.steps[name]
    if exact.dtype != np.float32:
        return 1.0
    return max(float(np.abs(exact).max()), 1e-6)


def verdict(model, ours, vendor):
    """Empty if our distance is allowed, otherwise the reason why not."""
    whole = not model.steps and width(model.scheme) != "32"
    allowance = 0.0 if whole else ALLOWANCE[width(model.scheme)]
    # The distances themselves are sums of rounded numbers.
    if ours.maximum > vendor.maximum + allowance + 1e-9:
        return "largest distance"
    if ours.mean > vendor.mean * (1 + 1e-6) + 1e-9:
        return "mean distance"
    return ""
