//! The one runtime of the process: made on first use or by `htp_rt_init`, never torn down.

use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use runtime::capability::Capabilities;
use runtime::device::Device as _;
use runtime::event::{Completion, Notice, Transition};
use runtime::limits::Capacities;
use runtime::platform::drive::{Driver, NoticeSink};
use runtime::platform::{os, LockError};
use runtime::region::Region;
use runtime::runtime::Runtime;
use runtime::vhtp::{Vhtp, VhtpCapacities, VhtpConfig, WithFallback};

use crate::abi::*;
use crate::export::system_profile;
use crate::ext_request::htp_rt_notify_fn_t;
use crate::ext_watch::htp_rt_ssr_fn_t;
use crate::objects::Objects;
use crate::{convert, log, refusal};

/// What executes graphs.
pub(crate) type Device = Vhtp<'static>;

/// Subscribers of restarts at once.
pub(crate) const SUBSCRIBERS_MAX: usize = 8;

/// Everything behind the C interface.
pub(crate) struct Instance {
    pub(crate) driver: Driver<WithFallback<'static, Device>, Sink>,
    pub(crate) objects: os::Mutex<Objects>,
    pub(crate) device: VhtpConfig,
    pub(crate) capabilities: Capabilities,
    pub(crate) threaded: bool,
}

/// How to make the instance.
pub(crate) struct Setup {
    pub(crate) capacities: Capacities,
    pub(crate) memory: Option<&'static mut [MaybeUninit<u8>]>,
    pub(crate) device_memory: Option<&'static mut [MaybeUninit<u8>]>,
    pub(crate) threaded: bool,
}

impl Setup {
    pub(crate) const DEFAULT: Setup =
        Setup { capacities: Capacities::HOSTED, memory: None, device_memory: None, threaded: true };
}

struct Place(UnsafeCell<MaybeUninit<Instance>>);

// SAFETY: written once under INIT before STATE says so, then only shared; Instance is Sync.
unsafe impl Sync for Place {}

const ABSENT: u8 = 0;
const PRESENT: u8 = 1;
/// There is none and never will be: its locks could not be made, its threads could not be started,
/// or it stayed in the process that this one was forked from.
const NEVER: u8 = 2;

static PLACE: Place = Place(UnsafeCell::new(MaybeUninit::uninit()));
static STATE: AtomicU8 = AtomicU8::new(ABSENT);
/// Held while the instance is made; holds what `htp_rt_vdev_configure` asked for until then.
static INIT: os::Mutex<Option<VhtpConfig>> = os::Mutex::new(None);

/// Takes [`INIT`]. A process that is forked meanwhile has the lock, and nobody who gives it back,
/// so it must not touch it.
fn take_init() -> Result<os::Guard<'static, Option<VhtpConfig>>, Qnn_ErrorHandle_t> {
    static FORKS_EXPECTED: AtomicBool = AtomicBool::new(false);
    INIT.init().map_err(|_| QNN_COMMON_ERROR_SYSTEM)?;
    if !FORKS_EXPECTED.load(Ordering::Acquire) {
        // Twice does no harm.
        os::at_fork_in_child(forget_in_forked_process);
        FORKS_EXPECTED.store(true, Ordering::Release);
    }
    Ok(INIT.lock())
}

/// An instance without threads goes on in a forked process; one with threads has none of them, and
/// one that was just made nobody who makes it.
extern "C" fn forget_in_forked_process() {
    if existing().is_some_and(|instance| instance.threaded) || INIT.try_lock().is_none() {
        STATE.store(NEVER, Ordering::Release);
    }
}

/// The instance; made with all defaults if there is none yet.
pub(crate) fn get() -> Result<&'static Instance, Qnn_ErrorHandle_t> {
    match existing() {
        Some(instance) => Ok(instance),
        None if STATE.load(Ordering::Acquire) == NEVER => Err(QNN_COMMON_ERROR_SYSTEM),
        None => {
            let mut wanted = take_init()?;
            match existing() {
                Some(instance) => Ok(instance),
                None => make(&mut wanted, Setup::DEFAULT),
            }
        }
    }
}

/// The instance, if there is one.
pub(crate) fn existing() -> Option<&'static Instance> {
    if STATE.load(Ordering::Acquire) != PRESENT {
        return None;
    }
    // SAFETY: PRESENT is stored after the place was written, and nothing is written afterwards.
    Some(unsafe { (*PLACE.0.get()).assume_init_ref() })
}

/// Makes the instance; refused if there is one.
pub(crate) fn init(setup: Setup) -> Result<(), Qnn_ErrorHandle_t> {
    if STATE.load(Ordering::Acquire) == NEVER {
        return Err(QNN_COMMON_ERROR_SYSTEM);
    }
    let mut wanted = take_init()?;
    if existing().is_some() {
        return Err(QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED);
    }
    make(&mut wanted, setup).map(|_| ())
}

/// Chooses the virtual device; refused once there is an instance.
pub(crate) fn configure_device(config: VhtpConfig) -> Result<(), Qnn_ErrorHandle_t> {
    if STATE.load(Ordering::Acquire) == NEVER {
        return Err(QNN_COMMON_ERROR_SYSTEM);
    }
    let mut wanted = take_init()?;
    if existing().is_some() {
        return Err(QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED);
    }
    *wanted = Some(config);
    Ok(())
}

/// Chooses the SoC of the virtual device, once and while there is no instance. To name the SoC that
/// is chosen is right at any time.
pub(crate) fn choose_soc(soc: u32) -> Result<(), Qnn_ErrorHandle_t> {
    if STATE.load(Ordering::Acquire) == NEVER {
        return Err(QNN_COMMON_ERROR_SYSTEM);
    }
    let mut wanted = take_init()?;
    let chosen = existing().map(|instance| instance.device).or(*wanted);
    if chosen.is_some_and(|device| device.soc == soc) {
        return Ok(());
    }
    let device = VhtpConfig::for_soc(soc).ok_or(QNN_GLOBAL_CONFIG_ERROR_INVALID_CONFIG)?;
    if chosen.is_some() {
        return Err(QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED);
    }
    *wanted = Some(device);
    Ok(())
}

fn make(
    wanted: &mut Option<VhtpConfig>,
    setup: Setup,
) -> Result<&'static Instance, Qnn_ErrorHandle_t> {
    if STATE.load(Ordering::Acquire) == NEVER {
        return Err(QNN_COMMON_ERROR_SYSTEM);
    }
    if setup.threaded && !os::HAS_THREADS {
        return Err(QNN_COMMON_ERROR_NOT_SUPPORTED);
    }
    let config = wanted.unwrap_or_default();
    let capabilities = config.platform.capabilities(config.arch);
    let capacities = setup.capacities;
    let (memory, device_memory) =
        memories(setup.memory, setup.device_memory).ok_or(QNN_COMMON_ERROR_MEM_ALLOC)?;
    let device_capacities = VhtpCapacities {
        contexts: capacities.contexts,
        graphs: capacities.graphs,
        buffers: capacities.buffers,
        ..VhtpCapacities::default()
    };
    let mut region = Region::new(memory);
    let made = Objects::new(&mut region, &capacities).and_then(|objects| {
        let device = Vhtp::new(Region::new(device_memory), config, device_capacities)?;
        let device = WithFallback::new(device);
        let machine = Runtime::new(region, &capacities, device.capabilities())?;
        Ok((objects, Driver::new(machine, device, Sink)))
    });
    let Ok((objects, driver)) = made else { return Err(QNN_COMMON_ERROR_MEM_ALLOC) };
    let objects = os::Mutex::new(objects);
    let threaded = setup.threaded;
    let instance = Instance { driver, objects, device: config, capabilities, threaded };
    // SAFETY: INIT is held and STATE is ABSENT, so nobody reads or writes the place.
    let instance = unsafe { (*PLACE.0.get()).write(instance) };
    let instance: &'static Instance = instance;
    let ready = prepare_locks(instance).is_ok();
    if !ready || (threaded && instance.driver.start().is_err()) {
        // A lock may be made or one of the threads may run, so the place is taken for ever.
        STATE.store(NEVER, Ordering::Release);
        return Err(QNN_COMMON_ERROR_SYSTEM);
    }
    STATE.store(PRESENT, Ordering::Release);
    Ok(instance)
}

/// Prepares every lock there is, so that none has to be when there is work.
fn prepare_locks(instance: &'static Instance) -> Result<(), LockError> {
    instance.driver.init()?;
    instance.objects.init()?;
    SUBSCRIBERS.init()?;
    log::LEFT.init()?;
    system_profile::WRITING.init()?;
    refusal::REFUSALS.init()
}

type Memory = &'static mut [MaybeUninit<u8>];

/// The memories of the runtime and of its device. What the client does not give comes from the
/// system, both in one piece, so that a limit on the process leaves as much to one as to the other,
/// and something to the client.
fn memories(own: Option<Memory>, device: Option<Memory>) -> Option<(Memory, Memory)> {
    match (own, device) {
        (Some(own), Some(device)) => Some((own, device)),
        (Some(own), None) => Some((own, reserve(1)?)),
        (None, Some(device)) => Some((reserve(1)?, device)),
        (None, None) => {
            let both = reserve(2)?;
            let half = both.len() / 2;
            Some(both.split_at_mut(half))
        }
    }
}

/// Memory for so many of the two.
fn reserve(count: usize) -> Option<Memory> {
    let mut bytes = os::MEMORY_DEFAULT_BYTES;
    loop {
        let memory = os::map_memory(bytes.saturating_mul(count));
        if memory.is_some() || bytes <= os::MEMORY_MIN_BYTES {
            return memory;
        }
        bytes /= 2;
    }
}

/// Whom to tell of a completion.
#[derive(Clone, Copy)]
pub(crate) enum Notify {
    /// The function of a QNN client.
    Qnn(Qnn_NotifyFn_t),
    /// The function of a client of the extension.
    Extension(htp_rt_notify_fn_t),
}

/// The words that carry a notification through the runtime: kind, function, parameter.
pub(crate) fn user_data(notify: Notify, param: *mut c_void) -> [usize; 3] {
    let param = param.expose_provenance();
    match notify {
        Notify::Qnn(function) => {
            let function = function.map_or(0, |f| (f as *const ()).expose_provenance());
            [0, function, param]
        }
        Notify::Extension(function) => {
            let function = function.map_or(0, |f| (f as *const ()).expose_provenance());
            [1, function, param]
        }
    }
}

/// A subscriber of restarts.
#[derive(Clone, Copy)]
pub(crate) struct Subscriber {
    pub(crate) id: u32,
    pub(crate) function: htp_rt_ssr_fn_t,
    /// The client's parameter, as an address.
    pub(crate) param: usize,
}

/// All subscribers, and the id given out last.
pub(crate) struct Subscribers {
    pub(crate) list: [Option<Subscriber>; SUBSCRIBERS_MAX],
    pub(crate) last_id: u32,
}

pub(crate) static SUBSCRIBERS: os::Mutex<Subscribers> =
    os::Mutex::new(Subscribers { list: [None; SUBSCRIBERS_MAX], last_id: 0 });

/// Turns notices into calls of the clients' functions.
pub(crate) struct Sink;

impl NoticeSink for Sink {
    fn deliver(&self, notice: Notice) {
        match notice {
            Notice::Completion(completion) => deliver_completion(&completion),
            Notice::Restart(transition) => deliver_transition(&transition),
        }
    }
}

fn deliver_completion(completion: &Completion) {
    let [kind, function, param] = completion.user_data;
    if function == 0 {
        return;
    }
    let param = core::ptr::with_exposed_provenance_mut::<c_void>(param);
    let function = core::ptr::with_exposed_provenance::<()>(function);
    let report = convert::completion(completion);
    if kind == 0 {
        // SAFETY: `user_data` stored a non-null function of this type under this kind.
        let function: Qnn_NotifyFn_t = unsafe { core::mem::transmute(function) };
        if let Some(function) = function {
            // SAFETY: the client promised a function that may be called with its parameter.
            unsafe { function(param, Qnn_NotifyStatus_t { error: report.error }) };
        }
    } else {
        // SAFETY: as above.
        let function: htp_rt_notify_fn_t = unsafe { core::mem::transmute(function) };
        if let Some(function) = function {
            // SAFETY: as above; the report outlives the call.
            unsafe { function(param, &report) };
        }
    }
}

fn deliver_transition(transition: &Transition) {
    let subscribers = SUBSCRIBERS.lock().list;
    let event = convert::ssr_event(transition);
    for subscriber in subscribers.iter().flatten() {
        if let Some(function) = subscriber.function {
            let param = core::ptr::with_exposed_provenance_mut::<c_void>(subscriber.param);
            // SAFETY: the client promised a function that may be called until it unsubscribes.
            unsafe { function(param, &event) };
        }
    }
}
