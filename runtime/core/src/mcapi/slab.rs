//! A table whose keys are never valid twice: each carries the generation of its slot.

use crate::limits::{MCAPI_MAX_ENDPOINTS, MCAPI_MAX_REQUESTS};
use alloc::collections::VecDeque;
use alloc::vec::Vec;

const INDEX_BITS: u32 = 10;
const INDEX_MASK: u32 = (1 << INDEX_BITS) - 1;
const _: () = assert!(MCAPI_MAX_REQUESTS <= 1 << INDEX_BITS, "a request must have an index");
const _: () = assert!(MCAPI_MAX_ENDPOINTS <= 1 << INDEX_BITS, "a channel must have an index");

#[derive(Clone, Debug)]
struct Slot<T> {
    /// Never 0, so that small integers are no keys.
    generation: u32,
    value: Option<T>,
}

impl<T> Slot<T> {
    /// No key of the value that was here is valid any more.
    fn outlive(&mut self) {
        self.generation = ((self.generation + 1) & (u32::MAX >> INDEX_BITS)).max(1);
    }
}

/// Where a key points to: the same for keys of one slot.
pub(super) const fn index(key: u32) -> usize {
    (key & INDEX_MASK) as usize
}

/// At most `limit` values under 32-bit keys.
#[derive(Clone, Debug)]
pub(super) struct Slab<T> {
    slots: Vec<Slot<T>>,
    /// Oldest first: a slot is used again as late as possible.
    free: VecDeque<u32>,
    limit: usize,
}

impl<T> Slab<T> {
    pub(super) const fn new(limit: usize) -> Self {
        Self { slots: Vec::new(), free: VecDeque::new(), limit }
    }

    /// Allocates all of it.
    pub(super) fn reserve(&mut self) {
        self.slots.reserve_exact(self.limit);
        self.free.reserve_exact(self.limit);
    }

    pub(super) fn has_room(&self) -> bool {
        self.slots.len() < self.limit || !self.free.is_empty()
    }

    /// `None` when it is full.
    pub(super) fn insert(&mut self, value: T) -> Option<u32> {
        let index = if self.slots.len() < self.limit {
            let index = u32::try_from(self.slots.len()).ok()?;
            self.slots.push(Slot { generation: 1, value: None });
            index
        } else {
            self.free.pop_front()?
        };
        let slot = &mut self.slots[index as usize];
        slot.value = Some(value);
        Some(slot.generation << INDEX_BITS | index)
    }

    fn slot(&self, key: u32) -> Option<&Slot<T>> {
        self.slots.get((key & INDEX_MASK) as usize).filter(|s| s.generation == key >> INDEX_BITS)
    }

    pub(super) fn get(&self, key: u32) -> Option<&T> {
        self.slot(key)?.value.as_ref()
    }

    fn slot_mut(&mut self, key: u32) -> Option<&mut Slot<T>> {
        let slot = self.slots.get_mut((key & INDEX_MASK) as usize)?;
        (slot.generation == key >> INDEX_BITS).then_some(slot)
    }

    pub(super) fn get_mut(&mut self, key: u32) -> Option<&mut T> {
        self.slot_mut(key)?.value.as_mut()
    }

    pub(super) fn remove(&mut self, key: u32) -> Option<T> {
        let slot = self.slot_mut(key)?;
        let value = slot.value.take()?;
        slot.outlive();
        self.free.push_back(key & INDEX_MASK);
        Some(value)
    }

    /// The same where it lies, for a value that nobody wants.
    #[inline]
    pub(super) fn discard(&mut self, key: u32) {
        if let Some(slot) = self.slot_mut(key).filter(|slot| slot.value.is_some()) {
            slot.value = None;
            slot.outlive();
            self.free.push_back(key & INDEX_MASK);
        }
    }

    /// Keys and values, by index.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0u32..).zip(&self.slots).filter_map(|(index, slot)| {
            Some((slot.generation << INDEX_BITS | index, slot.value.as_ref()?))
        })
    }
}
