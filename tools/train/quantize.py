"""8-bit post-training quantization: float parameters and activation ranges -> the network document.

The document holds everything a QNN client needs to compose the graph: tensors with type, dims,
quantization and data, then nodes in execution order with their parameters. Quantization as QNN
has it: real = scale * (q + offset).
"""

import numpy as np

import floatnet

U8 = "QNN_DATATYPE_UFIXED_POINT_8"
S8 = "QNN_DATATYPE_SFIXED_POINT_8"
S32 = "QNN_DATATYPE_SFIXED_POINT_32"
# Activations that must share the encoding of another one: the op moves bytes and rescales nothing.
# relu2 shares too, so that both forms of Relu occur: clamping bytes (relu2) and rescaling them.
SHARED = {"relu2": "sum", "pool1": "relu2", "flat": "pool2"}


def f32(value):
    """The value rounded to single precision, as a Python float."""
    return float(np.float32(value))


def activation_encoding(values):
    """Scale and offset covering the values seen and zero, which must be exact."""
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    scale = f32((high - low) / 255.0)
    return scale, int(np.rint(low / scale))


def encodings(activations):
    """(scale, offset) by activation name."""
    table = {"image": (1.0 / 16.0, 0), "probabilities": (1.0 / 256.0, 0)}
    for name, values in activations.items():
        if name != "image":
            table[name] = table[SHARED[name]] if name in SHARED else activation_encoding(values)
    return table


def scale_offset(scale, offset):
    """Per-tensor encoding."""
    return {"encoding": "QNN_QUANTIZATION_ENCODING_SCALE_OFFSET", "scale": scale, "offset": offset}


def axis_scale_offset(axis, scales):
    """Per-channel encoding, symmetric."""
    return {"encoding": "QNN_QUANTIZATION_ENCODING_AXIS_SCALE_OFFSET", "axis": axis,
            "scale_offset": [[scale, 0] for scale in scales]}


def static_tensor(name, data_type, quantization, data):
    """A constant; the data is flat, row-major."""
    return {"name": name, "type": "QNN_TENSOR_TYPE_STATIC", "data_type": data_type,
            "dims": list(data.shape), "quantization": quantization,
            "data": [int(v) for v in data.reshape(-1)]}


def quantized_bias(bias, scales):
    """Bias in units of the accumulator."""
    q = np.rint(bias / np.array(scales))
    assert np.abs(q).max() < 2**30, "bias leaves no room in a 32-bit accumulator"
    return q.astype(np.int64)


def convolution_constants(name, p, in_scale):
    """Filter with one scale per output channel (axis 3), and its bias."""
    weight, bias = p[name + "_weight"], p[name + "_bias"]
    scales = [f32(np.abs(weight[..., c]).max() / 127.0) for c in range(weight.shape[3])]
    q = np.clip(np.rint(weight / np.array(scales)), -127, 127).astype(np.int64)
    bias_scales = [f32(in_scale * s) for s in scales]
    return [static_tensor(name + "_weight", S8, axis_scale_offset(3, scales), q),
            static_tensor(name + "_bias", S32, axis_scale_offset(0, bias_scales),
                          quantized_bias(bias, bias_scales))]


def fully_connected_constants(name, p, in_scale):
    """Weights [out, in] with one scale for all, and their bias."""
    weight, bias = p[name + "_weight"], p[name + "_bias"]
    scale = f32(np.abs(weight).max() / 127.0)
    q = np.clip(np.rint(weight / scale), -127, 127).astype(np.int64)
    bias_scale = f32(in_scale * scale)
    return [static_tensor(name + "_weight", S8, scale_offset(scale, 0), q),
            static_tensor(name + "_bias", S32, scale_offset(bias_scale, 0),
                          quantized_bias(bias, [bias_scale]))]


def tensor_param(name, dims, values):
    """A tensor parameter of a node."""
    return {"name": name, "data_type": "QNN_DATATYPE_UINT_32", "dims": dims, "data": values}


def windowed(stride, before, after):
    """Stride and padding, equal in both directions."""
    return [tensor_param("stride", [2], [stride, stride]),
            tensor_param("pad_amount", [2, 2], [before, after, before, after])]


def nodes():
    """The operations in execution order."""
    def node(name, kind, inputs, output, params=()):
        return {"name": name, "package": "qti.aisw", "type": kind, "params": list(params),
                "inputs": inputs, "outputs": [output]}

    def weighted(name, kind, source, output, params=()):
        return node(name, kind, [source, name + "_weight", name + "_bias"], output, params)

    return [
        weighted("conv1", "Conv2d", "image", "conv1_out", windowed(1, 1, 1)),
        node("relu1", "Relu", ["conv1_out"], "relu1_out"),
        weighted("dw", "DepthWiseConv2d", "relu1_out", "dw_out", windowed(1, 1, 1)),
        weighted("pw", "Conv2d", "dw_out", "pw_out", windowed(1, 0, 0)),
        node("sum", "ElementWiseAdd", ["relu1_out", "pw_out"], "sum_out"),
        node("relu2", "Relu", ["sum_out"], "relu2_out"),
        node("pool1", "PoolMax2d", ["relu2_out"], "pool1_out",
             [tensor_param("filter_size", [2], [2, 2])] + windowed(2, 0, 0)),
        weighted("conv2", "Conv2d", "pool1_out", "conv2_out", windowed(1, 1, 1)),
        node("relu3", "Relu", ["conv2_out"], "relu3_out"),
        node("pool2", "PoolAvg2d", ["relu3_out"], "pool2_out",
             [tensor_param("filter_size", [2], [3, 3])] + windowed(2, 0, 1)),
        node("flat", "Reshape", ["pool2_out"], "flat_out"),
        weighted("fc", "FullyConnected", "flat_out", "logits"),
        node("softmax", "Softmax", ["logits"], "probabilities"),
    ]


def network_document(p, image):
    """The quantized network; `image` (real values) is the calibration set."""
    activations, _ = floatnet.forward(p, image)
    table = encodings(activations)
    kinds = {"image": "APP_WRITE", "logits": "APP_READ", "probabilities": "APP_READ"}
    dims = {name: [1, *values.shape[1:]] for name, values in activations.items()}
    dims["probabilities"] = dims["logits"]
    tensors = []
    for name, encoding in table.items():
        tensors.append({
            "name": name if name in kinds else name + "_out",
            "type": "QNN_TENSOR_TYPE_" + kinds.get(name, "NATIVE"),
            "data_type": U8, "dims": dims[name], "quantization": scale_offset(*encoding),
        })
    for name, source in [("conv1", "image"), ("dw", "relu1"), ("pw", "dw"), ("conv2", "pool1")]:
        tensors += convolution_constants(name, p, table[source][0])
    tensors += fully_connected_constants("fc", p, table["flat"][0])
    return {"name": "digits", "tensors": tensors, "nodes": nodes()}
