//! `QnnMem.h`: shared buffers by descriptor, mapped into this process, used in place.
//!
//! A buffer that is deregistered while requests of its context are in flight keeps its pages until
//! they are heard, so that no request ever writes to memory that is gone.

use heapless::Vec;
use runtime::error::{CreateError, HandleError, Status};
use runtime::graph::{element_count, RANK_MAX};
use runtime::handle::{BufferId, ContextId};
use runtime::limits::NO_TIMEOUT_US;
use runtime::memory::ClientMemory;
use runtime::platform::drive::Answer;
use runtime::platform::{os, MapError, Pages, SharedMemory};

use crate::abi::*;
use crate::client;
use crate::convert::{from_client, to_client, Code, Family};
use crate::export::operand::data_type;
use crate::export::{answer, known_context, living, settled, Machine};
use crate::instance::Instance;
use crate::objects::{kind, Mapping, MappingId, Objects, HOST, MAPPINGS_MAX};
use crate::refusal::{because, instead, no_array, no_handle, null, within, Dims};

const INVALID_HANDLE: Code = QNN_MEM_ERROR_INVALID_HANDLE;
const BAD: Code = QNN_MEM_ERROR_INVALID_ARGUMENT;

/// Most buffers of one call.
const BUFFERS_PER_CALL_MAX: usize = 64;

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnMem_register(
    context: Qnn_ContextHandle_t,
    memDescriptors: *const Qnn_MemDescriptor_t,
    numDescriptors: u32,
    memHandles: *mut Qnn_MemHandle_t,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    let result = unsafe { register(context, memDescriptors, numDescriptors, memHandles) };
    answer(c"QnnMem_register", result)
}

/// # Safety
/// As the QNN API says.
unsafe fn register(
    context: Qnn_ContextHandle_t,
    descriptors: *const Qnn_MemDescriptor_t,
    count: u32,
    handles: *mut Qnn_MemHandle_t,
) -> Result<(), Code> {
    let (instance, context) = known_context("context", context, Family::CONTEXT)?;
    // SAFETY: the caller's promise.
    let descriptors = unsafe { client::array(descriptors, count, BUFFERS_PER_CALL_MAX) }
        .ok_or_else(no_array(BAD, ("memDescriptors", "numDescriptors"), count))?;
    if descriptors.is_empty() {
        return Err(because!(BAD, "numDescriptors is 0"));
    }
    if handles.is_null() || !handles.is_aligned() {
        return Err(null(BAD, "memHandles")());
    }
    let mut made = Vec::<MappingId, BUFFERS_PER_CALL_MAX>::new();
    for (at, descriptor) in descriptors.iter().enumerate() {
        // SAFETY: the caller's promise.
        let one = unsafe { register_one(instance, context, descriptor) };
        let one = one.map_err(|code| within!(code, "memDescriptors[", at, "]"));
        // There is room for as many as were read.
        let kept = one.and_then(|id| made.push(id).map_err(|_| BAD));
        if let Err(code) = kept {
            // All or none: no handle was written yet.
            let _ = deregister_all(instance, made.iter().map(|&id| Some(id)));
            return Err(code);
        }
    }
    for (index, &id) in made.iter().enumerate() {
        // SAFETY: the caller promised room for as many handles as descriptors.
        unsafe { handles.wrapping_add(index).write(to_client(id)) };
    }
    Ok(())
}

/// A part of the memory behind a descriptor.
struct Wanted {
    fd: i32,
    offset: u64,
    bytes: u64,
    /// The descriptor may have one handle only (BUF-002).
    exclusive: bool,
}

impl Wanted {
    /// # Safety
    /// What the descriptor points to is readable.
    unsafe fn read(descriptor: &Qnn_MemDescriptor_t) -> Result<Self, Code> {
        let shape = &descriptor.memShape;
        if !(1..=RANK_MAX).contains(&(shape.numDim as usize)) {
            let (code, count) = (QNN_MEM_ERROR_INVALID_SHAPE, shape.numDim);
            return Err(because!(
                code,
                ".memShape.numDim is ",
                count,
                ", it can be 1 to ",
                RANK_MAX
            ));
        }
        // SAFETY: the caller's promise.
        let dims = unsafe { client::array(shape.dimSize, shape.numDim, RANK_MAX) }
            .ok_or_else(no_array(BAD, (".memShape.dimSize", "numDim"), shape.numDim))?;
        let element = data_type(descriptor.dataType).map_err(|code| instead(code, BAD))?;
        let bytes = element_count(dims.iter().copied())
            .and_then(|count| count.checked_mul(element.size_bytes()))
            .filter(|&bytes| bytes > 0)
            .ok_or_else(|| {
                let (dims, why) = (Dims(dims.iter().copied()), ": no bytes, or too many");
                because!(QNN_MEM_ERROR_INVALID_SHAPE, ".memShape.dimSize is ", dims, why)
            })? as u64;
        let whole = |fd| Self { fd, offset: 0, bytes, exclusive: true };
        match descriptor.memType {
            // SAFETY: the type selects this member, a number.
            QNN_MEM_TYPE_ION => Ok(whole(unsafe { descriptor.u.ionInfo }.fd)),
            // SAFETY: as above.
            QNN_MEM_TYPE_DMA_BUF => Ok(whole(unsafe { descriptor.u.dmaBufInfo }.fd)),
            QNN_MEM_TYPE_CUSTOM => {
                // SAFETY: the type selects this member, which points to an HTP descriptor or is
                // null.
                let htp = unsafe { descriptor.u.customInfo }.cast::<QnnMemHtp_Descriptor_t>();
                // SAFETY: the caller's promise.
                let htp = unsafe { client::one(htp) }.ok_or_else(null(BAD, ".customInfo"))?;
                Self::part_of(htp, bytes).map_err(|code| within!(code, ".customInfo->"))
            }
            kind => {
                let why = ", there are 1 (ION), 2 (CUSTOM) and 3 (DMA_BUF)";
                Err(because!(QNN_MEM_ERROR_UNSUPPORTED_MEMTYPE, ".memType is ", kind, why))
            }
        }
    }

    fn part_of(htp: &QnnMemHtp_Descriptor_t, bytes: u64) -> Result<Self, Code> {
        if htp.type_ != QNN_HTP_MEM_SHARED_BUFFER {
            let why = ", only SHARED_BUFFER is offered";
            return Err(because!(QNN_MEM_ERROR_UNSUPPORTED_MEMTYPE, "type is ", htp.type_, why));
        }
        if htp.size == 0 {
            return Err(because!(BAD, "size is 0"));
        }
        // SAFETY: the type selects this member, numbers.
        let place = unsafe { htp.u.sharedBufferConfig };
        match place.offset.checked_add(bytes) {
            Some(end) if end <= htp.size => {
                Ok(Self { fd: place.fd, offset: place.offset, bytes, exclusive: false })
            }
            _ => {
                let (size, why) = (htp.size, " bytes of the tensor reach beyond size, which is ");
                let (field, offset) = ("sharedBufferConfig.offset is ", place.offset);
                let code = QNN_MEM_ERROR_INVALID_SHAPE;
                Err(because!(code, field, offset, ": the ", bytes, why, size))
            }
        }
    }
}

/// # Safety
/// What the descriptor points to is readable.
unsafe fn register_one(
    instance: &Instance,
    context: ContextId,
    descriptor: &Qnn_MemDescriptor_t,
) -> Result<MappingId, Code> {
    // SAFETY: the caller's promise.
    let wanted = unsafe { Wanted::read(descriptor) }?;
    let SharedMemory { pages, address, identity } = map(&wanted)?;
    let bytes = wanted.bytes as usize;
    let exclusive = wanted.exclusive.then_some(identity);
    // SAFETY: the pages stay mapped until the buffer is deregistered and its context has no request
    // in flight.
    let memory = unsafe { ClientMemory::new(address, bytes) };
    let made = settled(instance, |machine, _| {
        let mut objects = instance.objects.lock();
        if exclusive.is_some() && is_registered(&objects, context, exclusive) {
            return Err(CreateError::DuplicateName);
        }
        let buffer = machine.buffer_register(context, memory)?;
        let released = false;
        let mapping = Mapping { context, buffer, address, bytes, pages, exclusive, released };
        objects.mappings.insert(HOST, mapping).map(|id| (id, buffer)).map_err(|error| {
            let _ = machine.buffer_deregister(buffer);
            error.into()
        })
    });
    let (id, buffer) = match made {
        Ok(made) => made,
        Err(error) => {
            unmap(pages);
            return Err(match error {
                CreateError::DuplicateName => {
                    let why = " is registered with this context already";
                    let code = QNN_MEM_ERROR_ALREADY_REGISTERED;
                    because!(code, ": the memory behind the descriptor ", wanted.fd, why)
                }
                other => Family::MEM.create_error(other),
            });
        }
    };
    wait_until_mapped(instance, buffer).inspect_err(|_| {
        let _ = deregister_all(instance, core::iter::once(Some(id)));
    })?;
    Ok(id)
}

fn is_registered(objects: &Objects, context: ContextId, identity: Option<(u64, u64)>) -> bool {
    let same = |mapping: &Mapping| {
        mapping.context == context && mapping.exclusive == identity && !mapping.released
    };
    objects.mappings.iter().any(|(_, mapping)| same(mapping))
}

fn wait_until_mapped(instance: &Instance, buffer: BufferId) -> Result<(), Code> {
    let waited = instance.driver.call_blocking(NO_TIMEOUT_US, |machine, _| {
        match machine.buffer_status(buffer) {
            Ok(Status::Pending) => Answer::Pending,
            Err(CreateError::Handle(HandleError::Recovering)) => Answer::Pending,
            Ok(Status::Ready) => Answer::Ready(Ok(())),
            Err(error) => Answer::Ready(Err(Family::MEM.create_error(error))),
        }
    });
    waited.unwrap_or(Err(QNN_MEM_ERROR_MAPPING))
}

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnMem_deRegister(
    memHandles: *const Qnn_MemHandle_t,
    numHandles: u32,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    answer(c"QnnMem_deRegister", unsafe { deregister(memHandles, numHandles) })
}

/// # Safety
/// As the QNN API says.
unsafe fn deregister(handles: *const Qnn_MemHandle_t, count: u32) -> Result<(), Code> {
    // SAFETY: the caller's promise.
    let handles = unsafe { client::array(handles, count, MAPPINGS_MAX.into()) }
        .ok_or_else(no_array(BAD, ("memHandles", "numHandles"), count))?;
    if handles.is_empty() {
        return Err(because!(BAD, "numHandles is 0"));
    }
    let instance = living(|| because!(INVALID_HANDLE, "nothing is registered"))?;
    let ids = handles.iter().map(|&handle| from_client(handle));
    deregister_all(instance, ids).map_err(|at| {
        let handle = handles.get(at).copied().unwrap_or(core::ptr::null_mut());
        no_handle::<kind::Mapping>(INVALID_HANDLE, "]", handle)();
        within!(INVALID_HANDLE, "memHandles[", at)
    })
}

/// All or none; the place of the first that is none. Works on buffers from before a restart, and on
/// those of a freed context (SSR-024, C-03).
fn deregister_all(
    instance: &Instance,
    ids: impl Iterator<Item = Option<MappingId>> + Clone,
) -> Result<(), usize> {
    instance.driver.call(|machine, _| {
        let mut objects = instance.objects.lock();
        for (index, id) in ids.clone().enumerate() {
            // One that is named twice is gone at the second time.
            if release(&mut objects, id).is_none() {
                for id in ids.clone().take(index).flatten() {
                    if let Ok(mapping) = objects.mappings.get_mut(id) {
                        mapping.released = false;
                    }
                }
                return Err(index);
            }
        }
        for id in ids.clone().flatten() {
            if let Ok(mapping) = objects.mappings.get(id) {
                // Its context may have taken it along already.
                let _ = machine.buffer_deregister(mapping.buffer);
            }
        }
        Ok(())
    })?;
    sweep(instance);
    Ok(())
}

fn release(objects: &mut Objects, id: Option<MappingId>) -> Option<()> {
    let mapping = objects.mappings.get_mut(id?).ok().filter(|mapping| !mapping.released)?;
    mapping.released = true;
    Some(())
}

/// Unmaps what was deregistered and is used no more. Linear in the number of buffers.
pub(crate) fn sweep(instance: &Instance) {
    loop {
        let mut unused = Vec::<Pages, 16>::new();
        instance.driver.call(|machine, _| {
            let mut objects = instance.objects.lock();
            while !unused.is_full() {
                let idle = |(_, mapping): &(MappingId, &Mapping)| is_idle(machine, mapping);
                let Some((id, _)) = objects.mappings.iter().find(idle) else { return };
                if let Ok(mapping) = objects.mappings.remove(id) {
                    let _ = unused.push(mapping.pages);
                }
            }
        });
        // Outside the locks: nobody can reach them any more.
        unused.iter().for_each(|&pages| unmap(pages));
        if !unused.is_full() {
            return;
        }
    }
}

fn is_idle(machine: &Machine, mapping: &Mapping) -> bool {
    let used = |stats: runtime::runtime::ContextStats| stats.queue_used > 0;
    mapping.released && !machine.context_stats(mapping.context).is_ok_and(used)
}

fn map(wanted: &Wanted) -> Result<SharedMemory, Code> {
    os::map_shared(wanted.fd, wanted.offset, wanted.bytes).map_err(|error| {
        let (code, why) = match error {
            MapError::NoDescriptor => (BAD, "is not open"),
            MapError::Invalid => (BAD, "has no memory there: the numbers are too large"),
            MapError::TooSmall => (QNN_MEM_ERROR_MAPPING, "has less memory than the buffer needs"),
            MapError::Refused => {
                (QNN_MEM_ERROR_MAPPING, "cannot be mapped for reading and writing")
            }
            MapError::NotSupported => {
                (QNN_COMMON_ERROR_NOT_SUPPORTED, "means nothing without an operating system")
            }
        };
        because!(code, ": the descriptor ", wanted.fd, " ", why)
    })
}

fn unmap(pages: Pages) {
    // SAFETY: exactly what `map` mapped; every caller has just taken it from who reached it.
    unsafe { os::unmap_shared(pages) };
}
