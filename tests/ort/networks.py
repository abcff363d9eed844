"""Small networks with the structure of those that run in cars."""

import numpy as np

NETWORKS = {}
SCHEMES = ("f32", "u8", "u8pc", "u8raw", "u16")


def network(*schemes):
    """Registers the function below as a model under its own name, once per scheme."""
    def register(build):
        NETWORKS[build.__name__] = (build, schemes or SCHEMES)
        return build
    return register


def conv(net, data, channels, filters, size=3, stride=1, group=1, activation="Relu"):
    """Convolution that keeps the picture's size (over the stride), then an activation."""
    weights = net.weights(filters, channels // group, size, size, spread=1.4 / np.sqrt(
        channels // group * size * size))
    bias = net.constant(net.random.normal(0, 0.1, filters))
    pad = size // 2
    made = net.op("Conv", data, weights, bias, kernel_shape=[size, size], strides=[stride, stride],
                  pads=[pad] * 4, group=group)
    if activation == "Relu6":
        low, high = net.constant(np.float32(0.0)), net.constant(np.float32(6.0))
        return net.op("Clip", made, low, high)
    return net.op(activation, made) if activation else made


def dense(net, data, width, filters, activation=None):
    """Fully connected layer."""
    weights, bias = net.weights(filters, width), net.constant(net.random.normal(0, 0.1, filters))
    made = net.op("Gemm", data, weights, bias, transB=1)
    return net.op(activation, made) if activation else made


def upsample(net, data):
    """Doubles height and width by repeating pixels."""
    return net.op("Resize", data, "", net.constant([1.0, 1.0, 2.0, 2.0]), mode="nearest",
                  coordinate_transformation_mode="asymmetric", nearest_mode="floor")


@network()
def mobile_net(net):
    """Inverted residuals with depthwise convolutions; classifies."""
    data = conv(net, net.input(1, 3, 32, 32), 3, 8, stride=2, activation="Relu6")
    for channels, filters, stride in ((8, 12, 2), (12, 12, 1), (12, 16, 2)):
        wide = conv(net, data, channels, channels * 2, size=1, activation="Relu6")
        deep = conv(net, wide, channels * 2, channels * 2, stride=stride, group=channels * 2,
                    activation="Relu6")
        narrow = conv(net, deep, channels * 2, filters, size=1, activation=None)
        data = net.op("Add", data, narrow) if channels == filters else narrow
    pooled = net.op("Flatten", net.op("GlobalAveragePool", data), axis=1)
    net.output(net.op("Softmax", dense(net, pooled, 16, 10), axis=-1))


@network()
def res_net(net):
    """Residual blocks with and without a projection; gives scores."""
    data = conv(net, net.input(1, 3, 32, 32), 3, 8, size=5, stride=2)
    data = net.op("MaxPool", data, kernel_shape=[2, 2], strides=[2, 2])
    for channels, filters, stride in ((8, 8, 1), (8, 16, 2)):
        inner = conv(net, data, channels, filters, stride=stride)
        inner = conv(net, inner, filters, filters, activation=None)
        past = data if channels == filters else conv(
            net, data, channels, filters, size=1, stride=stride, activation=None)
        data = net.op("Relu", net.op("Add", inner, past))
    pooled = net.op("Flatten", net.op("GlobalAveragePool", data), axis=1)
    net.output(dense(net, pooled, 16, 10))


@network()
def u_net(net):
    """Down, up, and the skips between; one value per pixel."""
    first = conv(net, net.input(1, 3, 32, 32), 3, 8)
    second = conv(net, net.op("MaxPool", first, kernel_shape=[2, 2], strides=[2, 2]), 8, 12)
    bottom = conv(net, net.op("MaxPool", second, kernel_shape=[2, 2], strides=[2, 2]), 12, 16)
    middle = net.op("Concat", upsample(net, bottom), second, axis=1)
    middle = conv(net, middle, 28, 12)
    weights, bias = net.weights(12, 8, 2, 2, spread=0.3), net.constant(net.random.normal(0, 0.1, 8))
    top = net.op("ConvTranspose", middle, weights, bias, kernel_shape=[2, 2], strides=[2, 2])
    top = conv(net, net.op("Concat", top, first, axis=1), 16, 8)
    net.output(net.op("Sigmoid", conv(net, top, 8, 1, size=1, activation=None)))


@network()
def ssd_head(net):
    """Boxes and class scores from two scales, each joined over the scales."""
    near = conv(net, net.input(1, 8, 16, 16), 8, 16)
    far = conv(net, near, 16, 16, stride=2)
    boxes, scores = [], []
    for data, cells in ((near, 256), (far, 64)):
        box = conv(net, data, 16, 3 * 4, activation=None)
        box = net.op("Transpose", box, perm=[0, 2, 3, 1])
        boxes.append(net.op("Reshape", box, net.ints(1, cells * 3, 4)))
        score = conv(net, data, 16, 3 * 5, activation=None)
        score = net.op("Transpose", score, perm=[0, 2, 3, 1])
        scores.append(net.op("Reshape", score, net.ints(1, cells * 3, 5)))
    net.output(net.op("Concat", *boxes, axis=1))
    net.output(net.op("Softmax", net.op("Concat", *scores, axis=1), axis=-1))


@network()
def mlp(net):
    """Three dense layers."""
    data = dense(net, net.input(2, 48), 48, 64, "Relu")
    data = dense(net, data, 64, 32, "Tanh")
    net.output(dense(net, data, 32, 8))


@network("f32", "u8", "u16")
def transformer(net):
    """Attention with two heads and a feed-forward part, normalized after each."""
    width, length, heads = 32, 12, 2

    def project(data, rows, columns):
        weights = net.constant(net.random.normal(0, 1 / np.sqrt(rows), (rows, columns)))
        bias = net.constant(net.random.normal(0, 0.1, columns))
        return net.op("Add", net.op("MatMul", data, weights), bias)

    def split_heads(data, perm):
        shape = net.ints(1, length, heads, width // heads)
        return net.op("Transpose", net.op("Reshape", data, shape), perm=perm)

    def normalize(data):
        scale, bias = net.constant(net.random.uniform(0.8, 1.2, width)), net.constant(
            net.random.normal(0, 0.1, width))
        return net.op("LayerNormalization", data, scale, bias, axis=-1)

    data = net.input(1, length, width)
    query = split_heads(project(data, width, width), [0, 2, 1, 3])
    key = split_heads(project(data, width, width), [0, 2, 3, 1])
    value = split_heads(project(data, width, width), [0, 2, 1, 3])
    scores = net.op("Mul", net.op("MatMul", query, key), net.constant(np.float32(0.25)))
    mixed = net.op("MatMul", net.op("Softmax", scores, axis=-1), value)
    mixed = net.op("Reshape", net.op("Transpose", mixed, perm=[0, 2, 1, 3]),
                   net.ints(1, length, width))
    data = normalize(net.op("Add", data, project(mixed, width, width)))
    inner = net.op("Gelu", project(data, width, 64))
    net.output(normalize(net.op("Add", data, project(inner, 64, width))))


@network()
def keyword_spotting(net):
    """Depthwise separable convolutions over a spectrogram."""
    data = conv(net, net.input(1, 1, 40, 24), 1, 16, size=5, stride=2)
    for _ in range(2):
        data = conv(net, data, 16, 16, group=16)
        data = conv(net, data, 16, 16, size=1)
    pooled = net.op("AveragePool", data, kernel_shape=[20, 12])
    net.output(dense(net, net.op("Flatten", pooled, axis=1), 16, 12))


@network()
def lane_segmentation(net):
    """Dilated convolutions in parallel, then up to full size: one class score per pixel."""
    data = conv(net, net.input(1, 3, 32, 48), 3, 8, stride=2)
    data = conv(net, data, 8, 12, stride=2)
    branches = [conv(net, data, 12, 8, size=1)]
    for dilation in (2, 3):
        weights = net.weights(8, 12, 3, 3)
        bias = net.constant(net.random.normal(0, 0.1, 8))
        branches.append(net.op("Relu", net.op(
            "Conv", data, weights, bias, kernel_shape=[3, 3], pads=[dilation] * 4,
            dilations=[dilation] * 2)))
    joined = conv(net, net.op("Concat", *branches, axis=1), 24, 8, size=1)
    scores = conv(net, joined, 8, 3, size=1, activation=None)
    net.output(net.op("Resize", scores, "", net.constant([1.0, 1.0, 4.0, 4.0]), mode="linear",
                      coordinate_transformation_mode="half_pixel"))
