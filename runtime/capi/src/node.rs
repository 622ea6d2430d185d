//! Nodes (4.2).

use crate::pointer::{Bytes, Out, Room};
use crate::{registry, render};
use mcapi::net::{NetError, Why};
use mcapi::{
    Attribute, DomainId, InitError, JoinError, McapiNode, Node, NodeAttributes, NodeName, Status,
};
use std::io::Write as _;
use std::sync::Once;
use tracing_subscriber::filter::LevelFilter;

/// `mcapi_info_t`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Info {
    mcapi_version: u32,
    organization_id: u32,
    implementation_version: u32,
    number_of_domains: u32,
    number_of_nodes: u32,
    number_of_ports: u32,
}

const INFO: Info = Info {
    mcapi_version: 2015,
    organization_id: 0x554e_4453,
    implementation_version: 1,
    number_of_domains: u32::MAX,
    number_of_nodes: 1024,
    number_of_ports: u32::MAX - 1,
};

/// `mcapi_node_attributes_t`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attributes {
    magic: u32,
    kind: u32,
    reserved: [u32; 2],
}

/// What is there after `mcapi_node_init_attributes`.
const FRESH: Attributes =
    Attributes { magic: 0x4e41_5454, kind: NodeAttributes::REGULAR, reserved: [0; 2] };

/// What goes wrong beneath a node, and shows in no status, is a line on standard error.
fn warn_on_stderr() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let lines = tracing_subscriber::fmt()
            .with_max_level(LevelFilter::WARN)
            .with_writer(std::io::stderr)
            .with_ansi(false)
            // Which would end a program whose standard error is closed.
            .log_internal_errors(false)
            .without_time();
        // A program that is not C may have its own subscriber, which then gets them.
        let _has_another = lines.try_init();
    });
}

/// The code alone does not say what to do about it.
fn refusal(error: &InitError) -> Status {
    let status = match error {
        InitError::Join(JoinError::Taken(_))
        | InitError::Net(NetError::Join(JoinError::Taken(_))) => {
            return Status::NodeInitialized;
        }
        InitError::Net(NetError::Place { why: Why::Unknown { .. }, .. }) => Status::NodeInvalid,
        _ => Status::NodeInitFailed,
    };
    // Where nobody reads it, it is said in vain.
    let _said = writeln!(std::io::stderr(), "mcapi_initialize: {error}");
    status
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn mcapi_initialize(
    domain: u32,
    node: u32,
    attributes: Out<Attributes>,
    _parameters: Bytes,
    info: Out<Info>,
    status: Out<u32>,
) {
    render(status, (), || {
        if registry::is_initialized() {
            return Err(Status::NodeInitialized);
        }
        if domain == u32::MAX {
            return Err(Status::DomainInvalid);
        }
        if node == u32::MAX {
            return Err(Status::NodeInvalid);
        }
        let info = info.some()?;
        if !attributes.is_null() && attributes.get()?.magic != FRESH.magic {
            return Err(Status::Parameter);
        }
        let name = NodeName { domain, node };
        warn_on_stderr();
        let joined = Node::initialize(name).map_err(|error| refusal(&error))?;
        registry::enter(joined, name);
        info.set(INFO);
        Ok(())
    });
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn mcapi_finalize(status: Out<u32>) {
    render(status, (), || {
        registry::leave()?.node.clone().finalize();
        Ok(())
    });
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn mcapi_domain_id_get(status: Out<u32>) -> u32 {
    render(status, crate::INVALID, || Ok(registry::current()?.name.domain))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn mcapi_node_id_get(status: Out<u32>) -> u32 {
    render(status, crate::INVALID, || Ok(registry::current()?.name.node))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn mcapi_node_init_attributes(attributes: Out<Attributes>, status: Out<u32>) {
    render(status, (), || {
        attributes.some()?.set(FRESH);
        Ok(())
    });
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn mcapi_node_set_attribute(
    attributes: Out<Attributes>,
    number: u32,
    value: Bytes,
    size: usize,
    status: Out<u32>,
) {
    render(status, (), || {
        if attributes.get()?.magic != FRESH.magic {
            return Err(Status::Parameter);
        }
        value.with(size.min(8), |value| NodeAttributes::default().set(number, value))?
    });
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn mcapi_node_get_attribute(
    domain: u32,
    node: u32,
    number: u32,
    value: Room,
    size: usize,
    status: Out<u32>,
) {
    render(status, (), || {
        let me = registry::current()?;
        if value.is_null() {
            return Err(Status::Parameter);
        }
        let found = me.node.core(|core| {
            core.node_get_attribute(DomainId(domain), McapiNode(node), number, size)
        })?;
        value.fill(size, &found.to_ne_bytes());
        Ok(())
    });
}

/// The value of an attribute as C has it.
pub(crate) fn store(value: u64, size: usize, room: Room) {
    // Numbers, and two of them for the source of a get: domain, then node.
    debug_assert!(size == 4 || size == Attribute::GetSource.size());
    let (low, high) = (value.to_le_bytes(), (value >> 32).to_le_bytes());
    let half = |bytes: [u8; 8]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let both = [half(low).to_ne_bytes(), half(high).to_ne_bytes()].concat();
    room.fill(size, &both);
}
