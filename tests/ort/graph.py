"""Builds small ONNX models, in float and quantized with QuantizeLinear and DequantizeLinear."""

import zlib
from dataclasses import dataclass, field

import numpy as np
import onnxruntime as ort
from onnx import helper, numpy_helper

OPSET = 21
IR_VERSION = 10
# Inputs that a float model runs with. There a distance is a rounding or two, and the mean over the
# few results of one input tells more about chance than about a backend.
FLOAT_FEEDS = 16


@dataclass(frozen=True)
class Scheme:
    """Which integers a quantized model holds."""

    activation: type
    weight: type
    per_channel: bool
    # The model's inputs and results are integers too.
    raw: bool = False


SCHEMES = {
    "f32": None,
    "u8": Scheme(np.uint8, np.uint8, False),
    "s8": Scheme(np.int8, np.int8, False),
    "u8pc": Scheme(np.uint8, np.int8, True),
    "u8raw": Scheme(np.uint8, np.int8, True, raw=True),
    "u16": Scheme(np.uint16, np.uint8, False),
    "u16pc": Scheme(np.uint16, np.int8, True),
}

# The output is a choice or a new arrangement of input values: it keeps their quantization.
KEEPS_RANGE = {
    "DepthToSpace", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "GlobalMaxPool",
    "Identity", "MaxPool", "Pad", "Reshape", "Resize", "Slice", "SpaceToDepth", "Split", "Squeeze",
    "Tile", "TopK", "Transpose", "Unsqueeze", "ReduceMax", "ReduceMin",
}
# Outputs whose range is known without looking at data: (lowest, one step beyond the highest).
FIXED_RANGE = {"Sigmoid": (0.0, 1.0), "Softmax": (0.0, 1.0), "Tanh": (-1.0, 1.0)}
# Inputs that stay as they are in a quantized model: bounds, sizes, fill values.
NOT_QUANTIZED = {"Clip": (1, 2), "Pad": (2,), "Resize": (1, 2)}
# Ops with weights at input 1 and, but for MatMul, a bias at input 2.
WEIGHTED = {
    "Conv", "ConvTranspose", "Gemm", "InstanceNormalization", "LayerNormalization", "MatMul",
}
# Ops whose weights have a scale for each output channel, and the axis of these channels.
PER_CHANNEL = {"Conv": 0, "ConvTranspose": 1, "Gemm": 0}


@dataclass(frozen=True)
class Quantization:
    """real = scale * (integer - zero_point); arrays hold one value per channel."""

    kind: type
    scale: np.ndarray
    zero_point: np.ndarray
    axis: int | None = None


@dataclass
class Model:
    """A model, what to run it with, and the size of one step of each quantized output."""

    name: str
    scheme: str
    ops: list[str]
    proto: bytes
    feeds: list[dict[str, np.ndarray]]
    outputs: list[str]
    steps: dict[str, float] = field(default_factory=dict)

    @property
    def feed(self):
        """The inputs that the model was quantized with."""
        return self.feeds[0]


class Net:
    """A float graph under construction. The name alone decides every random number in it."""

    def __init__(self, name):
        self.name = name
        self.random = np.random.default_rng(zlib.crc32(name.encode()))
        self.nodes = []
        self.inputs = {}
        self.outputs = []
        self.constants = {}
        self._bounds = {}
        self._count = 0

    def input(self, *shape, low=-1.0, high=1.0):
        """A float input with values drawn evenly from `low` to `high`."""
        name = self.input_of(self.random.uniform(low, high, shape).astype(np.float32))
        self._bounds[name] = (low, high)
        return name

    def input_of(self, values):
        """An input with the given values."""
        name = f"in{len(self.inputs)}"
        self.inputs[name] = values
        return name

    def constant(self, values, dtype=np.float32):
        """A constant with the given values."""
        name = self._fresh("c")
        self.constants[name] = np.asarray(values, dtype)
        return name

    def ints(self, *values):
        """A constant list of 64-bit integers: a shape, axes, indices."""
        return self.constant(values, np.int64)

    def weights(self, *shape, spread=None):
        """Random weights that keep the size of what they are applied to."""
        fan_in = int(np.prod(shape[1:])) or 1
        spread = spread or 1.0 / np.sqrt(fan_in)
        # Channels differ in range, as in trained networks: scales per channel shall matter.
        channel = self.random.uniform(0.5, 2.0, (shape[0],) + (1,) * (len(shape) - 1))
        return self.constant(self.random.normal(0.0, spread, shape) * channel)

    def op(self, kind, *inputs, outputs=1, **attributes):
        """Adds a node; returns its output, or the list of them."""
        names = [self._fresh(kind.lower()) for _ in range(outputs)]
        domain = attributes.pop("domain", "")
        node = helper.make_node(kind, list(inputs), names, names[0], domain=domain, **attributes)
        self.nodes.append(node)
        return names[0] if outputs == 1 else names

    def output(self, *names):
        """Marks results of the model."""
        self.outputs.extend(names)
        return self

    def model(self, scheme):
        """The finished model: as built for `f32`, quantized otherwise."""
        values = self._run_all()
        ops = [node.op_type for node in self.nodes]
        if SCHEMES[scheme] is None:
            results = [(name, values[name]) for name in self.outputs]
            proto = make_proto(self.name, self.nodes, self.constants, self.inputs, results)
            return Model(f"{self.name}-{scheme}", scheme, ops, proto, self._feeds(), self.outputs)
        made = Quantizer(self, SCHEMES[scheme], values)
        made.run()
        proto = made.proto()
        return Model(f"{self.name}-{scheme}", scheme, ops, proto, [made.inputs],
                     list(made.results), made.steps)

    def _feeds(self):
        """The inputs as built, then others of the same bounds; inputs with given values keep
        them."""
        random = np.random.default_rng(self.random.integers(2**32))
        feeds = [self.inputs]
        for _ in range(FLOAT_FEEDS - 1 if self._bounds else 0):
            drawn = {name: random.uniform(*bounds, self.inputs[name].shape).astype(np.float32)
                     for name, bounds in self._bounds.items()}
            feeds.append(self.inputs | drawn)
        return feeds

    def _run_all(self):
        """Every tensor of the float graph, from ONNX Runtime on the CPU."""
        names = [name for node in self.nodes for name in node.output if name]
        outputs = [(name, None) for name in names]
        proto = make_proto(self.name, self.nodes, self.constants, self.inputs, outputs)
        [results] = run_on_cpu(proto, [self.inputs])
        return dict(zip(names, results)) | self.inputs | self.constants

    def _fresh(self, prefix):
        self._count += 1
        return f"{prefix}_{self._count}"


class Quantizer:
    """Rewrites a float graph so that every float tensor passes through integers."""

    def __init__(self, net, scheme, values):
        self.net = net
        self.scheme = scheme
        self.values = values
        self.nodes = []
        self.constants = {}
        self.quantized = {}
        self.real_names = {}
        self.inputs = dict(net.inputs)
        # Name and value of every result, and the size of a step where it is quantized.
        self.results = {}
        self.steps = {}

    def run(self):
        """Makes the quantized graph."""
        for name, values in self.net.inputs.items():
            if values.dtype == np.float32:
                self._float_input(name, values)
        for node in self.net.nodes:
            self._node(node)
        for name in self.net.outputs:
            self._result(name)

    def proto(self):
        """The quantized graph, serialized."""
        results = self.results.items()
        return make_proto(self.net.name, self.nodes, self.constants, self.inputs, results)

    def _float_input(self, name, values):
        measured = self._measured(name)
        if self.scheme.raw:
            del self.inputs[name]
            self.inputs[f"{name}_q"] = to_integers(values, measured)
            self.quantized[name] = measured
        else:
            self._quantize_tensor(name, name, measured)

    def _result(self, name):
        if name not in self.quantized:
            self.results[name] = self.values[name]
        elif self.scheme.raw:
            self.results[f"{name}_q"] = to_integers(self.values[name], self.quantized[name])
            self.steps[f"{name}_q"] = 1.0
        else:
            real = self._real(name)
            self.results[real] = self.values[name]
            self.steps[real] = float(self.quantized[name].scale)

    def _node(self, node):
        inputs = [self._input(node, index, name) for index, name in enumerate(node.input)]
        outputs = []
        for name in node.output:
            is_float = name in self.values and self.values[name].dtype == np.float32
            outputs.append(f"{name}_raw" if is_float else name)
        copy = helper.make_node(node.op_type, inputs, outputs, node.name, domain=node.domain)
        copy.attribute.extend(node.attribute)
        self.nodes.append(copy)
        for name, raw in zip(node.output, outputs):
            if raw != name:
                self._quantize_tensor(name, raw, self._of_output(node, name))

    def _input(self, node, index, name):
        """The name under which `node` reads its input `name`."""
        if not name or index in NOT_QUANTIZED.get(node.op_type, ()):
            self._keep(name)
            return name
        if name in self.quantized:
            return self._real(name)
        if name not in self.net.constants or self.values[name].dtype != np.float32:
            self._keep(name)
            return name
        if index == 1 and node.op_type in WEIGHTED:
            self._store(name, self._of_weights(node, name))
        elif index == 2 and node.op_type in WEIGHTED:
            self._store(name, self._of_bias(node))
        else:
            self._store(name, self._measured(name))
        return self._real(name)

    def _keep(self, name):
        if name in self.net.constants:
            self.constants[name] = self.net.constants[name]

    def _of_output(self, node, name):
        kind = self.scheme.activation
        if node.op_type in KEEPS_RANGE and node.input[0] in self.quantized:
            return self.quantized[node.input[0]]
        if node.op_type in FIXED_RANGE:
            low, high = FIXED_RANGE[node.op_type]
            info = np.iinfo(kind)
            scale = np.float32((high - low) / (int(info.max) - int(info.min) + 1))
            return Quantization(kind, scale, kind(info.min - round(low / float(scale))))
        return self._measured(name)

    def _measured(self, name):
        return asymmetric(self.values[name], self.scheme.activation)

    def _of_weights(self, node, name):
        values = self.values[name]
        if not self.scheme.per_channel or node.op_type not in PER_CHANNEL:
            return asymmetric(values, self.scheme.weight)
        axis = PER_CHANNEL[node.op_type]
        others = tuple(index for index in range(values.ndim) if index != axis)
        largest = np.maximum(np.abs(values).max(axis=others), 1e-6)
        scale = (largest / np.iinfo(np.int8).max).astype(np.float32)
        return Quantization(np.int8, scale, np.zeros(scale.shape, np.int8), axis)

    def _of_bias(self, node):
        data, weights = (self.quantized[name] for name in node.input[:2])
        scale = (data.scale * weights.scale).astype(np.float32)
        axis = None if scale.ndim == 0 else 0
        return Quantization(np.int32, scale, np.zeros(scale.shape, np.int32), axis)

    def _quantize_tensor(self, name, source, quantization):
        """QuantizeLinear after `source`; readers dequantize."""
        self.quantized[name] = quantization
        self._linear("QuantizeLinear", source, f"{name}_q", quantization)

    def _store(self, name, quantization):
        """A constant, as integers."""
        self.quantized[name] = quantization
        self.constants[f"{name}_q"] = to_integers(self.values[name], quantization)

    def _real(self, name):
        """The dequantized form of `name`, made where it is first read."""
        if name not in self.real_names:
            self.real_names[name] = f"{name}_r"
            self._linear("DequantizeLinear", f"{name}_q", f"{name}_r", self.quantized[name])
        return self.real_names[name]

    def _linear(self, kind, source, target, quantization):
        scale, zero_point = f"{target}_scale", f"{target}_zero"
        self.constants[scale] = np.asarray(quantization.scale, np.float32)
        self.constants[zero_point] = np.asarray(quantization.zero_point, quantization.kind)
        axis = {} if quantization.axis is None else {"axis": quantization.axis}
        node = helper.make_node(kind, [source, scale, zero_point], [target], target, **axis)
        self.nodes.append(node)


def asymmetric(values, kind):
    """Scale and zero point that cover `values` and represent 0 exactly."""
    info = np.iinfo(kind)
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    scale = np.float32(max(high - low, 1e-6) / (int(info.max) - int(info.min)))
    zero_point = np.clip(round(info.min - low / float(scale)), info.min, info.max)
    return Quantization(kind, scale, kind(zero_point))


def to_integers(values, quantization):
    """What QuantizeLinear makes of `values`."""
    shape = [1] * values.ndim
    if quantization.axis is not None:
        shape[quantization.axis] = -1
    scale = np.reshape(quantization.scale, shape) if values.ndim else quantization.scale
    zero = np.reshape(quantization.zero_point, shape) if values.ndim else quantization.zero_point
    info = np.iinfo(quantization.kind)
    integers = np.rint(values.astype(np.float64) / scale) + zero
    return np.clip(integers, info.min, info.max).astype(quantization.kind)


def make_proto(name, nodes, constants, inputs, outputs):
    """A serialized model. Each output comes with a value of its type, or None to infer that."""
    def described(name, values):
        if values is None:
            return helper.make_empty_tensor_value_info(name)
        kind = helper.np_dtype_to_tensor_dtype(values.dtype)
        return helper.make_tensor_value_info(name, kind, values.shape)

    graph = helper.make_graph(
        nodes, name,
        [described(key, values) for key, values in inputs.items()],
        [described(key, values) for key, values in outputs],
        [numpy_helper.from_array(values, key) for key, values in constants.items()],
    )
    domains = {node.domain for node in nodes} - {""}
    opsets = [helper.make_opsetid("", OPSET)] + [helper.make_opsetid(it, 1) for it in domains]
    model = helper.make_model(graph, opset_imports=opsets, producer_name="htp-runtime")
    model.ir_version = IR_VERSION
    return model.SerializeToString()


def run_on_cpu(proto, feeds):
    """The exact results: ONNX Runtime on the CPU, every node as it is written."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(proto, options, providers=["CPUExecutionProvider"])
    return [session.run(None, feed) for feed in feeds]
