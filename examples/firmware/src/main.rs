//! The digit network on a Cortex-M4, with the run loop by hand: memory from static arrays, network
//! and images in flash, time from the system tick. Half-way the DSP crashes; what it caught is
//! submitted again. What the runtime says is logged through defmt:
//!
//! - debug: every notice as it is;
//! - info: results, and what was loaded;
//! - warn: requests without a result, and the phases of a restart;
//! - error: what ends the program.
//!
//! `cargo xtask test --target thumbv7em` builds it, runs it under an emulator and reads the log.

#![no_std]
#![no_main]

use core::mem::MaybeUninit;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::{singleton, Peripherals};
use cortex_m_rt::{entry, exception, ExceptionFrame};
use defmt::{debug, error, info, unwrap, warn};
use defmt_semihosting as _; // the log's way out
use semihosting::process::ExitCode;

use htp_runtime::device::{Device, Step};
use htp_runtime::event::{Completion, Notice, Outcome};
use htp_runtime::handle::{ContextId, GraphId};
use htp_runtime::limits::Capacities;
use htp_runtime::memory::ClientMemory;
use htp_runtime::queue::Mode;
use htp_runtime::region::{Region, SharedBytes};
use htp_runtime::runtime::{ContextConfig, IoBinding, Runtime, SubmitOptions};
use htp_runtime::time::Instant;
use htp_runtime::vhtp::{Fault, Pacing, Vhtp, VhtpCapacities, VhtpConfig};

const BATCH: usize = 4;
const IMAGE_BYTES: usize = 64;
const CLASSES: usize = 10;
const CLOCK_HZ: u32 = 25_000_000;

/// A context binary is used in place, where its page begins.
#[repr(C, align(4096))]
struct Page<T: ?Sized>(T);

static NETWORK: &Page<[u8]> = &Page(*include_bytes!("../../../data/digits/digits.htpb"));
static IMAGES: &[u8] = include_bytes!("../../../data/digits/images.bin");

/// Since the start. They last for 49 days.
static MILLISECONDS: AtomicU32 = AtomicU32::new(0);

defmt::timestamp!("{=u32:ms}", MILLISECONDS.load(Ordering::Relaxed));

fn now() -> Instant {
    Instant::from_us(u64::from(MILLISECONDS.load(Ordering::Relaxed)) * 1000)
}

#[exception]
fn SysTick() {
    // There is one writer, so it need not be one step.
    let now = MILLISECONDS.load(Ordering::Relaxed);
    MILLISECONDS.store(now.wrapping_add(1), Ordering::Relaxed);
}

/// An image with the memory that its execution is lent.
struct Request {
    pixels: [u8; IMAGE_BYTES],
    logits: [u8; CLASSES],
    probabilities: [u8; CLASSES],
}

impl Request {
    const EMPTY: Self =
        Self { pixels: [0; IMAGE_BYTES], logits: [0; CLASSES], probabilities: [0; CLASSES] };
}

type Requests = [Request; BATCH];

/// The runtime and the device under it.
struct System {
    runtime: Runtime<'static>,
    device: Vhtp<'static>,
}

impl System {
    fn new(memory: &'static mut [MaybeUninit<u8>], room: &'static mut [MaybeUninit<u8>]) -> Self {
        let config = VhtpConfig { pacing: Pacing::Modelled, ..VhtpConfig::default() };
        let capabilities = config.platform.capabilities(config.arch);
        let capacities = Capacities {
            contexts: 1,
            graphs: 1,
            buffers: 1,
            requests: BATCH as u16,
            ..Capacities::DEFAULT
        };
        let objects = VhtpCapacities { contexts: 1, graphs: 1, buffers: 1, journal: 0 };
        let runtime = Runtime::new(Region::new(memory), &capacities, capabilities);
        let device = Vhtp::new(Region::new(room), config, objects);
        Self { runtime: unwrap!(runtime), device: unwrap!(device) }
    }

    /// The run loop, until nothing is left to do.
    fn run(&mut self, mut hear: impl FnMut(Notice)) {
        loop {
            self.runtime.handle_timeout(now());
            while let Some(notice) = self.runtime.poll_notice(now()) {
                debug!("{}", notice);
                hear(notice);
            }
            let now = now();
            while let Some(command) = self.runtime.poll_command(now) {
                self.device.submit(now, command);
            }
            match self.device.step(now) {
                Step::Event(event) => self.runtime.handle_event(now, event),
                Step::Worked => {}
                Step::Waiting(due) => match (due, self.runtime.poll_timeout()) {
                    (None, None) => return,
                    // The tick wakes early enough.
                    _ => cortex_m::asm::wfi(),
                },
            }
        }
    }

    /// A context of the network, and its graph.
    fn load(&mut self) -> (ContextId, GraphId) {
        let config = ContextConfig { queue_depth: BATCH as u32, ..ContextConfig::default() };
        let binary = SharedBytes::from_borrowed(&NETWORK.0);
        let arch = self.device.config().arch;
        let context = unwrap!(self.runtime.context_load(binary, arch, &config));
        self.run(|_| {});
        let graph = unwrap!(self.runtime.graph_by_name(context, "digits"));
        let report = unwrap!(self.runtime.graph_report(graph));
        info!("digits: {} operations in {}", report.ops, self.runtime.epoch());
        (context, graph)
    }

    /// Queues an execution for each image from `first` on; each comes back with its image's number.
    fn submit(&mut self, graph: GraphId, first: usize, requests: &mut Requests) {
        let images = IMAGES.chunks_exact(IMAGE_BYTES).enumerate().skip(first);
        for ((image, pixels), request) in images.zip(requests) {
            request.pixels.copy_from_slice(pixels);
            let lent = [
                ("image", &mut request.pixels[..]),
                ("logits", &mut request.logits[..]),
                ("probabilities", &mut request.probabilities[..]),
            ];
            let table = unwrap!(self.runtime.graph_table(graph));
            let io = lent.map(|(name, bytes)| {
                let tensor = unwrap!(table.tensors().find(|tensor| tensor.name() == name));
                let (address, len) = (bytes.as_mut_ptr().expose_provenance(), bytes.len());
                // SAFETY: `requests` are static, and nobody touches one until its completion was
                // heard.
                let memory = unsafe { ClientMemory::new(address, len) };
                IoBinding { tensor_id: tensor.id(), memory }
            });
            let options = SubmitOptions {
                mode: Mode::Asynchronous,
                deadline: Instant::FAR,
                user_data: [image, 0, 0],
                profile: None,
            };
            unwrap!(self.runtime.submit(now(), graph, &io[..], options));
        }
    }

    /// Runs what is queued. `true` if all of it has a result.
    fn finish(&mut self, requests: &Requests) -> bool {
        let mut done = 0;
        self.run(|notice| match notice {
            Notice::Completion(Completion { outcome: Outcome::Completed, user_data, .. }) => {
                done += 1;
                let [image, ..] = user_data;
                info!("image {}: {}", image, requests[image % BATCH].logits);
            }
            Notice::Completion(ended) => warn!("image {}: {}", ended.user_data[0], ended.outcome),
            Notice::Restart(phase) => warn!("{} -> {}, {}", phase.from, phase.to, phase.epoch),
        });
        done == BATCH
    }
}

#[entry]
fn main() -> ! {
    let mut tick = unwrap!(Peripherals::take()).SYST;
    tick.set_clock_source(SystClkSource::Core);
    tick.set_reload(CLOCK_HZ / 1000 - 1);
    tick.clear_current();
    tick.enable_counter();
    tick.enable_interrupt();

    let memory =
        singleton!(: [MaybeUninit<u8>; 3 << 19] = [const { MaybeUninit::uninit() }; 3 << 19]);
    let room =
        singleton!(: [MaybeUninit<u8>; 1 << 20] = [const { MaybeUninit::uninit() }; 1 << 20]);
    let requests = unwrap!(singleton!(: Requests = [Request::EMPTY; BATCH]));

    let mut system = System::new(unwrap!(memory), unwrap!(room));
    let (context, graph) = system.load();
    system.submit(graph, 0, requests);
    defmt::assert!(system.finish(requests));

    system.submit(graph, BATCH, requests);
    system.device.inject(Fault::CrashNow);
    defmt::assert!(!system.finish(requests));

    // The handles are stale. They are released once, and made anew.
    unwrap!(system.runtime.context_free(now(), context));
    let (_, graph) = system.load();
    system.submit(graph, BATCH, requests);
    defmt::assert!(system.finish(requests));
    let faults = system.runtime.counters().faults;
    info!("{} restart, {} faults", system.runtime.restarts(), faults);
    ExitCode::SUCCESS.exit_process()
}

#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    error!("fault at {=u32:#x}", frame.pc());
    ExitCode::FAILURE.exit_process()
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    error!("{}", defmt::Display2Format(info));
    ExitCode::FAILURE.exit_process()
}
