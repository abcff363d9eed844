//! Operations: `QnnGraph_addNode`, and `QnnBackend_validateOpConfig`, which asks about one alone.

use core::ffi::CStr;

use heapless::Vec;
use runtime::error::CreateError;
use runtime::graph::{
    BuildError, GraphBuilder, GraphTable, OpSpec, ParamSpec, ParamValue, ScaleOffset, TensorKind,
};
use runtime::handle::GraphId;
use runtime::region::Region;

use crate::abi::*;
use crate::client;
use crate::convert::{from_client, graph_id, handle_error, Code, Family};
use crate::export::operand::{data_type, Fields, Operand};
use crate::export::{answer, backend, living, settled, Machine};
use crate::instance::Device;
use crate::objects::BackendId;
use crate::{log, messages};

/// Most inputs, and most outputs, of one operation.
const OPERANDS_MAX: usize = 128;
/// Most parameters of one operation.
const PARAMS_MAX: usize = 32;
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

/// Tells the logs why an operation is refused.
fn refuse(code: Code, parts: &[&str]) -> Code {
    log::emit_parts(QNN_LOG_LEVEL_ERROR, c"operation", parts);
    code
}

impl<'a> Node<'a> {
    /// # Safety
    /// What the operation points to is readable and stays as it is for `'a`.
    unsafe fn read(op: &Qnn_OpConfig_t) -> Result<Self, Code> {
        if op.version != QNN_OPCONFIG_VERSION_1 {
            return Err(refuse(BAD, &["there is no such version of the operation's structure"]));
        }
        let bad = |what| move |_| refuse(BAD, &[what, " is null or no text"]);
        let none = |what| move || refuse(BAD, &["the array of ", what, " is null or too long"]);
        // SAFETY: the version selects this member.
        let op = unsafe { &op.u.v1 };
        // SAFETY: the caller's promise, for all of them.
        unsafe {
            Ok(Self {
                name: client::text(op.name).map_err(bad("name"))?,
                package: client::text(op.packageName).map_err(bad("packageName"))?,
                type_name: client::text(op.typeName).map_err(bad("typeName"))?,
                params: client::array(op.params, op.numOfParams).ok_or_else(none("params"))?,
                inputs: client::array(op.inputTensors, op.numOfInputs)
                    .ok_or_else(none("inputs"))?,
                outputs: client::array(op.outputTensors, op.numOfOutputs)
                    .ok_or_else(none("outputs"))?,
            })
        }
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
    let instance = living(QNN_GRAPH_ERROR_INVALID_HANDLE)?;
    let graph = graph_id(graph).ok_or(QNN_GRAPH_ERROR_INVALID_HANDLE)?;
    settled(instance, |machine, _| machine.graph_context(graph))
        .map_err(|error| handle_error(error, QNN_GRAPH_ERROR_INVALID_HANDLE))?;
    // SAFETY: the caller's promise.
    let node = unsafe { Node::read(op) }?;
    if node.package != PACKAGE {
        let reason = "there is no such package; the only one is qti.aisw";
        return Err(refuse(BAD, &[node.name, ": ", reason]));
    }
    for &required in Device::required_params(node.type_name) {
        // SAFETY: the caller's promise.
        let is_it = |param: &Qnn_Param_t| unsafe { client::text(param.name) } == Ok(required);
        if !node.params.iter().any(is_it) {
            let parts = [node.name, ": a ", node.type_name, " needs the parameter ", required];
            return Err(refuse(QNN_GRAPH_ERROR_INVALID_ARGUMENT, &parts));
        }
    }
    // SAFETY: the caller's promise.
    let add = |machine: &mut Machine, _| unsafe { add_or_undo(machine, graph, &node) };
    settled(instance, add).map_err(|error| Family::GRAPH.create_error(error))
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

/// # Safety
/// What the node points to is readable.
unsafe fn add(machine: &mut Machine, graph: GraphId, node: &Node<'_>) -> Result<(), CreateError> {
    let inputs = indices(machine, graph, node.inputs, false)?;
    let outputs = indices(machine, graph, node.outputs, true)?;
    let mut params = Vec::<ParamSpec<'_>, PARAMS_MAX>::new();
    for param in node.params {
        let tensor = |tensor: &Qnn_Tensor_t| index(machine, graph, tensor, false);
        // SAFETY: the caller's promise.
        let spec = unsafe { param_spec(param, tensor) }?;
        params.push(spec).map_err(|_| BAD_OP)?;
    }
    let (name, package, type_name) = (node.name, node.package, node.type_name);
    let (params, inputs, outputs) = (&params[..], &inputs[..], &outputs[..]);
    machine.graph_add_op(graph, &OpSpec { name, package, type_name, params, inputs, outputs })
}

fn indices(
    machine: &mut Machine,
    graph: GraphId,
    tensors: &[Qnn_Tensor_t],
    writes: bool,
) -> Result<Vec<u32, OPERANDS_MAX>, CreateError> {
    let mut found = Vec::new();
    for tensor in tensors {
        found.push(index(machine, graph, tensor, writes)?).map_err(|_| BAD_OP)?;
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
    let fields = Fields::of(tensor).ok_or(BAD_OP)?;
    machine.graph_operand(graph, fields.id, writes)
}

/// # Safety
/// What the parameter points to is readable for `'a`.
unsafe fn param_spec<'a>(
    param: &'a Qnn_Param_t,
    tensor: impl FnOnce(&'a Qnn_Tensor_t) -> Result<u32, CreateError>,
) -> Result<ParamSpec<'a>, CreateError> {
    // SAFETY: the caller's promise.
    let name = unsafe { client::text(param.name) }.map_err(|_| BAD_OP)?;
    let value = match param.paramType {
        QNN_PARAMTYPE_SCALAR => {
            // SAFETY: the type selects this member.
            scalar(unsafe { &param.u.scalarParam })?
        }
        QNN_PARAMTYPE_TENSOR => {
            // SAFETY: the type selects this member.
            let given = unsafe { &param.u.tensorParam };
            ParamValue::Tensor(tensor(given)?)
        }
        _ => return Err(BAD_OP),
    };
    Ok(ParamSpec { name, value })
}

/// A scalar as type and bits. Strings and numbers that the runtime has no type for are refused.
fn scalar(scalar: &Qnn_Scalar_t) -> Result<ParamValue, CreateError> {
    let data_type = data_type(scalar.dataType).map_err(|_| BAD_OP)?;
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

const VALIDATE: &CStr = c"QnnBackend_validateOpConfig";

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnBackend_validateOpConfig(
    backend: Qnn_BackendHandle_t,
    opConfig: Qnn_OpConfig_t,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    answer(VALIDATE, unsafe { validate(backend, &opConfig) })
}

/// Why an operation is refused: the code, and a sentence for the logs.
struct Refusal {
    code: Code,
    reason: &'static CStr,
}

const REFUSED: Code = QNN_OP_PACKAGE_ERROR_VALIDATION_FAILURE;

impl Refusal {
    const UNKNOWN_PACKAGE: Refusal = Refusal {
        code: QNN_BACKEND_ERROR_OP_PACKAGE_NOT_FOUND,
        reason: c"there is no such package; the only one is qti.aisw",
    };
    const UNKNOWN_OPERATION: Refusal = Refusal {
        code: QNN_BACKEND_ERROR_OP_PACKAGE_NOT_FOUND,
        reason: c"the device has no such operation",
    };
    const TOO_MANY: Refusal =
        Refusal { code: REFUSED, reason: c"it has too many operands or parameters" };
    const UNFIT: Refusal = Refusal {
        code: REFUSED,
        reason: c"the device does not run it with these types, shapes, scales or parameters",
    };

    /// An operand or a parameter that the calls of a graph would refuse with `code`.
    fn because(code: Code) -> Self {
        let reason = messages::text(code).unwrap_or(c"it is described wrongly");
        let code = if code == QNN_COMMON_ERROR_MEM_ALLOC { code } else { REFUSED };
        Self { code, reason }
    }
}

impl From<BuildError> for Refusal {
    fn from(error: BuildError) -> Self {
        Refusal::because(Family::GRAPH.create_error(error.into()))
    }
}

/// # Safety
/// As the QNN API says.
unsafe fn validate(backend: Qnn_BackendHandle_t, op: &Qnn_OpConfig_t) -> Result<(), Code> {
    let instance = living(QNN_BACKEND_ERROR_INVALID_HANDLE)?;
    let backend: BackendId = from_client(backend).ok_or(QNN_BACKEND_ERROR_INVALID_HANDLE)?;
    backend::check(instance, backend)?;
    // SAFETY: the caller's promise.
    let node = unsafe { Node::read(op) }.map_err(|_| QNN_BACKEND_ERROR_OP_PACKAGE_NOT_FOUND)?;
    let verdict = check_known(&node).and_then(|()| {
        instance.driver.call(|machine, _| {
            let region = machine.region_mut();
            let mut builder = GraphBuilder::new(region, "")
                .map_err(|_| Refusal::because(QNN_COMMON_ERROR_MEM_ALLOC))?;
            // SAFETY: the caller's promise.
            let verdict = unsafe { validate_in(&mut builder, region, &node) };
            builder.release(region);
            verdict
        })
    });
    verdict.map_err(|refusal| {
        let reason = refusal.reason.to_str().unwrap_or("");
        let parts = [node.type_name, " (", node.name, "): ", reason];
        log::emit_parts(QNN_LOG_LEVEL_ERROR, VALIDATE, &parts);
        refusal.code
    })
}

fn check_known(node: &Node<'_>) -> Result<(), Refusal> {
    if node.package != PACKAGE {
        return Err(Refusal::UNKNOWN_PACKAGE);
    }
    let mut known = backend::OPERATIONS.iter();
    match known.any(|name| name.to_bytes() == node.type_name.as_bytes()) {
        true => Ok(()),
        false => Err(Refusal::UNKNOWN_OPERATION),
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
) -> Result<(), Refusal> {
    let mut inputs = Vec::<u32, OPERANDS_MAX>::new();
    let mut outputs = Vec::<u32, OPERANDS_MAX>::new();
    let mut params = Vec::<ParamSpec<'_>, PARAMS_MAX>::new();
    for (tensors, kind, indices) in [
        (node.inputs, TensorKind::AppWrite, &mut inputs),
        (node.outputs, TensorKind::AppRead, &mut outputs),
    ] {
        for tensor in tensors {
            // SAFETY: the caller's promise.
            let index = unsafe { add_operand(builder, region, tensor, kind) };
            let index = index.map_err(Refusal::because)?;
            indices.push(index).map_err(|_| Refusal::TOO_MANY)?;
        }
    }
    for param in node.params {
        let add = |tensor| {
            // SAFETY: the caller's promise.
            unsafe { add_operand(builder, region, tensor, TensorKind::Static) }.map_err(|_| BAD_OP)
        };
        // SAFETY: the caller's promise.
        let spec = unsafe { param_spec(param, add) };
        let spec = spec.map_err(|error| Refusal::because(Family::GRAPH.create_error(error)))?;
        params.push(spec).map_err(|_| Refusal::TOO_MANY)?;
    }
    let (name, package, type_name) = ("", node.package, node.type_name);
    let op =
        OpSpec { name, package, type_name, params: &params, inputs: &inputs, outputs: &outputs };
    builder.add_op(region, &op)?;
    let bytes = builder.write(region)?;
    let table = GraphTable::parse(&bytes);
    let verdict = match table.ok().and_then(|table| table.op(0)) {
        Some(op) => Device::validate_op(&op).map_err(|_| Refusal::UNFIT),
        None => Err(Refusal::UNFIT),
    };
    // Nobody else has it, so it goes back.
    let _ = region.reclaim(bytes);
    verdict
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
    let added = builder.add_tensor(region, &operand.spec(id, scales));
    region.free(quants);
    added.map_err(|error| Family::TENSOR.create_error(error.into()))
}
