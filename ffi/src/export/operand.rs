//! Tensors as clients describe them, read and checked.

use runtime::graph::{DataType, ScaleOffset, TensorKind, TensorSpec, RANK_MAX};
use runtime::region::{OutOfMemory, Region, RegionSlice};

use crate::abi::*;
use crate::client;
use crate::convert::Code;

/// The fields that both versions of a tensor have.
pub(crate) struct Fields {
    pub(crate) id: u32,
    name: *const cty::c_char,
    kind: Qnn_TensorType_t,
    format: Qnn_TensorDataFormat_t,
    data_type: Qnn_DataType_t,
    quantization: Qnn_QuantizeParams_t,
    rank: u32,
    dims: *const u32,
    pub(crate) memory: Memory,
    /// Which dimensions are dynamic, if the tensor says.
    dynamic: *const u8,
}

/// Where a tensor's data is.
#[derive(Clone, Copy)]
pub(crate) enum Memory {
    Raw(Qnn_ClientBuffer_t),
    Handle(Qnn_MemHandle_t),
    Other,
}

impl Fields {
    /// The fields of a tensor; `None` if its version is not known.
    pub(crate) fn of(tensor: &Qnn_Tensor_t) -> Option<Self> {
        match tensor.version {
            // SAFETY: the version selects this member; all its fields are plain numbers and
            // pointers.
            QNN_TENSOR_VERSION_1 => Some(Self::of_v1(unsafe { &tensor.u.v1 })),
            // SAFETY: as above.
            QNN_TENSOR_VERSION_2 => Some(Self::of_v2(unsafe { &tensor.u.v2 })),
            _ => None,
        }
    }

    fn of_v1(tensor: &Qnn_TensorV1_t) -> Self {
        let memory = match tensor.memType {
            // The initialiser says undefined; clients set the buffer and leave it at that.
            QNN_TENSORMEMTYPE_RAW | QNN_TENSORMEMTYPE_UNDEFINED => {
                // SAFETY: these memory types select this member, an address and a size.
                Memory::Raw(unsafe { tensor.u.clientBuf })
            }
            // SAFETY: as above.
            QNN_TENSORMEMTYPE_MEMHANDLE => Memory::Handle(unsafe { tensor.u.memHandle }),
            _ => Memory::Other,
        };
        Self {
            id: tensor.id,
            name: tensor.name,
            kind: tensor.type_,
            format: tensor.dataFormat,
            data_type: tensor.dataType,
            quantization: tensor.quantizeParams,
            rank: tensor.rank,
            dims: tensor.dimensions,
            memory,
            dynamic: core::ptr::null(),
        }
    }

    fn of_v2(tensor: &Qnn_TensorV2_t) -> Self {
        let memory = match tensor.memType {
            // The initialiser says undefined; clients set the buffer and leave it at that.
            QNN_TENSORMEMTYPE_RAW | QNN_TENSORMEMTYPE_UNDEFINED => {
                // SAFETY: these memory types select this member, an address and a size.
                Memory::Raw(unsafe { tensor.u.clientBuf })
            }
            // SAFETY: as above.
            QNN_TENSORMEMTYPE_MEMHANDLE => Memory::Handle(unsafe { tensor.u.memHandle }),
            _ => Memory::Other,
        };
        Self {
            id: tensor.id,
            name: tensor.name,
            kind: tensor.type_,
            format: tensor.dataFormat,
            data_type: tensor.dataType,
            quantization: tensor.quantizeParams,
            rank: tensor.rank,
            dims: tensor.dimensions,
            memory,
            dynamic: tensor.isDynamicDimensions,
        }
    }

    /// The dimensions, if they are given at all.
    ///
    /// # Safety
    /// The tensor's dimensions are null or as many as its rank.
    pub(crate) unsafe fn dims<'a>(&self) -> Option<&'a [u32]> {
        let sane = self.rank as usize <= RANK_MAX;
        if !sane {
            return None;
        }
        // SAFETY: the caller's promise.
        unsafe { client::array(self.dims, self.rank) }
    }
}

/// A tensor that a client creates or asks about.
pub(crate) struct Operand<'a> {
    name: &'a str,
    pub(crate) kind: TensorKind,
    data_type: DataType,
    dims: &'a [u32],
    scales: Scales<'a>,
    data: &'a [u8],
}

#[derive(Clone, Copy)]
enum Scales<'a> {
    None,
    One(ScaleOffset),
    Axis(u32, &'a [Qnn_ScaleOffset_t]),
}

impl<'a> Operand<'a> {
    /// Reads a tensor. Every answer to a wrong one is of the tensor family.
    ///
    /// # Safety
    /// What the tensor points to is readable and stays as it is for `'a`.
    pub(crate) unsafe fn read(tensor: &'a Qnn_Tensor_t) -> Result<Self, Code> {
        const BAD: Code = QNN_TENSOR_ERROR_INVALID_TENSOR_PARAM;
        let fields = Fields::of(tensor).ok_or(BAD)?;
        let kind = tensor_kind(fields.kind)?;
        let data_type = match (data_type(fields.data_type), kind) {
            (Err(_), TensorKind::Null) => DataType::Uint8,
            (data_type, _) => data_type?,
        };
        match fields.format {
            QNN_TENSOR_DATA_FORMAT_DENSE => {}
            QNN_TENSOR_DATA_FORMAT_SPARSE => return Err(BAD),
            _ => return Err(QNN_TENSOR_ERROR_UNSUPPORTED_TENSOR_PARAM),
        }
        // SAFETY: the caller's promise.
        let name = unsafe { client::text(fields.name) }.map_err(|_| BAD)?;
        // SAFETY: the caller's promise.
        let dims = unsafe { fields.dims() }.ok_or(BAD)?;
        // SAFETY: the caller's promise.
        let dynamic = unsafe { client::array(fields.dynamic, dynamic_count(&fields)) };
        if dynamic.ok_or(BAD)?.iter().any(|&flag| flag != 0) {
            return Err(QNN_TENSOR_ERROR_UNSUPPORTED_FEATURE);
        }
        // SAFETY: the caller's promise.
        let scales = unsafe { scales(&fields.quantization, data_type) }?;
        // SAFETY: the caller's promise.
        let data = unsafe { static_data(&fields, kind, data_type, dims) }?;
        Ok(Self { name, kind, data_type, dims, scales, data })
    }

    /// The scales in the form the runtime wants, in memory to be freed after use.
    pub(crate) fn scale_offsets(
        &self,
        region: &mut Region<'static>,
    ) -> Result<RegionSlice<'static, ScaleOffset>, OutOfMemory> {
        match self.scales {
            Scales::None => Ok(RegionSlice::empty()),
            Scales::One(scale) => region.alloc(1, scale),
            Scales::Axis(_, all) => region.alloc_with(all.len(), |index| {
                all.get(index).map_or(ScaleOffset { scale: 0.0, offset: 0 }, |it| ScaleOffset {
                    scale: it.scale,
                    offset: it.offset,
                })
            }),
        }
    }

    /// What is added to a graph.
    pub(crate) fn spec<'s>(&'s self, id: u32, quants: &'s [ScaleOffset]) -> TensorSpec<'s> {
        let quant_axis = if let Scales::Axis(axis, _) = self.scales { axis } else { 0 };
        TensorSpec {
            id,
            name: self.name,
            kind: self.kind,
            data_type: self.data_type,
            dims: self.dims,
            quant_axis,
            quants,
            data: self.data,
        }
    }

    /// The same tensor in a role of its own and without a name, to ask about an operation alone.
    pub(crate) fn anonymous(mut self, kind: TensorKind) -> Self {
        if self.kind != TensorKind::Static && self.kind != TensorKind::Null {
            self.kind = kind;
        }
        self.name = "";
        self
    }
}

fn dynamic_count(fields: &Fields) -> u32 {
    if fields.dynamic.is_null() {
        0
    } else {
        fields.rank
    }
}

fn tensor_kind(number: Qnn_TensorType_t) -> Result<TensorKind, Code> {
    match number {
        QNN_TENSOR_TYPE_UPDATEABLE_STATIC..=QNN_TENSOR_TYPE_UPDATEABLE_APP_READWRITE => {
            Err(QNN_TENSOR_ERROR_UNSUPPORTED_TENSOR_PARAM)
        }
        number => TensorKind::from_qnn(number).ok_or(QNN_TENSOR_ERROR_INVALID_TENSOR_PARAM),
    }
}

/// The element type with this number.
pub(crate) fn data_type(number: Qnn_DataType_t) -> Result<DataType, Code> {
    DataType::from_qnn(number).ok_or(match number {
        QNN_DATATYPE_BFLOAT_16 => QNN_TENSOR_ERROR_UNSUPPORTED_FEATURE,
        _ => QNN_TENSOR_ERROR_INVALID_TENSOR_PARAM,
    })
}

/// Scale and offset mean something for fixed-point numbers only; anywhere else they are not looked
/// at.
///
/// # Safety
/// What the parameters point to is readable for `'a`.
unsafe fn scales<'a>(
    params: &Qnn_QuantizeParams_t,
    data_type: DataType,
) -> Result<Scales<'a>, Code> {
    let fixed_point = matches!(
        data_type,
        DataType::Sfixed8
            | DataType::Sfixed16
            | DataType::Sfixed32
            | DataType::Ufixed8
            | DataType::Ufixed16
            | DataType::Ufixed32
    );
    if !fixed_point || params.encodingDefinition != QNN_DEFINITION_DEFINED {
        return Ok(Scales::None);
    }
    match params.quantizationEncoding {
        QNN_QUANTIZATION_ENCODING_SCALE_OFFSET => {
            // SAFETY: the encoding selects this member.
            let one = unsafe { params.u.scaleOffsetEncoding };
            Ok(Scales::One(ScaleOffset { scale: one.scale, offset: one.offset }))
        }
        QNN_QUANTIZATION_ENCODING_AXIS_SCALE_OFFSET => {
            // SAFETY: as above.
            let axis = unsafe { params.u.axisScaleOffsetEncoding };
            // SAFETY: the caller's promise.
            let all = unsafe { client::array(axis.scaleOffset, axis.numScaleOffsets) };
            match (u32::try_from(axis.axis), all) {
                (Ok(axis), Some(all)) if !all.is_empty() => Ok(Scales::Axis(axis, all)),
                _ => Err(QNN_TENSOR_ERROR_INVALID_TENSOR_PARAM),
            }
        }
        QNN_QUANTIZATION_ENCODING_UNDEFINED => Ok(Scales::None),
        _ => Err(QNN_TENSOR_ERROR_UNSUPPORTED_TENSOR_PARAM),
    }
}

/// The data of a static tensor: as many bytes as the tensor has, of at least as many given.
///
/// # Safety
/// The client's buffer is readable for `'a`.
unsafe fn static_data<'a>(
    fields: &Fields,
    kind: TensorKind,
    data_type: DataType,
    dims: &[u32],
) -> Result<&'a [u8], Code> {
    const BAD: Code = QNN_TENSOR_ERROR_INVALID_TENSOR_PARAM;
    match (kind, fields.memory) {
        (TensorKind::Static, Memory::Raw(given)) => {
            let bytes = runtime::graph::element_count(dims.iter().copied())
                .and_then(|count| count.checked_mul(data_type.size_bytes()))
                .filter(|&bytes| bytes <= given.dataSize as usize && !given.data.is_null())
                .ok_or(BAD)?;
            // SAFETY: not null, at least that long by the caller's promise; bytes need no
            // alignment.
            Ok(unsafe { core::slice::from_raw_parts(given.data.cast(), bytes) })
        }
        (TensorKind::Static, _) => Err(BAD),
        // Only constants have data before an execution.
        (_, Memory::Raw(given)) if !given.data.is_null() => Err(BAD),
        _ => Ok(&[]),
    }
}
