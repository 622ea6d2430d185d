//! Handles: 32-bit numbers that can be made up, and are then refused.
//!
//! An **endpoint** with small numbers (domain below 16, node below 256, port below 65,536) has a handle that says them,
//! the same on every node, so that it can be sent to others: four bits of check, then domain, node and port. Any other
//! endpoint gets a number of this process. **Requests and channel ends** are numbers of the core, mixed with a
//! number of their node and of their sort, so that one node does not take another's.

use crate::registry;
use mcapi::{Address, DomainId, McapiNode, Port, Status};

const DOMAINS: u32 = 1 << 4;
const NODES: u32 = 1 << 8;
const PORTS: u32 = 1 << 16;
/// Endpoints with large numbers that one process may have heard of.
const MAX_NAMED: usize = 1 << 16;

/// 1 to 15.
const fn check(name: u32) -> u32 {
    (name.wrapping_mul(0x9e37_79b1) >> 16) % 15 + 1
}

pub(crate) fn from_address(address: Address) -> Result<u32, Status> {
    let (domain, node, port) = (address.domain.0, address.node.0, address.port.0);
    if domain < DOMAINS && node < NODES && port < PORTS {
        let name = (domain * NODES + node) * PORTS + port;
        return Ok(check(name) << 28 | name);
    }
    registry::with(|registry| {
        let named = &mut registry.named;
        let at = named
            .iter()
            .position(|known| *known == address)
            .or_else(|| named.push_within(address, MAX_NAMED));
        let at = at.and_then(|at| u32::try_from(at + 1).ok());
        at.ok_or(Status::EndpLimit)
    })
}

pub(crate) fn to_address(handle: u32) -> Result<Address, Status> {
    let name = handle & (u32::MAX >> 4);
    if handle >> 28 == 0 {
        let at = usize::try_from(handle).ok().and_then(|at| at.checked_sub(1));
        let found = registry::with(|registry| at.and_then(|at| registry.named.get(at).copied()));
        return found.ok_or(Status::EndpInvalid);
    }
    if handle >> 28 != check(name) {
        return Err(Status::EndpInvalid);
    }
    Ok(Address {
        domain: DomainId(name / PORTS / NODES),
        node: McapiNode(name / PORTS % NODES),
        port: Port(name % PORTS),
    })
}

trait PushWithin<T> {
    fn push_within(&mut self, value: T, limit: usize) -> Option<usize>;
}

impl<T> PushWithin<T> for Vec<T> {
    fn push_within(&mut self, value: T, limit: usize) -> Option<usize> {
        (self.len() < limit).then(|| {
            self.push(value);
            self.len() - 1
        })
    }
}

/// Mixes the core's numbers of one node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Salt(u32);

impl Salt {
    /// Of the `n`th node of this process. The core's numbers have ten bits of place, and above them how often that was
    /// used; the salt is far above what is ever used.
    pub(crate) const fn new(n: u32) -> Self {
        Self(1 << 31 | (n.wrapping_mul(0x9e37) & 0xffff) << 12)
    }

    pub(crate) const fn request(self, number: u32) -> u32 {
        number ^ self.0
    }

    pub(crate) const fn channel(self, number: u32) -> u32 {
        number ^ self.0 ^ (1 << 30)
    }
}
