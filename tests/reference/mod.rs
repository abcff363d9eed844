//! Plain integer reference of the quantized operations, to judge faster implementations by.
//!
//! Loads `data/digits/network.json` and runs it node by node with nested loops and wide integers.
//! It shares no code with the runtime and aims at nothing but being obviously right.
//! Quantization: `real = scale * (q + offset)`.

mod ops;

use std::collections::HashMap;
use std::path::PathBuf;

use serde::Deserialize;

/// Scale and offset of one tensor, or of each index of one axis.
#[derive(Deserialize)]
#[serde(tag = "encoding")]
pub(crate) enum Quantization {
    #[serde(rename = "QNN_QUANTIZATION_ENCODING_SCALE_OFFSET")]
    Tensor { scale: f32, offset: i64 },
    #[serde(rename = "QNN_QUANTIZATION_ENCODING_AXIS_SCALE_OFFSET")]
    Axis { scale_offset: Vec<(f32, i64)> },
}

/// A tensor as the document describes it; `data` only for constants.
#[derive(Deserialize)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) dims: Vec<usize>,
    pub(crate) quantization: Quantization,
    pub(crate) data: Option<Vec<i64>>,
}

impl Tensor {
    /// Scale of a tensor quantized as a whole, widened.
    pub(crate) fn scale(&self) -> f64 {
        self.channel_scale(0)
    }

    /// Scale of one output channel, widened; the same for all when quantized as a whole.
    pub(crate) fn channel_scale(&self, channel: usize) -> f64 {
        match &self.quantization {
            Quantization::Tensor { scale, .. } => f64::from(*scale),
            Quantization::Axis { scale_offset } => f64::from(scale_offset[channel].0),
        }
    }

    /// Offset of one output channel.
    pub(crate) fn channel_offset(&self, channel: usize) -> i64 {
        match &self.quantization {
            Quantization::Tensor { offset, .. } => *offset,
            Quantization::Axis { scale_offset } => scale_offset[channel].1,
        }
    }

    /// Offset of a tensor quantized as a whole.
    pub(crate) fn offset(&self) -> i64 {
        self.channel_offset(0)
    }
}

/// A tensor parameter of a node, flat.
#[derive(Deserialize)]
struct Param {
    name: String,
    data: Vec<usize>,
}

/// One operation.
#[derive(Deserialize)]
pub(crate) struct Node {
    pub(crate) name: String,
    #[serde(rename = "type")]
    kind: String,
    params: Vec<Param>,
    inputs: Vec<String>,
    outputs: Vec<String>,
}

impl Node {
    /// A parameter the operation cannot do without.
    pub(crate) fn param(&self, name: &str) -> &[usize] {
        let found = self.params.iter().find(|p| p.name == name);
        &found.unwrap_or_else(|| panic!("{}: no parameter {name}", self.name)).data
    }
}

/// An input of an operation: what the tensor is, and its quantized values, row-major.
pub(crate) struct Operand<'a> {
    pub(crate) tensor: &'a Tensor,
    pub(crate) q: &'a [i64],
}

/// The network of the document.
#[derive(Deserialize)]
pub(crate) struct Network {
    tensors: Vec<Tensor>,
    nodes: Vec<Node>,
}

impl Network {
    /// Reads the digit network.
    pub(crate) fn digits() -> Self {
        serde_json::from_slice(&digits_file("network.json")).expect("network.json is well formed")
    }

    /// Runs the network on one image of 64 pixel bytes; returns the values of every tensor by name.
    pub(crate) fn run(&self, pixels: &[u8]) -> HashMap<&str, Vec<i64>> {
        let mut values: HashMap<&str, Vec<i64>> = HashMap::new();
        values.insert("image", pixels.iter().map(|&pixel| i64::from(pixel)).collect());
        for tensor in &self.tensors {
            if let Some(data) = &tensor.data {
                values.insert(&tensor.name, data.clone());
            }
        }
        for node in &self.nodes {
            let output = self.tensor(&node.outputs[0]);
            let inputs: Vec<Operand> = node
                .inputs
                .iter()
                .map(|name| Operand { tensor: self.tensor(name), q: &values[name.as_str()] })
                .collect();
            let result = execute(node, &inputs, output);
            assert_eq!(result.len(), output.dims.iter().product::<usize>(), "{}", node.name);
            values.insert(&output.name, result);
        }
        values
    }

    /// The ten bytes of `logits` for one image of 64 pixel bytes.
    pub(crate) fn logits(&self, pixels: &[u8]) -> Vec<u8> {
        bytes(&self.run(pixels)["logits"])
    }

    fn tensor(&self, name: &str) -> &Tensor {
        let found = self.tensors.iter().find(|tensor| tensor.name == name);
        found.unwrap_or_else(|| panic!("no tensor {name}"))
    }
}

/// Quantized values as the bytes a client reads.
pub(crate) fn bytes(values: &[i64]) -> Vec<u8> {
    values.iter().map(|&q| u8::try_from(q).expect("a quantized byte")).collect()
}

/// Contents of a file of `data/digits`.
pub(crate) fn digits_file(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data/digits").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn execute(node: &Node, inputs: &[Operand], out: &Tensor) -> Vec<i64> {
    match (node.kind.as_str(), inputs) {
        ("Conv2d", [x, weight, bias]) => ops::conv2d(node, x, weight, bias, out),
        ("DepthWiseConv2d", [x, weight, bias]) => {
            ops::depth_wise_conv2d(node, x, weight, bias, out)
        }
        ("FullyConnected", [x, weight, bias]) => ops::fully_connected(x, weight, bias, out),
        ("Relu", [x]) => ops::relu(x, out),
        ("ElementWiseAdd", [a, b]) => ops::element_wise_add(a, b, out),
        ("PoolMax2d", [x]) => ops::pool_max2d(node, x, out),
        ("PoolAvg2d", [x]) => ops::pool_avg2d(node, x, out),
        ("Reshape", [x]) => x.q.to_vec(),
        ("Softmax", [x]) => ops::softmax(x, out),
        (kind, _) => panic!("{}: {kind} with {} inputs", node.name, inputs.len()),
    }
}
