//! Endpoints (4.3).

use crate::pointer::{Bytes, Out, Room};
use crate::request::Target;
use crate::{INVALID, handle, registry, render};
use mcapi::{Completion, DomainId, McapiNode, Port, Status, duration};

#[unsafe(no_mangle)]
pub(crate) extern "C" fn mcapi_endpoint_create(port: u32, status: Out<u32>) -> u32 {
    render(status, INVALID, || {
        let me = registry::current()?;
        let made = me.node.core(|core| core.endpoint_create(Port(port)))?;
        handle::from_address(made).inspect_err(|_| {
            // Without a handle nobody could delete it.
            let _deleted = me.node.core(|core| core.endpoint_delete(made));
        })
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn mcapi_endpoint_get_i(
    domain: u32,
    node: u32,
    port: u32,
    endpoint: Out<u32>,
    request: Out<u32>,
    status: Out<u32>,
) {
    render(status, (), || {
        let me = registry::current()?;
        let endpoint = endpoint.some()?;
        me.node.catch_up();
        me.start(request, Target::Endpoint(endpoint), |core| {
            core.expect_node(DomainId(domain), McapiNode(node))?;
            core.endpoint_get_i(DomainId(domain), McapiNode(node), Port(port))
        })
    });
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn mcapi_endpoint_get(
    domain: u32,
    node: u32,
    port: u32,
    timeout: u32,
    status: Out<u32>,
) -> u32 {
    render(status, INVALID, || {
        let me = registry::current()?;
        me.node.catch_up();
        let request = me.node.core(|core| {
            core.expect_node(DomainId(domain), McapiNode(node))?;
            core.endpoint_get_i(DomainId(domain), McapiNode(node), Port(port))
        })?;
        match me.node.complete(request, duration(timeout))? {
            Completion::Endpoint(address) => handle::from_address(address),
            _ => Err(Status::General),
        }
    })
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn mcapi_endpoint_delete(endpoint: u32, status: Out<u32>) {
    render(status, (), || {
        let me = registry::current()?;
        let endpoint = handle::to_address(endpoint)?;
        me.node.catch_up();
        me.node.core(|core| core.endpoint_delete(endpoint))
    });
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn mcapi_endpoint_release(endpoint: u32, status: Out<u32>) {
    render(status, (), || {
        let me = registry::current()?;
        let endpoint = handle::to_address(endpoint)?;
        me.node.release(endpoint)
    });
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn mcapi_endpoint_get_attribute(
    endpoint: u32,
    number: u32,
    value: Room,
    size: usize,
    status: Out<u32>,
) {
    render(status, (), || {
        let me = registry::current()?;
        let endpoint = handle::to_address(endpoint)?;
        if value.is_null() {
            return Err(Status::Parameter);
        }
        let asked = me.node.core(|core| core.endpoint_get_attribute_i(endpoint, number, size))?;
        match me.node.complete(asked, None)? {
            Completion::Attribute(found) => crate::node::store(found, size, value),
            _ => return Err(Status::General),
        }
        Ok(())
    });
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn mcapi_endpoint_set_attribute(
    endpoint: u32,
    number: u32,
    value: Bytes,
    size: usize,
    status: Out<u32>,
) {
    render(status, (), || {
        let me = registry::current()?;
        let endpoint = handle::to_address(endpoint)?;
        // No attribute is larger, and a wrong size is refused before its value matters.
        let mut bytes = value.copy(size.min(16))?;
        if cfg!(target_endian = "big") {
            bytes.reverse();
        }
        me.node.catch_up();
        me.node.core(|core| core.endpoint_set_attribute(endpoint, number, &bytes))
    });
}
