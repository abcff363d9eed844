//! The digit network on the virtual HTP, with the run loop by hand: no library of C, no thread, no
//! lock. Classifies images one queue at a time; half-way the DSP crashes, and what it caught is
//! submitted again. Runs from the repository's root:
//!
//!     cargo run --release --example digits --features std

use std::error::Error;
use std::time::Duration;
use std::{fs, thread};

use htp_runtime::device::{Device, Step};
use htp_runtime::event::{Notice, Outcome};
use htp_runtime::handle::{ContextId, GraphId};
use htp_runtime::limits::Capacities;
use htp_runtime::memory::ClientMemory;
use htp_runtime::queue::Mode;
use htp_runtime::region::Region;
use htp_runtime::runtime::{ContextConfig, IoBinding, Runtime, SubmitOptions};
use htp_runtime::time::Instant;
use htp_runtime::vhtp::{Fault, Pacing, Vhtp, VhtpCapacities, VhtpConfig};

const IMAGES: usize = 100;
const IMAGE_BYTES: usize = 64;
const CLASSES: usize = 10;
const QUEUE_DEPTH: usize = 25;
/// The DSP crashes when this many images are done.
const CRASH_AFTER: usize = 40;

/// The runtime, the device under it, and the clock, which neither of them reads.
struct System {
    runtime: Runtime<'static>,
    device: Vhtp<'static>,
    started: std::time::Instant,
}

impl System {
    fn new() -> Result<Self, Box<dyn Error>> {
        let config = VhtpConfig { pacing: Pacing::Modelled, ..VhtpConfig::default() };
        let capabilities = config.platform.capabilities(config.arch);
        let region = Region::from_heap(8 << 20);
        let runtime = Runtime::new(region, &Capacities::DEFAULT, capabilities);
        let room = VhtpCapacities { contexts: 16, graphs: 64, buffers: 256, journal: 0 };
        let device = Vhtp::new(Region::from_heap(8 << 20), config, room);
        let started = std::time::Instant::now();
        let fits = "the region is too small";
        Ok(Self { runtime: runtime.or(Err(fits))?, device: device.or(Err(fits))?, started })
    }

    fn now(&self) -> Instant {
        Instant::from_us(self.started.elapsed().as_micros() as u64)
    }

    /// The run loop, until nothing is left to do. `hear` is told every notice.
    #[expect(clippy::disallowed_methods, reason = "a real system sleeps until the device is due")]
    fn run(&mut self, mut hear: impl FnMut(Notice, &mut Vhtp<'static>)) {
        loop {
            self.runtime.handle_timeout(self.now());
            while let Some(notice) = self.runtime.poll_notice(self.now()) {
                hear(notice, &mut self.device);
            }
            let now = self.now();
            while let Some(command) = self.runtime.poll_command(now) {
                self.device.submit(now, command);
            }
            match self.device.step(now) {
                Step::Event(event) => self.runtime.handle_event(now, event),
                Step::Worked => {}
                Step::Waiting(due) => {
                    let due = [due, self.runtime.poll_timeout()].into_iter().flatten().min();
                    let Some(due) = due else { return };
                    let us = due.as_us().saturating_sub(self.now().as_us());
                    thread::sleep(Duration::from_micros(us));
                }
            }
        }
    }

    /// A context of the network, and its graph.
    fn load(&mut self, binary: &[u8]) -> Result<(ContextId, GraphId), Box<dyn Error>> {
        let fill = |bytes: &mut [u8]| bytes.copy_from_slice(binary);
        let region = self.runtime.region_mut();
        let binary = region.alloc_shared(binary.len(), 4096, fill).or(Err("no room"))?;
        let config = ContextConfig { queue_depth: QUEUE_DEPTH as u32, ..ContextConfig::default() };
        let arch = self.device.config().arch;
        let context = self.runtime.context_load(binary, arch, &config);
        let context = context.map_err(|error| format!("cannot load: {error:?}"))?;
        self.run(|_, _| {});
        let graph = self.runtime.graph_by_name(context, "digits");
        Ok((context, graph.map_err(|error| format!("no such graph: {error:?}"))?))
    }
}

/// One image with the memory that its execution is lent.
struct Image {
    pixels: Box<[u8]>,
    logits: Box<[u8]>,
    probabilities: Box<[u8]>,
    done: bool,
}

impl Image {
    fn new(pixels: &[u8]) -> Self {
        let room = || vec![0; CLASSES].into_boxed_slice();
        Self { pixels: pixels.into(), logits: room(), probabilities: room(), done: false }
    }

    /// Queues one execution, which comes back with `index`.
    fn submit(&mut self, system: &mut System, graph: GraphId, index: usize) -> Result<(), String> {
        let table = system.runtime.graph_table(graph).map_err(|error| format!("{error:?}"))?;
        let id =
            |name| table.tensors().find(|tensor| tensor.name() == name).map(|found| found.id());
        let memories = [
            ("image", &mut self.pixels),
            ("logits", &mut self.logits),
            ("probabilities", &mut self.probabilities),
        ];
        let mut io = Vec::new();
        for (name, bytes) in memories {
            let (address, len) = (bytes.as_mut_ptr().expose_provenance(), bytes.len());
            // SAFETY: the box lives, and nobody touches it, until its completion was heard.
            let memory = unsafe { ClientMemory::new(address, len) };
            io.push(IoBinding { tensor_id: id(name).ok_or("no such tensor")?, memory });
        }
        let options = SubmitOptions {
            mode: Mode::Asynchronous,
            deadline: Instant::FAR,
            user_data: [index, 0, 0],
            profile: None,
        };
        let now = system.now();
        let accepted = system.runtime.submit(now, graph, &io[..], options);
        accepted.map(drop).map_err(|error| format!("refused: {error:?}"))
    }

    fn digit(&self) -> usize {
        (0..CLASSES).rev().max_by_key(|class| self.logits[*class]).unwrap_or(0)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let binary = fs::read("data/digits/digits.htpb")?;
    let labels = fs::read("data/digits/labels.bin")?;
    let pixels = fs::read("data/digits/images.bin")?;
    let mut images: Vec<_> = pixels.chunks(IMAGE_BYTES).take(IMAGES).map(Image::new).collect();

    let mut system = System::new()?;
    let (mut context, mut graph) = system.load(&binary)?;
    let (mut done, mut reset) = (0, 0);
    while done < IMAGES {
        let todo = (0..IMAGES).filter(|index| !images[*index].done).take(QUEUE_DEPTH);
        for index in todo.collect::<Vec<_>>() {
            images[index].submit(&mut system, graph, index)?;
        }
        let reset_before = reset;
        system.run(|notice, device| {
            let Notice::Completion(completion) = notice else { return };
            match completion.outcome {
                Outcome::Completed => {
                    images[completion.user_data[0]].done = true;
                    done += 1;
                    if done == CRASH_AFTER {
                        device.inject(Fault::CrashNow);
                    }
                }
                _ => reset += 1,
            }
        });
        if reset > reset_before {
            println!("the DSP crashed: {reset} images to be submitted again");
            // The handles are stale. They are released once, and made anew.
            let freed = system.runtime.context_free(system.now(), context);
            freed.map_err(|error| format!("cannot free: {error:?}"))?;
            (context, graph) = system.load(&binary)?;
        }
    }
    let right =
        images.iter().zip(&labels).filter(|(image, label)| image.digit() == **label as usize);
    println!("{done} images, {} right, {} restarts", right.count(), system.runtime.restarts());
    Ok(())
}
