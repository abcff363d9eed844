//! `QnnTensor.h`.

use core::sync::atomic::{AtomicU32, Ordering};

use runtime::error::CreateError;
use runtime::handle::GraphId;

use crate::abi::*;
use crate::client;
use crate::convert::{graph_id, Code, Family};
use crate::export::operand::Operand;
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
        .map_err(|error| crate::convert::handle_error(error, invalid))?;
    // SAFETY: the caller's promise.
    let operand = unsafe { Operand::read(given) }?;
    let id = settled(instance, |machine, _| add(machine, graph, &operand))
        .map_err(|error| Family::TENSOR.create_error(error))?;
    // SAFETY: `given` was readable and aligned; the caller promised that it is writable too.
    unsafe { write_id(tensor, id) };
    Ok(())
}

fn add(machine: &mut Machine, graph: GraphId, operand: &Operand<'_>) -> Result<u32, CreateError> {
    let id = LAST_ID.load(Ordering::Relaxed).wrapping_add(1).max(1);
    let quants = operand.scale_offsets(machine.region_mut())?;
    let added = machine.graph_add_tensor(graph, &operand.spec(id, &quants));
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

not_supported! {
    QnnTensor_createContextTensor(Qnn_ContextHandle_t, *mut Qnn_Tensor_t);
    QnnTensor_updateContextTensors(Qnn_ContextHandle_t, *mut *const Qnn_Tensor_t, u64);
    QnnTensor_updateGraphTensors(Qnn_GraphHandle_t, *mut *const Qnn_Tensor_t, u64);
}
