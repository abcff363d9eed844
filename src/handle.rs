//! Typed handles: which slot (index), which tenant of the slot (generation), born in which life of
//! the DSP (epoch).
//!
//! A handle whose generation is old is *invalid*: its object was released. A handle whose object
//! was born in an earlier epoch than the device's is *stale*: the object is still there to be
//! released, and nothing else.

use core::fmt;
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;

/// Life of the DSP, counted up by every restart. Starts at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Epoch(u32);

impl Epoch {
    /// The life before the first restart.
    pub const FIRST: Epoch = Epoch(1);

    /// The life after the next restart. Wraps after 2^32 restarts.
    pub const fn next(self) -> Epoch {
        Epoch(self.0.wrapping_add(1))
    }

    /// The number itself, for traces and the C ABI.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// An epoch from its number, as a C handle carries it. May be forged; it is compared, never
    /// trusted.
    pub const fn from_number(number: u32) -> Epoch {
        Epoch(number)
    }
}

/// A handle to an object of kind `K`. Plain data; holding one keeps nothing alive.
pub struct Handle<K> {
    index: u16,
    generation: u16,
    epoch: Epoch,
    kind: PhantomData<fn() -> K>,
}

impl<K> Handle<K> {
    /// A handle from its parts. Parts may be forged; tables check them.
    pub const fn from_parts(index: u16, generation: u16, epoch: Epoch) -> Self {
        Self { index, generation, epoch, kind: PhantomData }
    }

    /// The slot.
    pub const fn index(self) -> u16 {
        self.index
    }

    /// Which tenant of the slot.
    pub const fn generation(self) -> u16 {
        self.generation
    }

    /// The life of the DSP in which the object was made.
    pub const fn epoch(self) -> Epoch {
        self.epoch
    }
}

impl<K> Clone for Handle<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Handle<K> {}

impl<K> PartialEq for Handle<K> {
    fn eq(&self, other: &Self) -> bool {
        self.index == other.index
            && self.generation == other.generation
            && self.epoch == other.epoch
    }
}

impl<K> Eq for Handle<K> {}

impl<K> Hash for Handle<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.index, self.generation, self.epoch).hash(state);
    }
}

impl<K> fmt::Debug for Handle<K> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}@{}", self.index, self.generation, self.epoch.0)
    }
}

#[cfg(feature = "defmt")]
impl<K> defmt::Format for Handle<K> {
    fn format(&self, out: defmt::Formatter<'_>) {
        defmt::write!(out, "{}.{}@{}", self.index, self.generation, self.epoch.0);
    }
}

/// Kind markers, never made.
pub mod kind {
    /// A context: the graphs, buffers and queue of one client stream.
    pub enum Context {}
    /// A graph: one network of a context.
    pub enum Graph {}
    /// A registered shared buffer.
    pub enum Buffer {}
    /// One accepted execution.
    pub enum Request {}
    /// A profile object that collects events.
    pub enum Profile {}
    /// A power configuration: the votes of one client.
    pub enum PowerConfig {}
}

/// Handle of a context.
pub type ContextId = Handle<kind::Context>;
/// Handle of a graph.
pub type GraphId = Handle<kind::Graph>;
/// Handle of a registered buffer.
pub type BufferId = Handle<kind::Buffer>;
/// Handle of a profile object.
pub type ProfileId = Handle<kind::Profile>;
/// Handle of a power configuration.
pub type PowerConfigId = Handle<kind::PowerConfig>;

/// Handle of one accepted request: the context it queues in and the place in that context's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RequestId {
    /// Slot of the context.
    pub context: u16,
    /// Slot in the context's queue, 0 to depth - 1.
    pub slot: u16,
    /// Number of the request, counted over all requests of the runtime.
    pub generation: u32,
}
