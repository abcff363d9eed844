//! `QnnProfile.h`: what the call that used a profile object last has measured.
//!
//! The list of events is in [`crate::profile_list`].

use runtime::device::Device as _;
use runtime::handle::{kind, GraphId, ProfileId};
use runtime::profile::{ProfileCall, ProfileLevel};
use runtime::time::Instant;

use crate::abi::*;
use crate::client::{self, Configs};
use crate::convert::{from_client, to_client, Code};
use crate::export::{answer, backend, living};
use crate::instance::{self, Device, Instance};
use crate::profile_list::{event_place, Listing, Nodes, Size};
use crate::refusal::{because, no_handle, no_list, null, within};

const INVALID_HANDLE: Code = QNN_PROFILE_ERROR_INVALID_HANDLE;
const BAD: Code = QNN_PROFILE_ERROR_INVALID_ARGUMENT;

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnProfile_create(
    backend: Qnn_BackendHandle_t,
    level: QnnProfile_Level_t,
    profile: *mut Qnn_ProfileHandle_t,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    answer(c"QnnProfile_create", unsafe { create(backend, level, profile) })
}

/// # Safety
/// As the QNN API says.
unsafe fn create(
    backend: Qnn_BackendHandle_t,
    level: QnnProfile_Level_t,
    profile: *mut Qnn_ProfileHandle_t,
) -> Result<(), Code> {
    let (instance, _) = backend::living_backend(backend, INVALID_HANDLE)?;
    // SAFETY: the caller's promise.
    let profile = unsafe { client::out(profile) }.ok_or_else(null(BAD, "profile"))?;
    let level = match level {
        QNN_PROFILE_LEVEL_BASIC => ProfileLevel::Basic,
        QNN_PROFILE_LEVEL_DETAILED => ProfileLevel::Detailed,
        QNN_HTP_PROFILE_LEVEL_LINTING => ProfileLevel::Linting,
        QNN_PROFILE_LEVEL_BACKEND.. => {
            let why = ", of a backend's own there is only LINTING";
            return Err(because!(QNN_PROFILE_ERROR_UNSUPPORTED, "level is ", level, why));
        }
        _ => {
            return Err(because!(BAD, "level is ", level, ", there are 1 (BASIC) and 2 (DETAILED)"))
        }
    };
    let created = instance.driver.call(|machine, _| {
        let id = machine.profile_create(level)?;
        match instance.objects.lock().listing(id) {
            Some(_) => Ok(id),
            None => {
                let _ = machine.profile_free(id);
                Err(runtime::slots::CapacityExceeded)
            }
        }
    });
    let created: Result<ProfileId, runtime::slots::CapacityExceeded> = created;
    *profile = to_client(created.map_err(|_| QNN_PROFILE_ERROR_MEM_ALLOC)?);
    Ok(())
}

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnProfile_setConfig(
    profileHandle: Qnn_ProfileHandle_t,
    config: *mut *const QnnProfile_Config_t,
) -> Qnn_ErrorHandle_t {
    let result = known(profileHandle).and_then(|(instance, id)| {
        // SAFETY: the caller's promise.
        let configs = unsafe { Configs::read(config) }.map_err(no_list(BAD, "config"))?;
        configs.iter().enumerate().try_for_each(|(at, config)| {
            set(instance, id, config).map_err(|code| within!(code, "config[", at, "]->"))
        })
    });
    answer(c"QnnProfile_setConfig", result)
}

fn set(instance: &Instance, id: ProfileId, config: &QnnProfile_Config_t) -> Result<(), Code> {
    match config.option {
        QNN_PROFILE_CONFIG_OPTION_CUSTOM | QNN_PROFILE_CONFIG_OPTION_MAX_EVENTS => {
            let why = ", which is not offered";
            Err(because!(QNN_PROFILE_ERROR_UNSUPPORTED, "option is ", config.option, why))
        }
        QNN_PROFILE_CONFIG_OPTION_ENABLE_OPTRACE => {
            // SAFETY: the option selects this member, a byte.
            let on = unsafe { config.u.enableOptrace } != 0;
            let level = instance.driver.call(|machine, _| {
                machine.profile(id).map(|profile| profile.level).map_err(|_| INVALID_HANDLE)
            })?;
            if on && level != ProfileLevel::Detailed {
                let why = "enableOptrace is set, and the profile's level is not DETAILED";
                return Err(because!(BAD, why));
            }
            if on {
                let text = c"the trace is htp_rt_trace_write_json's: events stay as they are";
                crate::log::emit(QNN_LOG_LEVEL_INFO, c"QnnProfile_setConfig", text);
            }
            Ok(())
        }
        option => Err(because!(BAD, "option is ", option, ", not a known one")),
    }
}

/// The profile object that a handle names, if it lives.
fn known(profile: Qnn_ProfileHandle_t) -> Result<(&'static Instance, ProfileId), Code> {
    let none = no_handle::<kind::Profile>(INVALID_HANDLE, "profile", profile);
    let instance = living(&none)?;
    let id = from_client(profile).ok_or_else(&none)?;
    check(instance, id).map_err(|()| none())?;
    Ok((instance, id))
}

fn check(instance: &Instance, id: ProfileId) -> Result<(), ()> {
    instance.driver.call(|machine, _| machine.profile(id).map(|_| ()).map_err(|_| ()))
}

/// The profile object that an argument of a call names, if it is given; `invalid` if it is none.
pub(crate) fn optional(
    instance: &Instance,
    profile: Qnn_ProfileHandle_t,
    (argument, invalid): (&'static str, Code),
) -> Result<Option<ProfileId>, Code> {
    if profile.is_null() {
        return Ok(None);
    }
    let none = no_handle::<kind::Profile>(invalid, argument, profile);
    let id = from_client(profile).ok_or_else(&none)?;
    check(instance, id).map_err(|()| none())?;
    Ok(Some(id))
}

/// A call other than an execution has ended.
pub(crate) fn record(instance: &Instance, profile: Option<ProfileId>, call: ProfileCall) {
    let Some(id) = profile else { return };
    // It may have been freed meanwhile.
    let _ = instance.driver.call(|machine, _| machine.profile_record(id, call));
}

/// A finalization that began at `started` and had its table written at `composed` has ended.
pub(crate) fn record_finalize(
    instance: &Instance,
    profile: Option<ProfileId>,
    graph: GraphId,
    started: Instant,
    composed: Instant,
) {
    let report = instance.driver.call(|machine, _| machine.graph_report(graph));
    let device = report.map(|report| report.times).unwrap_or_default();
    let total_us = instance.driver.now().since_us(started);
    let compose_us = composed.since_us(started);
    record(instance, profile, ProfileCall::Finalize { total_us, compose_us, device });
}

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnProfile_getEvents(
    profile: Qnn_ProfileHandle_t,
    profileEventIds: *mut *const QnnProfile_EventId_t,
    numEvents: *mut u32,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    let outputs = unsafe { (client::out(profileEventIds), client::out(numEvents)) };
    let result = known(profile).and_then(|(instance, id)| match outputs {
        (Some(ids), Some(count)) => {
            (*ids, *count) = list(instance, id)?;
            Ok(())
        }
        (None, _) => Err(null(BAD, "profileEventIds")()),
        (_, None) => Err(null(BAD, "numEvents")()),
    });
    answer(c"QnnProfile_getEvents", result)
}

/// The ids of a profile object's events, and where they stay until another call has used it and it
/// is asked again, or until it is freed.
fn list(instance: &Instance, id: ProfileId) -> Result<(*const QnnProfile_EventId_t, u32), Code> {
    // Only the device knows what each operation took.
    let has_nodes = instance
        .driver
        .call(|machine, _| machine.profile(id).is_ok_and(|profile| profile.execution().is_some()));
    if has_nodes {
        let listed = instance.driver.with_device(|device| refresh(instance, id, Some(&**device)));
        listed.unwrap_or_else(|| {
            let why = "the device is being driven by what this call interrupted: call again";
            Err(because!(QNN_COMMON_ERROR_RESOURCE_UNAVAILABLE, why))
        })
    } else {
        refresh(instance, id, None)
    }
}

/// Lists the events anew if a call has used the object since.
fn refresh(
    instance: &Instance,
    id: ProfileId,
    device: Option<&Device>,
) -> Result<(*const QnnProfile_EventId_t, u32), Code> {
    instance.driver.call(|machine, _| {
        let profile = machine.profile(id).map_err(|_| INVALID_HANDLE)?;
        let mut objects = instance.objects.lock();
        let listing = objects.listing(id).ok_or(INVALID_HANDLE)?;
        if !listing.is_of(profile) {
            // A graph that is gone takes the names of its operations with it.
            let execution = profile.execution().filter(|_| device.is_some());
            let table = execution.and_then(|(graph, _)| machine.graph_table(graph).ok());
            let size = Size::of(profile, table.as_ref());
            let region = machine.region_mut();
            core::mem::replace(listing, Listing::EMPTY).release(region);
            *listing = Listing::allocate(region, size).map_err(|_| QNN_PROFILE_ERROR_MEM_ALLOC)?;
            let profile = machine.profile(id).map_err(|_| INVALID_HANDLE)?;
            let report = |op| {
                let (graph, report) = execution?;
                device?.op_report(graph, &report, op)
            };
            let table = execution.and_then(|(graph, _)| machine.graph_table(graph).ok());
            let nodes = table.map(|table| Nodes { table, report: &report });
            listing.fill(id, profile, nodes.as_ref());
        }
        let tops = listing.tops();
        Ok((tops.as_ptr(), u32::try_from(tops.len()).unwrap_or(0)))
    })
}

/// An event as the C interface tells it, and its parts.
fn event(
    id: QnnProfile_EventId_t,
) -> Option<(QnnProfile_EventData_t, (*const QnnProfile_EventId_t, u32))> {
    let instance = instance::existing()?;
    let (profile, position) = event_place(id)?;
    instance.driver.call(|machine, _| {
        machine.profile(profile).ok()?;
        let mut objects = instance.objects.lock();
        let listing = objects.listing(profile)?;
        let parts = listing.parts(position)?;
        let parts = match parts.is_empty() {
            true => (core::ptr::null(), 0),
            false => (parts.as_ptr(), u32::try_from(parts.len()).unwrap_or(0)),
        };
        Some((listing.event(position)?, parts))
    })
}

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnProfile_getSubEvents(
    eventId: QnnProfile_EventId_t,
    subEventIds: *mut *const QnnProfile_EventId_t,
    numSubEvents: *mut u32,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    let outputs = unsafe { (client::out(subEventIds), client::out(numSubEvents)) };
    let result = match (outputs, event(eventId)) {
        ((Some(ids), Some(count)), Some((_, parts))) => {
            (*ids, *count) = parts;
            Ok(())
        }
        (_, None) => Err(no_event()),
        ((None, _), _) => Err(null(BAD, "subEventIds")()),
        ((_, None), _) => Err(null(BAD, "numSubEvents")()),
    };
    answer(c"QnnProfile_getSubEvents", result)
}

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnProfile_getEventData(
    eventId: QnnProfile_EventId_t,
    eventData: *mut QnnProfile_EventData_t,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    let out = unsafe { client::out(eventData) };
    let out = out.ok_or_else(null(BAD, "eventData"));
    let result = out.and_then(|out| {
        *out = event(eventId).ok_or_else(no_event)?.0;
        Ok(())
    });
    answer(c"QnnProfile_getEventData", result)
}

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnProfile_getExtendedEventData(
    eventId: QnnProfile_EventId_t,
    eventData: *mut QnnProfile_ExtendedEventData_t,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    let out = unsafe { client::out(eventData) };
    let out = out.ok_or_else(null(BAD, "eventData"));
    let result = out.and_then(|out| {
        *out = extended(&event(eventId).ok_or_else(no_event)?.0);
        Ok(())
    });
    answer(c"QnnProfile_getExtendedEventData", result)
}

fn no_event() -> Code {
    because!(BAD, "eventId names no event: its profile object was freed, or has listed anew")
}

fn extended(event: &QnnProfile_EventData_t) -> QnnProfile_ExtendedEventData_t {
    let value = Qnn_Scalar_t {
        dataType: QNN_DATATYPE_UINT_64,
        u: Qnn_Scalar_u { uint64Value: event.value },
    };
    QnnProfile_ExtendedEventData_t {
        version: QNN_PROFILE_DATA_VERSION_1,
        u: QnnProfile_ExtendedEventData_u {
            v1: QnnProfile_ExtendedEventDataV1_t {
                type_: event.type_,
                unit: event.unit,
                u: QnnProfile_ExtendedEventDataV1_u { value },
                timestamp: 0,
                identifier: event.identifier,
            },
        },
    }
}

#[no_mangle]
pub(crate) extern "C" fn QnnProfile_free(profile: Qnn_ProfileHandle_t) -> Qnn_ErrorHandle_t {
    let result = known(profile).and_then(|(instance, id)| {
        instance.driver.call(|machine, _| {
            machine.profile_free(id).map_err(|_| INVALID_HANDLE)?;
            let mut objects = instance.objects.lock();
            if let Some(listing) = objects.listing(id) {
                core::mem::replace(listing, Listing::EMPTY).release(machine.region_mut());
            }
            Ok(())
        })
    });
    answer(c"QnnProfile_free", result)
}
