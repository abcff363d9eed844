//! The digit network on a virtual HTP, driven by hand.

use std::path::Path;

use htp_runtime::capability::Capabilities;
use htp_runtime::device::{Device, Step};
use htp_runtime::error::Status;
use htp_runtime::event::{Notice, Outcome};
use htp_runtime::handle::{ContextId, GraphId};
use htp_runtime::limits::Capacities;
use htp_runtime::memory::ClientMemory;
use htp_runtime::queue::Mode;
use htp_runtime::region::{Region, SharedBytes};
use htp_runtime::runtime::{ContextConfig, IoBinding, Runtime, SubmitOptions};
use htp_runtime::ssr::Recovery;
use htp_runtime::time::Instant;
use htp_runtime::vhtp::{Vhtp, VhtpCapacities, VhtpConfig, WithFallback};

/// Bytes of one image.
pub const IMAGE_BYTES: usize = 64;
const LOGITS_BYTES: usize = 10;

/// Memory of one request, which must not move while it is lent.
struct Buffers {
    image: Box<[u8]>,
    logits: Box<[u8]>,
    probabilities: Box<[u8]>,
}

/// A runtime with the network loaded, and the memory of the requests in flight.
pub struct Digits {
    pub runtime: Runtime<'static>,
    pub device: WithFallback<'static, Vhtp<'static>>,
    pub completed: usize,
    recovery: Recovery,
    pub context: ContextId,
    pub graph: GraphId,
    buffers: Vec<Buffers>,
    pub now: Instant,
}

impl Digits {
    pub fn new(queue_depth: u32) -> Self {
        Self::under(Recovery::Native, queue_depth)
    }

    /// On a platform that allows `more`.
    pub fn allowing(more: Capabilities, queue_depth: u32) -> Self {
        Self::with(Recovery::Native, more, queue_depth)
    }

    pub fn under(recovery: Recovery, queue_depth: u32) -> Self {
        Self::with(recovery, Capabilities::empty(), queue_depth)
    }

    fn with(recovery: Recovery, more: Capabilities, queue_depth: u32) -> Self {
        let capacities = VhtpCapacities { contexts: 16, graphs: 64, buffers: 256, journal: 64 };
        let device =
            Vhtp::new(Region::from_heap(8 << 20), VhtpConfig::default(), capacities).unwrap();
        let device = WithFallback::new(device);
        let region = Region::from_heap(8 << 20);
        let capabilities = device.capabilities().union(more);
        let runtime = Runtime::new(region, &Capacities::DEFAULT, capabilities).unwrap();
        let mut world = Self {
            runtime,
            device,
            recovery,
            completed: 0,
            context: ContextId::from_parts(0, 0, htp_runtime::handle::Epoch::FIRST),
            graph: GraphId::from_parts(0, 0, htp_runtime::handle::Epoch::FIRST),
            buffers: vec![],
            now: Instant::ZERO,
        };
        world.load(queue_depth);
        world
    }

    /// Frees the stale context and loads the binary again, as a client does after a restart.
    pub fn recreate(&mut self, queue_depth: u32) {
        self.runtime.context_free(self.now, self.context).unwrap();
        self.drain();
        assert!(self.runtime.context_is_gone(self.context));
        self.load(queue_depth);
    }

    fn load(&mut self, queue_depth: u32) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/digits/digits.htpb");
        let binary = std::fs::read(path).unwrap();
        let fill = |bytes: &mut [u8]| bytes.copy_from_slice(&binary);
        let binary: SharedBytes<'static> =
            self.runtime.region_mut().alloc_shared(binary.len(), 4096, fill).unwrap();
        let recovery = self.recovery;
        let config = ContextConfig { queue_depth, recovery, ..ContextConfig::default() };
        self.context = self.runtime.context_load(binary, 73, &config).unwrap();
        self.drain();
        assert_eq!(self.runtime.context_status(self.context), Ok(Status::Ready));
        self.graph = self.runtime.graph_by_name(self.context, "digits").unwrap();
    }

    /// Runs a batch that fits into the queue; gives the logits in order.
    pub fn run(&mut self, images: &[u8]) -> Vec<Vec<u8>> {
        self.submit(images);
        for notice in self.drain() {
            if let Notice::Completion(completion) = notice {
                assert_eq!(completion.outcome, Outcome::Completed);
                self.completed += 1;
            }
        }
        self.logits()
    }

    /// The logits of the last batch, in order.
    pub fn logits(&self) -> Vec<Vec<u8>> {
        self.buffers.iter().map(|buffers| buffers.logits.to_vec()).collect()
    }

    /// Submits a batch that fits into the queue.
    pub fn submit(&mut self, images: &[u8]) {
        assert!(self.runtime.is_idle(), "memory in flight must not be replaced");
        self.buffers.clear();
        for image in images.chunks(IMAGE_BYTES) {
            self.buffers.push(Buffers {
                image: image.into(),
                logits: vec![0; LOGITS_BYTES].into(),
                probabilities: vec![0; LOGITS_BYTES].into(),
            });
        }
        for (index, buffers) in self.buffers.iter_mut().enumerate() {
            let memories = [&mut buffers.image, &mut buffers.logits, &mut buffers.probabilities];
            let mut io = vec![];
            for memory in memories {
                let (address, len) = (memory.as_mut_ptr().expose_provenance(), memory.len());
                // SAFETY: the boxes live until the next batch, which waits for the machine to be
                // idle.
                io.push(unsafe { ClientMemory::new(address, len) });
            }
            let mut bindings = vec![];
            for position in 0.. {
                let Some(info) = self.runtime.graph_io(self.graph, position).unwrap() else {
                    break;
                };
                let table = self.runtime.graph_table(self.graph).unwrap();
                let tensor = table.tensors().find(|tensor| tensor.id() == info.id).unwrap();
                let memory = match tensor.name() {
                    "image" => io[0],
                    "logits" => io[1],
                    "probabilities" => io[2],
                    other => panic!("unexpected tensor {other}"),
                };
                bindings.push(IoBinding { tensor_id: info.id, memory });
            }
            let options = SubmitOptions {
                mode: Mode::Asynchronous,
                deadline: Instant::FAR,
                user_data: [index, 0, 0],
                profile: None,
            };
            self.runtime.submit(self.now, self.graph, bindings.as_slice(), options).unwrap();
        }
    }

    /// Drives until nothing moves any more; gives what the client hears.
    pub fn drain(&mut self) -> Vec<Notice> {
        let mut notices = vec![];
        loop {
            self.runtime.handle_timeout(self.now);
            while let Some(command) = self.runtime.poll_command(self.now) {
                self.device.submit(self.now, command);
            }
            while let Some(notice) = self.runtime.poll_notice(self.now) {
                notices.push(notice);
            }
            match self.device.step(self.now) {
                Step::Event(event) => self.runtime.handle_event(self.now, event),
                Step::Worked => {}
                Step::Waiting(None) if !self.runtime.has_command() => break,
                Step::Waiting(_) => {}
            }
        }
        notices
    }
}
