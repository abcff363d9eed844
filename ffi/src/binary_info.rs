//! What a context binary says about itself, in the structs of `System/QnnSystemContext.h`.
//!
//! A description holds copies of all it tells: names with an end, aligned numbers. The binary can
//! go once it is described.

#![allow(non_snake_case, reason = "names of the QNN API")]

use core::{iter, mem};

use runtime::binary::{layout, ContextBinary};
use runtime::graph::{GraphTable, Tensor, TensorKind, TensorList};
use runtime::region::{OutOfMemory, Region, RegionSlice};

use crate::abi::*;
use crate::client;
use crate::export::backend::BUILD_ID;
use crate::export::interface::API_VERSION;

/// Descriptions of binaries, each in memory of its own and where it is until all are released.
pub(crate) struct Descriptions {
    last: RegionSlice<'static, BinaryInfo>,
}

impl Descriptions {
    pub(crate) const NONE: Descriptions = Descriptions { last: RegionSlice::empty() };

    /// Describes a binary: where the description is, and its bytes. Linear in the number of graphs,
    /// their inputs and their outputs.
    pub(crate) fn add(
        &mut self,
        region: &mut Region<'static>,
        binary: &ContextBinary<'_>,
    ) -> Result<(*const QnnSystemContext_BinaryInfo_t, usize), OutOfMemory> {
        let mut block = region.alloc_with(1, |_| BinaryInfo::EMPTY)?;
        let Some(info) = block.first_mut() else { return Err(OutOfMemory) };
        if let Err(error) = info.fill(region, *binary) {
            info.release(region);
            region.free(block);
            return Err(error);
        }
        let described = (info.info.as_ptr(), info.size_bytes());
        info.earlier = mem::replace(&mut self.last, RegionSlice::empty());
        self.last = block;
        Ok(described)
    }

    /// Gives all memory back. Linear in the number of descriptions.
    pub(crate) fn release(mut self, region: &mut Region<'static>) {
        while let Some(info) = self.last.first_mut() {
            info.release(region);
            let earlier = mem::replace(&mut info.earlier, RegionSlice::empty());
            region.free(mem::replace(&mut self.last, earlier));
        }
    }
}

/// A description, in blocks that point to each other.
struct BinaryInfo {
    info: RegionSlice<'static, QnnSystemContext_BinaryInfo_t>,
    metadata: RegionSlice<'static, QnnHtpSystemContext_ContextBlobInfo_t>,
    graphs: RegionSlice<'static, QnnSystemContext_GraphInfo_t>,
    blobs: RegionSlice<'static, GraphBlob>,
    /// Inputs and outputs of the graphs, then the tensors of the context.
    tensors: RegionSlice<'static, Qnn_Tensor_t>,
    dims: RegionSlice<'static, u32>,
    scales: RegionSlice<'static, Qnn_ScaleOffset_t>,
    /// Names, each with a zero behind it: those of the tensors, then those of the graphs.
    names: RegionSlice<'static, u8>,
    /// The description made before.
    earlier: RegionSlice<'static, BinaryInfo>,
}

// SAFETY: the pointers in it lead to its own blocks and to constants.
unsafe impl Send for BinaryInfo {}

impl BinaryInfo {
    const EMPTY: BinaryInfo = BinaryInfo {
        info: RegionSlice::empty(),
        metadata: RegionSlice::empty(),
        graphs: RegionSlice::empty(),
        blobs: RegionSlice::empty(),
        tensors: RegionSlice::empty(),
        dims: RegionSlice::empty(),
        scales: RegionSlice::empty(),
        names: RegionSlice::empty(),
        earlier: RegionSlice::empty(),
    };

    /// Blocks are filled before the blocks that point to them.
    fn fill(
        &mut self,
        region: &mut Region<'static>,
        binary: ContextBinary<'_>,
    ) -> Result<(), OutOfMemory> {
        let firsts = first_uses(region, binary)?;
        let filled = self.fill_with(region, binary, &firsts);
        region.free(firsts);
        filled
    }

    /// The same; `firsts` says which uses of the context's tensors are the first.
    fn fill_with(
        &mut self,
        region: &mut Region<'static>,
        binary: ContextBinary<'_>,
        firsts: &[bool],
    ) -> Result<(), OutOfMemory> {
        let tensors = || exchanged(binary).chain(context_tensors(binary, firsts));
        self.dims = store(region, || tensors().flat_map(|(tensor, _)| tensor.dims()))?;
        self.scales = store(region, || tensors().flat_map(|(tensor, _)| scales(&tensor)))?;
        let names = || {
            let tensors = tensors().map(|(tensor, _)| tensor.name());
            tensors.chain(binary.graphs().map(|graph| graph.name))
        };
        self.names = store(region, || names().flat_map(|name| name.bytes().chain(iter::once(0))))?;

        let places = Places {
            names: Cursor(self.names.as_mut_ptr()),
            dims: Cursor(self.dims.as_mut_ptr()),
            scales: Cursor(self.scales.as_mut_ptr()),
        };
        self.tensors = store(region, || {
            let mut places = places;
            tensors().map(move |(tensor, kind)| places.tensor(&tensor, kind))
        })?;
        let mut graph_names = places.names;
        tensors().for_each(|(tensor, _)| {
            graph_names.name(tensor.name());
        });
        self.blobs = store(region, || binary.graphs().map(|graph| GraphBlob::of(&graph.table)))?;
        let first = (Cursor(self.tensors.as_mut_ptr()), Cursor(self.blobs.as_mut_ptr()));
        self.graphs = store(region, || {
            let (mut names, (mut tensors, mut blobs)) = (graph_names, first);
            binary.graphs().map(move |graph| {
                let (inputs, outputs) = (graph.table.inputs(), graph.table.outputs());
                let named = (names.name(graph.name), blobs.take(1));
                graph_info(named, &inputs, &outputs, &mut tensors)
            })
        })?;
        self.metadata = region.alloc(1, context_blob(binary.arch()))?;
        let info = self.top(binary, context_tensors(binary, firsts).count());
        self.info = region.alloc(1, info)?;
        Ok(())
    }

    fn top(
        &mut self,
        binary: ContextBinary<'_>,
        of_context: usize,
    ) -> QnnSystemContext_BinaryInfo_t {
        let of_graphs = self.tensors.len().saturating_sub(of_context);
        let mut tensors = Cursor(self.tensors.as_mut_ptr());
        tensors.take(of_graphs);
        let v3 = QnnSystemContext_BinaryInfoV3_t {
            backendId: QNN_BACKEND_ID_HTP,
            // A binary does not name its writer: every build that knows its format writes the same
            // bytes.
            buildId: client::address(BUILD_ID),
            coreApiVersion: API_VERSION.coreApiVersion,
            backendApiVersion: API_VERSION.backendApiVersion,
            // Made for an architecture, not for one SoC.
            socVersion: client::address(c""),
            contextBlobVersion: Qnn_Version_t { major: layout::VERSION, minor: 0, patch: 0 },
            contextBlobSize: binary.bytes().len() as u64,
            numContextTensors: of_context as u32,
            contextTensors: tensors.take(of_context),
            numGraphs: self.graphs.len() as u32,
            graphs: Cursor(self.graphs.as_mut_ptr()).take(self.graphs.len()),
            platformInfo: (&raw const PLATFORM.0).cast_mut(),
            contextMetadataSize: size_of::<QnnHtpSystemContext_ContextBlobInfo_t>() as u32,
            contextMetadata: self.metadata.as_mut_ptr().cast(),
            socModel: QNN_SOC_MODEL_UNKNOWN,
        };
        QnnSystemContext_BinaryInfo_t {
            version: QNN_SYSTEM_CONTEXT_BINARY_INFO_VERSION_3,
            u: QnnSystemContext_BinaryInfo_u { contextBinaryInfoV3: v3 },
        }
    }

    /// Bytes of all blocks.
    fn size_bytes(&self) -> usize {
        size_of_val(&*self.info)
            .saturating_add(size_of_val(&*self.metadata))
            .saturating_add(size_of_val(&*self.graphs))
            .saturating_add(size_of_val(&*self.blobs))
            .saturating_add(size_of_val(&*self.tensors))
            .saturating_add(size_of_val(&*self.dims))
            .saturating_add(size_of_val(&*self.scales))
            .saturating_add(size_of_val(&*self.names))
    }

    /// Gives all blocks back.
    fn release(&mut self, region: &mut Region<'static>) {
        give_back(region, &mut self.info);
        give_back(region, &mut self.metadata);
        give_back(region, &mut self.graphs);
        give_back(region, &mut self.blobs);
        give_back(region, &mut self.tensors);
        give_back(region, &mut self.dims);
        give_back(region, &mut self.scales);
        give_back(region, &mut self.names);
    }
}

fn give_back<T>(region: &mut Region<'static>, block: &mut RegionSlice<'static, T>) {
    region.free(mem::replace(block, RegionSlice::empty()));
}

/// A block of the items, which come twice: to be counted, and to be kept.
fn store<T: Copy, I: Iterator<Item = T>>(
    region: &mut Region<'static>,
    items: impl Fn() -> I,
) -> Result<RegionSlice<'static, T>, OutOfMemory> {
    let Some(first) = items().next() else { return Ok(RegionSlice::empty()) };
    let mut block = region.alloc(items().count(), first)?;
    block.iter_mut().zip(items()).for_each(|(to, item)| *to = item);
    Ok(block)
}

/// A tensor and the role that it is described with.
type InRole<'a> = (Tensor<'a>, TensorKind);

/// What a client exchanges with the graphs of a binary, in the order of description.
fn exchanged<'a>(binary: ContextBinary<'a>) -> impl Iterator<Item = InRole<'a>> + 'a {
    let graphs = binary.graphs();
    let lists = graphs.flat_map(|graph| [graph.table.inputs(), graph.table.outputs()]);
    lists.flat_map(|list| list.iter()).map(|tensor| (tensor, tensor.kind()))
}

/// What the graphs of a binary use of their context's tensors (C-116), graph by graph.
fn uses<'a>(binary: ContextBinary<'a>) -> impl Iterator<Item = InRole<'a>> + 'a {
    let tensors = binary.graphs().flat_map(|graph| graph.table.tensors());
    tensors.filter_map(|tensor| Some((tensor, tensor.kind_in_context()?)))
}

/// The tensors of the context, each once.
fn context_tensors<'a, 'f: 'a>(
    binary: ContextBinary<'a>,
    firsts: &'f [bool],
) -> impl Iterator<Item = InRole<'a>> + 'a {
    uses(binary).zip(firsts).filter_map(|(used, first)| first.then_some(used))
}

/// Which of the uses are the first of their tensors. Linear in their number, nearly always.
fn first_uses(
    region: &mut Region<'static>,
    binary: ContextBinary<'_>,
) -> Result<RegionSlice<'static, bool>, OutOfMemory> {
    let count = uses(binary).count();
    let mut firsts = region.alloc(count, false)?;
    let mut seen = match Ids::new(region, count) {
        Ok(seen) => seen,
        Err(error) => {
            region.free(firsts);
            return Err(error);
        }
    };
    for (first, (tensor, _)) in firsts.iter_mut().zip(uses(binary)) {
        *first = seen.insert(tensor.id());
    }
    seen.release(region);
    Ok(firsts)
}

/// A set of ids: places are found by the id, or behind the place where it would be.
struct Ids {
    places: RegionSlice<'static, Option<u32>>,
}

impl Ids {
    /// An empty set with room for `count` ids.
    fn new(region: &mut Region<'static>, count: usize) -> Result<Self, OutOfMemory> {
        let places = count.checked_mul(2).and_then(usize::checked_next_power_of_two);
        Ok(Self { places: region.alloc(places.ok_or(OutOfMemory)?, None)? })
    }

    /// Takes an id in; `false` if it was in it, or if the set is full.
    fn insert(&mut self, id: u32) -> bool {
        const SPREAD: u32 = 0x9E37_79B1;
        let mask = self.places.len().wrapping_sub(1);
        let mut at = id.wrapping_mul(SPREAD) as usize & mask;
        for _ in 0..self.places.len() {
            match self.places.get_mut(at) {
                Some(Some(other)) if *other == id => return false,
                Some(place @ None) => {
                    *place = Some(id);
                    return true;
                }
                _ => at = at.wrapping_add(1) & mask,
            }
        }
        false
    }

    fn release(self, region: &mut Region<'static>) {
        region.free(self.places);
    }
}

fn scales<'a>(tensor: &Tensor<'a>) -> impl Iterator<Item = Qnn_ScaleOffset_t> + 'a {
    let tensor = *tensor;
    let all = (0..tensor.quant_count()).filter_map(move |channel| tensor.quant(channel));
    all.map(|one| Qnn_ScaleOffset_t { scale: one.scale, offset: one.offset })
}

/// The next place in a block. It only ever counts elements that the block has.
struct Cursor<T>(*mut T);

impl<T> Clone for Cursor<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Cursor<T> {}

impl<T> Cursor<T> {
    /// Address of the next `count` elements; null if there are none.
    fn take(&mut self, count: usize) -> *mut T {
        if count == 0 {
            return core::ptr::null_mut();
        }
        let taken = self.0;
        self.0 = taken.wrapping_add(count);
        taken
    }
}

impl Cursor<u8> {
    /// Address of the next name, which is `name`.
    fn name(&mut self, name: &str) -> *const core::ffi::c_char {
        self.take(name.len().saturating_add(1)).cast()
    }
}

/// Where the parts of the next tensor lie.
#[derive(Clone, Copy)]
struct Places {
    names: Cursor<u8>,
    dims: Cursor<u32>,
    scales: Cursor<Qnn_ScaleOffset_t>,
}

impl Places {
    fn tensor(&mut self, tensor: &Tensor<'_>, kind: TensorKind) -> Qnn_Tensor_t {
        let v1 = Qnn_TensorV1_t {
            id: tensor.id(),
            name: self.names.name(tensor.name()),
            type_: kind.qnn(),
            dataFormat: QNN_TENSOR_DATA_FORMAT_DENSE,
            dataType: tensor.data_type().qnn(),
            quantizeParams: self.quantization(tensor),
            rank: tensor.rank() as u32,
            dimensions: self.dims.take(tensor.rank()),
            memType: QNN_TENSORMEMTYPE_RAW,
            u: Qnn_TensorV1_u {
                clientBuf: Qnn_ClientBuffer_t { data: core::ptr::null_mut(), dataSize: 0 },
            },
        };
        Qnn_Tensor_t { version: QNN_TENSOR_VERSION_1, u: Qnn_Tensor_u { v1 } }
    }

    fn quantization(&mut self, tensor: &Tensor<'_>) -> Qnn_QuantizeParams_t {
        let count = tensor.quant_count();
        let all = self.scales.take(count);
        let first = scales(tensor).next();
        if count > 1 {
            let axisScaleOffsetEncoding = Qnn_AxisScaleOffset_t {
                axis: tensor.quant_axis() as i32,
                numScaleOffsets: count as u32,
                scaleOffset: all,
            };
            return Qnn_QuantizeParams_t {
                encodingDefinition: QNN_DEFINITION_DEFINED,
                quantizationEncoding: QNN_QUANTIZATION_ENCODING_AXIS_SCALE_OFFSET,
                u: Qnn_QuantizeParams_u { axisScaleOffsetEncoding },
            };
        }
        let (encodingDefinition, quantizationEncoding) = match first {
            Some(_) => (QNN_DEFINITION_DEFINED, QNN_QUANTIZATION_ENCODING_SCALE_OFFSET),
            None => (QNN_DEFINITION_UNDEFINED, QNN_QUANTIZATION_ENCODING_UNDEFINED),
        };
        let scaleOffsetEncoding = first.unwrap_or(Qnn_ScaleOffset_t { scale: 0.0, offset: 0 });
        Qnn_QuantizeParams_t {
            encodingDefinition,
            quantizationEncoding,
            u: Qnn_QuantizeParams_u { scaleOffsetEncoding },
        }
    }
}

fn graph_info(
    (name, blob): (*const core::ffi::c_char, *mut GraphBlob),
    inputs: &TensorList<'_>,
    outputs: &TensorList<'_>,
    tensors: &mut Cursor<Qnn_Tensor_t>,
) -> QnnSystemContext_GraphInfo_t {
    let v3 = QnnSystemContext_GraphInfoV3_t {
        graphName: name,
        numGraphInputs: inputs.len() as u32,
        graphInputs: tensors.take(inputs.len()),
        numGraphOutputs: outputs.len() as u32,
        graphOutputs: tensors.take(outputs.len()),
        numUpdateableTensors: 0,
        updateableTensors: core::ptr::null_mut(),
        graphBlobInfoSize: size_of::<GraphBlob>() as u32,
        graphBlobInfo: blob.cast(),
        startOpIndex: 0,
        endOpIndex: 0,
    };
    QnnSystemContext_GraphInfo_t {
        version: QNN_SYSTEM_CONTEXT_GRAPH_INFO_VERSION_3,
        u: QnnSystemContext_GraphInfo_u { graphInfoV3: v3 },
    }
}

fn context_blob(arch: u32) -> QnnHtpSystemContext_ContextBlobInfo_t {
    QnnHtpSystemContext_ContextBlobInfo_t {
        version: QNN_SYSTEM_CONTEXT_HTP_CONTEXT_INFO_BLOB_VERSION_V1,
        u: QnnHtpSystemContext_ContextBlobInfo_u {
            contextBinaryContextBlobInfoV1: QnnHtpSystemContext_ContextBlobInfoV1_t {
                dspArch: arch,
            },
        },
    }
}

/// What HTP says of a graph: version 1, and version 2 behind it.
#[repr(C)]
#[derive(Clone, Copy)]
struct GraphBlob {
    first: QnnHtpSystemContext_GraphBlobInfo_t,
    second: QnnHtpSystemContext_GraphBlobInfoV2_t,
}

impl GraphBlob {
    /// Version 1 is what was chosen for the graph: the HVX threads are those that it runs with
    /// (C-18), no graph has a spill-fill buffer or compressed data. Version 2 is how much there is.
    fn of(graph: &GraphTable<'_>) -> Self {
        let exchanged = graph.inputs().iter().chain(graph.outputs().iter());
        let sizes = exchanged.map(|tensor| tensor.size_bytes() as u64);
        let constants = graph.tensors().map(|tensor| tensor.data().len() as u64);
        let constants = constants.fold(0, u64::saturating_add);
        let options = graph.options();
        Self {
            first: QnnHtpSystemContext_GraphBlobInfo_t {
                version: QNN_SYSTEM_CONTEXT_HTP_GRAPH_INFO_BLOB_VERSION_V1,
                u: QnnHtpSystemContext_GraphBlobInfo_u {
                    contextBinaryGraphBlobInfoV1: QnnHtpSystemContext_GraphBlobInfoV1_t {
                        spillFillBufferSize: 0,
                        vtcmSize: options.vtcm(),
                        optimizationLevel: options.optimization_level,
                        htpDlbc: 0,
                        numHvxThreads: options.hvx_threads_offline().into(),
                    },
                },
            },
            second: QnnHtpSystemContext_GraphBlobInfoV2_t {
                version: QNN_SYSTEM_CONTEXT_HTP_GRAPH_INFO_BLOB_VERSION_V2,
                nativeKChannelSize: 0,
                nativeVChannelSize: 0,
                isSafeShareIO: 0,
                ioTensorSize: sizes.fold(0, u64::saturating_add),
                opDataSize: (graph.bytes().len() as u64).saturating_sub(constants),
                constSize: constants,
                ddrTensorSize: 0,
                sharedWeightsSize: 0,
            },
        }
    }
}

/// A constant that holds addresses.
struct Constant<T>(T);

// SAFETY: never written; the addresses are those of constants.
unsafe impl<T> Sync for Constant<T> {}

/// One device with one core: all that a binary can be made for.
static PLATFORM: Constant<QnnDevice_PlatformInfo_t> = Constant(QnnDevice_PlatformInfo_t {
    version: QNN_DEVICE_PLATFORM_INFO_VERSION_1,
    u: QnnDevice_PlatformInfo_u {
        v1: QnnDevice_PlatformInfoV1_t {
            numHwDevices: 1,
            hwDevices: (&raw const HARDWARE.0).cast_mut(),
        },
    },
});

static HARDWARE: Constant<QnnDevice_HardwareDeviceInfo_t> =
    Constant(QnnDevice_HardwareDeviceInfo_t {
        version: QNN_DEVICE_HARDWARE_DEVICE_INFO_VERSION_1,
        u: QnnDevice_HardwareDeviceInfo_u {
            v1: QnnDevice_HardwareDeviceInfoV1_t {
                deviceId: 0,
                deviceType: 0,
                numCores: 1,
                cores: (&raw const CORE.0).cast_mut(),
                deviceInfoExtension: core::ptr::null_mut(),
            },
        },
    });

static CORE: Constant<QnnDevice_CoreInfo_t> = Constant(QnnDevice_CoreInfo_t {
    version: QNN_DEVICE_CORE_INFO_VERSION_1,
    u: QnnDevice_CoreInfo_u {
        v1: QnnDevice_CoreInfoV1_t {
            coreId: 0,
            coreType: QNN_HTP_CORE_TYPE_NSP,
            coreInfoExtension: core::ptr::null_mut(),
        },
    },
});
