//! Tensors as clients describe them, read and checked.

use runtime::error::CreateError;
use runtime::graph::{BuildError, DataType, ScaleOffset, TensorKind, TensorSpec, RANK_MAX};
use runtime::region::{OutOfMemory, Region, RegionSlice};

use crate::abi::*;
use crate::client;
use crate::convert::{Code, Family};
use crate::refusal::{because, no_text, null, within, Dims, Name, Say, TypeName, Words};

const BAD: Code = QNN_TENSOR_ERROR_INVALID_TENSOR_PARAM;

/// The fields that both versions of a tensor have.
pub(crate) struct Fields {
    /// Where they are in a tensor.
    pub(crate) path: &'static str,
    pub(crate) id: u32,
    name: *const core::ffi::c_char,
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

    /// As [`Fields::of`], or `code`.
    pub(crate) fn read(tensor: &Qnn_Tensor_t, code: Code) -> Result<Self, Code> {
        let version = tensor.version;
        Self::of(tensor).ok_or_else(|| because!(code, ".version is ", version, ", not 1 or 2"))
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
            path: ".v1",
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
            path: ".v2",
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

    /// The name, if it is one.
    ///
    /// # Safety
    /// As [`client::text`].
    pub(crate) unsafe fn name<'a>(&self) -> Option<&'a str> {
        // SAFETY: the caller's promise.
        unsafe { client::text(self.name) }.ok()
    }

    /// The dimensions, if they are given at all.
    ///
    /// # Safety
    /// The tensor's dimensions are null or as many as its rank.
    pub(crate) unsafe fn dims<'a>(&self) -> Option<&'a [u32]> {
        // SAFETY: the caller's promise.
        unsafe { client::array(self.dims, self.rank, RANK_MAX) }
    }
}

/// A tensor that a client creates or asks about.
pub(crate) struct Operand<'a> {
    /// Where its fields are in a tensor.
    path: &'static str,
    pub(crate) name: &'a str,
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
        let fields = Fields::read(tensor, BAD)?;
        // SAFETY: the caller's promise.
        unsafe { Self::read_fields(&fields) }.map_err(|code| within!(code, fields.path))
    }

    /// # Safety
    /// As [`Operand::read`].
    unsafe fn read_fields(fields: &Fields) -> Result<Self, Code> {
        let kind = tensor_kind(fields.kind)?;
        let data_type = match (data_type(fields.data_type), kind) {
            (Err(_), TensorKind::Null) => DataType::Uint8,
            (data_type, _) => data_type?,
        };
        let format = fields.format;
        let code = match format {
            QNN_TENSOR_DATA_FORMAT_DENSE => QNN_SUCCESS,
            QNN_TENSOR_DATA_FORMAT_SPARSE => BAD,
            _ => QNN_TENSOR_ERROR_UNSUPPORTED_TENSOR_PARAM,
        };
        if code != QNN_SUCCESS {
            return Err(because!(code, ".dataFormat is ", format, ", only 0 (DENSE) is offered"));
        }
        // SAFETY: the caller's promise.
        let name = unsafe { client::text(fields.name) }.map_err(no_text(BAD, ".name"))?;
        // SAFETY: the caller's promise.
        let dims = unsafe { fields.dims() }.ok_or_else(|| match fields.rank {
            rank if rank as usize > RANK_MAX => {
                because!(BAD, ".rank is ", rank, ", at most ", RANK_MAX, " is offered")
            }
            rank => because!(BAD, ".dimensions is null or not aligned, .rank is ", rank),
        })?;
        // SAFETY: the caller's promise.
        let dynamic = unsafe { client::array(fields.dynamic, dynamic_count(fields), RANK_MAX) };
        let dynamic = dynamic.ok_or_else(null(BAD, ".isDynamicDimensions"))?;
        if let Some(axis) = dynamic.iter().position(|&flag| flag != 0) {
            let why = "] is set: dynamic dimensions are not offered";
            let code = QNN_TENSOR_ERROR_UNSUPPORTED_FEATURE;
            return Err(because!(code, ".isDynamicDimensions[", axis, why));
        }
        // SAFETY: the caller's promise.
        let scales = unsafe { scales(&fields.quantization, data_type, dims) }?;
        // SAFETY: the caller's promise.
        let data = unsafe { static_data(fields, kind, data_type, dims) }?;
        Ok(Self { path: fields.path, name, kind, data_type, dims, scales, data })
    }

    /// The answer to a tensor that was not added.
    pub(crate) fn refused(&self, error: CreateError) -> Code {
        let code = Family::TENSOR.create_error(error);
        match error {
            CreateError::Build(BuildError::BadTensor) => within!(self.unfit(code), self.path),
            CreateError::Build(BuildError::DuplicateTensor) => {
                let why = ".name is taken in the graph or in its context";
                because!(code, self.path, why)
            }
            _ => code,
        }
    }

    /// Which of its values makes it one that no graph takes.
    fn unfit(&self, code: Code) -> Code {
        let dims = self.dims;
        if let Some(axis) = dims.iter().position(|&dim| dim == 0) {
            return because!(code, ".dimensions[", axis, "] is 0");
        }
        let unfit = match self.scales {
            Scales::None => None,
            Scales::One(one) => {
                let field = ".quantizeParams.scaleOffsetEncoding";
                wrong_scale(one.scale).then(|| because!(code, field, SCALE, one.scale, ABOVE_ZERO))
            }
            Scales::Axis(_, all) => unfit_axis(code, all),
        };
        unfit.unwrap_or_else(|| match self.kind {
            TensorKind::Native => {
                because!(code, ".type is 3 (NATIVE), a context has no such tensor")
            }
            TensorKind::AppReadWrite => {
                because!(code, ".type is 2 (APP_READWRITE), only a context has such a tensor")
            }
            _ => because!(code, ".dimensions are ", Dims(dims.iter().copied()), ", too many"),
        })
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

const SCALE: &str = ".scale is ";
const ABOVE_ZERO: &str = ", a finite number above 0 is needed";

fn wrong_scale(scale: f32) -> bool {
    !(scale > 0.0 && scale.is_finite())
}

/// A tensor in a list, and its name if it has one.
pub(crate) struct Place<'a>(pub(crate) &'static str, pub(crate) usize, pub(crate) Option<&'a str>);

impl Say for Place<'_> {
    fn say(&self, words: &mut Words) {
        self.0.say(words);
        "[".say(words);
        self.1.say(words);
        "]".say(words);
        if let Some(name) = self.2.filter(|name| !name.is_empty()) {
            " ".say(words);
            Name(name).say(words);
        }
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
            let why = ": tensors that can be updated are not offered";
            Err(because!(QNN_TENSOR_ERROR_UNSUPPORTED_TENSOR_PARAM, ".type is ", number, why))
        }
        number => TensorKind::from_qnn(number)
            .ok_or_else(|| because!(BAD, ".type is ", number, ", 0 (APP_WRITE) to 5 (NULL) exist")),
    }
}

/// The element type with this number.
pub(crate) fn data_type(number: Qnn_DataType_t) -> Result<DataType, Code> {
    DataType::from_qnn(number).ok_or_else(|| {
        let code = match number {
            QNN_DATATYPE_BFLOAT_16 => QNN_TENSOR_ERROR_UNSUPPORTED_FEATURE,
            _ => BAD,
        };
        because!(code, ".dataType is ", TypeName(number), ", which is not offered")
    })
}

const AXIS: &str = ".quantizeParams.axisScaleOffsetEncoding";

fn unfit_axis(code: Code, all: &[Qnn_ScaleOffset_t]) -> Option<Code> {
    let (at, one) = all.iter().enumerate().find(|(_, one)| wrong_scale(one.scale))?;
    let (list, scale) = (".scaleOffset[", one.scale);
    Some(because!(code, AXIS, list, at, "]", SCALE, scale, ABOVE_ZERO))
}

/// One for all channels, or one for each: any other number of scales is refused unread.
fn check_count(axis: &Qnn_AxisScaleOffset_t, dims: &[u32]) -> Result<(), Code> {
    let (along, count) = (axis.axis, axis.numScaleOffsets);
    match usize::try_from(along).ok().and_then(|along| dims.get(along).copied()) {
        _ if count <= 1 => Ok(()),
        Some(channels) if channels == count => Ok(()),
        Some(channels) => {
            let dim = ", .dimensions[";
            Err(because!(BAD, AXIS, ".numScaleOffsets is ", count, dim, along, "] is ", channels))
        }
        None => Err(because!(BAD, AXIS, ".axis is ", along, ", .rank is ", dims.len())),
    }
}

/// Scale and offset mean something for fixed-point numbers only; anywhere else they are not looked
/// at.
///
/// # Safety
/// What the parameters point to is readable for `'a`.
unsafe fn scales<'a>(
    params: &Qnn_QuantizeParams_t,
    data_type: DataType,
    dims: &[u32],
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
            check_count(&axis, dims)?;
            let max = axis.numScaleOffsets as usize;
            // SAFETY: the caller's promise.
            let all = unsafe { client::array(axis.scaleOffset, axis.numScaleOffsets, max) };
            match (u32::try_from(axis.axis), all) {
                (Ok(axis), Some(all)) if !all.is_empty() => Ok(Scales::Axis(axis, all)),
                (Ok(_), _) => {
                    let field = ".quantizeParams.axisScaleOffsetEncoding.scaleOffset";
                    let why = " is null or not aligned, or .numScaleOffsets is ";
                    Err(because!(BAD, field, why, axis.numScaleOffsets))
                }
                (Err(_), _) => {
                    let field = ".quantizeParams.axisScaleOffsetEncoding.axis is ";
                    Err(because!(BAD, field, axis.axis))
                }
            }
        }
        QNN_QUANTIZATION_ENCODING_UNDEFINED => Ok(Scales::None),
        encoding => {
            let field = ".quantizeParams.quantizationEncoding is ";
            let why = ", 0 (SCALE_OFFSET) and 1 (AXIS_SCALE_OFFSET) are offered";
            Err(because!(QNN_TENSOR_ERROR_UNSUPPORTED_TENSOR_PARAM, field, encoding, why))
        }
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
    match (kind, fields.memory) {
        (TensorKind::Static, Memory::Raw(given)) => {
            let bytes = runtime::graph::element_count(dims.iter().copied())
                .and_then(|count| count.checked_mul(data_type.size_bytes()));
            let size = given.dataSize;
            if given.data.is_null() {
                return Err(because!(BAD, ".clientBuf.data is null, a static tensor needs data"));
            }
            let bytes = bytes.filter(|&bytes| bytes <= size as usize).ok_or_else(|| {
                let needed = bytes.unwrap_or(usize::MAX);
                because!(BAD, ".clientBuf.dataSize is ", size, ", ", needed, " are needed")
            })?;
            // SAFETY: not null, at least that long by the caller's promise; bytes need no
            // alignment.
            Ok(unsafe { core::slice::from_raw_parts(given.data.cast(), bytes) })
        }
        (TensorKind::Static, _) => {
            Err(because!(BAD, ".memType is not 0 (RAW), as the data of a static tensor needs"))
        }
        // Only constants have data before an execution.
        (_, Memory::Raw(given)) if !given.data.is_null() => {
            Err(because!(BAD, ".clientBuf.data is not null, only a static tensor has data here"))
        }
        _ => Ok(&[]),
    }
}
