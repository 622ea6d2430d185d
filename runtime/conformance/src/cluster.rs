//! Nodes with an MCAPI each, joined by links over a network.

use crate::network::{Faults, Network};
use crate::pair::settings;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use runtime_core::id::{Generation, NodeId, ViewId};
use runtime_core::link::{Event, Link, Proto};
use runtime_core::mcapi::{
    Completion, DomainId, Endpoint, Mcapi, McapiNode, Output, Port, RecvHandle, Request,
    SendHandle, Status, Waiter,
};
use runtime_core::node::Medium;
use runtime_core::time::{Duration, Instant};

pub(crate) const DOMAIN: DomainId = DomainId(7);

pub(crate) struct Host {
    pub(crate) mcapi: Mcapi,
    links: BTreeMap<usize, Link>,
    pub(crate) wakes: Vec<Waiter>,
}

pub(crate) struct Cluster {
    pub(crate) hosts: Vec<Host>,
    network: Network,
}

pub(crate) fn id(node: usize) -> NodeId {
    NodeId(u16::try_from(node).unwrap_or(u16::MAX))
}

impl Cluster {
    /// So many nodes, all linked.
    pub(crate) fn new(nodes: usize, faults: Faults, seed: u64) -> Result<Self, String> {
        let medium = Medium::Datagram;
        let network = Network::new(medium, faults, seed);
        let ids: Vec<NodeId> = (0..nodes).map(id).collect();
        let host = |me: usize| Host {
            mcapi: Mcapi::new(DOMAIN, id(me), &ids),
            links: (0..nodes)
                .filter(|peer| *peer != me)
                .map(|peer| (peer, Link::new(settings(me, 1, medium), id(peer), network.now)))
                .collect(),
            wakes: Vec::new(),
        };
        let hosts = (0..nodes).map(host).collect();
        let mut cluster = Self { hosts, network };
        let now = cluster.network.now;
        cluster.links().for_each(|link| link.transport_up(now));
        cluster.run_until("all links are up", |cluster| {
            cluster.links().all(|link| link.is_up()).then_some(())
        })?;
        Ok(cluster)
    }

    fn links(&mut self) -> impl Iterator<Item = &mut Link> {
        self.hosts.iter_mut().flat_map(|host| host.links.values_mut())
    }

    /// Moves everything on at this point of time.
    fn pump(&mut self) {
        let now = self.network.now;
        for (from, host) in self.hosts.iter_mut().enumerate() {
            loop {
                let mut moved = false;
                while let Some(output) = host.mcapi.poll() {
                    moved = true;
                    match output {
                        Output::Wake(waiter) => host.wakes.push(waiter),
                        Output::Send { to, payload } => {
                            if let Some(link) = host.links.get_mut(&to.index()) {
                                link.send(now, Proto::Mcapi, payload.into_vec());
                            }
                        }
                    }
                }
                for (peer, link) in &mut host.links {
                    while let Some(event) = link.poll() {
                        moved = true;
                        match event {
                            Event::Transmit(bytes) => self.network.carry(from, *peer, bytes),
                            Event::Deliver { payload, .. } => {
                                host.mcapi.handle(id(*peer), &payload)
                            }
                            _ => {}
                        }
                    }
                }
                if !moved {
                    break;
                }
            }
        }
    }

    /// The next thing that happens, frames before timers.
    fn step(&mut self, end: Instant) -> bool {
        self.pump();
        let timer = self.links().filter_map(|link| Some(link.deadline()?.0)).min();
        let frame = self.network.due();
        let Some(next) = frame.into_iter().chain(timer).min().filter(|at| *at <= end) else {
            self.network.now = end;
            return false;
        };
        if frame == Some(next) {
            let Some(arrival) = self.network.take() else { return true };
            let now = self.network.now;
            if let Some(link) = self.hosts[arrival.to].links.get_mut(&arrival.from) {
                link.handle_frame(now, &arrival.bytes);
            }
        } else {
            self.network.now = self.network.now.max(next);
            let now = self.network.now;
            self.links().for_each(|link| link.tick(now));
        }
        self.pump();
        true
    }

    /// Runs until there is an answer, for ten seconds at most.
    pub(crate) fn run_until<T>(
        &mut self,
        what: &str,
        mut answer: impl FnMut(&mut Self) -> Option<T>,
    ) -> Result<T, String> {
        let end = self.network.now + Duration::from_millis(10_000);
        loop {
            if let Some(answer) = answer(self) {
                return Ok(answer);
            }
            if !self.step(end) {
                return Err(format!("ten seconds passed before {what}"));
            }
        }
    }

    /// Time for everything that is under way.
    pub(crate) fn settle(&mut self) {
        let end = self.network.now + Duration::from_millis(300);
        while self.step(end) {}
    }

    /// A node is gone, and the others are told.
    pub(crate) fn kill(&mut self, dead: usize) {
        self.network.clear(dead);
        for (node, host) in self.hosts.iter_mut().enumerate() {
            for (peer, link) in &mut host.links {
                if node == dead || *peer == dead {
                    link.close(Generation(1), ViewId(2));
                }
            }
            if node != dead {
                host.mcapi.node_gone(id(dead));
            }
        }
        self.pump();
    }

    pub(crate) fn mcapi(&mut self, node: usize) -> &mut Mcapi {
        &mut self.hosts[node].mcapi
    }

    pub(crate) fn endpoint(&mut self, node: usize, port: u32) -> Result<Endpoint, String> {
        self.mcapi(node).endpoint_create(Port(port)).map_err(|status| status.to_string())
    }

    /// What comes of a request.
    pub(crate) fn done(
        &mut self,
        node: usize,
        request: Result<Request, Status>,
    ) -> Result<Completion, String> {
        let request = request.map_err(|status| format!("refused at once: {status}"))?;
        self.run_until("a request was done", |cluster| {
            cluster.mcapi(node).test(request).map_err(|status| status.to_string()).transpose()
        })?
    }

    /// The endpoint of another node.
    pub(crate) fn find(&mut self, by: usize, node: usize, port: u32) -> Result<Endpoint, String> {
        let get = self.mcapi(by).endpoint_get_i(DOMAIN, McapiNode::from(id(node)), Port(port));
        match self.done(by, get)? {
            Completion::Endpoint(endpoint) => Ok(endpoint),
            other => Err(format!("{other:?} instead of an endpoint")),
        }
    }

    /// An open packet channel, connected by a third node or one of its ends.
    pub(crate) fn channel(
        &mut self,
        (from, to): (usize, usize),
        port: u32,
        by: usize,
    ) -> Result<(SendHandle, RecvHandle), String> {
        let (send, recv) = (self.endpoint(from, port)?, self.endpoint(to, port + 1)?);
        let tx = self.mcapi(from).pktchan_send_open_i(send);
        let rx = self.mcapi(to).pktchan_recv_open_i(recv);
        let connect = self.mcapi(by).pktchan_connect_i(send, recv);
        match (self.done(by, connect)?, self.done(from, tx)?, self.done(to, rx)?) {
            (Completion::Done, Completion::SendHandle(tx), Completion::RecvHandle(rx)) => {
                Ok((tx, rx))
            }
            other => Err(format!("{other:?} instead of an open channel")),
        }
    }

    /// The next packet.
    pub(crate) fn packet(&mut self, node: usize, rx: RecvHandle) -> Result<Vec<u8>, String> {
        let receive = self.mcapi(node).pktchan_recv_i(rx);
        match self.done(node, receive)? {
            Completion::Packet(packet) => Ok(packet.into_buffer()),
            other => Err(format!("{other:?} instead of a packet")),
        }
    }
}
