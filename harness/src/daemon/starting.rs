//! Machines on their way: a start may take a while, and the daemon has other things to do meanwhile.

use super::Executor;
use super::nodes::Node;
use crate::backend::qemu::bare_metal_end;
use crate::backend::spawn::Process;
use crate::backend::{Site, Started};
use crate::dispatcher::Event;
use crate::plan::{Backend, NodePlan};
use anyhow::{Context as _, Result};
use runtime_core::node::Image;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// What is to become of a machine that runs now.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fate {
    pub(super) killed: bool,
    pub(super) still: bool,
    /// How much of a processor it is to have.
    pub(super) percent: Option<u8>,
    /// Its second node, which waits for it.
    pub(super) seat: Option<usize>,
}

/// A machine that runs, or cannot.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) node: usize,
    /// With how it will have ended.
    pub(super) started: Result<(Started, oneshot::Receiver<String>)>,
    pub(super) fate: Fate,
}

type Start = (usize, Result<(Started, oneshot::Receiver<String>)>);

/// All that are being started.
#[derive(Debug)]
pub(super) struct Starting {
    fates: BTreeMap<usize, Fate>,
    sender: mpsc::UnboundedSender<Start>,
    starts: mpsc::UnboundedReceiver<Start>,
}

impl Starting {
    pub(super) fn new() -> Self {
        let (sender, starts) = mpsc::unbounded_channel();
        Self { fates: BTreeMap::new(), sender, starts }
    }

    /// Starts one. `metal`: it has no operating system.
    pub(super) fn begin(&mut self, site: Arc<Site>, node: usize, plan: NodePlan, metal: bool) {
        self.fates.insert(node, Fate::default());
        let sender = self.sender.clone();
        tokio::spawn(async move {
            let (ended, end) = oneshot::channel();
            let on_exit = Box::new(move |status: String| {
                drop(ended.send(if metal { bare_metal_end(&status) } else { status }));
            });
            let started = site.start(&plan, on_exit).await.map(|started| (started, end));
            // Nobody listens only when the daemon is ending, and the machine with it.
            let _ = sender.send((node, started));
        });
    }

    /// What becomes of a machine that is being started; nothing if it is not.
    pub(super) fn fate(&mut self, node: usize) -> Option<&mut Fate> {
        self.fates.get_mut(&node)
    }

    /// Waits for the next one; forever while none is being started.
    pub(super) async fn next(&mut self) -> Arrived {
        loop {
            let Some((node, started)) = self.starts.recv().await else {
                std::future::pending::<()>().await;
                continue;
            };
            if let Some(fate) = self.fates.remove(&node) {
                return Arrived { node, started, fate };
            }
        }
    }

    /// Is there none?
    pub(super) fn is_empty(&self) -> bool {
        self.fates.is_empty()
    }
}

impl Executor {
    /// What becomes of the machine that a node is on, while that is being started.
    pub(super) fn on_its_way(&mut self, node: usize) -> Option<&mut Fate> {
        let seat = self.plan.backend == Backend::Qemu;
        let machine = if seat { self.plan.machine_of(node) } else { node };
        self.starting.fate(machine)
    }

    pub(super) fn spawn(&mut self, node: usize) {
        let plan = &self.plan.nodes[node];
        match (self.plan.backend, plan.host) {
            // Its guest starts it, as soon as that is there.
            (Backend::Qemu, Some(host)) => match self.starting.fate(host) {
                Some(fate) => fate.seat = Some(node),
                None => self.sit(node, host),
            },
            _ => {
                let metal = self.plan.runs(node) == Image::BareMetal;
                self.starting.begin(self.site.clone(), node, plan.clone(), metal);
            }
        }
    }

    /// Listens to the second node of a guest.
    fn sit(&mut self, node: usize, host: usize) {
        let machine = self.nodes[host].as_mut().context("its machine is not there");
        let seat = machine.and_then(|m| m.seat().context("its machine has no seat"));
        let pid = seat.and_then(|(started, end)| {
            let pid = started.process.pid;
            self.nodes[node] = Some(Node::new(node, started, end, self.inbox.clone())?);
            Ok(pid)
        });
        self.inbox.put(match pid {
            Ok(pid) => Event::Spawned { node, pid },
            Err(e) => Event::NotSpawned { node, reason: format!("cannot be started: {e:#}") },
        });
    }

    /// A machine runs, or cannot.
    pub(super) fn arrived(&mut self, Arrived { node, started, fate }: Arrived) {
        match started.and_then(|started| self.connect(node, started)) {
            Ok(process) => {
                self.inbox.put(Event::Spawned { node, pid: process.pid });
                if let Some(percent) = fate.percent {
                    process.slow(percent);
                }
                if fate.still {
                    process.freeze(true);
                }
                if fate.killed {
                    process.kill();
                    self.unplug(node);
                }
            }
            Err(e) => {
                let reason = format!("cannot be started: {e:#}");
                self.inbox.put(Event::NotSpawned { node, reason });
            }
        }
        if let Some(seat) = fate.seat {
            self.sit(seat, node);
        }
    }

    /// Connects a machine with the others, and with us.
    fn connect(
        &mut self,
        node: usize,
        (mut started, end): (Started, oneshot::Receiver<String>),
    ) -> Result<Process> {
        if let Some(text) = started.remark.take() {
            self.inbox.put(Event::Remark { text });
        }
        if let (Some(wire), Some(net)) = (&self.wire, started.net.take()) {
            wire.plug(node, net);
        }
        let process = started.process.clone();
        self.nodes[node] = Some(Node::new(node, started, end, self.inbox.clone())?);
        Ok(process)
    }
}
