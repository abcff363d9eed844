//! `System/QnnSystemTensor.h`.

use runtime::graph::{DataType, RANK_MAX};

use crate::abi::*;
use crate::client;
use crate::convert::Code;
use crate::export::answer;
use crate::refusal::{because, no_array, null, TypeName};

const BAD_TENSOR: Code = QNN_SYSTEM_TENSOR_ERROR_INVALID_TENSOR;

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnSystemTensor_getMemoryFootprint(
    tensor: Qnn_Tensor_t,
    footprint: *mut u64,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    let out = unsafe { client::out(footprint) };
    let nowhere = null(QNN_SYSTEM_TENSOR_ERROR_INVALID_ARGUMENT, "footprint");
    let result = out.ok_or_else(nowhere).and_then(|out| {
        // SAFETY: the caller's promise.
        *out = unsafe { bytes(&tensor) }?;
        Ok(())
    });
    answer(c"QnnSystemTensor_getMemoryFootprint", result)
}

/// Bytes of a tensor's data, which lies there element by element. A dynamic dimension counts with
/// the value that is given.
///
/// # Safety
/// As the QNN API says of tensors.
unsafe fn bytes(tensor: &Qnn_Tensor_t) -> Result<u64, Code> {
    let (format, data_type, dimensions, rank) = match tensor.version {
        QNN_TENSOR_VERSION_1 => {
            // SAFETY: the version selects this member, plain numbers and pointers.
            let fields = unsafe { &tensor.u.v1 };
            (fields.dataFormat, fields.dataType, fields.dimensions, fields.rank)
        }
        QNN_TENSOR_VERSION_2 => {
            // SAFETY: as above.
            let fields = unsafe { &tensor.u.v2 };
            (fields.dataFormat, fields.dataType, fields.dimensions, fields.rank)
        }
        version => return Err(because!(BAD_TENSOR, "tensor.version is ", version, ", not 1 or 2")),
    };
    if format != QNN_TENSOR_DATA_FORMAT_DENSE {
        let why = ", only 0 (DENSE) is offered";
        let code = QNN_SYSTEM_TENSOR_ERROR_UNSUPPORTED_FEATURE;
        return Err(because!(code, "tensor.dataFormat is ", format, why));
    }
    // SAFETY: the caller's promise.
    let dims = unsafe { client::array(dimensions.cast_const(), rank, RANK_MAX) }
        .ok_or_else(no_array(BAD_TENSOR, ("tensor.dimensions", "rank"), rank))?;
    let element = element_bytes(data_type).ok_or_else(|| {
        let why = ", whose elements do not fill bytes, or which is not known";
        because!(BAD_TENSOR, "tensor.dataType is ", TypeName(data_type), why)
    })?;
    let total = dims.iter().try_fold(element, |bytes, &dim| bytes.checked_mul(dim.into()));
    total.ok_or_else(|| because!(BAD_TENSOR, "tensor.dimensions are too large"))
}

/// Bytes of an element of any type that fills whole bytes; more than the runtime computes with.
fn element_bytes(number: Qnn_DataType_t) -> Option<u64> {
    match number {
        QNN_DATATYPE_FLOAT_8 => Some(1),
        QNN_DATATYPE_BFLOAT_16 => Some(2),
        QNN_DATATYPE_FLOAT_64 => Some(8),
        number => DataType::from_qnn(number).map(|known| known.size_bytes() as u64),
    }
}
