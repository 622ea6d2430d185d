//! The endpoints of a node by port: a short index that is searched, and behind it the endpoints, which stay in place.

use super::endpoint::Local;
use crate::limits::MCAPI_MAX_ENDPOINTS;
use crate::sorted::Map;
use alloc::vec::Vec;

#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    index: Map<u32, u16>,
    slots: Vec<Option<Local>>,
    free: Vec<u16>,
}

const _: () = assert!(MCAPI_MAX_ENDPOINTS <= 1 << 16, "an endpoint has a short index");

impl Table {
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn contains_key(&self, port: u32) -> bool {
        self.index.contains_key(&port)
    }

    pub(super) fn get(&self, port: u32) -> Option<&Local> {
        let at = *self.index.get(&port)?;
        self.slots.get(usize::from(at))?.as_ref()
    }

    pub(super) fn get_mut(&mut self, port: u32) -> Option<&mut Local> {
        let at = *self.index.get(&port)?;
        self.slots.get_mut(usize::from(at))?.as_mut()
    }

    /// The caller keeps to [`MCAPI_MAX_ENDPOINTS`].
    pub(super) fn insert(&mut self, port: u32, local: Local) {
        let at = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u16::try_from(self.slots.len() - 1).unwrap_or(u16::MAX)
        });
        self.index.insert(port, at);
        self.slots[usize::from(at)] = Some(local);
    }

    pub(super) fn remove(&mut self, port: u32) -> Option<Local> {
        let at = self.index.remove(&port)?;
        self.free.push(at);
        self.slots.get_mut(usize::from(at))?.take()
    }

    /// By port.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Local)> {
        self.index
            .iter()
            .filter_map(|(&port, &at)| Some((port, self.slots[usize::from(at)].as_ref()?)))
    }

    /// In no order that matters.
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Local> {
        self.slots.iter_mut().flatten()
    }
}
