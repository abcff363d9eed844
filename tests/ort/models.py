"""Models of one op each, in float and quantized. Each takes well under a second on a CPU."""

import numpy as np

from graph import Net
from networks import NETWORKS

ALL = ("f32", "u8", "u16")
WEIGHTED = ("f32", "u8", "s8", "u8pc", "u8raw", "u16", "u16pc")
BYTES = ("f32", "u8")

SINGLE_OPS = {}


def single(*schemes):
    """Registers the function below as a model under its own name, once per scheme."""
    def register(build):
        SINGLE_OPS[build.__name__] = (build, schemes)
        return build
    return register


def unary(kind, schemes, low=-2.0, high=2.0, shape=(1, 6, 8, 10), **attributes):
    """A model of an op that maps each element."""
    def build(net):
        net.output(net.op(kind, net.input(*shape, low=low, high=high), **attributes))
    SINGLE_OPS[kind.lower()] = (build, schemes)


def binary(kind, schemes, low=-2.0, right_low=-1.5):
    """A model of an op that joins two tensors of one shape."""
    def build(net):
        left = net.input(1, 4, 8, 8, low=low, high=2.0)
        right = net.input(1, 4, 8, 8, low=right_low, high=1.8)
        net.output(net.op(kind, left, right))
    SINGLE_OPS[kind.lower()] = (build, schemes)


def comparison(kind, schemes):
    """A model of an op that compares; values repeat, so that equality happens."""
    def build(net):
        levels = np.linspace(-1.0, 1.0, 5, dtype=np.float32)
        left, right = (net.input_of(net.random.choice(levels, (1, 4, 6, 6))) for _ in range(2))
        net.output(net.op(kind, left, right))
    SINGLE_OPS[kind.lower()] = (build, schemes)


unary("Abs", ALL)
unary("Ceil", ("f32",))
unary("Cos", ("f32",))
unary("Elu", BYTES, alpha=1.0)
unary("Exp", BYTES)
unary("Floor", ("f32",))
unary("Gelu", BYTES)
unary("HardSigmoid", BYTES, alpha=0.2, beta=0.5, low=-4.0, high=4.0)
unary("HardSwish", ALL, low=-4.0, high=4.0)
unary("LeakyRelu", ALL, alpha=0.1)
unary("Log", BYTES, low=0.2, high=4.0)
unary("Neg", ALL)
unary("Relu", ("f32", "u8", "s8", "u16"))
unary("Round", ("f32",))
unary("Sigmoid", ALL, low=-6.0, high=6.0)
unary("Sign", ("f32",))
unary("Sin", BYTES)
unary("Softplus", ("f32",))
unary("Sqrt", BYTES, low=0.0, high=4.0)
unary("Tanh", ALL, low=-3.0, high=3.0)

binary("Add", ("f32", "u8", "s8", "u16"))
binary("Div", ALL, right_low=0.5)
binary("Max", BYTES)
binary("Min", BYTES)
binary("Mul", ("f32", "u8", "s8", "u16"))
binary("Pow", ("f32",), low=0.1, right_low=0.5)
binary("Sub", ALL)

comparison("Equal", BYTES)
comparison("Greater", BYTES)
comparison("Less", BYTES)


@single(*ALL)
def add_broadcast(net):
    each_channel = net.constant(net.random.normal(0, 1, (8, 1, 1)))
    net.output(net.op("Add", net.input(1, 8, 6, 6), each_channel))


@single("f32")
def logical(net):
    left, right = net.input(1, 4, 6), net.input(1, 4, 6)
    zero = net.constant([0.0])
    both = net.op("And", net.op("Greater", left, zero), net.op("Less", right, zero))
    net.output(net.op("Not", both))


@single(*BYTES)
def where(net):
    condition = net.input_of(net.random.integers(0, 2, (1, 4, 6, 6)).astype(bool))
    net.output(net.op("Where", condition, net.input(1, 4, 6, 6), net.input(1, 4, 6, 6)))


@single("f32", "u8", "u16")
def clip(net):
    low, high = net.constant(np.float32(0.0)), net.constant(np.float32(6.0))
    net.output(net.op("Clip", net.input(1, 6, 8, 8, low=-4.0, high=9.0), low, high))


@single(*BYTES)
def prelu(net):
    slope = net.constant(net.random.uniform(0.05, 0.4, (6, 1, 1)))
    net.output(net.op("PRelu", net.input(1, 6, 8, 8, low=-2.0, high=2.0), slope))


def convolution(net, channels, filters, kernel, size=12, **attributes):
    """A convolution with bias."""
    group = attributes.get("group", 1)
    weights = net.weights(filters, channels // group, *kernel)
    bias = net.constant(net.random.normal(0, 0.2, filters))
    data = net.input(1, channels, *(size,) * len(kernel))
    net.output(net.op("Conv", data, weights, bias, kernel_shape=kernel, **attributes))


@single(*WEIGHTED)
def conv(net):
    convolution(net, 8, 16, (3, 3), pads=[1, 1, 1, 1])


@single("f32", "u8", "u8pc", "u16")
def conv_1x1(net):
    convolution(net, 16, 24, (1, 1))


@single("f32", "u8", "u8pc")
def conv_strided(net):
    convolution(net, 3, 8, (5, 5), size=17, strides=[2, 2], pads=[2, 2, 2, 2])


@single(*BYTES)
def conv_dilated(net):
    convolution(net, 4, 8, (3, 3), size=14, dilations=[2, 2], pads=[2, 2, 2, 2])


@single("f32", "u8")
def conv_grouped(net):
    convolution(net, 8, 16, (3, 3), group=2, pads=[1, 1, 1, 1])


@single(*WEIGHTED)
def conv_depthwise(net):
    convolution(net, 16, 16, (3, 3), group=16, pads=[1, 1, 1, 1])


@single("f32", "u8")
def conv_1d(net):
    convolution(net, 8, 12, (5,), size=32, pads=[2, 2])


@single("f32", "u8")
def conv_3d(net):
    convolution(net, 3, 6, (3, 3, 3), size=6, pads=[1] * 6)


@single("f32", "u8", "u8pc", "u16")
def conv_transpose(net):
    weights = net.weights(8, 6, 2, 2)
    bias = net.constant(net.random.normal(0, 0.2, 6))
    data = net.input(1, 8, 7, 7)
    net.output(net.op("ConvTranspose", data, weights, bias, kernel_shape=[2, 2], strides=[2, 2]))


@single(*WEIGHTED)
def gemm(net):
    weights, bias = net.weights(20, 32), net.constant(net.random.normal(0, 0.2, 20))
    net.output(net.op("Gemm", net.input(4, 32), weights, bias, transB=1))


@single("f32", "u8", "u16")
def matmul_weights(net):
    weights = net.constant(net.random.normal(0, 0.2, (24, 16)))
    net.output(net.op("MatMul", net.input(1, 10, 24), weights))


@single("f32", "u8", "u16")
def matmul(net):
    net.output(net.op("MatMul", net.input(1, 2, 8, 12), net.input(1, 2, 12, 8)))


@single(*ALL)
def max_pool(net):
    net.output(net.op("MaxPool", net.input(1, 8, 12, 12), kernel_shape=[2, 2], strides=[2, 2]))


@single("u8")
def max_pool_padded(net):
    net.output(net.op("MaxPool", net.input(1, 8, 13, 13), kernel_shape=[3, 3], strides=[2, 2],
                      pads=[1, 1, 1, 1]))


@single(*ALL)
def average_pool(net):
    net.output(net.op("AveragePool", net.input(1, 8, 12, 12), kernel_shape=[3, 3], strides=[3, 3]))


@single("u8")
def average_pool_padded(net):
    net.output(net.op("AveragePool", net.input(1, 8, 12, 12), kernel_shape=[3, 3], strides=[1, 1],
                      pads=[1, 1, 1, 1], count_include_pad=0))


@single(*ALL)
def global_average_pool(net):
    net.output(net.op("GlobalAveragePool", net.input(1, 16, 7, 7)))


@single("u8")
def global_max_pool(net):
    net.output(net.op("GlobalMaxPool", net.input(1, 16, 7, 7)))


@single(*BYTES)
def batch_normalization(net):
    parts = [net.constant(net.random.uniform(*bounds, 8)) for bounds in
             ((0.5, 1.5), (-0.5, 0.5), (-0.3, 0.3), (0.5, 1.5))]
    net.output(net.op("BatchNormalization", net.input(1, 8, 6, 6), *parts))


@single(*ALL)
def layer_normalization(net):
    scale, bias = (net.constant(net.random.uniform(*bounds, 32)) for bounds in
                   ((0.5, 1.5), (-0.5, 0.5)))
    net.output(net.op("LayerNormalization", net.input(1, 10, 32), scale, bias, axis=-1))


@single("f32", "u8")
def instance_normalization(net):
    scale, bias = (net.constant(net.random.uniform(*bounds, 6)) for bounds in
                   ((0.5, 1.5), (-0.5, 0.5)))
    net.output(net.op("InstanceNormalization", net.input(1, 6, 9, 9), scale, bias))


@single(*BYTES)
def lp_normalization(net):
    net.output(net.op("LpNormalization", net.input(1, 10, 32), axis=-1, p=2))


@single(*ALL)
def softmax(net):
    net.output(net.op("Softmax", net.input(1, 12, 20, low=-4.0, high=4.0), axis=-1))


@single("f32")
def log_softmax(net):
    net.output(net.op("LogSoftmax", net.input(1, 12, 20, low=-4.0, high=4.0), axis=-1))


@single(*BYTES)
def softmax_channels(net):
    net.output(net.op("Softmax", net.input(1, 5, 6, 6, low=-4.0, high=4.0), axis=1))


@single(*ALL)
def concat(net):
    net.output(net.op("Concat", net.input(1, 4, 6, 6), net.input(1, 6, 6, 6, high=2.0), axis=1))


@single(*BYTES)
def split(net):
    net.output(*net.op("Split", net.input(1, 12, 6), net.ints(4, 8), outputs=2, axis=1))


@single(*BYTES)
def slice_steps(net):
    bounds = [net.ints(1, 0), net.ints(9, 8), net.ints(2, 3), net.ints(2, 1)]
    net.output(net.op("Slice", net.input(1, 4, 8, 10), bounds[0], bounds[1], bounds[2],
                      net.ints(1, 2)))


@single(*ALL)
def transpose(net):
    net.output(net.op("Transpose", net.input(2, 3, 4, 5), perm=[0, 2, 3, 1]))


@single(*ALL)
def reshape(net):
    net.output(net.op("Reshape", net.input(1, 4, 6, 6), net.ints(1, 4, 36)))


@single("u8")
def flatten(net):
    net.output(net.op("Flatten", net.input(2, 4, 3, 3), axis=1))


@single("u8")
def squeeze(net):
    net.output(net.op("Squeeze", net.input(1, 8, 1, 5), net.ints(2)))


@single("u8")
def unsqueeze(net):
    net.output(net.op("Unsqueeze", net.input(4, 8, 5), net.ints(0)))


@single(*BYTES)
def expand(net):
    net.output(net.op("Expand", net.input(1, 4, 1, 6), net.ints(1, 4, 5, 6)))


@single(*BYTES)
def tile(net):
    net.output(net.op("Tile", net.input(1, 3, 4, 4), net.ints(1, 2, 1, 2)))


@single(*BYTES)
def pad_constant(net):
    net.output(net.op("Pad", net.input(1, 4, 6, 6), net.ints(0, 0, 1, 2, 0, 0, 2, 1),
                      net.constant(np.float32(0.0)), mode="constant"))


@single(*BYTES)
def pad_reflect(net):
    sides = net.ints(0, 0, 1, 2, 0, 0, 2, 1)
    net.output(net.op("Pad", net.input(1, 4, 6, 6), sides, mode="reflect"))


@single(*BYTES)
def depth_to_space(net):
    net.output(net.op("DepthToSpace", net.input(1, 16, 4, 4), blocksize=2, mode="DCR"))


@single(*BYTES)
def depth_to_space_crd(net):
    net.output(net.op("DepthToSpace", net.input(1, 16, 4, 4), blocksize=2, mode="CRD"))


@single(*BYTES)
def space_to_depth(net):
    net.output(net.op("SpaceToDepth", net.input(1, 4, 8, 8), blocksize=2))


@single(*BYTES)
def gather(net):
    net.output(net.op("Gather", net.input(1, 10, 6), net.ints(7, 0, 3, 3), axis=1))


@single("u8")
def gather_elements(net):
    indices = net.constant(net.random.integers(0, 8, (1, 4, 6)), np.int64)
    net.output(net.op("GatherElements", net.input(1, 8, 6), indices, axis=1))


def resize(net, sizes, **attributes):
    """A resize by the given factors."""
    scales = net.constant([1.0, 1.0, *sizes])
    net.output(net.op("Resize", net.input(1, 6, 7, 9), "", scales, **attributes))


@single(*ALL)
def resize_nearest(net):
    resize(net, (2.0, 2.0), mode="nearest", coordinate_transformation_mode="asymmetric",
           nearest_mode="floor")


@single(*ALL)
def resize_linear(net):
    resize(net, (2.0, 2.0), mode="linear", coordinate_transformation_mode="half_pixel")


@single(*BYTES)
def resize_corners(net):
    resize(net, (3.0, 2.0), mode="linear", coordinate_transformation_mode="align_corners")


@single(*ALL)
def reduce_mean(net):
    net.output(net.op("ReduceMean", net.input(1, 8, 6, 6), net.ints(2, 3), keepdims=1))


@single(*BYTES)
def reduce_sum(net):
    net.output(net.op("ReduceSum", net.input(1, 8, 6, 6), net.ints(1), keepdims=0))


@single(*BYTES)
def reduce_max(net):
    net.output(net.op("ReduceMax", net.input(1, 8, 6, 6), net.ints(3), keepdims=1))


@single(*BYTES)
def reduce_min(net):
    net.output(net.op("ReduceMin", net.input(1, 8, 6, 6), net.ints(3), keepdims=1))


@single(*BYTES)
def arg_max(net):
    # A shuffled ramp: no two values of a line fall into the same step.
    ramp = np.linspace(-1.0, 1.0, 10, dtype=np.float32)
    net.output(net.op("ArgMax", net.input_of(net.random.permuted(
        np.tile(ramp, (1, 6, 6, 1)), axis=-1)), axis=3, keepdims=0))


@single("u8")
def top_k(net):
    ramp = np.linspace(-1.0, 1.0, 12, dtype=np.float32)
    data = net.input_of(net.random.permuted(np.tile(ramp, (1, 6, 1)), axis=-1))
    net.output(*net.op("TopK", data, net.ints(3), outputs=2, axis=-1))


@single("f32")
def cast(net):
    data = net.input_of(net.random.integers(-50, 50, (1, 4, 6)).astype(np.int32))
    net.output(net.op("Cast", data, to=1))


@single(*BYTES)
def lrn(net):
    net.output(net.op("LRN", net.input(1, 12, 6, 6), size=5, alpha=1e-2, beta=0.75, bias=1.0))


@single(*BYTES)
def grid_sample(net):
    data, grid = net.input(1, 4, 8, 8), net.input(1, 6, 6, 2, low=-0.9, high=0.9)
    net.output(net.op("GridSample", data, grid, mode="linear", padding_mode="zeros",
                      align_corners=0))


def catalogue():
    """Name of every model and the function that makes it."""
    made = {}
    for group in (SINGLE_OPS, NETWORKS):
        for name, (build, schemes) in group.items():
            for scheme in schemes:
                made[f"{name}-{scheme}"] = lambda n=name, b=build, s=scheme: make(n, b, s)
    return made


def make(name, build, scheme):
    """One model of the catalogue."""
    net = Net(name)
    build(net)
    return net.model(scheme)
