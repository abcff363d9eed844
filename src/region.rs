//! The allocator of creation paths: memory comes from the integrator and goes back to the same
//! place.
//!
//! A [`Region`] hands out typed blocks from one arena in constant time (two-level segregated fit).
//! Owners give a block back explicitly; a block that is dropped instead is leaked, never reused, so
//! a mistake costs memory and not safety. Submit, dispatch, complete and recover never come here
//! (ARCHITECTURE.md, rule 6).

#![allow(unsafe_code, reason = "one of the two storage modules: typed views of raw memory")]

use core::alloc::Layout;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ops::{Deref, DerefMut, Range};
use core::ptr::NonNull;
use core::slice;
use core::sync::atomic::{AtomicUsize, Ordering};

use rlsf::Tlsf;

/// First-level classes of the allocator: blocks up to 2^(5 + 30) bytes on 64-bit, 2^(4 + 26) on
/// 32-bit targets. A larger arena is divided.
const FIRST_LEVEL: usize = if usize::BITS == 64 { 30 } else { 26 };

type Heap<'m> = Tlsf<'m, u32, u32, FIRST_LEVEL, 32>;

/// The region has no block of the wanted size. Creation paths report it as a memory-allocation
/// error; nothing was changed and the caller may retry after freeing something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct OutOfMemory;

/// An allocator over one arena that the integrator provided.
///
/// Allocation and release take constant time. Not shared between threads: whoever owns the `Region`
/// allocates.
pub struct Region<'m> {
    /// At the beginning of the arena, as its lists are too large for a stack. Nothing if the arena
    /// is too small for them.
    heap: Option<&'m mut Heap<'m>>,
    arena: Range<usize>,
    used_bytes: usize,
    used_bytes_max: usize,
}

impl<'m> Region<'m> {
    /// Bytes of an arena that the allocator's own lists take.
    pub const OVERHEAD_BYTES: usize = size_of::<Heap<'_>>() + align_of::<Heap<'_>>();

    /// Takes over `arena`. [`Region::OVERHEAD_BYTES`] and about 64 more are lost to bookkeeping,
    /// plus one machine word a block.
    pub fn new(arena: &'m mut [MaybeUninit<u8>]) -> Self {
        let range = arena.as_ptr_range();
        let arena_addresses = range.start as usize..range.end as usize;
        let padding = range.start.align_offset(align_of::<Heap<'_>>());
        let heap = match arena.split_at_mut_checked(padding) {
            Some((_, rest)) => Self::heap_in(rest),
            None => None,
        };
        Self { heap, arena: arena_addresses, used_bytes: 0, used_bytes_max: 0 }
    }

    /// A heap of these bytes, which begin as it is aligned.
    fn heap_in(bytes: &'m mut [MaybeUninit<u8>]) -> Option<&'m mut Heap<'m>> {
        let (place, rest) = bytes.split_at_mut_checked(size_of::<Heap<'_>>())?;
        let place = place.as_mut_ptr().cast::<Heap<'m>>();
        let empty: *const Heap<'m> = const { &Heap::new() };
        // SAFETY: so many bytes of the arena, aligned, and nobody else has them. They get the value
        // of a constant without a destructor, which is what `write(Heap::new())` would do by way of
        // the stack.
        let heap = unsafe {
            place.copy_from_nonoverlapping(empty, 1);
            &mut *place
        };
        heap.insert_free_block(rest);
        Some(heap)
    }

    /// A region on the heap, kept for the life of the process. For hosted Rust users and tests.
    #[cfg(feature = "std")]
    pub fn from_heap(capacity_bytes: usize) -> Region<'static> {
        let arena = std::boxed::Box::new_uninit_slice(capacity_bytes);
        Region::new(std::boxed::Box::leak(arena))
    }

    /// Size of the arena in bytes.
    pub fn capacity_bytes(&self) -> usize {
        self.arena.len()
    }

    /// Bytes handed out now, without the allocator's own overhead.
    pub fn used_bytes(&self) -> usize {
        self.used_bytes
    }

    /// The most bytes that were ever handed out at once.
    pub fn used_bytes_max(&self) -> usize {
        self.used_bytes_max
    }

    /// A block of `len` elements, each made by `init(index)`.
    pub fn alloc_with<T>(
        &mut self,
        len: usize,
        mut init: impl FnMut(usize) -> T,
    ) -> Result<RegionSlice<'m, T>, OutOfMemory> {
        let layout = Layout::array::<T>(len).map_err(|_| OutOfMemory)?;
        let ptr = self.alloc_raw(layout)?.cast::<T>();
        for index in 0..len {
            // SAFETY: the block holds `len` elements of T, `index` is below `len`, and nobody else
            // has it.
            unsafe { ptr.as_ptr().add(index).write(init(index)) };
        }
        Ok(RegionSlice {
            ptr,
            len,
            align: layout.align(),
            arena: self.arena.start,
            life: PhantomData,
        })
    }

    /// A block of `len` elements that begins with those of `from`, as far as there is room, and has
    /// `fill` behind them.
    pub fn alloc_from<T: Copy>(
        &mut self,
        len: usize,
        from: &[T],
        fill: T,
    ) -> Result<RegionSlice<'m, T>, OutOfMemory> {
        let layout = Layout::array::<T>(len).map_err(|_| OutOfMemory)?;
        let ptr = self.alloc_raw(layout)?.cast::<T>();
        let copied = from.len().min(len);
        // SAFETY: the block holds `len` elements of T, of which `copied` are not more, and nobody
        // else has it, so that it does not overlap `from`.
        unsafe { ptr.as_ptr().copy_from_nonoverlapping(from.as_ptr(), copied) };
        for index in copied..len {
            // SAFETY: as above, and `index` is below `len`.
            unsafe { ptr.as_ptr().add(index).write(fill) };
        }
        let (align, arena) = (layout.align(), self.arena.start);
        Ok(RegionSlice { ptr, len, align, arena, life: PhantomData })
    }

    /// A block of `len` copies of `value`.
    pub fn alloc<T: Copy>(
        &mut self,
        len: usize,
        value: T,
    ) -> Result<RegionSlice<'m, T>, OutOfMemory> {
        self.alloc_from(len, &[], value)
    }

    /// Zeroed bytes whose address is a multiple of `align` (a power of two).
    pub fn alloc_bytes(
        &mut self,
        len: usize,
        align: usize,
    ) -> Result<RegionSlice<'m, u8>, OutOfMemory> {
        let layout = Layout::from_size_align(len, align).map_err(|_| OutOfMemory)?;
        let ptr = self.alloc_raw(layout)?;
        // SAFETY: the block is `len` bytes long and nobody else has it.
        unsafe { ptr.as_ptr().write_bytes(0, len) };
        Ok(RegionSlice { ptr, len, align, arena: self.arena.start, life: PhantomData })
    }

    /// Gives a block back. The elements are dropped. A block of another region is refused and
    /// leaked, which returns `false` and is a bug of the caller.
    pub fn free<T>(&mut self, block: RegionSlice<'m, T>) -> bool {
        let bytes = block.len.saturating_mul(size_of::<T>());
        if bytes != 0 && block.arena != self.arena.start {
            return false;
        }
        // SAFETY: the elements were initialised at allocation, and `block` is consumed here.
        unsafe {
            core::ptr::slice_from_raw_parts_mut(block.ptr.as_ptr(), block.len).drop_in_place()
        };
        // SAFETY: an owned block of this arena (checked above), with the alignment it was allocated
        // with.
        unsafe { self.free_raw(block.ptr.cast(), bytes, block.align) };
        true
    }

    /// A block that several owners may read at once, filled by `fill` before anyone else sees it.
    pub fn alloc_shared(
        &mut self,
        len: usize,
        align: usize,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result<SharedBytes<'m>, OutOfMemory> {
        let (layout, count_offset) = Self::shared_layout(len, align).ok_or(OutOfMemory)?;
        let ptr = self.alloc_raw(layout)?;
        // SAFETY: the block is at least `len` bytes long and nobody else has it; zeroed before it
        // is viewed.
        let bytes = unsafe {
            ptr.as_ptr().write_bytes(0, len);
            slice::from_raw_parts_mut(ptr.as_ptr(), len)
        };
        fill(bytes);
        // SAFETY: `shared_layout` reserved an aligned word at this offset.
        let count = unsafe { ptr.as_ptr().add(count_offset) }.cast::<AtomicUsize>();
        // SAFETY: as above; the word is written before any reader exists.
        unsafe { count.write(AtomicUsize::new(1)) };
        let origin = Origin {
            base: ptr,
            layout,
            arena: self.arena.start,
            count: NonNull::new(count).ok_or(OutOfMemory)?,
        };
        Ok(SharedBytes { ptr, len, origin: Some(origin), life: PhantomData })
    }

    /// Gives a shared block back if `bytes` is its last owner; otherwise hands `bytes` back.
    /// Borrowed bytes ([`SharedBytes::from_borrowed`]) are simply forgotten.
    pub fn reclaim(&mut self, bytes: SharedBytes<'m>) -> Result<(), SharedBytes<'m>> {
        let Some(origin) = bytes.origin else { return Ok(()) };
        // SAFETY: the count lives as long as any owner does, and `bytes` is one.
        let owners = unsafe { origin.count.as_ref() }.load(Ordering::Acquire);
        if owners != 1 || origin.arena != self.arena.start {
            return Err(bytes);
        }
        core::mem::forget(bytes);
        // SAFETY: a block of this arena (checked above) that its last owner just gave up.
        unsafe { self.free_raw(origin.base, origin.layout.size(), origin.layout.align()) };
        Ok(())
    }

    fn shared_layout(len: usize, align: usize) -> Option<(Layout, usize)> {
        let bytes = Layout::from_size_align(len, align).ok()?;
        let (layout, offset) = bytes.extend(Layout::new::<AtomicUsize>()).ok()?;
        Some((layout, offset))
    }

    fn alloc_raw(&mut self, layout: Layout) -> Result<NonNull<u8>, OutOfMemory> {
        if layout.size() == 0 {
            return NonNull::new(core::ptr::without_provenance_mut(layout.align()))
                .ok_or(OutOfMemory);
        }
        let heap = self.heap.as_deref_mut().ok_or(OutOfMemory)?;
        let ptr = heap.allocate(layout).ok_or(OutOfMemory)?;
        self.used_bytes = self.used_bytes.saturating_add(layout.size());
        self.used_bytes_max = self.used_bytes_max.max(self.used_bytes);
        Ok(ptr)
    }

    /// # Safety
    /// `ptr` is a block of this heap, allocated with `align`, that nobody uses any more (or `bytes`
    /// is 0).
    unsafe fn free_raw(&mut self, ptr: NonNull<u8>, bytes: usize, align: usize) {
        let Some(heap) = self.heap.as_deref_mut() else { return };
        if bytes != 0 {
            // SAFETY: the caller's promise.
            unsafe { heap.deallocate(ptr, align) };
            self.used_bytes = self.used_bytes.saturating_sub(bytes);
        }
    }
}

/// An exclusively owned block of a [`Region`]. Give it back with [`Region::free`]; dropping it
/// leaks it.
pub struct RegionSlice<'m, T> {
    ptr: NonNull<T>,
    len: usize,
    align: usize,
    /// Start address of the arena it came from: a block goes back only there.
    arena: usize,
    life: PhantomData<&'m mut [T]>,
}

// SAFETY: a RegionSlice owns its elements like a Box<[T]> does; sending it sends them.
unsafe impl<T: Send> Send for RegionSlice<'_, T> {}

impl<T> RegionSlice<'_, T> {
    /// A block without elements, which needs no memory.
    pub const fn empty() -> Self {
        Self {
            ptr: NonNull::dangling(),
            len: 0,
            align: align_of::<T>(),
            arena: 0,
            life: PhantomData,
        }
    }
}

impl<'m, T> RegionSlice<'m, T> {
    /// The elements, for as long as the memory of the region lives: they never go back to it.
    pub fn leak(self) -> &'m mut [T] {
        // SAFETY: `len` initialised elements that nobody else has, and that are never given back.
        unsafe { slice::from_raw_parts_mut(self.ptr.as_ptr(), self.len) }
    }
}

impl<T> Deref for RegionSlice<'_, T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        // SAFETY: `len` initialised elements, owned by this block for its whole life.
        unsafe { slice::from_raw_parts(self.ptr.as_ptr(), self.len) }
    }
}

impl<T> DerefMut for RegionSlice<'_, T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`, and the borrow of `self` is exclusive.
        unsafe { slice::from_raw_parts_mut(self.ptr.as_ptr(), self.len) }
    }
}

/// Where a shared block lies in its region, so that its last owner can give it back.
#[derive(Clone, Copy)]
struct Origin {
    base: NonNull<u8>,
    layout: Layout,
    arena: usize,
    count: NonNull<AtomicUsize>,
}

/// Immutable bytes with several owners: a context binary, a graph table, constant data.
///
/// Cloning counts an owner, dropping uncounts it; the memory itself goes back only through
/// [`Region::reclaim`] by the last owner. Borrowed bytes (flash, a persistent client buffer) have
/// no count at all.
pub struct SharedBytes<'m> {
    ptr: NonNull<u8>,
    len: usize,
    origin: Option<Origin>,
    life: PhantomData<&'m [u8]>,
}

// SAFETY: the bytes are immutable while shared and the count is atomic.
unsafe impl Send for SharedBytes<'_> {}
// SAFETY: as above.
unsafe impl Sync for SharedBytes<'_> {}

impl<'m> SharedBytes<'m> {
    /// Bytes that somebody else keeps alive and unchanged for `'m`, used in place.
    pub fn from_borrowed(bytes: &'m [u8]) -> Self {
        Self { ptr: NonNull::from(bytes).cast(), len: bytes.len(), origin: None, life: PhantomData }
    }

    /// The bytes, to fill them before anyone else sees them; `None` if there is another owner, or
    /// if they are borrowed.
    pub fn get_mut(&mut self) -> Option<&mut [u8]> {
        let origin = self.origin.as_ref()?;
        // SAFETY: the count lives as long as any owner does, and `self` is one.
        if unsafe { origin.count.as_ref() }.load(Ordering::Acquire) != 1 {
            return None;
        }
        // SAFETY: initialised at creation; `self` is the only owner and borrowed exclusively.
        Some(unsafe { slice::from_raw_parts_mut(self.ptr.as_ptr(), self.len) })
    }

    /// Whether these bytes lie within `whole`.
    pub fn is_part_of(&self, whole: &SharedBytes<'_>) -> bool {
        let (inner, outer) = (self.as_ptr_range(), whole.as_ptr_range());
        outer.start <= inner.start && inner.end <= outer.end
    }

    /// Another owner of a part of these bytes; `None` if the range lies outside.
    pub fn part(&self, range: Range<usize>) -> Option<Self> {
        let part = self.get(range)?;
        let (ptr, len) = (NonNull::from(part).cast(), part.len());
        let mut owner = self.clone();
        owner.ptr = ptr;
        owner.len = len;
        Some(owner)
    }
}

impl Deref for SharedBytes<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: initialised at creation, immutable while any owner exists, and `self` is one.
        unsafe { slice::from_raw_parts(self.ptr.as_ptr(), self.len) }
    }
}

impl Clone for SharedBytes<'_> {
    fn clone(&self) -> Self {
        if let Some(origin) = &self.origin {
            // SAFETY: the count lives as long as any owner does. Relaxed: a new owner is made from
            // an owner.
            unsafe { origin.count.as_ref() }.fetch_add(1, Ordering::Relaxed);
        }
        Self { ptr: self.ptr, len: self.len, origin: self.origin, life: PhantomData }
    }
}

impl Drop for SharedBytes<'_> {
    fn drop(&mut self) {
        if let Some(origin) = &self.origin {
            // SAFETY: as in `clone`. Release: what this owner read happens before the block is
            // given back.
            unsafe { origin.count.as_ref() }.fetch_sub(1, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region() -> Region<'static> {
        Region::from_heap(1 << 16)
    }

    #[test]
    fn gives_back_everything() {
        let mut region = region();
        let words = region.alloc(100, 7u32).unwrap();
        let bytes = region.alloc_bytes(4096, 4096).unwrap();
        assert_eq!(bytes.as_ptr() as usize % 4096, 0);
        assert!(words.iter().all(|&word| word == 7));
        assert_eq!(region.used_bytes(), 400 + 4096);
        assert!(region.free(words) && region.free(bytes));
        assert_eq!(region.used_bytes(), 0);
        assert_eq!(region.used_bytes_max(), 400 + 4096);
    }

    #[test]
    fn a_block_begins_with_what_it_is_made_from() {
        let mut region = region();
        let block = region.alloc_from(4, &[1u16, 2], 9).unwrap();
        assert_eq!(&block[..], &[1, 2, 9, 9]);
        assert_eq!(&region.alloc_from(1, &[1u8, 2], 9).unwrap()[..], &[1]);
    }

    #[test]
    fn a_leaked_block_stays_taken() {
        let mut region = region();
        region.alloc(3, 5u16).unwrap().leak()[1] = 6;
        assert_eq!(region.used_bytes(), 6);
    }

    #[test]
    fn refuses_more_than_it_has_and_changes_nothing() {
        let mut region = region();
        assert!(region.alloc_bytes(1 << 17, 1).is_err());
        assert!(region.alloc(usize::MAX, 0u64).is_err());
        assert_eq!(region.used_bytes(), 0);
    }

    #[test]
    fn an_arena_of_any_size_and_alignment_is_taken() {
        let overhead = Region::OVERHEAD_BYTES;
        let mut arena = std::vec![MaybeUninit::uninit(); overhead + 256];
        for begin in 0..2 * align_of::<Heap<'_>>() {
            for bytes in [0, 1, overhead - align_of::<Heap<'_>>(), overhead + 128] {
                let mut region = Region::new(&mut arena[begin..][..bytes]);
                assert_eq!(region.capacity_bytes(), bytes);
                assert_eq!(region.alloc_bytes(16, 1).is_ok(), bytes > overhead);
                assert!(region.alloc_bytes(0, 1).is_ok());
            }
        }
    }

    #[test]
    fn a_foreign_block_is_refused() {
        let (mut a, mut b) = (region(), region());
        let block = a.alloc(4, 1u8).unwrap();
        assert!(!b.free(block));
    }

    #[test]
    fn shared_bytes_return_with_their_last_owner() {
        let mut region = region();
        let all = region.alloc_shared(10, 1, |_| ()).unwrap();
        let mut all = all;
        all.get_mut().unwrap().fill(3);
        let part = all.part(2..5).unwrap();
        assert!(all.get_mut().is_none());
        assert!(SharedBytes::from_borrowed(&[1]).get_mut().is_none());
        assert_eq!(&part[..], &[3, 3, 3]);
        assert!(all.part(5..11).is_none());
        let all = region.reclaim(all).err().unwrap();
        drop(all);
        assert!(region.reclaim(part).is_ok());
        assert_eq!(region.used_bytes(), 0);
    }
}
