//! Addresses for processes: each node gets a loopback address of its own.
//!
//! A cluster takes a block of 64 addresses of 127.0.0.0/8 by listening on a port of the block's
//! first address, for as long as it lives. Two clusters can thus never have one block, and the
//! nodes' own port is free on every address of it.

use anyhow::{Result, bail};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};

/// Where the holder of a block listens.
const CLAIM_PORT: u16 = 7410;
/// Where a node listens.
const NODE_PORT: u16 = 7411;
/// Addresses of a block, and blocks. The first block holds 127.0.0.1 and is left alone.
const BLOCK: u32 = 64;
const BLOCKS: u32 = (1 << 24) / BLOCK;

/// A block of loopback addresses; free again when dropped.
#[derive(Debug)]
pub(crate) struct Loopback {
    first: u32,
    _claim: TcpListener,
}

impl Loopback {
    /// Takes a free block.
    pub(crate) fn claim() -> Result<Self> {
        let start = std::process::id();
        for i in 0..BLOCKS - 2 {
            let first =
                u32::from(Ipv4Addr::new(127, 0, 0, 0)) + BLOCK * (1 + (start + i) % (BLOCKS - 2));
            match TcpListener::bind(SocketAddrV4::new(Ipv4Addr::from(first), CLAIM_PORT)) {
                Ok(claim) => return Ok(Self { first, _claim: claim }),
                Err(e) if e.kind() == ErrorKind::AddrInUse => {}
                Err(e) => bail!(
                    "cannot listen on {}: {e}; the process backend needs all of 127.0.0.0/8",
                    Ipv4Addr::from(first)
                ),
            }
        }
        bail!("no free block of loopback addresses: take other clusters down")
    }

    /// Where a node listens. A block has room for every node of the largest cluster but itself.
    pub(crate) fn address(&self, node: usize) -> String {
        let offset = u32::try_from(node).unwrap_or(0) % BLOCK;
        SocketAddrV4::new(Ipv4Addr::from(self.first + offset), NODE_PORT).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::Loopback;
    use std::collections::BTreeSet;

    #[test]
    fn two_clusters_share_no_address() {
        let (a, b) = (Loopback::claim().unwrap(), Loopback::claim().unwrap());
        let of = |l: &Loopback| (0..64).map(|n| l.address(n)).collect::<BTreeSet<_>>();
        assert_eq!(of(&a).len(), 64);
        assert!(of(&a).is_disjoint(&of(&b)));
    }
}
