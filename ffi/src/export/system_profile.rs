//! `System/QnnSystemProfile.h`: profiling data into files.
//!
//! What a client hands over is checked as a whole before the first line is written.

use runtime::platform::os::{self, output::File};

use crate::abi::*;
use crate::client::{self, BadText};
use crate::convert::{from_client, to_client, Code};
use crate::export::{answer, living};
use crate::instance;
use crate::objects::{kind, TargetId, HOST};
use crate::profile_log::{self, Lines};
use crate::refusal::{because, no_array, no_handle, no_text, null, within, Name};

const INVALID_HANDLE: Code = QNN_SYSTEM_PROFILE_ERROR_INVALID_HANDLE;
const BAD: Code = QNN_SYSTEM_PROFILE_ERROR_INVALID_ARGUMENT;
/// Events in events in events.
const DEPTH_MAX: u32 = 8;

/// Held while a file is written or closed, so that none is closed under a writer. Before the lock
/// of the host objects.
pub(crate) static WRITING: os::Mutex<()> = os::Mutex::new(());

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnSystemProfile_createSerializationTarget(
    serializationTargetInfo: QnnSystemProfile_SerializationTarget_t,
    configs: *mut QnnSystemProfile_SerializationTargetConfig_t,
    numConfigs: u32,
    serializationTarget: *mut QnnSystemProfile_SerializationTargetHandle_t,
) -> Qnn_ErrorHandle_t {
    let result =
        // SAFETY: the caller's promise.
        unsafe { create(&serializationTargetInfo, (configs, numConfigs), serializationTarget) };
    answer(c"QnnSystemProfile_createSerializationTarget", result)
}

/// # Safety
/// As the QNN API says.
unsafe fn create(
    target: &QnnSystemProfile_SerializationTarget_t,
    (configs, count): (*const QnnSystemProfile_SerializationTargetConfig_t, u32),
    handle: *mut QnnSystemProfile_SerializationTargetHandle_t,
) -> Result<(), Code> {
    // SAFETY: the caller's promise.
    let nowhere = null(INVALID_HANDLE, "serializationTarget");
    // SAFETY: the caller's promise.
    let handle = unsafe { client::out(handle) }.ok_or_else(nowhere)?;
    if target.type_ != QNN_SYSTEM_PROFILE_SERIALIZATION_TARGET_FILE {
        let why = ", only FILE is offered";
        let code = QNN_SYSTEM_PROFILE_ERROR_UNSUPPORTED_FEATURE;
        return Err(because!(code, "serializationTargetInfo.type is ", target.type_, why));
    }
    // SAFETY: the type selects this member.
    let place = unsafe { target.u.file };
    // SAFETY: the caller's promise.
    let name = unsafe { client::text(place.fileName) }
        .map_err(no_text(BAD, "serializationTargetInfo.file.fileName"))?;
    // SAFETY: the caller's promise.
    let folder = unsafe { optional_text(place.fileDirectory) }
        .map_err(no_text(BAD, "serializationTargetInfo.file.fileDirectory"))?;
    // SAFETY: the caller's promise.
    let configs = unsafe { client::array(configs, count, client::ARRAY_MAX) }
        .ok_or_else(no_array(BAD, ("configs", "numConfigs"), count))?;
    let mut header = None;
    for (at, config) in configs.iter().enumerate() {
        // SAFETY: the caller's promise.
        let read = unsafe { Header::read(config) };
        header = Some(read.map_err(|code| within!(code, "configs[", at, "]"))?);
    }
    let instance = instance::get()?;
    let file = profile_log::open(folder, name).map_err(|_| {
        because!(BAD, "serializationTargetInfo.file ", Name(name), " cannot be opened for writing")
    })?;
    let begun = header.map_or(Ok(()), |header| header.write(file));
    let inserted = begun.and_then(|()| {
        let inserted = instance.objects.lock().targets.insert(HOST, file);
        inserted.map_err(|_| QNN_SYSTEM_PROFILE_ERROR_MEM_ALLOC)
    });
    match inserted {
        Ok(id) => *handle = to_client(id),
        Err(code) => {
            file.close();
            return Err(code);
        }
    }
    Ok(())
}

/// Who writes.
struct Header<'a> {
    app: &'a str,
    app_version: &'a str,
    backend_version: &'a str,
}

impl<'a> Header<'a> {
    /// # Safety
    /// As the QNN API says; the texts stay for `'a`.
    unsafe fn read(config: &'a QnnSystemProfile_SerializationTargetConfig_t) -> Result<Self, Code> {
        match config.type_ {
            QNN_SYSTEM_PROFILE_SERIALIZATION_TARGET_CONFIG_SERIALIZATION_HEADER => {}
            QNN_SYSTEM_PROFILE_SERIALIZATION_TARGET_CONFIG_MAX_NUM_MESSAGES => {
                let why = ".type is MAX_NUM_MESSAGES, which is not offered";
                return Err(because!(QNN_SYSTEM_PROFILE_ERROR_UNSUPPORTED_FEATURE, why));
            }
            kind => return Err(because!(BAD, ".type is ", kind, ", not a known one")),
        }
        // SAFETY: the type selects this member.
        let header = unsafe { config.u.serializationHeader };
        // SAFETY: the caller's promise.
        let text = |text, field| unsafe { client::text(text) }.map_err(no_text(BAD, field));
        Ok(Self {
            app: text(header.appName, ".serializationHeader.appName")?,
            app_version: text(header.appVersion, ".serializationHeader.appVersion")?,
            backend_version: text(header.backendVersion, ".serializationHeader.backendVersion")?,
        })
    }

    fn write(&self, file: File) -> Result<(), Code> {
        let mut lines = Lines::to(file);
        let line = lines.line().text("app", self.app).text("app_version", self.app_version);
        line.text("backend_version", self.backend_version).end();
        lines.end().map_err(|_| QNN_COMMON_ERROR_SYSTEM)
    }
}

/// # Safety
/// As [`client::text`].
unsafe fn optional_text<'a>(text: *const core::ffi::c_char) -> Result<Option<&'a str>, BadText> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's promise.
    unsafe { client::text(text) }.map(Some)
}

#[no_mangle]
pub(crate) unsafe extern "C" fn QnnSystemProfile_serializeEventData(
    serializationTarget: QnnSystemProfile_SerializationTargetHandle_t,
    eventData: *mut *const QnnSystemProfile_ProfileData_t,
    numEvents: u32,
) -> Qnn_ErrorHandle_t {
    // SAFETY: the caller's promise.
    let result = unsafe { serialize(serializationTarget, (eventData, numEvents)) };
    answer(c"QnnSystemProfile_serializeEventData", result)
}

/// # Safety
/// As the QNN API says.
unsafe fn serialize(
    handle: QnnSystemProfile_SerializationTargetHandle_t,
    (data, count): (*const *const QnnSystemProfile_ProfileData_t, u32),
) -> Result<(), Code> {
    let none = no_handle::<kind::Target>(INVALID_HANDLE, "serializationTarget", handle);
    let instance = living(&none)?;
    let id: TargetId = from_client(handle).ok_or_else(&none)?;
    let _writing = WRITING.lock();
    let file = instance.objects.lock().targets.get(id).copied().map_err(|_| none())?;
    // SAFETY: the caller's promise.
    let data = unsafe { client::array(data, count, client::ARRAY_MAX) }.ok_or_else(no_array(
        BAD,
        ("eventData", "numEvents"),
        count,
    ))?;
    for (at, &one) in data.iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe { visit(one, None) }.map_err(|code| within!(code, "eventData[", at, "]"))?;
    }
    let mut lines = Lines::to(file);
    for &one in data {
        // SAFETY: the caller's promise.
        unsafe { visit(one, Some(&mut lines)) }?;
    }
    lines.end().map_err(|_| QNN_COMMON_ERROR_SYSTEM)
}

/// Checks the data of one call, and writes it if there is where to.
///
/// # Safety
/// As the QNN API says.
unsafe fn visit(
    data: *const QnnSystemProfile_ProfileData_t,
    mut lines: Option<&mut Lines>,
) -> Result<(), Code> {
    // SAFETY: the caller's promise.
    let data = unsafe { client::one(data) }.ok_or_else(null(BAD, ""))?;
    if data.version != QNN_SYSTEM_PROFILE_DATA_VERSION_1 {
        return Err(because!(BAD, "->version is ", data.version, ", only 1 exists"));
    }
    // SAFETY: the version selects this member.
    let data = unsafe { data.u.v1 };
    // SAFETY: the caller's promise.
    let graph = unsafe { optional_text(data.header.graphName) }
        .map_err(no_text(BAD, "->v1.header.graphName"))?;
    if let Some(lines) = lines.as_deref_mut() {
        let line = lines.line().text("graph", graph.unwrap_or(""));
        let line = line.number("method", data.header.methodType.into());
        let line = line.number("visibility", data.header.visibility.into());
        let line = line.number("start", data.header.startTime).number("stop", data.header.stopTime);
        let line = line.number("start_memory", data.header.startMem);
        line.number("stop_memory", data.header.stopMem).end();
    }
    // SAFETY: the caller's promise.
    unsafe { visit_events((data.profilingEvents, data.numProfilingEvents), 1, lines) }
}

/// Checks events and those in them, and writes them if there is where to.
///
/// # Safety
/// As the QNN API says.
unsafe fn visit_events(
    (events, count): (*const QnnSystemProfile_ProfileEventV1_t, u32),
    depth: u32,
    mut lines: Option<&mut Lines>,
) -> Result<(), Code> {
    // SAFETY: the caller's promise.
    let events = unsafe { client::array(events, count, client::ARRAY_MAX) }
        .ok_or_else(no_array(BAD, ("->v1.profilingEvents", "numProfilingEvents"), count))?;
    if depth > DEPTH_MAX && !events.is_empty() {
        let why = "->v1.profilingEvents lie in each other deeper than ";
        return Err(because!(BAD, why, DEPTH_MAX));
    }
    for event in events {
        // SAFETY: the caller's promise.
        let told = unsafe { Event::read(event) }?;
        if let Some(lines) = lines.as_deref_mut() {
            told.write(depth, lines);
        }
        let inner = (event.profileSubEventData.cast_const(), event.numSubEvents);
        // SAFETY: the caller's promise.
        unsafe { visit_events(inner, depth.saturating_add(1), lines.as_deref_mut()) }?;
    }
    Ok(())
}

/// What is written of an event.
struct Event<'a> {
    kind: u32,
    unit: u32,
    name: &'a str,
    timestamp: Option<u64>,
    value: Value,
}

enum Value {
    Number(u64),
    Signed(i64),
    /// Of another form: a fraction, a text, or data that only a backend understands.
    Other,
}

impl<'a> Event<'a> {
    /// # Safety
    /// As the QNN API says; the name stays for `'a`.
    unsafe fn read(event: &'a QnnSystemProfile_ProfileEventV1_t) -> Result<Self, Code> {
        let name = |text| {
            // SAFETY: the caller's promise.
            let text = unsafe { optional_text(text) }.map(Option::unwrap_or_default);
            text.map_err(no_text(BAD, "->v1.profilingEvents has an identifier that"))
        };
        match event.type_ {
            QNN_SYSTEM_PROFILE_EVENT_DATA => {
                // SAFETY: the type selects this member.
                let data = unsafe { event.u.eventData };
                let name = name(data.identifier)?;
                let (kind, unit, value) = (data.type_, data.unit, Value::Number(data.value));
                Ok(Self { kind, unit, name, timestamp: None, value })
            }
            QNN_SYSTEM_PROFILE_EXTENDED_EVENT_DATA => {
                // SAFETY: as above.
                let data = unsafe { event.u.extendedEventData };
                if data.version != QNN_PROFILE_DATA_VERSION_1 {
                    return Err(because!(
                        BAD,
                        "->v1.profilingEvents has data of an unknown version"
                    ));
                }
                // SAFETY: the version selects this member.
                let data = unsafe { data.u.v1 };
                let value = match data.unit {
                    QNN_PROFILE_EVENTUNIT_OBJECT => Value::Other,
                    // SAFETY: any other unit has a scalar.
                    _ => scalar(unsafe { &data.u.value }),
                };
                Ok(Self {
                    kind: data.type_,
                    unit: data.unit,
                    name: name(data.identifier)?,
                    timestamp: Some(data.timestamp),
                    value,
                })
            }
            kind => Err(because!(BAD, "->v1.profilingEvents has an event of type ", kind)),
        }
    }

    fn write(&self, depth: u32, lines: &mut Lines) {
        let line = lines.line().number("depth", depth.into()).text("name", self.name);
        let line = line.number("type", self.kind.into()).number("unit", self.unit.into());
        let line = match self.value {
            Value::Number(value) => line.number("value", value),
            Value::Signed(value) => line.signed("value", value),
            Value::Other => line,
        };
        match self.timestamp {
            Some(timestamp) => line.number("timestamp", timestamp).end(),
            None => line.end(),
        }
    }
}

fn scalar(value: &Qnn_Scalar_t) -> Value {
    // SAFETY: the type selects the member, and all bits are numbers.
    unsafe {
        match value.dataType {
            QNN_DATATYPE_UINT_64 => Value::Number(value.u.uint64Value),
            QNN_DATATYPE_UINT_32 => Value::Number(value.u.uint32Value.into()),
            QNN_DATATYPE_UINT_16 => Value::Number(value.u.uint16Value.into()),
            QNN_DATATYPE_UINT_8 => Value::Number(value.u.uint8Value.into()),
            QNN_DATATYPE_BOOL_8 => Value::Number(value.u.bool8Value.into()),
            QNN_DATATYPE_INT_64 => Value::Signed(value.u.int64Value),
            QNN_DATATYPE_INT_32 => Value::Signed(value.u.int32Value.into()),
            QNN_DATATYPE_INT_16 => Value::Signed(value.u.int16Value.into()),
            QNN_DATATYPE_INT_8 => Value::Signed(value.u.int8Value.into()),
            _ => Value::Other,
        }
    }
}

#[no_mangle]
pub(crate) extern "C" fn QnnSystemProfile_freeSerializationTarget(
    serializationTarget: QnnSystemProfile_SerializationTargetHandle_t,
) -> Qnn_ErrorHandle_t {
    answer(c"QnnSystemProfile_freeSerializationTarget", free(serializationTarget))
}

fn free(handle: QnnSystemProfile_SerializationTargetHandle_t) -> Result<(), Code> {
    let none = no_handle::<kind::Target>(INVALID_HANDLE, "serializationTarget", handle);
    let instance = living(&none)?;
    let id: TargetId = from_client(handle).ok_or_else(&none)?;
    let _writing = WRITING.lock();
    let file = instance.objects.lock().targets.remove(id).map_err(|_| none())?;
    file.close();
    Ok(())
}
