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

    /// The life after the next restart. Starts anew after as many restarts as a C handle can tell
    /// apart (see [`Packing`]).
    pub const fn next(self) -> Epoch {
        Epoch(Packing::NATIVE.next_epoch(self.0))
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

/// How the parts of a handle share a C handle, which is a number as wide as a pointer:
///
/// ```text
/// 64 bits:  kind 4 | epoch 28 | generation 16 | index 16
/// 32 bits:  kind 4 | epoch  9 | generation  9 | index 10
/// ```
///
/// Generations and epochs count within their bits, without 0, so every part survives the way to a
/// client and back. With 32 bits an old handle is mistaken for a new one after 511 reuses of its
/// slot in one life of the DSP, or, if its object was never released, after 511 restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packing {
    epoch_bits: u32,
    generation_bits: u32,
    index_bits: u32,
}

impl Packing {
    /// For 64-bit pointers.
    pub const WIDE: Packing = Packing { epoch_bits: 28, generation_bits: 16, index_bits: 16 };
    /// For 32-bit pointers.
    pub const NARROW: Packing = Packing { epoch_bits: 9, generation_bits: 9, index_bits: 10 };
    /// That of this target.
    pub const NATIVE: Packing = if usize::BITS >= 64 { Self::WIDE } else { Self::NARROW };

    /// Most slots of a table.
    pub const fn slots_max(self) -> u16 {
        if self.index_bits >= u16::BITS {
            u16::MAX - 1
        } else {
            1 << self.index_bits
        }
    }

    /// The generation after `generation`.
    pub const fn next_generation(self, generation: u16) -> u16 {
        let mask = (u16::MAX as u32) >> u16::BITS.saturating_sub(self.generation_bits);
        match (generation as u32).wrapping_add(1) & mask {
            0 => 1,
            next => next as u16,
        }
    }

    const fn next_epoch(self, epoch: u32) -> u32 {
        match epoch.wrapping_add(1) & (u32::MAX >> u32::BITS.saturating_sub(self.epoch_bits)) {
            0 => 1,
            next => next,
        }
    }

    /// The C handle of an object of kind number `kind`, 1 to 15. Never 0.
    pub const fn pack<K>(self, kind: u8, handle: Handle<K>) -> u64 {
        let Packing { epoch_bits, generation_bits, index_bits } = self;
        let mut bits = (kind & 0xf) as u64;
        bits = bits << epoch_bits | handle.epoch.0 as u64;
        bits = bits << generation_bits | handle.generation as u64;
        bits << index_bits | handle.index as u64
    }

    /// The kind number of a C handle, which may be forged.
    pub const fn kind(self, bits: u64) -> u64 {
        let Packing { epoch_bits, generation_bits, index_bits } = self;
        let (_, bits) = split(bits, index_bits);
        let (_, bits) = split(bits, generation_bits);
        split(bits, epoch_bits).1
    }

    /// What a C handle names, if it names something of kind number `kind` at all. Its parts may be
    /// forged.
    pub const fn unpack<K>(self, kind: u8, bits: u64) -> Option<Handle<K>> {
        let (index, bits) = split(bits, self.index_bits);
        let (generation, bits) = split(bits, self.generation_bits);
        let (epoch, bits) = split(bits, self.epoch_bits);
        if bits != kind as u64 {
            return None;
        }
        Some(Handle::from_parts(index as u16, generation as u16, Epoch(epoch as u32)))
    }
}

/// The lowest `count` bits, and the rest.
const fn split(bits: u64, count: u32) -> (u64, u64) {
    (bits & (u64::MAX >> u64::BITS.saturating_sub(count)), bits >> count)
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

#[cfg(test)]
mod tests {
    use super::*;

    type Id = Handle<kind::Graph>;

    #[test]
    fn parts_survive_the_way_to_a_client_and_back() {
        for packing in [Packing::WIDE, Packing::NARROW] {
            let top = (packing.slots_max() - 1, packing.generation_max(), packing.epoch_max());
            for (index, generation, epoch) in [(0, 1, 1), top, (3, top.1, 1), (top.0, 1, top.2)] {
                let id = Id::from_parts(index, generation, Epoch(epoch));
                for kind in 1..=15 {
                    let bits = packing.pack(kind, id);
                    assert_eq!(packing.unpack(kind, bits), Some(id));
                    assert_eq!(packing.kind(bits), u64::from(kind));
                    assert_eq!(packing.unpack::<kind::Graph>(kind ^ 1, bits), None);
                }
            }
        }
    }

    #[test]
    fn a_narrow_handle_fits_32_bits_and_a_wide_one_64() {
        let bits = |packing: Packing| {
            let all = Id::from_parts(
                packing.slots_max() - 1,
                packing.generation_max(),
                Epoch(packing.epoch_max()),
            );
            packing.pack(15, all)
        };
        assert_eq!(bits(Packing::NARROW), u64::from(u32::MAX));
        assert_eq!(bits(Packing::WIDE), u64::MAX - 2); // two slot numbers mean none
    }

    #[test]
    fn counters_start_anew_within_their_bits_and_skip_zero() {
        for packing in [Packing::WIDE, Packing::NARROW] {
            assert_eq!(packing.next_generation(1), 2);
            assert_eq!(packing.next_generation(packing.generation_max()), 1);
            assert_eq!(packing.next_epoch(1), 2);
            assert_eq!(packing.next_epoch(packing.epoch_max()), 1);
        }
        assert_eq!((Packing::NARROW.slots_max(), Packing::WIDE.slots_max()), (1024, 65_534));
    }

    impl Packing {
        fn generation_max(self) -> u16 {
            u16::try_from((1u32 << self.generation_bits) - 1).unwrap()
        }

        fn epoch_max(self) -> u32 {
            (1 << self.epoch_bits) - 1
        }
    }
}
