//! A request and the per-context table that holds it from submit to completion.

use core::hash::{Hash, Hasher};

use crate::event::{Outcome, RequestTimes};
use crate::handle::{Epoch, GraphId, ProfileId, RequestId};
use crate::region::{OutOfMemory, Region, RegionSlice};
use crate::sched::Priority;
use crate::time::Instant;

/// Where a request lies: slot of its context, slot in that context's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestRef {
    /// Slot of the context.
    pub context: u16,
    /// Slot in the queue.
    pub slot: u16,
}

impl RequestRef {
    /// No request.
    pub const NONE: RequestRef = RequestRef { context: u16::MAX, slot: u16::MAX };

    /// The handle of request number `generation`, which lies here.
    pub const fn with_generation(self, generation: u32) -> RequestId {
        RequestId { context: self.context, slot: self.slot, generation }
    }

    /// Whether this is `NONE`.
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }
}

/// How the client waits for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Mode {
    /// It does not: a notice tells it.
    Asynchronous,
    /// It collects the outcome itself.
    Blocking,
}

/// Where a request is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum RequestState {
    /// The slot is free.
    Free,
    /// Waiting in the list of its priority.
    Queued,
    /// On the device. `cancelled` is the outcome asked for in the meantime.
    Running {
        /// `TimedOut` or `Aborted` if an abort was sent.
        cancelled: Option<Outcome>,
    },
    /// Of a lost context: waits for the fallback, in no list.
    Aside,
    /// On the fallback. `cancelled` as above.
    OnFallback {
        /// `TimedOut` or `Aborted` if an abort is due or was sent.
        cancelled: Option<Outcome>,
    },
    /// Caught by a restart: completes when the connection is back, or is given up (SSR-005).
    Interrupted,
    /// Ended; the outcome waits to be heard.
    Done(Outcome),
}

/// One slot of a queue.
#[derive(Debug, Clone, Copy, Hash)]
pub struct Request {
    /// Where it is in its life.
    pub state: RequestState,
    /// How the client waits.
    pub mode: Mode,
    /// Priority when it was accepted.
    pub priority: Priority,
    /// It has gone to the device.
    pub dispatched: bool,
    /// Its outputs may be in the table of watched ones.
    pub watched: bool,
    /// Number of the request, counted over all requests of the runtime.
    pub generation: u32,
    /// The graph to execute.
    pub graph: GraphId,
    /// The client's words.
    pub user_data: [usize; 3],
    /// When it times out; `FAR` for never.
    pub deadline: Instant,
    /// Place in the deadline heap, kept by [`super::Deadlines`].
    pub deadline_place: u32,
    /// Profile object to fill at completion.
    pub profile: Option<ProfileId>,
    /// Times so far.
    pub times: RequestTimes,
    /// Neighbours in the one list it is in, kept by [`super::List`]; `next` also chains free
    /// slots.
    pub previous: RequestRef,
    /// See `previous`.
    pub next: RequestRef,
}

impl Request {
    const FREE: Request = Request {
        state: RequestState::Free,
        mode: Mode::Asynchronous,
        priority: Priority::DEFAULT,
        dispatched: false,
        watched: false,
        generation: 0,
        graph: GraphId::from_parts(0, 0, Epoch::FIRST),
        user_data: [0; 3],
        deadline: Instant::FAR,
        deadline_place: u32::MAX,
        profile: None,
        times: RequestTimes {
            submitted: Instant::ZERO,
            dispatched: Instant::ZERO,
            completed: Instant::ZERO,
            device_time_us: 0,
            cycles: 0,
            yields: 0,
            on_fallback: false,
        },
        previous: RequestRef::NONE,
        next: RequestRef::NONE,
    };
}

/// The queue of one context: `depth` slots, taken from the region when the context is created.
pub struct Queue<'m> {
    slots: RegionSlice<'m, Request>,
    context: u16,
    first_free: RequestRef,
    used: u16,
    used_max: u16,
}

impl<'m> Queue<'m> {
    /// A queue without slots.
    pub const EMPTY: Self = Self {
        slots: RegionSlice::empty(),
        context: u16::MAX,
        first_free: RequestRef::NONE,
        used: 0,
        used_max: 0,
    };

    /// A queue of `depth` slots for the context in slot `context`.
    pub fn new(region: &mut Region<'m>, context: u16, depth: u16) -> Result<Self, OutOfMemory> {
        let slots = region.alloc_with(usize::from(depth), |index| {
            let next = u16::try_from(index).unwrap_or(u16::MAX).saturating_add(1);
            let next =
                if next < depth { RequestRef { context, slot: next } } else { RequestRef::NONE };
            Request { next, ..Request::FREE }
        })?;
        Ok(Self {
            slots,
            context,
            first_free: RequestRef { context, slot: 0 },
            used: 0,
            used_max: 0,
        })
    }

    /// Gives the memory back.
    pub fn release(self, region: &mut Region<'m>) {
        region.free(self.slots);
    }

    /// Slots.
    pub fn depth(&self) -> u16 {
        u16::try_from(self.slots.len()).unwrap_or(u16::MAX)
    }

    /// Requests between submit and the end of their completion.
    pub fn used(&self) -> u16 {
        self.used
    }

    /// The most requests there ever were at once.
    pub fn used_max(&self) -> u16 {
        self.used_max
    }

    /// The slot that the next `acquire` takes; `None` if the queue is full.
    pub fn free_slot(&self) -> Option<u16> {
        (self.used < self.depth()).then_some(self.first_free.slot)
    }

    /// Takes a free slot for the request with this number; `None` if the queue is full.
    pub fn acquire(&mut self, generation: u32) -> Option<(RequestRef, &mut Request)> {
        let place = self.first_free;
        let request = self.slots.get_mut(usize::from(place.slot))?;
        self.first_free = request.next;
        self.used = self.used.saturating_add(1);
        self.used_max = self.used_max.max(self.used);
        *request = Request { generation, ..Request::FREE };
        Some((place, request))
    }

    /// Frees a slot.
    pub fn release_slot(&mut self, slot: u16) {
        let place = RequestRef { context: self.context, slot };
        if let Some(request) = self.slots.get_mut(usize::from(slot)) {
            request.state = RequestState::Free;
            request.next = self.first_free;
            self.first_free = place;
            self.used = self.used.saturating_sub(1);
        }
    }

    /// The request in `slot`.
    pub fn get(&self, slot: u16) -> Option<&Request> {
        self.slots.get(usize::from(slot))
    }

    /// The request in `slot`, to change it.
    pub fn get_mut(&mut self, slot: u16) -> Option<&mut Request> {
        self.slots.get_mut(usize::from(slot))
    }

    /// Its requests, and which slots come next. Of free slots only that they are.
    pub fn hash_state(&self, hasher: &mut impl Hasher) {
        (self.first_free, self.used).hash(hasher);
        for request in self.slots.iter() {
            match request.state {
                RequestState::Free => (RequestState::Free, request.next).hash(hasher),
                _ => request.hash(hasher),
            }
        }
    }
}
