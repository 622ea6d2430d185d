//! MAC and IPv4 addresses: those that the file gives are checked, the others are made up.

use crate::error::{Reader, Span};
use crate::model::{Node, Subnet};
use crate::units::{Parsed, bad};
use std::net::Ipv4Addr;

/// A MAC address.
pub(crate) fn mac(text: &str) -> Parsed<[u8; 6]> {
    let example = "write six pairs of hexadecimal digits, for example `52:54:00:00:00:01`";
    let mut bytes = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut bytes {
        let part = parts.next().unwrap_or_default();
        let plain = part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
        match u8::from_str_radix(part, 16) {
            Ok(value) if plain => *byte = value,
            _ => return bad(format!("\"{text}\" is not a MAC address"), example),
        }
    }
    if parts.next().is_some() {
        return bad(format!("\"{text}\" is not a MAC address"), example);
    }
    if bytes[0] & 1 == 1 || bytes == [0; 6] {
        return bad(format!("\"{text}\" is not the address of one NIC"), example);
    }
    Ok(bytes)
}

/// The address of a host.
pub(crate) fn ipv4(text: &str) -> Parsed<Ipv4Addr> {
    let example = "write for example `10.83.0.1`";
    let Ok(ip) = text.parse::<Ipv4Addr>() else {
        return bad(format!("\"{text}\" is not an IPv4 address"), example);
    };
    // The addresses of one machine's own network are for nodes that are processes of it.
    if ip.octets()[0] == 0 || ip.octets()[0] >= 224 {
        return bad(format!("{text} cannot be the address of a node"), example);
    }
    if !ip.is_loopback() && matches!(ip.octets()[3], 0 | 255) {
        return bad(format!("{text} is reserved in its subnet"), "use a last number from 1 to 254");
    }
    Ok(ip)
}

/// The subnet of a file that gives no address.
pub(crate) fn default_subnet() -> Subnet {
    Subnet { network: Ipv4Addr::new(10, 83, 0, 0), prefix: 24 }
}

/// A claim of node `index`, by its name.
#[derive(Debug)]
struct Claim<T> {
    index: usize,
    name: String,
    span: Span,
    value: T,
}

/// Addresses that the file gives.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    macs: Vec<Claim<[u8; 6]>>,
    addresses: Vec<Claim<Ipv4Addr>>,
}

impl Claims {
    pub(crate) fn mac(
        &mut self,
        r: &mut Reader<'_>,
        index: usize,
        name: &str,
        span: Span,
        mac: [u8; 6],
    ) {
        claim(
            r,
            &mut self.macs,
            "MAC",
            Claim { index, name: name.into(), span, value: mac },
            |m| m.map(|b| format!("{b:02x}")).join(":"),
        );
    }

    pub(crate) fn address(
        &mut self,
        r: &mut Reader<'_>,
        index: usize,
        name: &str,
        span: Span,
        ip: Ipv4Addr,
    ) {
        let claimed = Claim { index, name: name.into(), span, value: ip };
        claim(r, &mut self.addresses, "IP", claimed, |a| a.to_string());
    }

    /// Gives every node its addresses: the ones it claims, or the lowest free ones from its place on.
    pub(crate) fn settle(&self, r: &mut Reader<'_>, nodes: &mut [Node]) -> Subnet {
        let subnet = self.subnet(r);
        let [a, b, c, _] = subnet.network.octets();
        let addresses: Vec<Ipv4Addr> = self.addresses.iter().map(|c| c.value).collect();
        let macs: Vec<[u8; 6]> = self.macs.iter().map(|c| c.value).collect();
        // More candidates than nodes and claims of a cluster within its limit: they do not run dry.
        let mut free_addresses =
            (1..=254).map(|d| Ipv4Addr::new(a, b, c, d)).filter(|ip| !addresses.contains(ip));
        let mut free_macs =
            (1..=255).map(|n| [0x52, 0x54, 0, 0, 0, n]).filter(|mac| !macs.contains(mac));
        for (index, node) in nodes.iter_mut().enumerate() {
            let ip = self.addresses.iter().find(|c| c.index == index).map(|c| c.value);
            node.address = ip.or_else(|| free_addresses.next()).unwrap_or(subnet.network);
            let mac = self.macs.iter().find(|c| c.index == index).map(|c| c.value);
            node.mac = mac.or_else(|| free_macs.next()).unwrap_or_default();
        }
        subnet
    }

    /// The subnet of the first address; all others must be in it.
    fn subnet(&self, r: &mut Reader<'_>) -> Subnet {
        let Some(first) = self.addresses.first() else { return default_subnet() };
        let [a, b, c, _] = first.value.octets();
        let network = Ipv4Addr::new(a, b, c, 0);
        for other in &self.addresses {
            if other.value.octets()[..3] != [a, b, c] {
                let message = format!(
                    "address {} of \"{}\" is outside {network}/24, the subnet of \"{}\"",
                    other.value, other.name, first.name
                );
                let help =
                    format!("all nodes share one subnet: use {a}.{b}.{c}.1 to {a}.{b}.{c}.254");
                r.error(other.span, message, help);
            }
        }
        Subnet { network, prefix: 24 }
    }
}

fn claim<T: PartialEq + Copy>(
    r: &mut Reader<'_>,
    claims: &mut Vec<Claim<T>>,
    kind: &str,
    new: Claim<T>,
    show: impl Fn(T) -> String,
) {
    if let Some(old) = claims.iter().find(|c| c.value == new.value) {
        let message = format!(
            "nodes \"{}\" and \"{}\" have the same {kind} address {}",
            old.name,
            new.name,
            show(new.value)
        );
        r.error(new.span, message, "give each its own, or leave it out to have one made up");
    }
    claims.push(new);
}
