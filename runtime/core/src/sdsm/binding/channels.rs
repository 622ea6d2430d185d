//! The shared memory on MCAPI packet channels, as section 3.4 of the paper maps it.
//!
//! A socket goes both ways, a channel one way: each pair of a compute side here and a receive side
//! there needs two. A channel can only be connected when both ends exist, so the nodes first tell
//! each other by MCAPI *message*, which needs no channel, that their endpoints are made; then the
//! compute side connects both channels. What the paper's receive thread does with
//! `mcapi_wait_any` over one pending receive per channel is [`Channels::receive`].

use super::Side;
use crate::id::NodeId;
use crate::mcapi::{
    Completion, DomainId, Endpoint, Mcapi, McapiNode, Output, Port, RecvHandle, Request,
    SendHandle, Status, Waiter,
};
use crate::membership::View;
use crate::sorted::Map;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

const DOMAIN: DomainId = DomainId(1);
const RENDEZVOUS: Port = Port(1);
const FIRST_PORT: u32 = 16;
const READY: &[u8] = b"ready";
/// Sends handed to MCAPI at a time and channel; the rest waits here.
const SENDS_IN_FLIGHT: usize = 4;
const RECEIVE_SIDE: Waiter = Waiter(0);

/// One end of a channel of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    /// This compute side asks the receive side of the peer.
    AskSend,
    /// This compute side gets its answers.
    AnswerRecv,
    /// This receive side is asked by the compute side of the peer.
    AskRecv,
    /// This receive side answers.
    AnswerSend,
}

impl End {
    fn port(self, peer: NodeId) -> Port {
        let number = match self {
            Self::AskSend => 0,
            Self::AnswerRecv => 1,
            Self::AskRecv => 2,
            Self::AnswerSend => 3,
        };
        Port(FIRST_PORT + 4 * u32::from(peer.0) + number)
    }

    const fn sends(self) -> bool {
        matches!(self, Self::AskSend | Self::AnswerSend)
    }

    /// The side, here or there, that gets what this channel carries.
    const fn addressee(self) -> Side {
        match self {
            Self::AskRecv | Self::AskSend => Side::Receive,
            Self::AnswerRecv | Self::AnswerSend => Side::Compute,
        }
    }
}

/// What a pending request of the setup is for.
#[derive(Clone, Copy, Debug)]
enum Step {
    FindRendezvous,
    HearReady,
    Told,
    /// The far end of the channel that begins or ends here with this end.
    FindFarEnd(NodeId, End),
    Connect,
    Open(NodeId, End),
}

#[derive(Clone, Debug, Default)]
struct Outgoing {
    handle: Option<SendHandle>,
    in_flight: VecDeque<Request>,
    waiting: VecDeque<Vec<u8>>,
}

#[derive(Clone, Debug)]
pub(super) struct Channels {
    mcapi: Mcapi,
    me: NodeId,
    /// Every end that this node has, by peer.
    ends: Vec<(NodeId, End)>,
    endpoints: Map<(NodeId, End), Endpoint>,
    steps: Vec<(Request, Step)>,
    outgoing: Map<(NodeId, Side), Outgoing>,
    /// One pending receive per channel, and where it is from.
    receives: Vec<Request>,
    sources: Vec<(NodeId, Side, RecvHandle)>,
    rendezvous: Option<Endpoint>,
}

impl Channels {
    pub(super) fn new(me: NodeId, view: &View) -> Self {
        let members: Vec<NodeId> = view.members.keys().copied().collect();
        let i_compute = view.rank_of(me).is_some();
        let mut ends = Vec::new();
        for peer in members.iter().copied().filter(|peer| *peer != me) {
            if i_compute {
                ends.extend([(peer, End::AskSend), (peer, End::AnswerRecv)]);
            }
            if view.rank_of(peer).is_some() {
                ends.extend([(peer, End::AskRecv), (peer, End::AnswerSend)]);
            }
        }
        Self {
            mcapi: Mcapi::new(DOMAIN, me, &members),
            me,
            ends,
            endpoints: Map::new(),
            steps: Vec::new(),
            outgoing: Map::new(),
            receives: Vec::new(),
            sources: Vec::new(),
            rendezvous: None,
        }
    }

    /// Makes the endpoints, opens them, and tells the peers.
    pub(super) fn open(&mut self) {
        let made = self.make_endpoints();
        debug_assert!(made.is_ok(), "limits.rs leaves room for all endpoints: {made:?}");
    }

    fn make_endpoints(&mut self) -> Result<(), Status> {
        let rendezvous = self.mcapi.endpoint_create(RENDEZVOUS)?;
        self.rendezvous = Some(rendezvous);
        let hear = self.mcapi.msg_recv_i(rendezvous)?;
        self.steps.push((hear, Step::HearReady));
        let mut last = None;
        for (peer, end) in self.ends.clone() {
            let endpoint = self.mcapi.endpoint_create(end.port(peer))?;
            self.endpoints.insert((peer, end), endpoint);
            let open = if end.sends() {
                self.mcapi.pktchan_send_open_i(endpoint)?
            } else {
                self.mcapi.pktchan_recv_open_i(endpoint)?
            };
            self.steps.push((open, Step::Open(peer, end)));
            if last.replace(peer) != Some(peer) {
                let find = self.mcapi.endpoint_get_i(DOMAIN, McapiNode::from(peer), RENDEZVOUS)?;
                self.steps.push((find, Step::FindRendezvous));
            }
        }
        Ok(())
    }

    pub(super) fn is_open(&self) -> bool {
        let senders = self.ends.iter().filter(|(_, end)| end.sends()).count();
        self.rendezvous.is_some()
            && self.receives.len() == self.ends.len() - senders
            && self.outgoing.values().filter(|out| out.handle.is_some()).count() == senders
    }

    pub(super) fn send(&mut self, to: NodeId, side: Side, packet: Vec<u8>) {
        self.outgoing.get_or_default((to, side)).waiting.push_back(packet);
    }

    pub(super) fn handle(&mut self, from: NodeId, payload: &[u8]) {
        self.mcapi.handle(from, payload);
    }

    /// The next frame for the link.
    pub(super) fn poll(&mut self) -> Option<(NodeId, Vec<u8>)> {
        loop {
            match self.mcapi.poll()? {
                Output::Send { to, payload } => return Some((to, payload.into_vec())),
                // `progress` and `receive` look again after every input.
                Output::Wake(_) => {}
            }
        }
    }

    /// The next packet, by `wait_any` over all channels.
    pub(super) fn receive(&mut self) -> Option<(NodeId, Side, Vec<u8>)> {
        if self.receives.is_empty() {
            return None;
        }
        let (at, completion) = self.mcapi.wait_any(&self.receives, RECEIVE_SIDE).ok()??;
        let (peer, side, handle) = self.sources[at];
        match (self.mcapi.pktchan_recv_i(handle), completion) {
            (Ok(next), Completion::Packet(packet)) => {
                self.receives[at] = next;
                Some((peer, side, packet.into_buffer()))
            }
            // The peer is gone; the next view tells.
            _ => {
                self.receives.remove(at);
                self.sources.remove(at);
                None
            }
        }
    }

    /// Takes every step of the setup that can be taken, and every send that finds room.
    pub(super) fn progress(&mut self) {
        let mut at = 0;
        while at < self.steps.len() {
            let (request, step) = self.steps[at];
            match self.mcapi.test(request) {
                Ok(None) => at += 1,
                Ok(Some(completion)) => {
                    self.steps.swap_remove(at);
                    // A step that fails is of a peer that is gone.
                    let _gone = self.advance(step, completion);
                }
                Err(_) => drop(self.steps.swap_remove(at)),
            }
        }
        for out in self.outgoing.values_mut() {
            let Some(handle) = out.handle else { continue };
            while let Some(first) = out.in_flight.front() {
                if self.mcapi.test(*first) == Ok(None) {
                    break;
                }
                out.in_flight.pop_front();
            }
            while out.in_flight.len() < SENDS_IN_FLIGHT
                && let Some(packet) = out.waiting.pop_front()
            {
                if let Ok(request) = self.mcapi.pktchan_send_i(handle, packet)
                    && self.mcapi.test(request) == Ok(None)
                {
                    out.in_flight.push_back(request);
                }
            }
        }
    }

    fn advance(&mut self, step: Step, completion: Completion) -> Result<(), Status> {
        match (step, completion) {
            (Step::FindRendezvous, Completion::Endpoint(there)) => {
                if let Some(here) = self.rendezvous {
                    let told = self.mcapi.msg_send_i(here, there, READY, 0)?;
                    self.steps.push((told, Step::Told));
                }
            }
            (Step::HearReady, Completion::Message(message)) => {
                if let Some(here) = self.rendezvous {
                    let hear = self.mcapi.msg_recv_i(here)?;
                    self.steps.push((hear, Step::HearReady));
                }
                self.connect_to(NodeId::try_from(message.from.node)?)?;
            }
            (Step::FindFarEnd(peer, end), Completion::Endpoint(there)) => {
                let here = self.endpoints.get(&(peer, end)).copied().ok_or(Status::EndpInvalid)?;
                let (send, recv) = if end.sends() { (here, there) } else { (there, here) };
                let connect = self.mcapi.pktchan_connect_i(send, recv)?;
                self.steps.push((connect, Step::Connect));
            }
            (Step::Open(peer, end), Completion::SendHandle(handle)) => {
                self.outgoing.get_or_default((peer, end.addressee())).handle = Some(handle);
            }
            (Step::Open(peer, end), Completion::RecvHandle(handle)) => {
                self.receives.push(self.mcapi.pktchan_recv_i(handle)?);
                self.sources.push((peer, end.addressee(), handle));
            }
            _ => {}
        }
        Ok(())
    }

    /// The peer's endpoints exist: this compute side connects both channels to its receive side.
    fn connect_to(&mut self, peer: NodeId) -> Result<(), Status> {
        for (end, far) in [(End::AskSend, End::AskRecv), (End::AnswerRecv, End::AnswerSend)] {
            if self.endpoints.contains_key(&(peer, end)) {
                let node = McapiNode::from(peer);
                let find = self.mcapi.endpoint_get_i(DOMAIN, node, far.port(self.me))?;
                self.steps.push((find, Step::FindFarEnd(peer, end)));
            }
        }
        Ok(())
    }
}
