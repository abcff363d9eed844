//! Doubly linked lists of requests, linked by index through the queues that hold them.

use super::request::{Request, RequestRef};

/// Finds requests by place: whatever holds the queues.
pub trait Nodes {
    /// The request at `place`.
    fn node(&self, place: RequestRef) -> Option<&Request>;
    /// The request at `place`, to change it.
    fn node_mut(&mut self, place: RequestRef) -> Option<&mut Request>;
}

/// A list of requests. A request is in at most one list; every operation takes constant time.
#[derive(Debug, Clone, Copy, Hash)]
pub struct List {
    head: RequestRef,
    tail: RequestRef,
}

impl List {
    /// An empty list.
    pub const EMPTY: List = List { head: RequestRef::NONE, tail: RequestRef::NONE };

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.head.is_none()
    }

    /// Appends a request that is in no list.
    pub fn push_back(&mut self, nodes: &mut impl Nodes, place: RequestRef) {
        if let Some(node) = nodes.node_mut(place) {
            node.previous = self.tail;
            node.next = RequestRef::NONE;
        }
        match nodes.node_mut(self.tail) {
            Some(tail) => tail.next = place,
            None => self.head = place,
        }
        self.tail = place;
    }

    /// Takes out a request that is in this list.
    pub fn remove(&mut self, nodes: &mut impl Nodes, place: RequestRef) {
        let Some(&Request { previous, next, .. }) = nodes.node(place) else { return };
        match nodes.node_mut(previous) {
            Some(node) => node.next = next,
            None => self.head = next,
        }
        match nodes.node_mut(next) {
            Some(node) => node.previous = previous,
            None => self.tail = previous,
        }
    }

    /// Takes out the first request.
    pub fn pop_front(&mut self, nodes: &mut impl Nodes) -> Option<RequestRef> {
        let head = self.head;
        if head.is_none() {
            return None;
        }
        self.remove(nodes, head);
        Some(head)
    }

    /// Moves everything of `other` behind what is here.
    pub fn append(&mut self, nodes: &mut impl Nodes, other: &mut List) {
        let other = core::mem::replace(other, List::EMPTY);
        if other.is_empty() {
            return;
        }
        if let Some(head) = nodes.node_mut(other.head) {
            head.previous = self.tail;
        }
        match nodes.node_mut(self.tail) {
            Some(tail) => tail.next = other.head,
            None => self.head = other.head,
        }
        self.tail = other.tail;
    }

    /// The first request.
    pub fn front(&self) -> Option<RequestRef> {
        (!self.head.is_none()).then_some(self.head)
    }

    /// The request behind `place`.
    pub fn after(nodes: &impl Nodes, place: RequestRef) -> Option<RequestRef> {
        nodes.node(place).map(|node| node.next).filter(|next| !next.is_none())
    }
}
