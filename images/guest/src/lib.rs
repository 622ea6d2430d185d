//! What every node program does, whatever is under it: the control protocol on one side, core and
//! driver on the other.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod bench;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use images_control::{Configure, FromNode, Transport, kind_of};
use images_workloads::{ALL, Workload, find};
use runtime::Args;
use runtime_core::checkpoint::{MOST_LOSSES, Redundancy};
use runtime_core::event::Event;
use runtime_core::id::{Generation, NodeId};
use runtime_core::limits::{COPY_WINDOW, PAGE_SIZE};
use runtime_core::node::{Config, Medium, Member};
use runtime_core::time::Duration;
use runtime_driver::conductor::{Hold, Notice};
use runtime_driver::layout::Sizes;
use sha2::{Digest as _, Sha256};

/// Bytes of a packet where no NIC says it.
const DEFAULT_MTU: usize = 1_500;

/// What the core must know. `hash` is that of the node's own program.
///
/// # Errors
/// When a setting is out of range; says which, for people.
pub fn config(configure: &Configure, hash: [u8; 32]) -> Result<Config, String> {
    let runtime = &configure.runtime;
    let micros = Duration::from_micros;
    let pages = runtime.shared_bytes.div_ceil(PAGE_SIZE as u64);
    let nodes = || configure.nodes.iter();
    let nic = configure.nic.as_ref();
    if let Redundancy::Parity(parity) = runtime.redundancy
        && parity.losses > MOST_LOSSES
    {
        return Err(format!(
            "this image keeps parity for {MOST_LOSSES} loss at once, not {}",
            parity.losses
        ));
    }
    Ok(Config {
        me: NodeId(configure.node),
        generation: Generation(configure.generation),
        hash,
        members: nodes()
            .map(|node| Member {
                role: node.role,
                board: node.board,
                image: node.image,
                host: node.host.map(NodeId),
            })
            .collect(),
        media: nodes().map(|node| medium(node.transport)).collect(),
        mtu: nic.map_or(DEFAULT_MTU, |nic| nic.mtu as usize),
        binding: runtime.binding,
        quorum: runtime.quorum,
        heartbeat: micros(runtime.heartbeat_us),
        suspect_after: runtime.suspect_after,
        join_timeout: micros(runtime.join_timeout_us),
        redundancy: runtime.redundancy,
        copy_window: COPY_WINDOW,
        checkpoint: runtime.checkpoint,
        shared_pages: u32::try_from(pages)
            .map_err(|_| format!("runtime.shared-memory is too large: {pages} pages"))?,
    })
}

/// What a transport does to frames.
const fn medium(transport: Transport) -> Medium {
    match transport {
        Transport::Tcp => Medium::Stream,
        Transport::Ethernet => Medium::Datagram,
    }
}

/// How much memory a rank has.
#[must_use]
pub fn sizes(configure: &Configure, config: &Config) -> Sizes {
    let runtime = &configure.runtime;
    Sizes {
        stack_bytes: runtime.stack_bytes,
        heap_bytes: runtime.heap_bytes,
        shared_pages: config.shared_pages,
    }
}

/// What the harness waits for, and where the node is to stand still; the kind of an event is [`kind_of`] it.
#[must_use]
pub fn holds(configure: &Configure) -> Vec<Hold> {
    let hold = |hold: &images_control::Hold| Hold {
        kind: hold.event.clone(),
        number: hold.number,
        nth: hold.nth,
        still: hold.still,
    };
    configure.holds.iter().map(hold).collect()
}

/// The kind of an event, as it stands in [`holds`].
#[must_use]
pub fn kind(event: &Event) -> String {
    kind_of(event)
}

/// The workload of this name, with arguments that it accepts.
///
/// # Errors
/// When there is none, or it does not; says what there is.
pub fn workload(
    name: &str,
    args: BTreeMap<String, String>,
) -> Result<(&'static Workload, Args), String> {
    let names = || ALL.iter().map(|w| w.name).collect::<Vec<_>>().join(", ");
    let found =
        find(name).ok_or_else(|| format!("run.workload: no `{name}`; there are {}", names()))?;
    let args = Args::new(args).map_err(|e| format!("run.args: {e}"))?;
    found.accept(&args).map_err(|e| format!("run.args: {e}"))?;
    Ok((found, args))
}

/// What the harness is told.
#[must_use]
pub fn message(notice: Notice) -> FromNode {
    match notice {
        Notice::Event { at_us, event } => FromNode::Event { at_us, event },
        Notice::Report { job, rank, bytes, text } => FromNode::Report {
            job: job.0,
            rank: rank.0,
            bytes: bytes.len() as u64,
            sha256: sha256(&bytes),
            text,
        },
        Notice::Print { rank, text } => FromNode::Print { rank: rank.0, text },
        Notice::Held { at } => FromNode::Held { at },
    }
}

/// SHA-256 in hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Bytes in hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_workload_is_found_or_the_others_are_named() {
        let args = |pair: (&str, &str)| BTreeMap::from([(pair.0.to_string(), pair.1.to_string())]);
        assert!(workload("laplace", args(("size", "64"))).is_ok());
        let error = workload("laplac", BTreeMap::new()).unwrap_err();
        assert!(error.contains("no `laplac`; there are laplace, "), "{error}");
        let error = workload("laplace", args(("sise", "64"))).unwrap_err();
        assert!(error.contains("has no argument `sise`"), "{error}");
    }

    #[test]
    fn hashes_are_those_of_everybody() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(b"abc"), expected);
    }
}
