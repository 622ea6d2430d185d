//! How this node reaches the others: what the harness said about it, made into sockets.

use anyhow::{Context, Result, ensure};
use images_control::{Configure, NodeSpec, Transport};
use runtime_core::id::NodeId;
use runtime_driver::ethernet::Mac;
use runtime_linux::transport::Network;
use runtime_linux::transport::nic::Nic;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{FromRawFd, OwnedFd};

#[cfg(test)]
pub(crate) mod tests;

/// What the configuration asks for. `interface`: name of the network card, where it is a real one.
///
/// # Errors
/// When something is missing, malformed or refused by the system.
pub(crate) fn network(configure: &Configure, interface: Option<&str>) -> Result<Network> {
    let others = |transport: Transport| {
        let nodes = (0..).map(NodeId).zip(&configure.nodes);
        nodes.filter(move |(node, spec)| node.0 != configure.node && spec.transport == transport)
    };
    let mut network = Network::default();
    if others(Transport::Tcp).next().is_some() {
        let me = configure.nodes.get(usize::from(configure.node));
        let own = address(me.context("no such node in the configuration")?)?;
        let listener = TcpListener::bind(own).with_context(|| format!("cannot listen on {own}"))?;
        let peers = others(Transport::Tcp).map(|(node, spec)| Ok((node, address(spec)?)));
        network.tcp = Some((listener, peers.collect::<Result<_>>()?));
    }
    if others(Transport::Ethernet).next().is_some() {
        let peers = others(Transport::Ethernet).map(|(node, spec)| {
            let mac = spec.mac.parse::<Mac>();
            Ok((node, mac.with_context(|| format!("address \"{}\" of {}", spec.mac, spec.name))?))
        });
        let peers = peers.collect::<Result<_>>()?;
        network.ethernet = Some((card(configure, interface)?, peers));
    }
    if let (Some(interface), Some(nic)) = (interface, &configure.nic) {
        // A seat has no card of its own; the core knows whose machine it is on.
        let cards = (0..).map(NodeId).zip(&configure.nodes).filter(|(_, spec)| spec.host.is_none());
        let cards = cards.filter_map(|(node, spec)| Some((node, spec.mac.parse().ok()?))).collect();
        let heard = Nic::notices(interface, nic.mac.parse()?, usize::try_from(nic.mtu)?);
        network.notices = Some((heard.context("cannot listen to the switch")?, cards));
    }
    Ok(network)
}

/// Where others find this node, for people.
pub(crate) fn places(configure: &Configure, network: &Network) -> String {
    let me = configure.nodes.get(usize::from(configure.node));
    let tcp = network.tcp.is_some().then(|| me.map(|me| format!("listens at {}", me.address)));
    let card =
        network.ethernet.as_ref().map(|(nic, _)| format!("speaks Ethernet as {}", nic.mac()));
    let ways: Vec<String> = tcp.flatten().into_iter().chain(card).collect();
    if ways.is_empty() { "is alone".into() } else { ways.join(" and ") }
}

fn address(node: &NodeSpec) -> Result<SocketAddr> {
    node.address.parse().with_context(|| format!("address {} of {}", node.address, node.name))
}

fn card(configure: &Configure, interface: Option<&str>) -> Result<Nic> {
    let nic = configure.nic.as_ref().context("Ethernet needs a network card, and none is named")?;
    let me = configure.nodes.get(usize::from(configure.node));
    let me = me.context("no such node in the configuration")?;
    let mac = me.mac.parse().with_context(|| format!("address \"{}\" of {}", me.mac, me.name))?;
    let mtu = usize::try_from(nic.mtu).context("bad MTU")?;
    let card = match (nic.fd, interface) {
        (Some(fd), _) => Nic::from_socket(inherited(fd)?, mac, mtu),
        (None, Some(interface)) if me.host.is_some() => Nic::beside(interface, mac, mtu),
        (None, Some(interface)) => Nic::open(interface, mac, mtu),
        (None, None) => {
            anyhow::bail!("a process has no network card of its own: nic.fd is missing")
        }
    };
    card.with_context(|| format!("cannot use network card {} as {mac}", nic.mac))
}

/// A socket that this process was started with.
fn inherited(fd: i32) -> Result<OwnedFd> {
    let what = std::fs::read_link(format!("/proc/self/fd/{fd}")).unwrap_or_default();
    let is_socket = what.to_string_lossy().starts_with("socket:");
    ensure!(fd > 2 && is_socket, "nic.fd is {fd}, which is no socket that this process was given");
    // SAFETY: it is open, and whoever started this process says that it is there for this use; what
    // the program opens itself it does not know by number.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
