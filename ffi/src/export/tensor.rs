//! `QnnTensor.h`.
//!
//! A tensor of a context can be used by all its graphs, under one id; a graph that uses it has it
//! among its tensors from then on, with a copy of its data (C-116).

use core::sync::atomic::{AtomicU32, Ordering};

use runtime::capability::Capabilities;
use runtime::error::CreateError;
use runtime::graph::TensorSpec;
use runtime::handle::kind;

use crate::abi::*;
use crate::client;
use crate::convert::{context_id, graph_id, handle_error, Code, Family};
use crate::export::operand::{Fields, Operand};
use crate::export::{answer, known_graph, living, not_supported, settled, Machine};
use crate::refusal::{because, no_handle, null, within, Name};

const INVALID: Code = QNN_TENSOR_ERROR_INVALID_HANDLE;

/// Tensor ids count from 1 over all graphs of the process. Changed under the runtime's lock.
static LAST_ID: AtomicU32 = AtomicU32::new(0);

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnTensor_createGraphTensor(
    graph: Qnn_GraphHandle_t,
    tensor: *mut Qnn_Tensor_t,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    answer(c"QnnTensor_createGraphTensor", unsafe { create(graph, tensor) })
}

/// # Safety
/// As the QNN API says.
unsafe fn create(graph: Qnn_GraphHandle_t, tensor: *mut Qnn_Tensor_t) -> Result<(), Code> {
    let invalid = if graph.is_null() { QNN_GRAPH_ERROR_INVALID_HANDLE } else { INVALID };
    let none = no_handle::<kind::Graph>(invalid, "graph", graph);
    let instance = living(&none)?;
    let graph = graph_id(graph).ok_or_else(&none)?;
    // SAFETY: the caller's promise.
    let given = unsafe { client::one(tensor) }.ok_or_else(null(INVALID, "tensor"))?;
    // A handle that names nothing is the first thing to say, whatever the tensor is.
    settled(instance, |machine, _| machine.graph_context(graph))
        .map_err(|error| handle_error(error, none()))?;
    // SAFETY: the caller's promise.
    let operand = unsafe { named(given) }?;
    let place = |machine: &mut Machine, spec: &TensorSpec<'_>| {
        machine.graph_add_tensor(graph, spec).map(|_| ())
    };
    let id = settled(instance, |machine, _| add(machine, &operand, place))
        .map_err(|error| within!(operand.refused(error), "tensor ", Name(operand.name)))?;
    // SAFETY: `given` was readable and aligned; the caller promised that it is writable too.
    unsafe { write_id(tensor, id) };
    Ok(())
}

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnTensor_createContextTensor(
    context: Qnn_ContextHandle_t,
    tensor: *mut Qnn_Tensor_t,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    answer(c"QnnTensor_createContextTensor", unsafe { create_in_context(context, tensor) })
}

/// # Safety
/// As the QNN API says.
unsafe fn create_in_context(
    context: Qnn_ContextHandle_t,
    tensor: *mut Qnn_Tensor_t,
) -> Result<(), Code> {
    let none = no_handle::<kind::Context>(INVALID, "context", context);
    let instance = living(&none)?;
    let context = context_id(context).ok_or_else(&none)?;
    if !instance.capabilities.contains(Capabilities::ONLINE_COMPOSITION) {
        let why = "this platform does not compose graphs; load a context binary";
        return Err(because!(QNN_TENSOR_ERROR_UNSUPPORTED_FEATURE, why));
    }
    settled(instance, |machine, _| machine.context_status(context)).map_err(
        |error| match error {
            CreateError::Handle(error) => handle_error(error, none()),
            other => Family::TENSOR.create_error(other),
        },
    )?;
    if instance.objects.lock().owner(context).is_some_and(|owner| owner.loaded) {
        let why = "context was loaded from a binary: it takes no more tensors";
        return Err(because!(QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED, why));
    }
    // SAFETY: the caller's promise.
    let given = unsafe { client::one(tensor) }.ok_or_else(null(INVALID, "tensor"))?;
    // SAFETY: the caller's promise.
    let operand = unsafe { named(given) }?;
    let place =
        |machine: &mut Machine, spec: &TensorSpec<'_>| machine.context_add_tensor(context, spec);
    let id = settled(instance, |machine, _| add(machine, &operand, place))
        .map_err(|error| within!(operand.refused(error), "tensor ", Name(operand.name)))?;
    // SAFETY: as above.
    unsafe { write_id(tensor, id) };
    Ok(())
}

/// Reads a tensor; what is wrong with it is told with its name.
///
/// # Safety
/// As [`Operand::read`].
unsafe fn named(tensor: &Qnn_Tensor_t) -> Result<Operand<'_>, Code> {
    // SAFETY: the caller's promise.
    unsafe {
        Operand::read(tensor).map_err(|code| match Fields::of(tensor).and_then(|it| it.name()) {
            Some(name) => within!(code, "tensor ", Name(name)),
            None => within!(code, "tensor"),
        })
    }
}

/// Adds a tensor under a new id, which it gives.
fn add(
    machine: &mut Machine,
    operand: &Operand<'_>,
    place: impl FnOnce(&mut Machine, &TensorSpec<'_>) -> Result<(), CreateError>,
) -> Result<u32, CreateError> {
    let id = LAST_ID.load(Ordering::Relaxed).wrapping_add(1).max(1);
    let quants = operand.scale_offsets(machine.region_mut())?;
    let added = place(machine, &operand.spec(id, &quants));
    machine.region_mut().free(quants);
    added?;
    LAST_ID.store(id, Ordering::Relaxed);
    Ok(id)
}

/// # Safety
/// The tensor is writable and of a version that was read before.
unsafe fn write_id(tensor: *mut Qnn_Tensor_t, id: u32) {
    // SAFETY: the caller's promise; both versions have the id.
    unsafe {
        match (*tensor).version {
            QNN_TENSOR_VERSION_1 => (*tensor).u.v1.id = id,
            _ => (*tensor).u.v2.id = id,
        }
    }
}

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnTensor_updateGraphTensors(
    graph: Qnn_GraphHandle_t,
    tensor: *mut *const Qnn_Tensor_t,
    numTensors: u64,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    let updated = unsafe { update(graph, tensor, numTensors) };
    answer(c"QnnTensor_updateGraphTensors", updated)
}

/// No tensor can be updated (C-115): this only says what is wrong with the first of the list.
///
/// # Safety
/// As the QNN API says.
unsafe fn update(
    graph: Qnn_GraphHandle_t,
    list: *mut *const Qnn_Tensor_t,
    count: u64,
) -> Result<(), Code> {
    const BAD: Code = QNN_TENSOR_ERROR_INVALID_TENSOR_PARAM;
    let (instance, graph) = known_graph("graph", graph, INVALID)?;
    if count == 0 {
        return Ok(());
    }
    // SAFETY: the caller's promise.
    let first = unsafe { client::one(list) }.ok_or_else(null(BAD, "tensor"))?;
    // SAFETY: the caller's promise.
    let first = unsafe { client::one(*first) }.ok_or_else(null(BAD, "tensor[0]"))?;
    let first = Fields::read(first, BAD).map_err(|code| within!(code, "tensor[0]"))?;
    Err(instance.driver.call(|machine, _| match machine.graph_table(graph) {
        Ok(table) if table.tensors().any(|tensor| tensor.id() == first.id) => {
            let why = "tensor[0] is of a kind that is never updated";
            because!(QNN_TENSOR_ERROR_INCOMPATIBLE_TENSOR_UPDATE, why)
        }
        Ok(_) => {
            let why = ", the graph has no such tensor";
            because!(QNN_TENSOR_ERROR_DOES_NOT_EXIST, "tensor[0].id is ", first.id, why)
        }
        Err(_) => QNN_GRAPH_ERROR_GRAPH_NOT_FINALIZED,
    }))
}

not_supported! {
    QnnTensor_updateContextTensors(Qnn_ContextHandle_t, *mut *const Qnn_Tensor_t, u64);
}
