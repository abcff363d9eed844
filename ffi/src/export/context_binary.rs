//! Context binaries: written from a context's finalized graphs, checked, and loaded.

use core::ffi::c_void;

use heapless::Vec;
use runtime::binary::layout::VERSION;
use runtime::binary::{
    BinaryError, BinaryLayout, CheckedBinary, ContextBinary, GraphSource, GRAPHS_MAX,
};
use runtime::error::{CreateError, HandleError, Status};
use runtime::graph::table::CONSTANTS_ALIGN;
use runtime::handle::{ContextId, GraphId, ProfileId};
use runtime::profile::ProfileCall;
use runtime::region::SharedBytes;

use crate::abi::*;
use crate::client;
use crate::convert::{binary_error, from_client, to_client, Code, Family};
use crate::export::context::Parents;
use crate::export::context_config::{Call, Config};
use crate::export::{answer, known_context, profile, settled, signal, Machine, MayRecover};
use crate::instance::Instance;
use crate::objects::{kind, SignalId};
use crate::refusal::{because, no_handle, null};

const BAD: Code = QNN_CONTEXT_ERROR_INVALID_ARGUMENT;

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnContext_getBinarySize(
    context: Qnn_ContextHandle_t,
    binaryBufferSize: *mut Qnn_ContextBinarySize_t,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    answer(c"QnnContext_getBinarySize", unsafe { size(context, binaryBufferSize) })
}

/// # Safety
/// As the QNN API says.
unsafe fn size(
    context: Qnn_ContextHandle_t,
    size: *mut Qnn_ContextBinarySize_t,
) -> Result<(), Code> {
    let (instance, id) = writable(context)?;
    // SAFETY: the caller's promise.
    let size = unsafe { client::out(size) }.ok_or_else(null(BAD, "binaryBufferSize"))?;
    let failed = QNN_CONTEXT_ERROR_GET_BINARY_SIZE_FAILED;
    let bytes = with_layout(instance, id, failed, &mut |it| Ok(it.size_bytes()))?;
    *size = bytes as Qnn_ContextBinarySize_t;
    Ok(())
}

/// A context that a binary can be made of: composed, not loaded.
fn writable(context: Qnn_ContextHandle_t) -> Result<(&'static Instance, ContextId), Code> {
    let (instance, id) = known_context("context", context, Family::CONTEXT)?;
    if instance.objects.lock().owner(id).is_some_and(|owner| owner.loaded) {
        let why = "context was loaded from a binary: use that";
        return Err(because!(QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED, why));
    }
    Ok((instance, id))
}

/// What is done with a planned binary.
trait Planned {
    fn size_bytes(&self) -> usize;
    fn write_into(&self, buffer: &mut [u8]) -> Option<usize>;
}

impl<'a, I: Iterator<Item = GraphSource<'a>> + Clone> Planned for BinaryLayout<I> {
    fn size_bytes(&self) -> usize {
        BinaryLayout::size_bytes(self)
    }
    fn write_into(&self, buffer: &mut [u8]) -> Option<usize> {
        BinaryLayout::write_into(self, buffer).ok()
    }
}

/// A graph's table and priority.
type Lent = (SharedBytes<'static>, u32);

/// Plans the binary of a context, whose graphs must all be finalized. They are read outside the
/// runtime's lock, so that others go on meanwhile.
fn with_layout(
    instance: &Instance,
    context: ContextId,
    failed: Code,
    then: &mut dyn FnMut(&dyn Planned) -> Result<usize, Code>,
) -> Result<usize, Code> {
    let mut graphs = Vec::<Lent, GRAPHS_MAX>::new();
    let lent = instance.driver.call(|machine, _| lend(machine, context, failed, &mut graphs));
    let done = lent.and_then(|()| {
        let sources =
            graphs.iter().map(|(table, priority)| GraphSource { table, priority: *priority });
        let layout = BinaryLayout::plan(instance.device.arch, sources).map_err(|_| failed)?;
        then(&layout)
    });
    instance.driver.call(|machine, _| {
        while let Some((table, _)) = graphs.pop() {
            machine.return_table(table);
        }
    });
    done
}

/// Borrows the tables of a context.
fn lend(
    machine: &mut Machine,
    context: ContextId,
    failed: Code,
    graphs: &mut Vec<Lent, GRAPHS_MAX>,
) -> Result<(), Code> {
    let ids: Vec<GraphId, GRAPHS_MAX> = machine.graphs_of(context).take(GRAPHS_MAX).collect();
    if machine.graphs_of(context).count() > ids.len() {
        return Err(failed);
    }
    for id in ids {
        if machine.graph_status(id) != Ok(Status::Ready) {
            return Err(because!(QNN_CONTEXT_ERROR_NOT_FINALIZED, "a graph is not finalized"));
        }
        let priority = machine.graph_priority(id).map_err(|_| failed)?.qnn();
        let table = machine.lend_table(id).map_err(|_| failed)?;
        // There is room for as many as there are.
        let _ = graphs.push((table, priority));
    }
    Ok(())
}

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnContext_getBinary(
    context: Qnn_ContextHandle_t,
    binaryBuffer: *mut c_void,
    binaryBufferSize: Qnn_ContextBinarySize_t,
    writtenBufferSize: *mut Qnn_ContextBinarySize_t,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    let written = unsafe { get(context, binaryBuffer, binaryBufferSize, writtenBufferSize) };
    answer(c"QnnContext_getBinary", written)
}

/// # Safety
/// As the QNN API says.
unsafe fn get(
    context: Qnn_ContextHandle_t,
    buffer: *mut c_void,
    size: Qnn_ContextBinarySize_t,
    written: *mut Qnn_ContextBinarySize_t,
) -> Result<(), Code> {
    const FAILED: Code = QNN_CONTEXT_ERROR_GET_BINARY_FAILED;
    let (instance, id) = writable(context)?;
    // SAFETY: the caller's promise.
    let written = unsafe { client::out(written) }.ok_or_else(null(BAD, "writtenBufferSize"))?;
    let size = check_buffer(buffer, size)?;
    // SAFETY: not null, and the caller's promise of that many writable bytes.
    let buffer = unsafe { core::slice::from_raw_parts_mut(buffer.cast::<u8>(), size) };
    let write = &mut |it: &dyn Planned| {
        let needed = it.size_bytes();
        it.write_into(buffer).ok_or_else(|| {
            because!(FAILED, "binaryBufferSize is ", size, ", ", needed, " are needed")
        })
    };
    let bytes = with_layout(instance, id, FAILED, write)?;
    *written = bytes as Qnn_ContextBinarySize_t;
    Ok(())
}

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnContext_createFromBinary(
    backend: Qnn_BackendHandle_t,
    device: Qnn_DeviceHandle_t,
    config: *mut *const QnnContext_Config_t,
    binaryBuffer: *const c_void,
    binaryBufferSize: Qnn_ContextBinarySize_t,
    context: *mut Qnn_ContextHandle_t,
    profile: Qnn_ProfileHandle_t,
) -> Qnn_ErrorHandle_t {
    let binary = (binaryBuffer, binaryBufferSize);
    let created = Parents::check(backend, device).and_then(|parents| {
        // SAFETY: the caller's promise.
        unsafe { create(&parents, config, binary, context, profile, core::ptr::null_mut()) }
    });
    answer(c"QnnContext_createFromBinary", created)
}

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnContext_createFromBinaryWithSignal(
    backend: Qnn_BackendHandle_t,
    device: Qnn_DeviceHandle_t,
    config: *mut *const QnnContext_Config_t,
    binaryBuffer: *const c_void,
    binaryBufferSize: Qnn_ContextBinarySize_t,
    context: *mut Qnn_ContextHandle_t,
    profile: Qnn_ProfileHandle_t,
    signal: Qnn_SignalHandle_t,
) -> Qnn_ErrorHandle_t {
    let binary = (binaryBuffer, binaryBufferSize);
    let created = Parents::check(backend, device).and_then(|parents| {
        // SAFETY: the caller's promise.
        unsafe { create(&parents, config, binary, context, profile, signal) }
    });
    answer(c"QnnContext_createFromBinaryWithSignal", created)
}

/// # Safety
/// As the QNN API says; a persistent binary stays as it is until the context is freed.
unsafe fn create(
    parents: &Parents,
    config: *mut *const QnnContext_Config_t,
    binary: (*const c_void, Qnn_ContextBinarySize_t),
    context: *mut Qnn_ContextHandle_t,
    profile: Qnn_ProfileHandle_t,
    signal: Qnn_SignalHandle_t,
) -> Result<(), Code> {
    let instance = parents.instance;
    // SAFETY: the caller's promise.
    let context = unsafe { client::out(context) }.ok_or_else(null(BAD, "context"))?;
    // SAFETY: the caller's promise.
    let source = unsafe { Source::read(instance, &[config], binary, profile) }?;
    let signal = begin(instance, signal)?;
    let created = source.create(parents, signal);
    end(instance, signal);
    *context = to_client(created?);
    Ok(())
}

/// What a context is made of.
pub(crate) struct Source<'a> {
    binary: &'static [u8],
    config: Config<'a>,
    profile: Option<ProfileId>,
}

impl<'a> Source<'a> {
    /// Checks the arguments, all but what is in the binary. Several configuration lists count as
    /// one.
    ///
    /// # Safety
    /// As the QNN API says; a persistent binary stays as it is until the context is freed, any
    /// other as long as this.
    pub(crate) unsafe fn read(
        instance: &Instance,
        config: &[*mut *const QnnContext_Config_t],
        binary: (*const c_void, Qnn_ContextBinarySize_t),
        profile: Qnn_ProfileHandle_t,
    ) -> Result<Self, Code> {
        // SAFETY: the caller's promise; it is copied unless it is persistent.
        let binary = unsafe { bytes(binary) }?;
        // SAFETY: the caller's promise.
        let config = unsafe { Config::read_lists("config", config, Call::CreateFromBinary) }?;
        let profile = profile::optional(instance, profile, ("profile", BAD))?;
        Ok(Self { binary, config, profile })
    }

    /// Makes the context and waits until it is ready, or the signal ends that.
    pub(crate) fn create(
        &self,
        parents: &Parents,
        signal: Option<Bound>,
    ) -> Result<ContextId, Code> {
        let instance = parents.instance;
        let started = instance.driver.now();
        let (id, device_us) = load(parents, self.binary, &self.config, signal)?;
        let total_us = instance.driver.now().since_us(started);
        profile::record(instance, self.profile, ProfileCall::Load { total_us, device_us });
        Ok(id)
    }
}

/// Views a binary.
///
/// # Safety
/// It is null or points to that many bytes, which stay as they are for the life of the context or
/// of the call.
pub(crate) unsafe fn bytes(
    (address, size): (*const c_void, Qnn_ContextBinarySize_t),
) -> Result<&'static [u8], Code> {
    let size = check_buffer(address, size)?;
    // SAFETY: not null, and the caller's promise.
    Ok(unsafe { core::slice::from_raw_parts(address.cast(), size) })
}

/// The bytes of a binary's buffer.
fn check_buffer(address: *const c_void, size: Qnn_ContextBinarySize_t) -> Result<usize, Code> {
    if address.is_null() {
        return Err(because!(BAD, "binaryBuffer is null"));
    }
    match usize::try_from(size) {
        Ok(bytes) if bytes > 0 && isize::try_from(bytes).is_ok() => Ok(bytes),
        _ => Err(because!(BAD, "binaryBufferSize is ", size)),
    }
}

/// A signal, and when it ends what it is attached to.
pub(crate) type Bound = (SignalId, runtime::time::Instant);

/// Attaches the signal of a creation, and gives the deadline that it sets.
pub(crate) fn begin(
    instance: &Instance,
    signal: Qnn_SignalHandle_t,
) -> Result<Option<Bound>, Code> {
    if signal.is_null() {
        return Ok(None);
    }
    const INVALID: Code = QNN_SIGNAL_ERROR_INVALID_HANDLE;
    let none = no_handle::<kind::Signal>(INVALID, "signal", signal);
    let id = from_client(signal).ok_or_else(&none)?;
    instance.driver.call(|machine, now| {
        let deadline = signal::deadline(instance, machine, id, now).map_err(|code| match code {
            QNN_GRAPH_ERROR_SIGNAL_IN_USE => QNN_SIGNAL_ERROR_SIGNAL_IN_USE,
            INVALID => none(),
            other => other,
        })?;
        signal::attach_call(instance, id, true);
        Ok(Some((id, deadline)))
    })
}

/// Detaches the signal of a creation.
pub(crate) fn end(instance: &Instance, signal: Option<Bound>) {
    if let Some((signal, _)) = signal {
        signal::attach_call(instance, signal, false);
    }
}

/// How often a load that meets a restart begins anew.
const LOADS_MAX: u32 = 4;

/// Loads a binary: in place if it is persistent, otherwise as a copy in the runtime's memory. Its
/// bytes are copied and checked outside the runtime's lock, so that others go on meanwhile. Gives
/// the context and the microseconds on the device.
fn load(
    parents: &Parents,
    binary: &'static [u8],
    config: &Config<'_>,
    signal: Option<Bound>,
) -> Result<(ContextId, u64), Code> {
    let instance = parents.instance;
    let mut created = Err(CreateError::Handle(HandleError::Recovering));
    for _ in 0..LOADS_MAX {
        settled(instance, |machine, _| machine.check_online())
            .map_err(|error| Family::CONTEXT.create_error(error.into()))?;
        let checked = checked(instance, binary, config.persistent)?;
        let context = match checked.open().map_err(refused) {
            Ok(binary) => config.for_binary(&binary),
            Err(code) => Err(code),
        };
        let context = match context {
            Ok(context) => context,
            Err(code) => {
                give_back(instance, checked.into_bytes());
                return Err(code);
            }
        };
        created = instance.driver.call(|machine, _| -> Result<ContextId, CreateError> {
            let id = machine.context_load_checked(checked, &context)?;
            if config.has_priority {
                machine.context_set_priority(id, config.context.priority)?;
            }
            Ok(id)
        });
        if !created.as_ref().is_err_and(MayRecover::is_recovering) {
            break;
        }
    }
    let id = created.map_err(|error| Family::CONTEXT.create_error(error))?;
    let handed_over = instance.driver.now();
    parents.finish(id, true, signal)?;
    Ok((id, instance.driver.now().since_us(handed_over)))
}

/// The binary, checked, as the runtime takes it.
fn checked(
    instance: &Instance,
    binary: &'static [u8],
    persistent: bool,
) -> Result<CheckedBinary<'static>, Code> {
    let mut shared = SharedBytes::from_borrowed(binary);
    if !persistent {
        shared = instance
            .driver
            .call(|machine, _| {
                machine.region_mut().alloc_shared(binary.len(), CONSTANTS_ALIGN, |_| ())
            })
            .map_err(|_| QNN_COMMON_ERROR_MEM_ALLOC)?;
        let block = shared.get_mut().unwrap_or(&mut []);
        block.iter_mut().zip(binary).for_each(|(to, from)| *to = *from);
    }
    CheckedBinary::check(shared, instance.device.arch).map_err(|(error, shared)| {
        give_back(instance, shared);
        refused(error)
    })
}

/// The answer to bytes that are no binary which the device takes.
pub(crate) fn refused(error: BinaryError) -> Code {
    let code = binary_error(error);
    match error {
        BinaryError::NotABinary => {
            because!(code, "binaryBuffer does not begin as a context binary of this library does")
        }
        BinaryError::Version { found } => {
            let why = "binaryBuffer has the format version ";
            because!(code, why, found, ", ", VERSION, " is needed")
        }
        BinaryError::SizeMismatch => {
            let why = "binaryBufferSize is not the size that the header in binaryBuffer says";
            because!(code, why)
        }
        BinaryError::Arch { prepared_for } => {
            because!(code, "binaryBuffer was prepared for v", prepared_for)
        }
        BinaryError::TooManyGraphs => {
            because!(code, "binaryBuffer has more than ", GRAPHS_MAX, " graphs")
        }
        BinaryError::HeaderChecksum => {
            because!(code, "binaryBuffer is damaged: the checksum of its header is wrong")
        }
        BinaryError::SectionChecksum { section } => {
            let why = "binaryBuffer is damaged: the checksum is wrong of section ";
            because!(code, why, section)
        }
        BinaryError::OutOfBounds => because!(code, "binaryBuffer has sections beyond its end"),
        BinaryError::BadEntry { index } => {
            because!(code, "binaryBuffer contradicts itself about graph ", index)
        }
        BinaryError::DuplicateName { index } => {
            because!(code, "binaryBuffer has another graph with the name of graph ", index)
        }
        BinaryError::BadGraph { index, .. } => {
            because!(code, "binaryBuffer has a graph that cannot be read: graph ", index)
        }
    }
}

/// Nobody else has these bytes, so they go back.
fn give_back(instance: &Instance, bytes: SharedBytes<'static>) {
    let _ = instance.driver.call(|machine, _| machine.region_mut().reclaim(bytes));
}

fn check(binary: &[u8], arch: u32, config: &Config<'_>) -> Result<(), Code> {
    let parsed = ContextBinary::parse(binary).map_err(refused)?;
    parsed.check_arch(arch).map_err(refused)?;
    config.for_binary(&parsed).map(|_| ())
}

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnContext_validateBinary(
    backend: Qnn_BackendHandle_t,
    device: Qnn_DeviceHandle_t,
    config: *mut *const QnnContext_Config_t,
    binaryBuffer: *const c_void,
    binaryBufferSize: Qnn_ContextBinarySize_t,
) -> Qnn_ErrorHandle_t {
    let result = Parents::check(backend, device).and_then(|parents| {
        // SAFETY: the caller's promise; nothing is kept.
        let binary = unsafe { bytes((binaryBuffer, binaryBufferSize)) }?;
        // SAFETY: the caller's promise.
        let config = unsafe { Config::read(config, Call::CreateFromBinary) }?;
        check(binary, parents.instance.device.arch, &config)
    });
    answer(c"QnnContext_validateBinary", result)
}
