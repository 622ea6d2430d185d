//! Buffers that are used again, for links whose driver gives them back.

use crate::limits::{LINK_BUFFERS, LinkBuffers};
use alloc::vec::Vec;

/// See the module. Those of a link that keeps none are made for the length that is asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Spare {
    keeps: bool,
    pools: [Vec<Vec<u8>>; LINK_BUFFERS.len()],
}

impl Spare {
    pub(super) fn keep(&mut self) {
        self.keeps = true;
    }

    /// Makes those that are there from the beginning.
    pub(super) fn fill(&mut self) {
        for (pool, LinkBuffers { bytes, first, most }) in self.pools.iter_mut().zip(LINK_BUFFERS) {
            pool.reserve_exact(most - pool.len());
            pool.extend((pool.len()..first).map(|_| Vec::with_capacity(bytes)));
        }
    }

    /// A buffer without bytes, with room for so many.
    pub(super) fn take(&mut self, length: usize) -> Vec<u8> {
        let fitting = LINK_BUFFERS.iter().position(|buffers| length <= buffers.bytes);
        match fitting.filter(|_| self.keeps) {
            Some(at) => {
                let made = || Vec::with_capacity(LINK_BUFFERS[at].bytes);
                self.pools[at].pop().unwrap_or_else(made)
            }
            None => Vec::with_capacity(length),
        }
    }

    /// The same with these bytes, and room for more of them.
    pub(super) fn copy(&mut self, bytes: &[u8], room: usize) -> Vec<u8> {
        let mut buffer = self.take(if self.keeps { room } else { bytes.len() });
        buffer.extend_from_slice(bytes);
        buffer
    }

    /// Takes a buffer back, unless there are enough.
    pub(super) fn give(&mut self, mut buffer: Vec<u8>) {
        let size = LINK_BUFFERS.iter().rposition(|buffers| buffer.capacity() >= buffers.bytes);
        if let Some(at) = size.filter(|_| self.keeps)
            && self.pools[at].len() < LINK_BUFFERS[at].most
        {
            buffer.clear();
            self.pools[at].push(buffer);
        }
    }
}
