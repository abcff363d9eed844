//! `System/QnnSystemTensor.h`.

use runtime::graph::DataType;

use crate::abi::*;
use crate::client;
use crate::convert::Code;
use crate::export::answer;

const BAD_TENSOR: Code = QNN_SYSTEM_TENSOR_ERROR_INVALID_TENSOR;

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnSystemTensor_getMemoryFootprint(
    tensor: Qnn_Tensor_t,
    footprint: *mut u64,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    let out = unsafe { client::out(footprint) };
    let result = out.ok_or(QNN_SYSTEM_TENSOR_ERROR_INVALID_ARGUMENT).and_then(|out| {
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
        _ => return Err(BAD_TENSOR),
    };
    if format != QNN_TENSOR_DATA_FORMAT_DENSE {
        return Err(QNN_SYSTEM_TENSOR_ERROR_UNSUPPORTED_FEATURE);
    }
    // SAFETY: the caller's promise.
    let dims = unsafe { client::array(dimensions.cast_const(), rank) }.ok_or(BAD_TENSOR)?;
    let element = element_bytes(data_type).ok_or(BAD_TENSOR)?;
    let total = dims.iter().try_fold(element, |bytes, &dim| bytes.checked_mul(dim.into()));
    total.ok_or(BAD_TENSOR)
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
