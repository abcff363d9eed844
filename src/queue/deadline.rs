//! Deadlines of all requests: a binary heap with the earliest at the top.
//!
//! Each request knows its place, so taking it out takes logarithmic time, like putting it in.

use core::hash::{Hash, Hasher};

use super::list::Nodes;
use super::request::RequestRef;
use crate::region::{OutOfMemory, Region, RegionSlice};
use crate::time::Instant;

/// The heap. Requests without a deadline are not in it.
pub struct Deadlines<'m> {
    heap: RegionSlice<'m, RequestRef>,
    len: usize,
}

impl<'m> Deadlines<'m> {
    /// Room for `capacity` requests.
    pub fn new(region: &mut Region<'m>, capacity: u16) -> Result<Self, OutOfMemory> {
        Ok(Self { heap: region.alloc(usize::from(capacity), RequestRef::NONE)?, len: 0 })
    }

    /// The earliest deadline.
    pub fn earliest(&self, nodes: &impl Nodes) -> Option<Instant> {
        (self.len > 0).then(|| self.deadline(nodes, 0))
    }

    /// The heap as it lies.
    pub fn hash_state(&self, hasher: &mut impl Hasher) {
        self.heap.get(..self.len).unwrap_or(&[]).hash(hasher);
    }

    /// Puts a request in; its deadline is set.
    pub fn insert(&mut self, nodes: &mut impl Nodes, place: RequestRef) {
        let index = self.len;
        if index < self.heap.len() {
            self.len = index.saturating_add(1);
            self.set(nodes, index, place);
            self.sift_up(nodes, index);
        }
    }

    /// Takes a request out, if it is in.
    pub fn remove(&mut self, nodes: &mut impl Nodes, place: RequestRef) {
        let index = nodes.node(place).map_or(u32::MAX, |node| node.deadline_place);
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        if index >= self.len || self.heap.get(index) != Some(&place) {
            return;
        }
        let last = self.len.saturating_sub(1);
        self.len = last;
        if let Some(moved) = self.heap.get(last).copied().filter(|_| index != last) {
            self.set(nodes, index, moved);
            self.sift_up(nodes, index);
            self.sift_down(nodes, index);
        }
        if let Some(node) = nodes.node_mut(place) {
            node.deadline_place = u32::MAX;
        }
    }

    /// Takes out the earliest request if its deadline is not after `now`.
    pub fn pop_expired(&mut self, nodes: &mut impl Nodes, now: Instant) -> Option<RequestRef> {
        let place = self.heap.first().copied()?;
        if self.len == 0 || self.deadline(nodes, 0) > now {
            return None;
        }
        self.remove(nodes, place);
        Some(place)
    }

    fn sift_up(&mut self, nodes: &mut impl Nodes, mut index: usize) {
        while index > 0 {
            let parent = index.saturating_sub(1) / 2;
            if self.deadline(nodes, parent) <= self.deadline(nodes, index) {
                break;
            }
            self.swap(nodes, parent, index);
            index = parent;
        }
    }

    fn sift_down(&mut self, nodes: &mut impl Nodes, mut index: usize) {
        loop {
            let left = index.saturating_mul(2).saturating_add(1);
            let right = left.saturating_add(1);
            let mut first = index;
            for child in [left, right] {
                if child < self.len && self.deadline(nodes, child) < self.deadline(nodes, first) {
                    first = child;
                }
            }
            if first == index {
                break;
            }
            self.swap(nodes, first, index);
            index = first;
        }
    }

    fn swap(&mut self, nodes: &mut impl Nodes, a: usize, b: usize) {
        if let (Some(&at_a), Some(&at_b)) = (self.heap.get(a), self.heap.get(b)) {
            self.set(nodes, a, at_b);
            self.set(nodes, b, at_a);
        }
    }

    fn set(&mut self, nodes: &mut impl Nodes, index: usize, place: RequestRef) {
        if let Some(slot) = self.heap.get_mut(index) {
            *slot = place;
        }
        if let Some(node) = nodes.node_mut(place) {
            node.deadline_place = u32::try_from(index).unwrap_or(u32::MAX);
        }
    }

    fn deadline(&self, nodes: &impl Nodes, index: usize) -> Instant {
        let place = self.heap.get(index).copied().unwrap_or(RequestRef::NONE);
        nodes.node(place).map_or(Instant::FAR, |node| node.deadline)
    }
}
