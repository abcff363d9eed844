//! The queue's parts against plain vectors.

use core::hash::Hasher;
use std::hash::DefaultHasher;
use std::vec::Vec;

use proptest::prelude::*;

use super::{Deadlines, List, Nodes, Queue, Request, RequestRef, RequestState};
use crate::region::Region;
use crate::time::Instant;

/// Queues of some contexts, found by place.
struct Queues(Vec<Queue<'static>>);

impl Queues {
    fn new(region: &mut Region<'static>, contexts: u16, depth: u16) -> Self {
        let queues = (0..contexts).map(|context| Queue::new(region, context, depth).unwrap());
        Self(queues.collect())
    }

    /// Takes a slot in each queue until all are full.
    fn fill(&mut self) -> Vec<RequestRef> {
        let mut places = Vec::new();
        for queue in &mut self.0 {
            while let Some((place, _)) = queue.acquire(1) {
                places.push(place);
            }
        }
        places
    }
}

impl Nodes for Queues {
    fn node(&self, place: RequestRef) -> Option<&Request> {
        self.0.get(usize::from(place.context))?.get(place.slot)
    }
    fn node_mut(&mut self, place: RequestRef) -> Option<&mut Request> {
        self.0.get_mut(usize::from(place.context))?.get_mut(place.slot)
    }
}

fn region() -> Region<'static> {
    Region::from_heap(1 << 17)
}

fn content(list: &List, nodes: &Queues) -> Vec<RequestRef> {
    core::iter::successors(list.front(), |place| List::after(nodes, *place)).collect()
}

// REQ: ASYNC-008
#[test]
fn a_queue_has_as_many_slots_as_its_depth_and_uses_each_again() {
    for depth in [1, 2, 10, 299, 300] {
        let mut region = region();
        let mut queue = Queue::new(&mut region, 3, depth).unwrap();
        for round in 0..3 {
            let mut slots = Vec::new();
            while let Some(free) = queue.free_slot() {
                let (place, request) = queue.acquire(round).unwrap();
                assert_eq!((place.context, place.slot, request.generation), (3, free, round));
                request.state = RequestState::Queued;
                slots.push(place.slot);
            }
            assert!(queue.acquire(0).is_none());
            assert_eq!((queue.used(), queue.used_max(), queue.depth()), (depth, depth, depth));
            slots.sort();
            assert_eq!(slots, (0..depth).collect::<Vec<_>>());
            for slot in slots {
                queue.release_slot(slot);
                assert_eq!(queue.get(slot).unwrap().state, RequestState::Free);
            }
            assert_eq!(queue.used(), 0);
        }
        assert!(queue.get(depth).is_none());
        queue.release(&mut region);
        assert_eq!(region.used_bytes(), 0);
    }
}

#[test]
fn an_acquired_slot_remembers_nothing_of_the_one_before() {
    let mut queue = Queue::new(&mut region(), 0, 1).unwrap();
    let (place, request) = queue.acquire(1).unwrap();
    request.deadline = Instant::ZERO;
    request.deadline_place = 7;
    request.user_data = [5; 3];
    request.dispatched = true;
    queue.release_slot(place.slot);
    let (_, request) = queue.acquire(2).unwrap();
    assert_eq!((request.deadline, request.deadline_place), (Instant::FAR, u32::MAX));
    assert_eq!((request.user_data, request.dispatched), ([0; 3], false));
}

#[test]
fn a_queue_without_slots_is_full() {
    let mut queue = Queue::EMPTY;
    assert!(queue.free_slot().is_none() && queue.acquire(1).is_none());
}

#[test]
fn a_full_heap_of_deadlines_takes_no_more_and_keeps_its_order() {
    let mut region = region();
    let mut nodes = Queues::new(&mut region, 1, 3);
    let places = nodes.fill();
    let mut heap = Deadlines::new(&mut region, 2).unwrap();
    for (place, us) in places.iter().zip([5, 3, 1]) {
        nodes.node_mut(*place).unwrap().deadline = Instant::from_us(us);
        heap.insert(&mut nodes, *place);
    }
    assert_eq!(nodes.node(places[2]).unwrap().deadline_place, u32::MAX, "it is not in");
    // Not even if it believes to be in the place of another.
    for believed in [u32::MAX, 2, 0] {
        nodes.node_mut(places[2]).unwrap().deadline_place = believed;
        heap.remove(&mut nodes, places[2]);
        assert_eq!(heap.earliest(&nodes), Some(Instant::from_us(3)));
    }
    let popped = [2, 4, 5, 9].map(|us| heap.pop_expired(&mut nodes, Instant::from_us(us)));
    assert_eq!(popped, [None, Some(places[1]), Some(places[0]), None]);
    assert_eq!(heap.earliest(&nodes), None);
}

#[test]
fn the_hash_of_a_heap_is_that_of_its_order() {
    let hash_of = |order: [usize; 2]| {
        let mut region = region();
        let mut nodes = Queues::new(&mut region, 1, 2);
        let places = nodes.fill();
        let mut heap = Deadlines::new(&mut region, 2).unwrap();
        for index in order {
            // Equal deadlines lie in the order in which they came.
            nodes.node_mut(places[index]).unwrap().deadline = Instant::from_us(5);
            heap.insert(&mut nodes, places[index]);
        }
        let mut hasher = DefaultHasher::new();
        heap.hash_state(&mut hasher);
        hasher.finish()
    };
    assert_ne!(hash_of([0, 1]), hash_of([1, 0]));
    assert_eq!(hash_of([1, 0]), hash_of([1, 0]));
}

#[test]
fn the_hash_of_a_queue_forgets_what_free_slots_held_and_knows_which_comes_next() {
    let hash_of = |generation: u32, released: [usize; 2]| {
        let mut queue = Queue::new(&mut region(), 0, 3).unwrap();
        let slots: Vec<u16> =
            core::iter::from_fn(|| Some(queue.acquire(generation)?.0.slot)).collect();
        for index in released {
            queue.get_mut(slots[index]).unwrap().state = RequestState::Queued;
            queue.release_slot(slots[index]);
        }
        // The slot that is kept is the same, whatever the others held.
        queue.get_mut(slots[2]).unwrap().generation = 1;
        let mut hasher = DefaultHasher::new();
        queue.hash_state(&mut hasher);
        hasher.finish()
    };
    assert_eq!(hash_of(7, [0, 1]), hash_of(8, [0, 1]));
    assert_ne!(hash_of(7, [0, 1]), hash_of(7, [1, 0]));
}

#[test]
fn places_that_are_none_change_nothing() {
    let mut nodes = Queues::new(&mut region(), 1, 2);
    let places = nodes.fill();
    let mut list = List::EMPTY;
    places.iter().for_each(|place| list.push_back(&mut nodes, *place));
    let beyond = RequestRef { context: 0, slot: 2 };
    for place in [RequestRef::NONE, beyond] {
        list.remove(&mut nodes, place);
        assert_eq!(content(&list, &nodes), places);
        nodes.0[0].release_slot(place.slot);
        assert_eq!((nodes.0[0].used(), nodes.0[0].free_slot()), (2, None));
    }
}

#[derive(Debug, Clone)]
enum ListOp {
    Push(usize),
    Remove(usize),
    Pop,
    Append,
}

fn list_op() -> impl Strategy<Value = ListOp> {
    prop_oneof![
        4 => any::<usize>().prop_map(ListOp::Push),
        2 => any::<usize>().prop_map(ListOp::Remove),
        2 => Just(ListOp::Pop),
        1 => Just(ListOp::Append),
    ]
}

#[derive(Debug, Clone)]
enum HeapOp {
    Insert(u64),
    Remove(usize),
    Expire(u64),
}

fn heap_op() -> impl Strategy<Value = HeapOp> {
    prop_oneof![
        5 => (0..50u64).prop_map(HeapOp::Insert),
        2 => any::<usize>().prop_map(HeapOp::Remove),
        2 => (0..50u64).prop_map(HeapOp::Expire),
    ]
}

proptest! {
    #[test]
    fn two_lists_behave_like_vectors(ops in prop::collection::vec(list_op(), 1..200)) {
        let mut nodes = Queues::new(&mut region(), 3, 5);
        let mut free = nodes.fill();
        let mut lists = [List::EMPTY; 2];
        let mut model = [Vec::new(), Vec::new()];
        for op in ops {
            match op {
                ListOp::Push(pick) if !free.is_empty() => {
                    let place = free.swap_remove(pick % free.len());
                    lists[pick % 2].push_back(&mut nodes, place);
                    model[pick % 2].push(place);
                }
                ListOp::Remove(pick) if !model[pick % 2].is_empty() => {
                    let index = pick / 2 % model[pick % 2].len();
                    let place = model[pick % 2].remove(index);
                    lists[pick % 2].remove(&mut nodes, place);
                    free.push(place);
                }
                ListOp::Pop => {
                    let popped = lists[0].pop_front(&mut nodes);
                    prop_assert_eq!(popped, model[0].first().copied());
                    model[0].drain(..usize::from(popped.is_some()));
                    free.extend(popped);
                }
                ListOp::Append => {
                    let [to, from] = &mut lists;
                    to.append(&mut nodes, from);
                    let [to, from] = &mut model;
                    to.append(from);
                }
                _ => {}
            }
            for (list, model) in lists.iter().zip(&model) {
                prop_assert_eq!(&content(list, &nodes), model);
                prop_assert_eq!(list.is_empty(), model.is_empty());
            }
        }
    }

    #[test]
    fn deadlines_behave_like_a_sorted_vector(ops in prop::collection::vec(heap_op(), 1..300)) {
        let mut region = region();
        let mut nodes = Queues::new(&mut region, 4, 10);
        let mut free = nodes.fill();
        let mut heap = Deadlines::new(&mut region, 40).unwrap();
        let mut model: Vec<(Instant, RequestRef)> = Vec::new();
        for op in ops {
            match op {
                HeapOp::Insert(us) => if let Some(place) = free.pop() {
                    let deadline = Instant::from_us(us);
                    nodes.node_mut(place).unwrap().deadline = deadline;
                    heap.insert(&mut nodes, place);
                    model.push((deadline, place));
                },
                HeapOp::Remove(pick) if !model.is_empty() => {
                    let (_, place) = model.remove(pick % model.len());
                    heap.remove(&mut nodes, place);
                    heap.remove(&mut nodes, place);
                    free.push(place);
                }
                HeapOp::Expire(us) => {
                    let now = Instant::from_us(us);
                    let mut last = Instant::ZERO;
                    while let Some(place) = heap.pop_expired(&mut nodes, now) {
                        let index = model.iter().position(|(_, known)| *known == place).unwrap();
                        let (deadline, _) = model.remove(index);
                        prop_assert!(last <= deadline && deadline <= now);
                        last = deadline;
                        free.push(place);
                    }
                }
                HeapOp::Remove(_) => {}
            }
            model.sort_by_key(|(deadline, _)| *deadline);
            prop_assert_eq!(heap.earliest(&nodes), model.first().map(|(deadline, _)| *deadline));
            for (_, place) in &model {
                let index = nodes.node(*place).unwrap().deadline_place;
                prop_assert!((index as usize) < model.len(), "each knows its place");
            }
        }
    }
}
