//! Operations: `QnnGraph_addNode`, and `QnnBackend_validateOpConfig`, which asks about one alone.

use heapless::Vec;
use runtime::error::CreateError;
use runtime::graph::{
    BuildError, GraphBuilder, GraphTable, Op, OpSpec, ParamSpec, ParamValue, ScaleOffset,
    TensorKind,
};
use runtime::handle::GraphId;
use runtime::region::Region;
use runtime::vhtp::OpRefusal;

use crate::abi::*;
use crate::client;
use crate::convert::{Code, Family};
use crate::export::operand::{data_type, Fields, Operand, Place};
use crate::export::{answer, backend, known_graph, settled, Machine};
use crate::instance::Device;
use crate::refusal::{because, instead, no_array, no_text, within, Dims, Name, Say, Short, Words};

/// Most inputs, and most outputs, of one operation.
const OPERANDS_MAX: usize = 128;
/// Most parameters of one operation.
const PARAMS_MAX: usize = 32;
/// Constants with more bytes than this are validated without their data, which would have to be
/// copied: the device looks at parameters and biases, which are never that large.
const DATA_LOOKED_AT_MAX: usize = 1 << 20;
/// The package whose operations exist.
pub(crate) const PACKAGE: &str = "qti.aisw";

/// An operation as a client describes it.
struct Node<'a> {
    name: &'a str,
    package: &'a str,
    type_name: &'a str,
    params: &'a [Qnn_Param_t],
    inputs: &'a [Qnn_Tensor_t],
    outputs: &'a [Qnn_Tensor_t],
}

const BAD: Code = QNN_GRAPH_ERROR_INVALID_OP_CONFIG;

impl<'a> Node<'a> {
    /// # Safety
    /// What the operation points to is readable and stays as it is for `'a`.
    unsafe fn read(op: &Qnn_OpConfig_t) -> Result<Self, Code> {
        if op.version != QNN_OPCONFIG_VERSION_1 {
            return Err(because!(BAD, "opConfig.version is ", op.version, ", only 1 exists"));
        }
        // SAFETY: the version selects this member.
        let op = unsafe { &op.u.v1 };
        // SAFETY: the caller's promise, for all of them.
        unsafe {
            let text = |text, field| client::text(text).map_err(no_text(BAD, field));
            let tensors = |array, number, (at, count)| {
                client::array(at, count, OPERANDS_MAX).ok_or_else(no_array(
                    BAD,
                    (array, number),
                    count,
                ))
            };
            let params = client::array(op.params, op.numOfParams, PARAMS_MAX);
            let no_params = ("opConfig.v1.params", "numOfParams");
            Ok(Self {
                name: text(op.name, "opConfig.v1.name")?,
                package: text(op.packageName, "opConfig.v1.packageName")?,
                type_name: text(op.typeName, "opConfig.v1.typeName")?,
                params: params.ok_or_else(no_array(BAD, no_params, op.numOfParams))?,
                inputs: tensors(
                    "opConfig.v1.inputTensors",
                    "numOfInputs",
                    (op.inputTensors.cast_const(), op.numOfInputs),
                )?,
                outputs: tensors(
                    "opConfig.v1.outputTensors",
                    "numOfOutputs",
                    (op.outputTensors.cast_const(), op.numOfOutputs),
                )?,
            })
        }
    }

    /// The code of a refusal, which is told with what the operation is called.
    fn refused(&self, code: Code) -> Code {
        within!(code, Short(self.type_name), " ", Name(self.name), ": ")
    }
}

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnGraph_addNode(
    graphHandle: Qnn_GraphHandle_t,
    opConfig: Qnn_OpConfig_t,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    answer(c"QnnGraph_addNode", unsafe { add_node(graphHandle, &opConfig) })
}

/// # Safety
/// As the QNN API says.
unsafe fn add_node(graph: Qnn_GraphHandle_t, op: &Qnn_OpConfig_t) -> Result<(), Code> {
    let (instance, graph) = known_graph("graphHandle", graph, QNN_GRAPH_ERROR_INVALID_HANDLE)?;
    // SAFETY: the caller's promise.
    let node = unsafe { Node::read(op) }?;
    if node.package != PACKAGE {
        return Err(node.refused(unknown_package(BAD, node.package)));
    }
    for &required in Device::required_params(node.type_name) {
        // SAFETY: the caller's promise.
        let is_it = |param: &Qnn_Param_t| unsafe { client::text(param.name) } == Ok(required);
        if !node.params.iter().any(is_it) {
            const LACKING: Code = QNN_GRAPH_ERROR_INVALID_ARGUMENT;
            let code = because!(LACKING, "params lacks ", Name(required), ", which it needs");
            return Err(node.refused(code));
        }
    }
    // SAFETY: the caller's promise.
    let add = |machine: &mut Machine, _| unsafe { add_or_undo(machine, graph, &node) };
    settled(instance, add).map_err(|error| node.refused(not_added(error, &node)))
}

fn unknown_package(code: Code, package: &str) -> Code {
    because!(code, "packageName is ", Name(package), ", there is only ", Name(PACKAGE))
}

/// The answer to an operation that no graph takes.
fn not_added(error: CreateError, node: &Node<'_>) -> Code {
    let code = Family::GRAPH.create_error(error);
    let CreateError::Build(error) = error else { return code };
    match error {
        BuildError::InputNotProduced(at) => {
            let why = " is not produced yet: add operations in the order of their data";
            because!(code, Place("inputTensors", at, named(node.inputs, at)), why)
        }
        BuildError::BadOutput(at) => {
            let why = " is constant, written by the client, or by an operation already";
            because!(code, Place("outputTensors", at, named(node.outputs, at)), why)
        }
        BuildError::BadParam(at) => {
            because!(code, "params[", at, "].tensorParam is no static tensor")
        }
        // What has words said them.
        _ => code,
    }
}

fn named(tensors: &[Qnn_Tensor_t], at: usize) -> Option<&str> {
    let fields = tensors.get(at).and_then(Fields::of)?;
    // SAFETY: who described the operation promised sound names.
    unsafe { fields.name() }
}

/// Tensors of the context that the operation brings into the graph go again if it does not stay.
///
/// # Safety
/// What the node points to is readable.
unsafe fn add_or_undo(
    machine: &mut Machine,
    graph: GraphId,
    node: &Node<'_>,
) -> Result<(), CreateError> {
    let mark = machine.graph_mark(graph)?;
    // SAFETY: the caller's promise.
    let added = unsafe { add(machine, graph, node) };
    if added.is_err() {
        machine.graph_truncate(graph, mark);
    }
    added
}

const BAD_OP: CreateError = CreateError::Build(BuildError::NoSuchTensor);

/// The error whose code is [`BAD`], which has been said with the reason.
fn bad_op(_said: Code) -> CreateError {
    BAD_OP
}

/// # Safety
/// What the node points to is readable.
unsafe fn add(machine: &mut Machine, graph: GraphId, node: &Node<'_>) -> Result<(), CreateError> {
    let inputs = indices(machine, graph, ("inputTensors", node.inputs), false)?;
    let outputs = indices(machine, graph, ("outputTensors", node.outputs), true)?;
    let mut params = Vec::<ParamSpec<'_>, PARAMS_MAX>::new();
    for (at, param) in node.params.iter().enumerate() {
        let tensor = |tensor: &Qnn_Tensor_t| index(machine, graph, tensor, false);
        // SAFETY: the caller's promise.
        let spec = unsafe { param_spec(param, tensor) };
        let spec = spec.inspect_err(|_| _ = within!(BAD, "params[", at, "]"))?;
        params.push(spec).map_err(|_| BAD_OP)?;
    }
    let (name, package, type_name) = (node.name, node.package, node.type_name);
    let (params, inputs, outputs) = (&params[..], &inputs[..], &outputs[..]);
    machine.graph_add_op(graph, &OpSpec { name, package, type_name, params, inputs, outputs })
}

fn indices(
    machine: &mut Machine,
    graph: GraphId,
    (list, tensors): (&'static str, &[Qnn_Tensor_t]),
    writes: bool,
) -> Result<Vec<u32, OPERANDS_MAX>, CreateError> {
    let mut found = Vec::new();
    for (at, tensor) in tensors.iter().enumerate() {
        let index = index(machine, graph, tensor, writes);
        let place = Place(list, at, named(tensors, at));
        let index = index.inspect_err(|_| _ = within!(BAD, place))?;
        // There is room for as many as were read.
        found.push(index).map_err(|_| BAD_OP)?;
    }
    Ok(found)
}

/// Place of a tensor that was created before in the graph or in its context, by its id.
fn index(
    machine: &mut Machine,
    graph: GraphId,
    tensor: &Qnn_Tensor_t,
    writes: bool,
) -> Result<u32, CreateError> {
    let fields = Fields::read(tensor, BAD).map_err(bad_op)?;
    machine.graph_operand(graph, fields.id, writes).inspect_err(|error| {
        if *error == BAD_OP {
            let why = ": neither the graph nor its context has such a tensor";
            because!(BAD, fields.path, ".id is ", fields.id, why);
        }
    })
}

/// # Safety
/// What the parameter points to is readable for `'a`.
unsafe fn param_spec<'a>(
    param: &'a Qnn_Param_t,
    tensor: impl FnOnce(&'a Qnn_Tensor_t) -> Result<u32, CreateError>,
) -> Result<ParamSpec<'a>, CreateError> {
    // SAFETY: the caller's promise.
    let name = unsafe { client::text(param.name) };
    let name = name.map_err(|error| bad_op(no_text(BAD, ".name")(error)))?;
    let value = match param.paramType {
        QNN_PARAMTYPE_SCALAR => {
            // SAFETY: the type selects this member.
            scalar(unsafe { &param.u.scalarParam })
        }
        QNN_PARAMTYPE_TENSOR => {
            // SAFETY: the type selects this member.
            let given = unsafe { &param.u.tensorParam };
            let index = tensor(given).inspect_err(|_| _ = within!(BAD, ".tensorParam"));
            index.map(ParamValue::Tensor)
        }
        kind => {
            let why = ", 0 (SCALAR) and 1 (TENSOR) exist";
            Err(bad_op(because!(BAD, ".paramType is ", kind, why)))
        }
    };
    let value = value.inspect_err(|_| _ = within!(BAD, " ", Name(name)))?;
    Ok(ParamSpec { name, value })
}

/// A scalar as type and bits. Strings and numbers that the runtime has no type for are refused.
fn scalar(scalar: &Qnn_Scalar_t) -> Result<ParamValue, CreateError> {
    let data_type = data_type(scalar.dataType)
        .map_err(|code| bad_op(within!(instead(code, BAD), ".scalarParam")))?;
    // SAFETY: the members share their first bytes, and every bit pattern is a number.
    let bits = unsafe {
        match data_type.size_bytes() {
            1 => scalar.u.uint8Value.into(),
            2 => scalar.u.uint16Value.into(),
            4 => scalar.u.uint32Value.into(),
            _ => scalar.u.uint64Value,
        }
    };
    Ok(ParamValue::Scalar(data_type, bits))
}

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnBackend_validateOpConfig(
    backend: Qnn_BackendHandle_t,
    opConfig: Qnn_OpConfig_t,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    answer(c"QnnBackend_validateOpConfig", unsafe { validate(backend, &opConfig) })
}

const REFUSED: Code = QNN_OP_PACKAGE_ERROR_VALIDATION_FAILURE;
const UNKNOWN: Code = QNN_BACKEND_ERROR_OP_PACKAGE_NOT_FOUND;

/// The answer to an operand or a parameter that the calls of a graph would refuse with `code`.
fn refused_with(code: Code) -> Code {
    match code {
        QNN_COMMON_ERROR_MEM_ALLOC => code,
        _ => instead(code, REFUSED),
    }
}

/// # Safety
/// As the QNN API says.
unsafe fn validate(backend: Qnn_BackendHandle_t, op: &Qnn_OpConfig_t) -> Result<(), Code> {
    let (instance, _) = backend::known(backend)?;
    if has_too_many(op) {
        return Err(because!(REFUSED, "opConfig has too many operands or parameters"));
    }
    // SAFETY: the caller's promise.
    let node = unsafe { Node::read(op) }.map_err(|code| instead(code, UNKNOWN))?;
    let verdict = check_known(&node).and_then(|()| {
        instance.driver.call(|machine, _| {
            let region = machine.region_mut();
            let mut builder =
                GraphBuilder::new(region, "").map_err(|_| QNN_COMMON_ERROR_MEM_ALLOC)?;
            // SAFETY: the caller's promise.
            let verdict = unsafe { validate_in(&mut builder, region, &node) };
            builder.release(region);
            verdict
        })
    });
    verdict.map_err(|code| node.refused(code))
}

fn has_too_many(op: &Qnn_OpConfig_t) -> bool {
    if op.version != QNN_OPCONFIG_VERSION_1 {
        return false;
    }
    // SAFETY: the version selects this member, plain numbers and pointers.
    let op = unsafe { &op.u.v1 };
    op.numOfParams as usize > PARAMS_MAX
        || op.numOfInputs.max(op.numOfOutputs) as usize > OPERANDS_MAX
}

fn check_known(node: &Node<'_>) -> Result<(), Code> {
    if node.package != PACKAGE {
        return Err(unknown_package(UNKNOWN, node.package));
    }
    let mut known = backend::OPERATIONS.iter();
    match known.any(|name| name.to_bytes() == node.type_name.as_bytes()) {
        true => Ok(()),
        false => Err(because!(UNKNOWN, "the device has no operation of this typeName")),
    }
}

/// Builds a graph of the one operation and has the device look at it.
///
/// # Safety
/// What the node points to is readable.
unsafe fn validate_in(
    builder: &mut GraphBuilder<'static>,
    region: &mut Region<'static>,
    node: &Node<'_>,
) -> Result<(), Code> {
    let mut inputs = Vec::<u32, OPERANDS_MAX>::new();
    let mut outputs = Vec::<u32, OPERANDS_MAX>::new();
    let mut params = Vec::<ParamSpec<'_>, PARAMS_MAX>::new();
    for (list, tensors, kind, indices) in [
        ("inputTensors", node.inputs, TensorKind::AppWrite, &mut inputs),
        ("outputTensors", node.outputs, TensorKind::AppRead, &mut outputs),
    ] {
        for (at, tensor) in tensors.iter().enumerate() {
            // SAFETY: the caller's promise.
            let index = unsafe { add_operand(builder, region, tensor, kind) };
            let place = Place(list, at, named(tensors, at));
            let index = index.map_err(|code| within!(refused_with(code), place))?;
            // There is room for as many as were read.
            indices.push(index).map_err(|_| REFUSED)?;
        }
    }
    for (at, param) in node.params.iter().enumerate() {
        let add = |tensor| {
            // SAFETY: the caller's promise.
            unsafe { add_operand(builder, region, tensor, TensorKind::Static) }
                .map_err(|code| bad_op(instead(code, BAD)))
        };
        // SAFETY: the caller's promise.
        let spec = unsafe { param_spec(param, add) };
        let spec = spec.map_err(|error| {
            let code = within!(Family::GRAPH.create_error(error), "params[", at, "]");
            refused_with(code)
        })?;
        params.push(spec).map_err(|_| REFUSED)?;
    }
    let (name, package, type_name) = ("", node.package, node.type_name);
    let op =
        OpSpec { name, package, type_name, params: &params, inputs: &inputs, outputs: &outputs };
    let added = builder.add_op(region, &op);
    added.map_err(|error| refused_with(not_added(error.into(), node)))?;
    let bytes = builder.write(region).map_err(|_| QNN_COMMON_ERROR_MEM_ALLOC)?;
    // Not parsed, because large constants have no data.
    let table = GraphTable::open(&bytes);
    let verdict = match table.ok().and_then(|table| table.op(0)) {
        Some(op) => Device::validate_op(&op).map_err(|why| refused_op(REFUSED, why, &op)),
        None => Err(REFUSED),
    };
    // Nobody else has it, so it goes back.
    let _ = region.reclaim(bytes);
    verdict
}

/// Why the device does not run an operation.
pub(crate) fn refused_op(code: Code, why: OpRefusal, op: &Op<'_>) -> Code {
    let (inputs, outputs) = (op.inputs().len(), op.outputs().len());
    let signature = Signature(op);
    match why {
        OpRefusal::Inputs(needed) => {
            because!(code, "numOfInputs is ", inputs, ", ", needed, " are needed")
        }
        OpRefusal::Outputs(needed) => {
            because!(code, "numOfOutputs is ", outputs, ", ", needed, " are needed")
        }
        OpRefusal::NoInput(at) => because!(code, "inputTensors[", at, "] is absent"),
        OpRefusal::Type(tensor) => {
            let why = ": the device does not take this data type there; given are ";
            because!(code, Of(op, tensor), why, signature)
        }
        OpRefusal::Scales(tensor) => {
            let why = ": its quantizeParams do not fit its data type and place; given are ";
            because!(code, Of(op, tensor), why, signature)
        }
        OpRefusal::Shape(tensor) => {
            let why = ": its dimensions do not fit the operation; given are ";
            because!(code, Of(op, tensor), why, signature)
        }
        OpRefusal::Param(name) => match op.param(name) {
            Some(_) => because!(code, "params ", Name(name), " has a wrong type or value"),
            None => because!(code, "params lacks ", Name(name), ", which it needs"),
        },
        OpRefusal::UnknownParam(at) => {
            let name = op.params().nth(at).map_or("", |param| param.name());
            because!(code, "params[", at, "] ", Name(name), " is no parameter of this operation")
        }
        OpRefusal::Unsupported => {
            because!(code, "the device does not run it with these data types: ", signature)
        }
        OpRefusal::Invalid => {
            let why = "the device does not run it with these shapes, scales or parameters: ";
            because!(code, why, signature)
        }
    }
}

/// Types and shapes of an operation's operands.
struct Signature<'a>(&'a Op<'a>);

impl Say for Signature<'_> {
    fn say(&self, words: &mut Words) {
        for (list, arrow) in [(self.0.inputs(), ""), (self.0.outputs(), " -> ")] {
            arrow.say(words);
            for (at, tensor) in list.iter().enumerate() {
                if at > 0 { ", " } else { "" }.say(words);
                tensor.data_type().say(words);
                Dims(tensor.dims()).say(words);
            }
        }
    }
}

/// A tensor of an operation, by its index in the table.
struct Of<'a>(&'a Op<'a>, usize);

impl Say for Of<'_> {
    fn say(&self, words: &mut Words) {
        for (name, list) in [("inputTensors", self.0.inputs()), ("outputTensors", self.0.outputs())]
        {
            let found = list.iter().enumerate().find(|(_, tensor)| tensor.index() == self.1);
            if let Some((at, tensor)) = found {
                return Place(name, at, Some(tensor.name())).say(words);
            }
        }
        "a tensor of params".say(words);
    }
}

/// # Safety
/// What the tensor points to is readable.
unsafe fn add_operand(
    builder: &mut GraphBuilder<'static>,
    region: &mut Region<'static>,
    tensor: &Qnn_Tensor_t,
    kind: TensorKind,
) -> Result<u32, Code> {
    // SAFETY: the caller's promise.
    let operand = unsafe { Operand::read(tensor) }?.anonymous(kind);
    let quants = operand.scale_offsets(region).map_err(|_| QNN_COMMON_ERROR_MEM_ALLOC)?;
    let id = u32::try_from(builder.tensor_count()).unwrap_or(u32::MAX).saturating_add(1);
    let scales: &[ScaleOffset] = &quants;
    let spec = operand.spec(id, scales);
    let added = match spec.data.len() > DATA_LOOKED_AT_MAX {
        true => builder.add_tensor_without_data(region, &spec),
        false => builder.add_tensor(region, &spec),
    };
    region.free(quants);
    added.map_err(|error| operand.refused(error.into()))
}
