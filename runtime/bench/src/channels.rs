//! Two packet channels between two nodes: one for questions, one for answers.

use alloc::vec::Vec;
use runtime_core::id::NodeId;
use runtime_core::mcapi::{
    Completion, DomainId, Endpoint, Mcapi, McapiNode, Output, Port, RecvHandle, Request,
    SendHandle, Status,
};

const DOMAIN: DomainId = DomainId(1);
const QUESTIONS: Port = Port(1);
const ANSWERS: Port = Port(2);
/// Sends handed to MCAPI that wait for room at the other side.
const WAITING: usize = 4;

/// What a request of the setup is for.
#[derive(Clone, Copy, Debug)]
enum Step {
    Open,
    Find(Port),
    Connect,
}

#[derive(Debug)]
pub(crate) struct Channels {
    mcapi: Mcapi,
    peer: NodeId,
    asks: bool,
    /// Ends here: where this node sends, and where it receives.
    ends: Option<(Endpoint, Endpoint)>,
    steps: Vec<(Request, Step)>,
    tx: Option<SendHandle>,
    rx: Option<(RecvHandle, Request)>,
    sending: Vec<Request>,
    failed: Option<Status>,
}

impl Channels {
    pub(crate) fn new(me: NodeId, peer: NodeId, asks: bool) -> Self {
        Self {
            mcapi: Mcapi::new(DOMAIN, me, &[peer]),
            peer,
            asks,
            ends: None,
            steps: Vec::new(),
            tx: None,
            rx: None,
            sending: Vec::new(),
            failed: None,
        }
    }

    pub(crate) fn are_open(&self) -> bool {
        self.tx.is_some() && self.rx.is_some()
    }

    pub(crate) fn handle(&mut self, from: NodeId, payload: &[u8]) {
        self.mcapi.handle(from, payload);
    }

    /// The next frame for the link.
    pub(crate) fn poll(&mut self) -> Option<Vec<u8>> {
        loop {
            match self.mcapi.poll()? {
                Output::Send { payload, .. } => return Some(payload.into_vec()),
                Output::Wake(_) => {}
            }
        }
    }

    /// May another packet be sent without waiting behind too many?
    pub(crate) const fn has_room(&self) -> bool {
        self.sending.len() < WAITING
    }

    pub(crate) fn send(&mut self, packet: Vec<u8>) {
        let Some(tx) = self.tx else { return };
        match self.mcapi.pktchan_send_i(tx, packet) {
            Ok(request) => self.sending.push(request),
            Err(status) => self.failed = Some(status),
        }
        self.forget_sent();
    }

    fn forget_sent(&mut self) {
        let mcapi = &mut self.mcapi;
        let failed = &mut self.failed;
        self.sending.retain(|request| match mcapi.test(*request) {
            Ok(None) => true,
            Ok(Some(Completion::Failed(status))) | Err(status) => {
                *failed = Some(status);
                false
            }
            Ok(Some(_)) => false,
        });
    }

    /// The next packet.
    pub(crate) fn receive(&mut self) -> Option<Vec<u8>> {
        let (rx, request) = self.rx?;
        let packet = match self.mcapi.test(request) {
            Ok(None) => return None,
            Ok(Some(Completion::Packet(packet))) => packet.into_buffer(),
            Ok(Some(Completion::Failed(status))) | Err(status) => {
                (self.failed, self.rx) = (Some(status), None);
                return None;
            }
            // A receive of packets ends in nothing else.
            Ok(Some(_)) => return None,
        };
        match self.mcapi.pktchan_recv_i(rx) {
            Ok(next) => self.rx = Some((rx, next)),
            Err(status) => self.failed = Some(status),
        }
        Some(packet)
    }

    /// Takes every step of the setup that can be taken.
    pub(crate) fn progress(&mut self) -> Result<(), Status> {
        if self.ends.is_none() {
            self.begin()?;
        }
        let mut at = 0;
        while at < self.steps.len() {
            let (request, step) = self.steps[at];
            match self.mcapi.test(request)? {
                None => at += 1,
                Some(completion) => {
                    self.steps.swap_remove(at);
                    self.advance(step, completion)?;
                }
            }
        }
        self.forget_sent();
        self.failed.map_or(Ok(()), Err)
    }

    fn begin(&mut self) -> Result<(), Status> {
        let (out, into) = if self.asks { (QUESTIONS, ANSWERS) } else { (ANSWERS, QUESTIONS) };
        let (send, recv) = (self.mcapi.endpoint_create(out)?, self.mcapi.endpoint_create(into)?);
        self.ends = Some((send, recv));
        self.steps.push((self.mcapi.pktchan_send_open_i(send)?, Step::Open));
        self.steps.push((self.mcapi.pktchan_recv_open_i(recv)?, Step::Open));
        if self.asks {
            for port in [QUESTIONS, ANSWERS] {
                let peer = McapiNode::from(self.peer);
                let find = self.mcapi.endpoint_get_i(DOMAIN, peer, port)?;
                self.steps.push((find, Step::Find(port)));
            }
        }
        Ok(())
    }

    fn advance(&mut self, step: Step, completion: Completion) -> Result<(), Status> {
        match (step, completion) {
            (_, Completion::Failed(status)) => return Err(status),
            (Step::Find(port), Completion::Endpoint(there)) => {
                let Some((send, recv)) = self.ends else { return Err(Status::General) };
                let (from, to) = if port == QUESTIONS { (send, there) } else { (there, recv) };
                self.steps.push((self.mcapi.pktchan_connect_i(from, to)?, Step::Connect));
            }
            (Step::Open, Completion::SendHandle(handle)) => self.tx = Some(handle),
            (Step::Open, Completion::RecvHandle(handle)) => {
                self.rx = Some((handle, self.mcapi.pktchan_recv_i(handle)?));
            }
            _ => {}
        }
        Ok(())
    }
}
