//! Host objects: what the runtime does not know, because the device has no part in it. They survive
//! restarts (SSR-013 to SSR-016).
//!
//! The lock around them is taken inside the runtime's, or alone; never the other way round.

use runtime::handle::{BufferId, ContextId, Epoch, Handle, ProfileId, RequestId};
use runtime::limits::Capacities;
use runtime::platform::os::output::File;
use runtime::platform::Pages;
use runtime::region::{OutOfMemory, Region, RegionSlice};
use runtime::slots::{CapacityExceeded, Slots};

use crate::abi::*;
use crate::binary_info::Descriptions;
use crate::log::{Call, CALLS_MAX};
use crate::profile_list::Listing;

/// Kind markers, never made.
pub(crate) mod kind {
    pub(crate) enum Backend {}
    pub(crate) enum Device {}
    pub(crate) enum Log {}
    pub(crate) enum Signal {}
    pub(crate) enum Mapping {}
    pub(crate) enum SystemContext {}
    pub(crate) enum Target {}
}

pub(crate) type BackendId = Handle<kind::Backend>;
pub(crate) type DeviceId = Handle<kind::Device>;
pub(crate) type LogId = Handle<kind::Log>;
pub(crate) type SignalId = Handle<kind::Signal>;
pub(crate) type MappingId = Handle<kind::Mapping>;
pub(crate) type SystemContextId = Handle<kind::SystemContext>;
pub(crate) type TargetId = Handle<kind::Target>;

/// Backends at once.
const BACKENDS_MAX: u16 = 64;
/// Devices at once.
const DEVICES_MAX: u16 = 64;
/// Logs at once.
const LOGS_MAX: u16 = 64;
/// Signals at once: one for each of two full queues.
const SIGNALS_MAX: u16 = 600;
/// Mapped buffers at once, where there may be few registered ones: those that were deregistered
/// while requests use them count, too.
const MAPPINGS_MIN: u16 = 1024;
/// Mapped buffers at once. Larger capacities at init do not give more.
pub(crate) const MAPPINGS_MAX: u16 = 4096;
/// Contexts whose owner is known at once. Larger capacities at init do not give more.
const CONTEXTS_MAX: usize = 256;
/// Profile objects at once. Larger capacities at init do not give more.
const PROFILES_MAX: usize = 256;
/// System contexts at once.
const SYSTEM_CONTEXTS_MAX: u16 = 64;
/// Files for profiling data at once.
const TARGETS_MAX: u16 = 16;

/// A backend.
pub(crate) struct Backend;

/// A device handle. All name the one device there is.
pub(crate) struct Device;

/// A log.
#[derive(Clone, Copy)]
pub(crate) struct Log {
    pub(crate) callback: QnnLog_Callback_t,
    pub(crate) level_max: QnnLog_Level_t,
}

/// What a signal is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Unset,
    /// Triggering it ends the call that it is attached to.
    Abort,
    /// It bounds the call that it is attached to, in microseconds.
    Timeout(u64),
}

/// What a signal is attached to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attached {
    Nothing,
    /// An execution, which may be over.
    Request(RequestId),
    /// A call that has no request: it creates a context, or its execution waits for room.
    Call {
        aborted: bool,
    },
}

/// A signal.
#[derive(Clone, Copy)]
pub(crate) struct Signal {
    pub(crate) purpose: Purpose,
    pub(crate) attached: Attached,
}

/// A registered buffer: memory behind a descriptor, mapped into this process.
#[derive(Clone, Copy)]
pub(crate) struct Mapping {
    pub(crate) context: ContextId,
    pub(crate) buffer: BufferId,
    /// First byte of the client's part.
    pub(crate) address: usize,
    /// Bytes of the client's part.
    pub(crate) bytes: usize,
    /// The mapping itself: whole pages.
    pub(crate) pages: Pages,
    /// Identity of the memory behind the descriptor, if it may have one handle only.
    pub(crate) exclusive: Option<(u64, u64)>,
    /// Deregistered; waits for the requests in flight before its pages go.
    pub(crate) released: bool,
}

/// Whose a context is.
#[derive(Clone, Copy)]
pub(crate) struct Owner {
    pub(crate) context: ContextId,
    pub(crate) backend: BackendId,
    pub(crate) device: Option<DeviceId>,
    /// Loaded from a binary: its graphs are final.
    pub(crate) loaded: bool,
}

/// All host objects.
pub(crate) struct Objects {
    pub(crate) backends: Slots<'static, kind::Backend, Backend>,
    pub(crate) devices: Slots<'static, kind::Device, Device>,
    pub(crate) logs: Slots<'static, kind::Log, Log>,
    pub(crate) signals: Slots<'static, kind::Signal, Signal>,
    pub(crate) mappings: Slots<'static, kind::Mapping, Mapping>,
    /// A system context is the descriptions that it has given out.
    pub(crate) system_contexts: Slots<'static, kind::SystemContext, Descriptions>,
    pub(crate) targets: Slots<'static, kind::Target, File>,
    /// Who is in a log's callback.
    pub(crate) calls: [Option<Call>; CALLS_MAX],
    owners: RegionSlice<'static, Option<Owner>>,
    /// Bytes that executions on the CPU were given.
    pub(crate) fallback_bytes: usize,
    /// What `QnnProfile_getEvents` handed out of each profile object.
    profiles: RegionSlice<'static, Listing>,
}

impl Objects {
    /// Bytes of region memory that [`Objects::new`] takes.
    pub(crate) fn bytes(capacities: &Capacities) -> usize {
        Self::FIXED_BYTES + Slots::<'static, kind::Mapping, Mapping>::bytes(mappings(capacities))
    }

    /// All but the mapped buffers.
    const FIXED_BYTES: usize = {
        const BLOCK_OVERHEAD: usize = 64;
        Slots::<'static, kind::Backend, Backend>::bytes(BACKENDS_MAX)
            + Slots::<'static, kind::Device, Device>::bytes(DEVICES_MAX)
            + Slots::<'static, kind::Log, Log>::bytes(LOGS_MAX)
            + Slots::<'static, kind::Signal, Signal>::bytes(SIGNALS_MAX)
            + Slots::<'static, kind::SystemContext, Descriptions>::bytes(SYSTEM_CONTEXTS_MAX)
            + Slots::<'static, kind::Target, File>::bytes(TARGETS_MAX)
            + size_of::<Option<Owner>>() * CONTEXTS_MAX
            + size_of::<Listing>() * PROFILES_MAX
            + 9 * BLOCK_OVERHEAD
    };

    /// Sets up all tables in `region`.
    pub(crate) fn new(
        region: &mut Region<'static>,
        capacities: &Capacities,
    ) -> Result<Self, OutOfMemory> {
        Ok(Self {
            backends: Slots::new(region, BACKENDS_MAX)?,
            devices: Slots::new(region, DEVICES_MAX)?,
            logs: Slots::new(region, LOGS_MAX)?,
            signals: Slots::new(region, SIGNALS_MAX)?,
            mappings: Slots::new(region, mappings(capacities))?,
            system_contexts: Slots::new(region, SYSTEM_CONTEXTS_MAX)?,
            targets: Slots::new(region, TARGETS_MAX)?,
            calls: [None; CALLS_MAX],
            owners: region.alloc(CONTEXTS_MAX, None)?,
            fallback_bytes: 0,
            profiles: region.alloc_with(PROFILES_MAX, |_| Listing::EMPTY)?,
        })
    }

    /// Notes whose a new context is.
    pub(crate) fn own(&mut self, owner: Owner) -> Result<(), CapacityExceeded> {
        let place = self.owners.get_mut(usize::from(owner.context.index()));
        *place.ok_or(CapacityExceeded)? = Some(owner);
        Ok(())
    }

    /// Whose a context is.
    pub(crate) fn owner(&self, context: ContextId) -> Option<&Owner> {
        let owner = self.owners.get(usize::from(context.index()))?.as_ref()?;
        (owner.context == context).then_some(owner)
    }

    /// Forgets whose a context was, once it is freed.
    pub(crate) fn disown(&mut self, context: ContextId) {
        if self.owner(context).is_some() {
            if let Some(place) = self.owners.get_mut(usize::from(context.index())) {
                *place = None;
            }
        }
    }

    /// All contexts that are not freed.
    pub(crate) fn owners(&self) -> impl Iterator<Item = &Owner> {
        self.owners.iter().flatten()
    }

    /// The list beside a profile object; empty for a new one.
    pub(crate) fn listing(&mut self, profile: ProfileId) -> Option<&mut Listing> {
        self.profiles.get_mut(usize::from(profile.index()))
    }
}

fn mappings(capacities: &Capacities) -> u16 {
    capacities.buffers.clamp(MAPPINGS_MIN, MAPPINGS_MAX)
}

/// Epoch of objects that no restart touches.
pub(crate) const HOST: Epoch = Epoch::FIRST;
