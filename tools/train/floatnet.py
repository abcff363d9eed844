"""The network in floating point: forward pass, gradients, training. NHWC, weights as QNN has them.

    image 8x8x1 -> conv1 3x3 -> relu -> dw 3x3 depthwise -> pw 1x1 -> + residual -> relu
    -> 2x2 max pool -> conv2 3x3 -> relu -> 3x3/2 average pool -> flatten -> fc -> logits
"""

import numpy as np

from exact import column_sums, matmul, softmax

CHANNELS = 24
CHANNELS2 = 48
EPOCHS = 60
BATCH = 64
LEARNING_RATE = 4e-3
WEIGHT_DECAY = 2e-2
SEED = 20240611


def initial_parameters(rng):
    """He-uniform weights and zero biases; names are those of the operations."""
    shapes = {
        "conv1": (3, 3, 1, CHANNELS),
        "dw": (3, 3, 1, CHANNELS),
        "pw": (1, 1, CHANNELS, CHANNELS),
        "conv2": (3, 3, CHANNELS, CHANNELS2),
        "fc": (10, 4 * CHANNELS2),
    }
    parameters = {}
    for name, shape in shapes.items():
        fan_in = shape[1] if name == "fc" else shape[0] * shape[1] * shape[2]
        limit = np.sqrt(6.0 / fan_in)
        parameters[name + "_weight"] = (2.0 * rng.random(shape) - 1.0) * limit
        parameters[name + "_bias"] = np.zeros(shape[0] if name == "fc" else shape[3])
    return parameters


def shifted(x):
    """The nine views of x that a 3x3 SAME filter sees, in filter order (row, column)."""
    _, h, w, _ = x.shape
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return [padded[:, i:i + h, j:j + w] for i in range(3) for j in range(3)]


def unshifted(parts):
    """Adjoint of `shifted`: add the nine gradients back where their pixels came from."""
    n, h, w, c = parts[0].shape
    padded = np.zeros((n, h + 2, w + 2, c))
    for k, part in enumerate(parts):
        padded[:, k // 3:k // 3 + h, k % 3:k % 3 + w] += part
    return padded[:, 1:-1, 1:-1]


def dense(x, weight, bias):
    """Product over the last axis; weight is [in, out]."""
    flat = matmul(x.reshape(-1, x.shape[-1]), weight) + bias
    return flat.reshape(*x.shape[:-1], -1)


def dense_gradients(x, weight, g):
    """Gradients of `dense` for x, weight and bias."""
    x2, g2 = x.reshape(-1, x.shape[-1]), g.reshape(-1, g.shape[-1])
    return matmul(g2, weight.T).reshape(x.shape), matmul(x2.T, g2), column_sums(g2)


def conv3x3(x, weight, bias):
    """3x3 SAME convolution; also returns the unfolded input for the gradient."""
    unfolded = np.concatenate(shifted(x), axis=3)
    return dense(unfolded, weight.reshape(-1, weight.shape[3]), bias), unfolded


def conv3x3_gradients(unfolded, weight, g):
    """Gradients of `conv3x3` for its input, weight and bias."""
    g_unfolded, g_weight, g_bias = dense_gradients(unfolded, weight.reshape(-1, weight.shape[3]), g)
    return unshifted(np.split(g_unfolded, 9, axis=3)), g_weight.reshape(weight.shape), g_bias


def depthwise3x3(x, weight, bias):
    """3x3 SAME depthwise convolution, multiplier one."""
    out = np.zeros(x.shape) + bias
    for part, tap in zip(shifted(x), weight.reshape(9, -1)):
        out = out + part * tap
    return out


def depthwise3x3_gradients(x, weight, g):
    """Gradients of `depthwise3x3` for its input, weight and bias."""
    channels = x.shape[3]
    taps = weight.reshape(9, channels)
    g_taps = [column_sums((part * g).reshape(-1, channels)) for part in shifted(x)]
    # A tap that read pixel p for output q sends the gradient of q back to p.
    g_x = unshifted([g * tap for tap in taps])
    return g_x, np.stack(g_taps).reshape(weight.shape), column_sums(g.reshape(-1, channels))


def max_pool(x):
    """2x2 max pooling; also returns which of the four pixels won (the first of equals)."""
    quads = np.stack([x[:, i::2, j::2] for i in range(2) for j in range(2)])
    return quads.max(axis=0), quads.argmax(axis=0)


def max_pool_gradient(winner, g):
    """Gradient of `max_pool` for its input."""
    n, h, w, c = g.shape
    g_x = np.zeros((n, 2 * h, 2 * w, c))
    for k in range(4):
        g_x[:, k // 2::2, k % 2::2] = np.where(winner == k, g, 0.0)
    return g_x


def average_windows():
    """Window slices and pixel counts of a 3x3 stride-2 pool over 4x4, padded by one after."""
    spans = [slice(0, 3), slice(2, 4)]
    return [(i, j, r, c, (r.stop - r.start) * (c.stop - c.start))
            for i, r in enumerate(spans) for j, c in enumerate(spans)]


def average_pool(x):
    """Average over the real pixels of each window: padding does not count."""
    out = np.zeros((len(x), 2, 2, x.shape[3]))
    for i, j, rows, columns, count in average_windows():
        for row in range(rows.start, rows.stop):
            for column in range(columns.start, columns.stop):
                out[:, i, j] += x[:, row, column]
        out[:, i, j] /= count
    return out


def average_pool_gradient(g):
    """Gradient of `average_pool` for its input."""
    g_x = np.zeros((len(g), 4, 4, g.shape[3]))
    for i, j, rows, columns, count in average_windows():
        g_x[:, rows, columns] += g[:, i:i + 1, j:j + 1] / count
    return g_x


def forward(p, image):
    """All activations by tensor name (`image` is real, 0..1), and what the gradients need."""
    a, saved = {"image": image}, {}
    a["conv1"], saved["conv1"] = conv3x3(image, p["conv1_weight"], p["conv1_bias"])
    a["relu1"] = np.maximum(a["conv1"], 0.0)
    a["dw"] = depthwise3x3(a["relu1"], p["dw_weight"], p["dw_bias"])
    a["pw"] = dense(a["dw"], p["pw_weight"][0, 0], p["pw_bias"])
    a["sum"] = a["relu1"] + a["pw"]
    a["relu2"] = np.maximum(a["sum"], 0.0)
    a["pool1"], saved["pool1"] = max_pool(a["relu2"])
    a["conv2"], saved["conv2"] = conv3x3(a["pool1"], p["conv2_weight"], p["conv2_bias"])
    a["relu3"] = np.maximum(a["conv2"], 0.0)
    a["pool2"] = average_pool(a["relu3"])
    a["flat"] = a["pool2"].reshape(len(image), -1)
    a["logits"] = dense(a["flat"], p["fc_weight"].T, p["fc_bias"])
    return a, saved


def gradients(p, image, label):
    """Gradients of the mean cross entropy of one batch."""
    a, saved = forward(p, image)
    g = (softmax(a["logits"]) - np.eye(10)[label]) / len(label)
    d = {}
    g, weight, d["fc_bias"] = dense_gradients(a["flat"], p["fc_weight"].T, g)
    d["fc_weight"] = weight.T
    g = average_pool_gradient(g.reshape(a["pool2"].shape)) * (a["conv2"] > 0)
    g, d["conv2_weight"], d["conv2_bias"] = conv3x3_gradients(
        saved["conv2"], p["conv2_weight"], g)
    g_sum = max_pool_gradient(saved["pool1"], g) * (a["sum"] > 0)
    g, weight, d["pw_bias"] = dense_gradients(a["dw"], p["pw_weight"][0, 0], g_sum)
    d["pw_weight"] = weight[None, None]
    g, d["dw_weight"], d["dw_bias"] = depthwise3x3_gradients(a["relu1"], p["dw_weight"], g)
    g = (g + g_sum) * (a["conv1"] > 0)
    _, d["conv1_weight"], d["conv1_bias"] = conv3x3_gradients(saved["conv1"], p["conv1_weight"], g)
    return d


def augmented(image, rng):
    """Half of the images moved by up to one pixel each way; what enters is background."""
    n = len(image)
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1), (0, 0)))
    offset = np.where(rng.random((n, 1)) < 0.5, 1, rng.integers(0, 3, (n, 2)))
    return np.stack([x[i:i + 8, j:j + 8] for x, (i, j) in zip(padded, offset)])


def train(image, label):
    """Adam with decoupled weight decay, the rate falling linearly to zero. Returns parameters."""
    rng = np.random.Generator(np.random.PCG64(SEED))
    p = initial_parameters(rng)
    m = {name: np.zeros_like(value) for name, value in p.items()}
    v = {name: np.zeros_like(value) for name, value in p.items()}
    batches = len(image) // BATCH
    steps, step, decay1, decay2 = EPOCHS * batches, 0, 1.0, 1.0
    for _ in range(EPOCHS):
        order = rng.permutation(len(image))
        for b in range(batches):
            chosen = order[b * BATCH:(b + 1) * BATCH]
            d = gradients(p, augmented(image[chosen], rng), label[chosen])
            rate = LEARNING_RATE * (1.0 - step / steps)
            step, decay1, decay2 = step + 1, decay1 * 0.9, decay2 * 0.999
            for name, g in d.items():
                m[name] = 0.9 * m[name] + 0.1 * g
                v[name] = 0.999 * v[name] + 0.001 * g * g
                update = (m[name] / (1.0 - decay1)) / (np.sqrt(v[name] / (1.0 - decay2)) + 1e-8)
                if name.endswith("_weight"):
                    update = update + WEIGHT_DECAY * p[name]
                p[name] = p[name] - rate * update
    return p


def accuracy(logits, label):
    """Share of images whose largest logit is the label's (the first of equals)."""
    return float(np.mean(logits.argmax(axis=1) == label))
