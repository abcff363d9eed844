//! `QnnProfile.h`: what the call that used a profile object last has measured.
//!
//! An event's id holds its profile's handle and its place in the list, so asking for one of a freed profile is an
//! ordinary error.

use core::ffi::CStr;

use runtime::handle::{Epoch, Handle, ProfileId};
use runtime::limits::PROFILE_EVENTS_MAX;
use runtime::profile::{ProfileEvent, ProfileLevel};
use runtime::time::Instant;

use crate::abi::*;
use crate::client::{self, Configs};
use crate::convert::{from_client, to_client, Code};
use crate::export::{answer, backend, living};
use crate::instance::{self, Instance};

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
    let instance = living(INVALID_HANDLE)?;
    let backend = from_client(backend).ok_or(INVALID_HANDLE)?;
    backend::check(instance, backend).map_err(|_| INVALID_HANDLE)?;
    // SAFETY: the caller's promise.
    let profile = unsafe { client::out(profile) }.ok_or(BAD)?;
    let level = match level {
        QNN_PROFILE_LEVEL_BASIC => ProfileLevel::Basic,
        QNN_PROFILE_LEVEL_DETAILED => ProfileLevel::Detailed,
        QNN_PROFILE_LEVEL_BACKEND.. => return Err(QNN_PROFILE_ERROR_UNSUPPORTED),
        _ => return Err(BAD),
    };
    let created = instance.driver.call(|machine, _| {
        let id = machine.profile_create(level)?;
        instance.objects.lock().begin_notes(id).inspect_err(|_| {
            let _ = machine.profile_free(id);
        })?;
        Ok(id)
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
    let result = known(profileHandle).and_then(|_| {
        // SAFETY: the caller's promise.
        let configs = unsafe { Configs::read(config) }.map_err(|_| BAD)?;
        let first = configs.iter().next();
        first.map_or(Ok(()), |config| match config.option {
            QNN_PROFILE_CONFIG_OPTION_CUSTOM..=QNN_PROFILE_CONFIG_OPTION_ENABLE_OPTRACE => {
                Err(QNN_PROFILE_ERROR_UNSUPPORTED)
            }
            _ => Err(BAD),
        })
    });
    answer(c"QnnProfile_setConfig", result)
}

/// The profile object that a handle names, if it lives.
fn known(profile: Qnn_ProfileHandle_t) -> Result<(&'static Instance, ProfileId), Code> {
    let instance = living(INVALID_HANDLE)?;
    let id = from_client(profile).ok_or(INVALID_HANDLE)?;
    check(instance, id).map_err(|()| INVALID_HANDLE)?;
    Ok((instance, id))
}

fn check(instance: &Instance, id: ProfileId) -> Result<(), ()> {
    instance.driver.call(|machine, _| machine.profile_events(id).map(|_| ()).map_err(|_| ()))
}

/// The profile object that a call is given, if it is; `invalid` if it is none.
pub(crate) fn optional(
    instance: &Instance,
    profile: Qnn_ProfileHandle_t,
    invalid: Code,
) -> Result<Option<ProfileId>, Code> {
    if profile.is_null() {
        return Ok(None);
    }
    let id = from_client(profile).ok_or(invalid)?;
    check(instance, id).map_err(|()| invalid)?;
    Ok(Some(id))
}

/// An execution begins to use a profile object: what other calls measured is forgotten.
pub(crate) fn begin_execution(instance: &Instance, profile: Option<ProfileId>) {
    let Some(id) = profile else { return };
    if let Some(notes) = instance.objects.lock().notes(id) {
        notes.call = None;
    }
}

/// A call other than an execution ends: its time is the one event.
pub(crate) fn record_call(
    instance: &Instance,
    profile: Option<ProfileId>,
    event: QnnProfile_EventType_t,
    started: Instant,
) {
    let Some(id) = profile else { return };
    let us = instance.driver.now().since_us(started);
    if let Some(notes) = instance.objects.lock().notes(id) {
        notes.call = Some((event, us));
    }
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
            (*ids, *count) = list(instance, id).ok_or(INVALID_HANDLE)?;
            Ok(())
        }
        _ => Err(BAD),
    });
    answer(c"QnnProfile_getEvents", result)
}

/// The ids of a profile object's events, and where they stay until it is asked again or freed.
fn list(instance: &Instance, id: ProfileId) -> Option<(*const QnnProfile_EventId_t, u32)> {
    instance.driver.call(|machine, _| {
        let measured = machine.profile_events(id).ok()?.len();
        let mut objects = instance.objects.lock();
        let notes = objects.notes(id)?;
        let count = if notes.call.is_some() { 1 } else { measured };
        for (event, position) in notes.event_ids.iter_mut().take(count).zip(0..) {
            *event = event_id(id, position);
        }
        Some((notes.event_ids.as_ptr(), u32::try_from(count).unwrap_or(0)))
    })
}

const EVENT_TAG: u64 = 9 << 60;

fn event_id(profile: ProfileId, position: u64) -> QnnProfile_EventId_t {
    let owner = u64::from(profile.generation()) << 16 | u64::from(profile.index());
    EVENT_TAG | position << 32 | owner
}

/// Profile and place of an event id; `None` if it is none.
fn event_place(id: QnnProfile_EventId_t) -> Option<(ProfileId, usize)> {
    let position = (id & !EVENT_TAG) >> 32;
    let is_one = id & EVENT_TAG == EVENT_TAG && position < PROFILE_EVENTS_MAX as u64;
    let profile = Handle::from_parts(id as u16, (id >> 16) as u16, Epoch::FIRST);
    is_one.then_some((profile, position as usize))
}

/// One event as the C interface tells it.
fn event(id: QnnProfile_EventId_t) -> Option<QnnProfile_EventData_t> {
    let instance = instance::existing()?;
    let (profile, position) = event_place(id)?;
    instance.driver.call(|machine, _| {
        let measured = machine.profile_events(profile).ok()?;
        let call = instance.objects.lock().notes(profile)?.call;
        match call {
            Some((event, us)) => (position == 0).then_some(call_data(event, us)),
            None => measured.get(position).map(measured_data),
        }
    })
}

fn data(
    type_: QnnProfile_EventType_t,
    unit: QnnProfile_EventUnit_t,
    value: u64,
    name: &'static CStr,
) -> QnnProfile_EventData_t {
    QnnProfile_EventData_t { type_, unit, value, identifier: client::address(name) }
}

fn call_data(event: QnnProfile_EventType_t, us: u64) -> QnnProfile_EventData_t {
    let name = match event {
        QNN_PROFILE_EVENTTYPE_INIT => c"QNN (load binary) time",
        QNN_PROFILE_EVENTTYPE_FINALIZE => c"QNN (finalize) time",
        _ => c"QNN (deinit) time",
    };
    data(event, QNN_PROFILE_EVENTUNIT_MICROSEC, us, name)
}

fn measured_data(event: &ProfileEvent) -> QnnProfile_EventData_t {
    use ProfileEvent::{DeviceCycles, DeviceUs, QueueWaitUs, TotalUs, Yields};
    const US: QnnProfile_EventUnit_t = QNN_PROFILE_EVENTUNIT_MICROSEC;
    match *event {
        TotalUs(us) => data(QNN_PROFILE_EVENTTYPE_EXECUTE, US, us, c"QNN (execute) time"),
        QueueWaitUs(us) => {
            data(QNN_PROFILE_EVENTTYPE_EXECUTE_QUEUE_WAIT, US, us, c"QNN (queue wait) time")
        }
        DeviceUs(us) => data(
            QNN_HTP_PROFILE_EVENTTYPE_GRAPH_EXECUTE_ACCEL_TIME_MICROSEC,
            US,
            us,
            c"Accelerator (execute) time",
        ),
        DeviceCycles(cycles) => data(
            QNN_HTP_PROFILE_EVENTTYPE_GRAPH_EXECUTE_ACCEL_TIME_CYCLE,
            QNN_PROFILE_EVENTUNIT_CYCLES,
            cycles,
            c"Accelerator (execute) time (cycles)",
        ),
        Yields(count) => data(
            QNN_HTP_PROFILE_EVENTTYPE_GRAPH_EXECUTE_YIELD_COUNT,
            QNN_PROFILE_EVENTUNIT_COUNT,
            count,
            c"Number of yields",
        ),
    }
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
        ((Some(ids), Some(count)), Some(_)) => {
            // No event has parts.
            (*ids, *count) = (core::ptr::null(), 0);
            Ok(())
        }
        _ => Err(BAD),
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
    let result = out.zip(event(eventId)).map(|(out, event)| *out = event).ok_or(BAD);
    answer(c"QnnProfile_getEventData", result)
}

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnProfile_getExtendedEventData(
    eventId: QnnProfile_EventId_t,
    eventData: *mut QnnProfile_ExtendedEventData_t,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    let out = unsafe { client::out(eventData) };
    let result = out.zip(event(eventId)).map(|(out, event)| *out = extended(&event)).ok_or(BAD);
    answer(c"QnnProfile_getExtendedEventData", result)
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
        instance.driver.call(|machine, _| machine.profile_free(id)).map_err(|_| INVALID_HANDLE)
    });
    answer(c"QnnProfile_free", result)
}
