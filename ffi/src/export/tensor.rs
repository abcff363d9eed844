//! `QnnTensor.h`.
//!
//! A tensor of a context can be used by all its graphs, under one id; a graph that uses it has it
//! among its tensors from then on, with a copy of its data (C-116).

use core::sync::atomic::{AtomicU32, Ordering};

use runtime::capability::Capabilities;
use runtime::error::CreateError;
use runtime::graph::TensorSpec;

use crate::abi::*;
use crate::client;
use crate::convert::{context_id, graph_id, handle_error, Code, Family};
use crate::export::operand::{Fields, Operand};
use crate::export::{answer, living, not_supported, settled, Machine};

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
    let invalid = if graph.is_null() {
        QNN_GRAPH_ERROR_INVALID_HANDLE
    } else {
        QNN_TENSOR_ERROR_INVALID_HANDLE
    };
    let instance = living(invalid)?;
    let graph = graph_id(graph).ok_or(invalid)?;
    // SAFETY: the caller's promise.
    let given = unsafe { client::one(tensor) }.ok_or(QNN_TENSOR_ERROR_INVALID_HANDLE)?;
    // A handle that names nothing is the first thing to say, whatever the tensor is.
    settled(instance, |machine, _| machine.graph_context(graph))
        .map_err(|error| handle_error(error, invalid))?;
    // SAFETY: the caller's promise.
    let operand = unsafe { Operand::read(given) }?;
    let place = |machine: &mut Machine, spec: &TensorSpec<'_>| {
        machine.graph_add_tensor(graph, spec).map(|_| ())
    };
    let id = settled(instance, |machine, _| add(machine, &operand, place))
        .map_err(|error| Family::TENSOR.create_error(error))?;
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
    const INVALID: Code = QNN_TENSOR_ERROR_INVALID_HANDLE;
    let instance = living(INVALID)?;
    let context = context_id(context).ok_or(INVALID)?;
    if !instance.capabilities.contains(Capabilities::ONLINE_COMPOSITION) {
        return Err(QNN_TENSOR_ERROR_UNSUPPORTED_FEATURE);
    }
    settled(instance, |machine, _| machine.context_status(context))
        .map_err(|error| Family::TENSOR.create_error(error))?;
    if instance.objects.lock().owner(context).is_some_and(|owner| owner.loaded) {
        return Err(QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED);
    }
    // SAFETY: the caller's promise.
    let given = unsafe { client::one(tensor) }.ok_or(INVALID)?;
    // SAFETY: the caller's promise.
    let operand = unsafe { Operand::read(given) }?;
    let place =
        |machine: &mut Machine, spec: &TensorSpec<'_>| machine.context_add_tensor(context, spec);
    let id = settled(instance, |machine, _| add(machine, &operand, place))
        .map_err(|error| Family::TENSOR.create_error(error))?;
    // SAFETY: as above.
    unsafe { write_id(tensor, id) };
    Ok(())
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
    const INVALID: Code = QNN_TENSOR_ERROR_INVALID_HANDLE;
    const BAD: Code = QNN_TENSOR_ERROR_INVALID_TENSOR_PARAM;
    let instance = living(INVALID)?;
    let graph = graph_id(graph).ok_or(INVALID)?;
    settled(instance, |machine, _| machine.graph_context(graph))
        .map_err(|error| handle_error(error, INVALID))?;
    if count == 0 {
        return Ok(());
    }
    // SAFETY: the caller's promise.
    let first = unsafe { client::one(list) }.ok_or(BAD)?;
    // SAFETY: the caller's promise.
    let first = unsafe { client::one(*first) }.and_then(Fields::of).ok_or(BAD)?;
    Err(instance.driver.call(|machine, _| match machine.graph_table(graph) {
        Ok(table) if table.tensors().any(|tensor| tensor.id() == first.id) => {
            QNN_TENSOR_ERROR_INCOMPATIBLE_TENSOR_UPDATE
        }
        Ok(_) => QNN_TENSOR_ERROR_DOES_NOT_EXIST,
        Err(_) => QNN_GRAPH_ERROR_GRAPH_NOT_FINALIZED,
    }))
}

not_supported! {
    QnnTensor_updateContextTensors(Qnn_ContextHandle_t, *mut *const Qnn_Tensor_t, u64);
}
