//! `cargo xtask model`: makes the digit network's context binary from its description.

use std::collections::HashMap;
use std::fs;

use anyhow::{bail, Context as _, Result};
use htp_runtime::binary::{BinaryLayout, GraphSource};
use htp_runtime::graph::{
    DataType, GraphBuilder, GraphOptions, OpSpec, ParamSpec, ParamValue, ScaleOffset, TensorKind,
    TensorSpec,
};
use htp_runtime::region::Region;
use htp_runtime::sched::Priority;
use serde::Deserialize;

use crate::workspace;

/// Architecture that the committed binary is for: the virtual device's default.
const ARCH: u32 = 73;
const DESCRIPTION: &str = "data/digits/network.json";
const BINARY: &str = "data/digits/digits.htpb";

#[derive(Deserialize)]
struct Network {
    name: String,
    tensors: Vec<Tensor>,
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Tensor {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    data_type: String,
    dims: Vec<u32>,
    quantization: Option<Quantization>,
    data: Option<Vec<i64>>,
}

#[derive(Deserialize)]
#[serde(tag = "encoding")]
enum Quantization {
    #[serde(rename = "QNN_QUANTIZATION_ENCODING_SCALE_OFFSET")]
    Tensor { scale: f32, offset: i32 },
    #[serde(rename = "QNN_QUANTIZATION_ENCODING_AXIS_SCALE_OFFSET")]
    Axis { axis: u32, scale_offset: Vec<(f32, i32)> },
}

#[derive(Deserialize)]
struct Node {
    name: String,
    package: String,
    #[serde(rename = "type")]
    type_name: String,
    params: Vec<TensorParam>,
    inputs: Vec<String>,
    outputs: Vec<String>,
}

#[derive(Deserialize)]
struct TensorParam {
    name: String,
    data_type: String,
    dims: Vec<u32>,
    data: Vec<i64>,
}

/// Writes the binary, or with `check` fails if the committed one is not what would be written.
pub(crate) fn run(check: bool) -> Result<()> {
    let root = workspace::root();
    let text = fs::read_to_string(root.join(DESCRIPTION)).context(DESCRIPTION)?;
    let network: Network = serde_json::from_str(&text).context(DESCRIPTION)?;
    let binary = build(&network)?;
    let path = root.join(BINARY);
    if check {
        if fs::read(&path).context(BINARY)? != binary {
            bail!("{BINARY} is not made from {DESCRIPTION}: run `cargo xtask model`");
        }
        return Ok(());
    }
    fs::write(&path, &binary).context(BINARY)?;
    println!("{BINARY}: {} bytes, graph `{}`, architecture {ARCH}", binary.len(), network.name);
    Ok(())
}

fn build(network: &Network) -> Result<Vec<u8>> {
    let mut region = Region::from_heap(16 << 20);
    let mut graph = Composition {
        builder: GraphBuilder::new(&mut region, &network.name).map_err(said)?,
        region,
        indices: HashMap::new(),
    };
    // The results that the network is trained and compared with round behind each convolution.
    graph.builder.set_options(GraphOptions { fold_relu_off: true, ..GraphOptions::default() });
    for tensor in &network.tensors {
        graph.add_tensor(tensor)?;
    }
    for node in &network.nodes {
        graph.add_node(node)?;
    }
    let table = graph.builder.write(&mut graph.region).map_err(said)?;
    let source = GraphSource { table: &table, priority: Priority::DEFAULT.qnn() };
    let layout = BinaryLayout::plan(ARCH, [source].into_iter()).map_err(said)?;
    let mut binary = vec![0; layout.size_bytes()];
    layout.write_into(&mut binary).map_err(said)?;
    Ok(binary)
}

/// The runtime's errors are plain values; here they end the program.
fn said(error: impl std::fmt::Debug) -> anyhow::Error {
    anyhow::anyhow!("{error:?}")
}

struct Composition {
    builder: GraphBuilder<'static>,
    region: Region<'static>,
    indices: HashMap<String, u32>,
}

impl Composition {
    fn add_tensor(&mut self, tensor: &Tensor) -> Result<()> {
        let data_type = data_type(&tensor.data_type)?;
        let (quant_axis, quants) = match &tensor.quantization {
            None => (0, vec![]),
            Some(Quantization::Tensor { scale, offset }) => {
                let (scale, offset) = (*scale, *offset);
                (0, vec![ScaleOffset { scale, offset }])
            }
            Some(Quantization::Axis { axis, scale_offset }) => {
                let pair = |&(scale, offset)| ScaleOffset { scale, offset };
                (*axis, scale_offset.iter().map(pair).collect())
            }
        };
        let data = bytes(data_type, tensor.data.as_deref().unwrap_or(&[]));
        let kind = match tensor.kind.as_str() {
            "QNN_TENSOR_TYPE_APP_WRITE" => TensorKind::AppWrite,
            "QNN_TENSOR_TYPE_APP_READ" => TensorKind::AppRead,
            "QNN_TENSOR_TYPE_NATIVE" => TensorKind::Native,
            "QNN_TENSOR_TYPE_STATIC" => TensorKind::Static,
            other => bail!("tensor {}: unknown type {other}", tensor.name),
        };
        let dims = &tensor.dims;
        self.add(&tensor.name, kind, data_type, dims, quant_axis, &quants, &data)
    }

    fn add_node(&mut self, node: &Node) -> Result<()> {
        let mut params = vec![];
        for param in &node.params {
            let data_type = data_type(&param.data_type)?;
            let name = format!("{}.{}", node.name, param.name);
            let data = bytes(data_type, &param.data);
            self.add(&name, TensorKind::Static, data_type, &param.dims, 0, &[], &data)?;
            let value = ParamValue::Tensor(self.index(&name)?);
            params.push(ParamSpec { name: &param.name, value });
        }
        let indices = |names: &[String]| -> Result<Vec<u32>> {
            names.iter().map(|name| self.index(name)).collect()
        };
        let (inputs, outputs) = (indices(&node.inputs)?, indices(&node.outputs)?);
        let spec = OpSpec {
            name: &node.name,
            package: &node.package,
            type_name: &node.type_name,
            params: &params,
            inputs: &inputs,
            outputs: &outputs,
        };
        self.builder.add_op(&mut self.region, &spec).map_err(said).context(node.name.clone())
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of a tensor, named at both callers")]
    fn add(
        &mut self,
        name: &str,
        kind: TensorKind,
        data_type: DataType,
        dims: &[u32],
        quant_axis: u32,
        quants: &[ScaleOffset],
        data: &[u8],
    ) -> Result<()> {
        let id = u32::try_from(self.builder.tensor_count())? + 1;
        let spec = TensorSpec { id, name, kind, data_type, dims, quant_axis, quants, data };
        let index = self
            .builder
            .add_tensor(&mut self.region, &spec)
            .map_err(said)
            .context(name.to_owned())?;
        self.indices.insert(name.to_owned(), index);
        Ok(())
    }

    fn index(&self, name: &str) -> Result<u32> {
        self.indices.get(name).copied().with_context(|| format!("no tensor {name}"))
    }
}

fn data_type(name: &str) -> Result<DataType> {
    Ok(match name {
        "QNN_DATATYPE_UFIXED_POINT_8" => DataType::Ufixed8,
        "QNN_DATATYPE_SFIXED_POINT_8" => DataType::Sfixed8,
        "QNN_DATATYPE_SFIXED_POINT_32" => DataType::Sfixed32,
        "QNN_DATATYPE_UINT_32" => DataType::Uint32,
        other => bail!("unknown data type {other}"),
    })
}

/// Little-endian bytes of the elements.
fn bytes(data_type: DataType, elements: &[i64]) -> Vec<u8> {
    let size = data_type.size_bytes();
    elements.iter().flat_map(|element| element.to_le_bytes().into_iter().take(size)).collect()
}
