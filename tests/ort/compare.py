"""Distances of results from the exact ones, and what is allowed."""

from dataclasses import dataclass

import numpy as np

# Results are float32 numbers: the last place of the largest says nothing.
LAST_PLACE = 2.0**-23
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
    """The largest distance over all feeds and outputs, and the mean of their elements."""
    parts = []
    for name, one, other, true in outputs(model, left, right, exact):
        if one.shape != other.shape or one.dtype != other.dtype:
            return Distance(float("inf"), float("inf"))
        of = unit(model, name, true)
        apart = np.abs(one.astype(np.float64) - other.astype(np.float64)) / of
        apart = np.where(np.isnan(apart), np.inf, apart)
        noise = LAST_PLACE * float(np.abs(true.astype(np.float64)).max()) / of
        whole = np.rint(apart)
        parts.append(np.where(np.abs(apart - whole) <= noise, whole, apart).ravel())
    every = np.concatenate(parts)
    return Distance(float(every.max()), float(every.mean()))


def outputs(model, *results):
    """Each output's name and what each of the results has for it, over all feeds."""
    for of_feed in zip(*results, strict=True):
        yield from zip(model.outputs, *of_feed, strict=True)


def unit(model, name, exact):
    """What a distance of one is: a step, a whole number, or the largest value."""
    if name in model.steps:
        return model.steps[name]
    if exact.dtype != np.float32:
        return 1.0
    return max(float(np.abs(exact).max()), 1e-6)


def verdict(model, ours, vendor):
    """Empty if our distance is allowed, otherwise the reason why not."""
    is_float = width(model.scheme) == "32"
    allowance = ALLOWANCE[width(model.scheme)] if is_float or model.steps else 0.0
    if ours.maximum > vendor.maximum + allowance:
        return "largest distance"
    if ours.mean > vendor.mean + (LAST_PLACE if is_float else 0.0):
        return "mean distance"
    return ""
