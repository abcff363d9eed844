//! Memory of the simulated clients: blocks that are lent to one request each, and who has them.

#![allow(unsafe_code, reason = "lends memory to requests, as a client of the core must")]

use htp_runtime::handle::RequestId;
use htp_runtime::memory::ClientMemory;
use htp_runtime::runtime::IoBinding;

use crate::order::TENSORS;

/// Bytes of each tensor.
pub const TENSOR_BYTES: usize = 8;
/// Tensor ids, input first.
pub const TENSOR_IDS: [u32; TENSORS] = [7, 9];
const BLOCK_BYTES: usize = TENSOR_BYTES * TENSORS;
/// Places of outputs in the memory that requests have in common, each half over the next.
pub const COMMON_PLACES: u8 = 7;
const COMMON_STEP: usize = TENSOR_BYTES / 2;
const COMMON_BYTES: usize = COMMON_STEP * (COMMON_PLACES as usize + 1);

/// The blocks. Each holds the input and the output of one request.
pub struct Pool {
    whole: ClientMemory,
    holders: Vec<Option<RequestId>>,
    free: Vec<u16>,
    /// Owns what `whole` points to; freed with the pool.
    _bytes: Box<[u8]>,
}

impl Pool {
    /// `count` blocks for requests, and `others` behind them that are never handed out.
    pub fn new(count: u16, others: u16) -> Self {
        let blocks = usize::from(count) + usize::from(others);
        let mut bytes = vec![0; blocks * BLOCK_BYTES + COMMON_BYTES].into_boxed_slice();
        let address = bytes.as_mut_ptr().expose_provenance();
        // SAFETY: the pool owns the bytes, never looks at them in another way, and outlives the
        // runtime and the device that it is lent to: they are fields of one world, this one last.
        let whole = unsafe { ClientMemory::new(address, bytes.len()) };
        let holders = vec![None; usize::from(count)];
        Self { whole, holders, free: (0..count).rev().collect(), _bytes: bytes }
    }

    /// A block that nobody has.
    pub fn take(&mut self) -> Option<u16> {
        self.free.pop()
    }

    /// A block was accepted with a request.
    pub fn lend(&mut self, block: u16, request: RequestId) {
        self.holders[usize::from(block)] = Some(request);
    }

    /// A block is the client's again, which scribbles over it.
    pub fn give_back(&mut self, block: u16) {
        self.holders[usize::from(block)] = None;
        self.part(block, 0, BLOCK_BYTES).write(&[0xEE; BLOCK_BYTES]);
        self.free.push(block);
    }

    /// Blocks that nobody has.
    pub fn free_count(&self) -> usize {
        self.free.len()
    }

    /// Bindings for a request with this memory.
    pub fn bindings(memories: [ClientMemory; TENSORS]) -> [IoBinding; TENSORS] {
        [0, 1].map(|at| IoBinding { tensor_id: TENSOR_IDS[at], memory: memories[at] })
    }

    /// Input and output: both in this block, or the output at a place that all have in common.
    pub fn memories(&self, block: u16, common: Option<u8>) -> [ClientMemory; TENSORS] {
        let (start, end) = self.output(block, common);
        let output = self.whole.part(start, end - start).unwrap_or(ClientMemory::NONE);
        [self.part(block, 0, TENSOR_BYTES), output]
    }

    /// Where that output lies: its first byte, and the one behind its last.
    pub fn output(&self, block: u16, common: Option<u8>) -> (usize, usize) {
        let start = match common {
            None => usize::from(block) * BLOCK_BYTES + TENSOR_BYTES,
            Some(place) => {
                let first = self.whole.len() - COMMON_BYTES;
                first + usize::from(place % COMMON_PLACES) * COMMON_STEP
            }
        };
        (start, start + TENSOR_BYTES)
    }

    /// The first block that is never handed out.
    pub fn others(&self) -> u16 {
        self.holders.len() as u16
    }

    /// The whole block, for a registered buffer.
    pub fn block(&self, block: u16) -> ClientMemory {
        self.part(block, 0, BLOCK_BYTES)
    }

    /// Whether all of `io` is lent to this request, or to everybody.
    pub fn is_lent_to(&self, io: &[ClientMemory; TENSORS], request: RequestId) -> bool {
        let common = self.whole.len() - COMMON_BYTES;
        io.iter().all(|memory| {
            let offset = memory.address().wrapping_sub(self.whole.address());
            let is_common = offset >= common && offset < self.whole.len();
            is_common || self.holders.get(offset / BLOCK_BYTES) == Some(&Some(request))
        })
    }

    fn part(&self, block: u16, offset: usize, len: usize) -> ClientMemory {
        let start = usize::from(block) * BLOCK_BYTES + offset;
        self.whole.part(start, len).unwrap_or(ClientMemory::NONE)
    }
}

/// A word in lent memory.
pub fn read(memory: ClientMemory) -> u64 {
    let mut bytes = [0; TENSOR_BYTES];
    memory.read(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// Writes a word into lent memory.
pub fn write(memory: ClientMemory, word: u64) {
    memory.write(&word.to_le_bytes());
}
