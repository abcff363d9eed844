"""Integer execution of a network document: what a device must compute, bit for bit.

Every rescaling is by a 31-bit multiplier and a shift, rounding half towards plus infinity; all sums
are exact. Works on a batch: the leading dimension of one in the document is replaced by N.
"""

import math

import numpy as np


def multiplier(m):
    """The (mult, shift) of a positive real factor: m ~ mult / 2**shift."""
    fraction, exponent = math.frexp(m)
    mult = math.floor(fraction * 2.0**31 + 0.5)
    if mult == 2**31:
        mult, exponent = 2**30, exponent + 1
    shift = 31 - exponent
    assert 1 <= shift <= 62, f"factor {m} is out of range"
    return mult, shift


def requantize(acc, factors, out_offset):
    """acc * factor, one factor for all or one per element of the last axis, as output bytes."""
    pairs = [multiplier(m) for m in factors]
    mult = np.array([p[0] for p in pairs], np.int64)
    shift = np.array([p[1] for p in pairs], np.int64)
    assert np.abs(acc).max() < 2**31, "the product would not fit 63 bits"
    rounded = (acc * mult + (np.int64(1) << (shift - 1))) >> shift
    return np.clip(rounded - out_offset, 0, 255)


class Operand:
    """A tensor's document entry and its values."""

    def __init__(self, entry, q):
        quantization = entry["quantization"]
        self.dims = entry["dims"]
        self.q = q
        if "axis" in quantization:
            self.scales = [scale for scale, _ in quantization["scale_offset"]]
            self.offset = 0
        else:
            self.scales = [quantization["scale"]]
            self.offset = quantization["offset"]

    @property
    def scale(self):
        return self.scales[0]

    @property
    def centred(self):
        """q + offset: the real value in units of the scale."""
        return self.q + self.offset


def windows(x, size, stride, pad):
    """Views of x [N,H,W,C] for each filter position in row-major order; padding is real zero."""
    (top, bottom), (left, right) = pad
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    height = (padded.shape[1] - size[0]) // stride[0] + 1
    width = (padded.shape[2] - size[1]) // stride[1] + 1
    return [padded[:, i:i + stride[0] * height:stride[0], j:j + stride[1] * width:stride[1]]
            for i in range(size[0]) for j in range(size[1])]


def parameters(node):
    """Parameter values by name, shaped."""
    return {p["name"]: np.array(p["data"]).reshape(p["dims"]) for p in node["params"]}


def weight_factors(x, weight, out):
    """in_scale * w_scale / out_scale for each output channel."""
    return [x.scale * s / out.scale for s in weight.scales]


def conv2d(node, x, weight, bias, out):
    p = parameters(node)
    views = windows(x.centred, weight.dims[:2], p["stride"], p["pad_amount"])
    taps = weight.q.reshape(len(views), weight.dims[2], weight.dims[3])
    acc = bias.q + sum(view @ tap for view, tap in zip(views, taps))
    return requantize(acc, weight_factors(x, weight, out), out.offset)


def depthwise_conv2d(node, x, weight, bias, out):
    p = parameters(node)
    views = windows(x.centred, weight.dims[:2], p["stride"], p["pad_amount"])
    taps = weight.q.reshape(len(views), weight.dims[3])
    acc = bias.q + sum(view * tap for view, tap in zip(views, taps))
    return requantize(acc, weight_factors(x, weight, out), out.offset)


def fully_connected(_, x, weight, bias, out):
    acc = bias.q + x.centred @ weight.q.T
    return requantize(acc, weight_factors(x, weight, out), out.offset)


def relu(_, x, out):
    if (x.scale, x.offset) == (out.scale, out.offset):
        return np.maximum(x.q, -x.offset)
    return requantize(np.maximum(x.centred, 0), [x.scale / out.scale], out.offset)


def add(_, a, b, out):
    ta = math.floor(a.scale / out.scale * 2.0**40 + 0.5)
    tb = math.floor(b.scale / out.scale * 2.0**40 + 0.5)
    total = ta * a.centred + tb * b.centred
    return np.clip(((total + 2**39) >> 40) - out.offset, 0, 255)


def pool_max2d(node, x, out):
    p = parameters(node)
    assert not p["pad_amount"].any() and (x.scale, x.offset) == (out.scale, out.offset)
    return np.maximum.reduce(windows(x.q, p["filter_size"], p["stride"], p["pad_amount"]))


def pool_avg2d(node, x, out):
    p = parameters(node)
    window = (p["filter_size"], p["stride"], p["pad_amount"])
    acc = sum(windows(x.centred, *window))
    count = sum(windows(np.ones_like(x.q[:1]), *window))[0, :, :, 0]
    y = np.zeros_like(acc)
    for i, j in np.ndindex(*count.shape):
        factor = x.scale / (out.scale * float(count[i, j]))
        y[:, i, j] = requantize(acc[:, i, j], [factor], out.offset)
    return y


def reshape(_, x, out):
    return x.q.reshape(-1, *out.dims[1:])


KERNELS = {"Conv2d": conv2d, "DepthWiseConv2d": depthwise_conv2d, "Relu": relu,
           "ElementWiseAdd": add, "PoolMax2d": pool_max2d, "PoolAvg2d": pool_avg2d,
           "Reshape": reshape, "FullyConnected": fully_connected}


def logits(document, pixels):
    """Bytes of the tensor `logits` for pixels [N, 64]. Softmax is float, and not run here."""
    entries = {t["name"]: t for t in document["tensors"]}
    values = {t["name"]: np.array(t["data"], np.int64).reshape(t["dims"])
              for t in document["tensors"] if "data" in t}
    values["image"] = pixels.astype(np.int64).reshape(-1, 8, 8, 1)
    for node in document["nodes"]:
        if node["type"] == "Softmax":
            continue
        inputs = [Operand(entries[name], values[name]) for name in node["inputs"]]
        (name,) = node["outputs"]
        values[name] = KERNELS[node["type"]](node, *inputs, Operand(entries[name], None))
    return values["logits"].astype(np.uint8)
