//! A node that any thread of the process may call: the rules of `runtime_core::mcapi` and a transport.
//!
//! Everything happens under one lock that is held for short. Frames are handed over by whoever calls; only to
//! *sleep* on the transport somebody takes it out of the state, the **leader**:
//!
//! * A thread in a blocking call first looks for a while itself, so that two nodes that talk all the time never switch
//!   threads. Then it becomes the leader, or, if another call is it already, sleeps until its request is done or the
//!   leader leaves and it is its turn.
//! * When no call waits, the progress thread leads, so that the rules of this node run while its program computes.
//!   It takes over when no call was made for [`QUIET`], and gives way to the first call.
//! * While a future waits and no call does, the progress thread leads at once; it wakes the future's task.
//! * A call that has something to send while the leader sleeps rings the leader's bell, and the leader sends it.

mod progress;
mod tasks;
#[cfg(test)]
mod tests;

use crate::transport::{Bell, Transport};
use runtime_core::id::NodeId;
use runtime_core::mcapi::{
    Completion, DomainId, Mcapi, McapiNode, Output, Request, Status, Waiter,
};
use runtime_shm::{Event, NodeName, SendError};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::thread::{self, Thread};
use std::time::{Duration, Instant};
use tasks::{Held, Tasks};

/// The number of a node at itself.
const ME: NodeId = NodeId(0);
/// How long a blocking call looks before it sleeps.
const LOOK: Duration = Duration::from_micros(20);
/// After so long without a call the progress thread takes over.
const QUIET: Duration = Duration::from_millis(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leader {
    Nobody,
    Call(Waiter),
    Progress,
}

struct Sleeper {
    thread: Thread,
    woken: bool,
}

struct State {
    core: Mcapi,
    /// Away while the leader sleeps on it.
    transport: Option<Box<dyn Transport>>,
    leader: Leader,
    /// What the transport had no room for yet.
    outbox: VecDeque<(NodeId, Vec<u8>)>,
    /// All who are in a blocking call.
    sleepers: BTreeMap<Waiter, Sleeper>,
    /// Futures that wait.
    tasks: Tasks,
    /// Whom to wake when the lock is free again.
    roused: Vec<Waker>,
    /// How many calls there were.
    calls: u64,
    /// The progress thread sleeps until it is told that the last leader left.
    progress_rests: bool,
    /// The leader is to look.
    bell_due: bool,
    closed: bool,
}

/// See the module.
pub(crate) struct Engine {
    state: Mutex<State>,
    bell: Bell,
    progress: Mutex<Option<thread::JoinHandle<()>>>,
}

fn waiter() -> Waiter {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    thread_local! {
        static MINE: Waiter = Waiter(NEXT.fetch_add(1, Ordering::Relaxed));
    }
    MINE.with(|mine| *mine)
}

impl Engine {
    pub(crate) fn start(
        name: NodeName,
        transport: Box<dyn Transport>,
    ) -> std::io::Result<Arc<Self>> {
        let bell = transport.bell();
        let core = Mcapi::named(DomainId(name.domain), McapiNode(name.node), ME);
        let state = State {
            core,
            transport: Some(transport),
            leader: Leader::Nobody,
            outbox: VecDeque::new(),
            sleepers: BTreeMap::new(),
            tasks: Tasks::default(),
            roused: Vec::new(),
            calls: 0,
            progress_rests: false,
            bell_due: false,
            closed: false,
        };
        let engine = Arc::new(Self { state: Mutex::new(state), bell, progress: Mutex::new(None) });
        engine.lock().pump();
        progress::start(&engine)?;
        Ok(engine)
    }

    fn lock(&self) -> Held<'_> {
        // A panic in the core would be a bug; what it left is still the best there is.
        Held::new(self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Gives the core to a call that does not wait.
    pub(crate) fn call<R>(&self, f: impl FnOnce(&mut Mcapi) -> R) -> R {
        let mut state = self.lock();
        state.calls += 1;
        state.pump();
        let result = f(&mut state.core);
        self.settle(&mut state);
        result
    }

    /// Sends what is to be sent, and wakes who is to be woken.
    fn settle(&self, state: &mut State) {
        state.drain();
        let away = state.transport.is_none() && !state.outbox.is_empty();
        if core::mem::take(&mut state.bell_due) || away {
            (self.bell)();
        }
    }

    /// The first of some requests that is done. [`Status::Timeout`] leaves them as they are.
    pub(crate) fn wait_any(
        &self,
        requests: &[Request],
        timeout: Option<Duration>,
    ) -> Result<(usize, Completion), Status> {
        let waiter = waiter();
        let begin = Instant::now();
        // A time that the clock cannot name is for ever.
        let until = timeout.and_then(|timeout| begin.checked_add(timeout));
        let mut state = self.lock();
        let mut ask = true;
        loop {
            state.calls += 1;
            state.pump();
            ask |= state.sleepers.get(&waiter).is_some_and(|sleeper| sleeper.woken);
            if state.closed {
                self.leave(state, waiter);
                return Err(Status::NodeNotInit);
            }
            if ask {
                let found = state.core.wait_any(requests, waiter);
                state.drain();
                match found.transpose() {
                    Some(answer) => {
                        self.leave(state, waiter);
                        return answer;
                    }
                    None => state.enter(waiter),
                }
                ask = false;
            }
            self.settle(&mut state);
            let now = Instant::now();
            if until.is_some_and(|until| now >= until) {
                state.core.wait_stop(waiter);
                self.leave(state, waiter);
                return Err(Status::Timeout);
            }
            if now - begin < LOOK && state.transport.is_some() {
                drop(state);
                for _ in 0..16 {
                    core::hint::spin_loop();
                }
                state = self.lock();
            } else {
                state = self.sleep(state, waiter, until);
            }
        }
    }

    /// Sleeps until something may have changed.
    fn sleep<'a>(
        &'a self,
        mut state: Held<'a>,
        waiter: Waiter,
        until: Option<Instant>,
    ) -> Held<'a> {
        if let Some(transport) = state.transport.take() {
            state.leader = Leader::Call(waiter);
            drop(state);
            transport.wait(until);
            state = self.lock();
            state.transport = Some(transport);
            state.leader = Leader::Nobody;
            return state;
        }
        if state.leader == Leader::Progress {
            (self.bell)();
        }
        drop(state);
        match until {
            Some(until) => thread::park_timeout(until.saturating_duration_since(Instant::now())),
            None => thread::park(),
        }
        self.lock()
    }

    /// A call ends: another one leads, or the progress thread.
    fn leave(&self, mut state: Held<'_>, waiter: Waiter) {
        state.sleepers.remove(&waiter);
        self.settle(&mut state);
        if state.leader != Leader::Nobody {
            return;
        }
        if let Some(next) = state.sleepers.values().next() {
            next.thread.unpark();
        } else if core::mem::take(&mut state.progress_rests) {
            drop(state);
            self.wake_progress();
        }
    }

    fn wake_progress(&self) {
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(progress) = &*progress {
            progress.thread().unpark();
        }
    }

    /// Leaves the transport. Calls that wait come back with [`Status::NodeNotInit`].
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        if std::mem::replace(&mut state.closed, true) {
            return;
        }
        state.sleepers.values().for_each(|sleeper| sleeper.thread.unpark());
        state.wake_all_tasks();
        state.pump();
        let transport = loop {
            match state.transport.take() {
                Some(transport) => break transport,
                None => {
                    drop(state);
                    (self.bell)();
                    thread::yield_now();
                    state = self.lock();
                }
            }
        };
        drop(state);
        drop(transport);
        self.wake_progress();
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The progress thread itself may be the last to have a part of the node: in a task that it woke.
        if let Some(progress) = progress.filter(|_| !progress::is_this_thread()) {
            // It ends by itself; that it panicked would have been said.
            let _ended = progress.join();
        }
    }
}

impl State {
    fn enter(&mut self, waiter: Waiter) {
        let sleeper = self.sleepers.entry(waiter);
        let sleeper =
            sleeper.or_insert_with(|| Sleeper { thread: thread::current(), woken: false });
        sleeper.woken = false;
    }

    /// Takes in all that has come, and sends all that is to be sent, as far as the transport is here.
    fn pump(&mut self) {
        let Self { core, transport, .. } = self;
        let Some(transport) = transport else { return };
        let id = |core: &Mcapi, name: NodeName| {
            core.node_of(DomainId(name.domain), McapiNode(name.node)).ok()
        };
        transport.poll(&mut |event| match event {
            Event::Joined(name) => {
                // One too many is not heard of, and what it sends is from nobody.
                let known = core.expect_node(DomainId(name.domain), McapiNode(name.node));
                known.into_iter().for_each(|node| core.node_joined(node));
            }
            Event::Frame { from, bytes } => {
                id(core, from).into_iter().for_each(|from| core.handle(from, bytes));
            }
            Event::Gone(name) => {
                id(core, name).into_iter().for_each(|node| core.node_gone(node));
            }
        });
        self.drain();
    }

    fn drain(&mut self) {
        loop {
            while let Some(output) = self.core.poll() {
                match output {
                    Output::Send { to, payload } => self.outbox.push_back((to, payload)),
                    Output::Wake(waiter) => self.wake(waiter),
                }
            }
            let lost = self.flush();
            if lost.is_empty() {
                return;
            }
            lost.into_iter().for_each(|node| self.core.node_gone(node));
        }
    }

    fn wake(&mut self, waiter: Waiter) {
        if Tasks::has(waiter) {
            return self.wake_task(waiter);
        }
        let Some(sleeper) = self.sleepers.get_mut(&waiter) else { return };
        sleeper.woken = true;
        if self.leader == Leader::Call(waiter) {
            self.bell_due = true;
        } else {
            sleeper.thread.unpark();
        }
    }

    /// Sends, in order to each node; says which nodes cannot be sent to.
    fn flush(&mut self) -> Vec<NodeId> {
        let Self { core, transport, outbox, .. } = self;
        let (mut lost, mut full) = (Vec::new(), Vec::new());
        let Some(transport) = transport else { return lost };
        outbox.retain(|(to, frame)| {
            if full.contains(to) || lost.contains(to) {
                return full.contains(to);
            }
            let Some((domain, node)) = core.node_name(*to) else { return false };
            match transport.send(NodeName { domain: domain.0, node: node.0 }, frame, &[]) {
                // It is told of, or will be.
                Ok(()) | Err(SendError::Gone) => false,
                Err(SendError::Full) => {
                    full.push(*to);
                    true
                }
                Err(_) => {
                    lost.push(*to);
                    false
                }
            }
        });
        lost
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}
