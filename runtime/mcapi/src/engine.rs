//! A node that any thread of the process may call: the rules of `runtime_core::mcapi` and a transport.
//!
//! Everything happens under one lock that is held for short. Frames are handed over by whoever calls; only to
//! *sleep* on the transport somebody takes it out of the state, the **leader**:
//!
//! * A thread in a blocking call first looks for a while itself, so that two nodes that talk all the time never switch
//!   threads. It looks with the lock in its hands, and lends it to whoever wants it. Then it becomes the leader, or, if
//!   another call is it already, sleeps until its request is done or the leader leaves and it is its turn.
//! * When no call waits, the progress thread leads, so that the rules of this node run while its program computes.
//!   It takes over when no call was made for [`QUIET`], and gives way to the first call.
//! * While a future waits and no call does, the progress thread leads at once; it wakes the future's task.
//! * A call that has something to send while the leader sleeps rings the leader's bell, and the leader sends it.
//! * What may wait (answers to a stream of messages) is sent by whoever looks in vain, goes to sleep, or leads.
//!
//! Nothing here allocates for a message, a packet, a scalar or a wait.

mod loans;
mod progress;
mod slip;
mod tasks;
#[cfg(test)]
mod tests;
mod waiting;
mod wire;

use crate::transport::{Bell, Transport};
use loans::Loans;
use runtime_core::id::NodeId;
use runtime_core::mcapi::{
    Begun, Completion, DomainId, Mcapi, McapiNode, Output, Packet, Request, Road, Status,
    TIMEOUT_INFINITE, Waiter,
};
use runtime_shm::{Biased, Loan, NodeName};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};
use tasks::{Held, Roused, Tasks};
use waiting::Patience;
use wire::Wire;

/// The number of a node at itself.
const ME: NodeId = NodeId(0);
/// How long a blocking call looks before it sleeps, at least and at most. It looks for twice as long as the last wait
/// took, if that was short enough; after a longer one, half as long as before. Two nodes that answer each other at once
/// would otherwise never come out of sleeping, once one was late: to be woken takes longer than an answer.
const LOOK: Range<Duration> = Duration::from_micros(5)..Duration::from_micros(200);
/// How long a node that leaves waits for its receivers to read.
const LINGER: Duration = Duration::from_secs(1);
/// Looks between two looks at the clock.
const LOOKS: u32 = 64;
/// Of so many calls one asks a transport that has no news.
const OFTEN: u64 = 16;
/// After so long without a call the progress thread takes over.
const QUIET: Duration = Duration::from_millis(1);
/// Threads that may wait before there is something to allocate for one more.
const SLEEPERS: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leader {
    Nobody,
    Call(Waiter),
    Progress,
}

/// Who is in a blocking call.
struct Sleeper {
    waiter: Waiter,
    /// When it has gone to sleep, or will.
    thread: Option<Thread>,
    woken: bool,
}

struct State {
    core: Mcapi,
    wire: Wire,
    leader: Leader,
    sleepers: Vec<Sleeper>,
    /// Futures that wait.
    tasks: Tasks,
    roused: Arc<Roused>,
    /// The progress thread sleeps until it is told that the last leader left.
    progress_rests: bool,
    /// The leader is to look.
    bell_due: bool,
    /// How often nothing more was there to be taken in.
    vain_pumps: u64,
    /// How long the next blocking call looks.
    look: Duration,
    closed: bool,
}

/// See the module.
pub(crate) struct Engine {
    state: Biased<State>,
    /// How many calls there were. Written under the lock.
    calls: AtomicU64,
    /// Futures may wait.
    awaited: AtomicBool,
    roused: Arc<Roused>,
    /// Threads that wait for the lock.
    wanted: AtomicU32,
    loans: Arc<Loans>,
    /// There is another processor that could do what is looked for.
    looks: bool,
    bell: Bell,
    /// The process that started it.
    pid: u32,
    progress: Mutex<Option<thread::JoinHandle<()>>>,
}

impl Engine {
    pub(crate) fn start(
        name: NodeName,
        transport: Box<dyn Transport>,
    ) -> std::io::Result<Arc<Self>> {
        let bell = transport.bell();
        let core = Mcapi::named(DomainId(name.domain), McapiNode(name.node), ME);
        let roused = Arc::<Roused>::default();
        let loans = Arc::<Loans>::default();
        let state = State {
            core: core.with_fixed_memory(),
            wire: Wire::new(transport, Arc::clone(&loans)),
            leader: Leader::Nobody,
            sleepers: Vec::with_capacity(SLEEPERS),
            tasks: Tasks::default(),
            roused: Arc::clone(&roused),
            progress_rests: false,
            bell_due: false,
            vain_pumps: 0,
            look: LOOK.end,
            closed: false,
        };
        let engine = Arc::new(Self {
            state: Biased::new(state),
            calls: AtomicU64::new(0),
            awaited: AtomicBool::new(false),
            roused,
            wanted: AtomicU32::new(0),
            loans,
            looks: !runtime_shm::is_lone_processor(),
            bell,
            pid: std::process::id(),
            progress: Mutex::new(None),
        });
        engine.lock().pump();
        progress::start(&engine)?;
        Ok(engine)
    }

    #[inline]
    fn lock(&self) -> Held<'_> {
        self.try_lock().unwrap_or_else(|| {
            self.wanted.fetch_add(1, Ordering::Relaxed);
            let state = self.state.lock();
            self.wanted.fetch_sub(1, Ordering::Relaxed);
            Held::new(state, &self.roused)
        })
    }

    /// For who comes again if somebody else has it.
    #[inline]
    fn try_lock(&self) -> Option<Held<'_>> {
        self.state.try_lock().map(|state| Held::new(state, &self.roused))
    }

    /// For who has the lock.
    #[inline]
    fn count_call(&self) -> u64 {
        let calls = self.calls.load(Ordering::Relaxed) + 1;
        self.calls.store(calls, Ordering::Relaxed);
        calls
    }

    #[inline]
    fn enter(&self) -> Held<'_> {
        let mut state = self.lock();
        let calls = self.count_call();
        // The transport looks after itself now and then, when it is asked.
        if state.wire.has_news() || calls.is_multiple_of(OFTEN) {
            state.pump();
        }
        state
    }

    /// Gives the core to a call that does not wait, and the way out.
    #[inline]
    pub(crate) fn call<R>(&self, f: impl FnOnce(&mut Mcapi, &mut dyn Road) -> R) -> R {
        let mut state = self.enter();
        let State { core, wire, .. } = &mut *state;
        let result = f(core, wire);
        self.settle(&mut state);
        result
    }

    /// Begins something that it then waits for, as long as `begin` says in microseconds, and ends it with `end`. After
    /// that time it is taken back.
    #[inline]
    pub(crate) fn run<R>(
        &self,
        begin: impl FnOnce(&mut Mcapi, &mut dyn Road) -> Result<(Begun, u32), Status>,
        end: impl FnOnce(&mut Mcapi, Completion) -> Result<R, Status>,
    ) -> Result<R, Status> {
        let mut state = self.enter();
        let State { core, wire, .. } = &mut *state;
        let begun = begin(core, wire);
        self.settle(&mut state);
        let (begun, timeout) = begun?;
        self.conclude(state, begun, Patience::new(duration(timeout)), end)
    }

    /// Takes something that is there or comes soon: `take` gives it. Only who has looked for it in vain makes a request, with
    /// `begin`, and goes on as [`Self::run`] does.
    #[inline]
    pub(crate) fn receive<R>(
        &self,
        mut take: impl FnMut(&mut Mcapi) -> Result<Option<R>, Status>,
        timeout: impl FnOnce(&Mcapi) -> u32,
        begin: impl FnOnce(&mut Mcapi) -> Result<Begun, Status>,
        end: impl FnOnce(&mut Mcapi, Completion) -> Result<R, Status>,
    ) -> Result<R, Status> {
        let mut state = self.lock();
        self.count_call();
        // What is here is taken before more is taken in: so a receiver that is behind takes in, and answers, much at a time.
        let mut taken = take(&mut state.core);
        // Also where there cannot be any: who asks again and again for what is refused does hear others.
        if !matches!(taken, Ok(Some(_))) {
            self.fall_behind(&state);
            let came = state.pump();
            state.wire.slip.learn(came);
            taken = take(&mut state.core);
        }
        if let Ok(None) = taken {
            let mut patience = Patience::new(duration(timeout(&state.core)));
            let mut looks = 0;
            while let Ok(None) = taken {
                self.settle(&mut state);
                let found;
                (state, found) = self.look(state, &mut patience, &mut looks);
                if !found {
                    return self.receive_late(state, patience, begin, end);
                }
                taken = take(&mut state.core);
            }
        }
        self.settle(&mut state);
        taken.and_then(|taken| taken.ok_or(Status::General))
    }

    /// Lets the sender of a stream go on for a while, unless somebody wants the lock meanwhile.
    #[inline]
    fn fall_behind(&self, state: &State) {
        let looks = if self.looks { state.wire.slip.looks() } else { 0 };
        for _ in 0..looks {
            if self.wanted.load(Ordering::Relaxed) > 0 {
                break;
            }
            core::hint::spin_loop();
        }
    }

    #[inline(never)]
    fn receive_late<R>(
        &self,
        mut state: Held<'_>,
        patience: Patience,
        begin: impl FnOnce(&mut Mcapi) -> Result<Begun, Status>,
        end: impl FnOnce(&mut Mcapi, Completion) -> Result<R, Status>,
    ) -> Result<R, Status> {
        let begun = begin(&mut state.core);
        self.settle(&mut state);
        self.conclude(state, begun?, patience, end)
    }

    /// Waits for what was begun, unless it is done, and hands on what came of it.
    #[inline]
    fn conclude<R>(
        &self,
        state: Held<'_>,
        begun: Begun,
        patience: Patience,
        end: impl FnOnce(&mut Mcapi, Completion) -> Result<R, Status>,
    ) -> Result<R, Status> {
        let (mut state, done) = match begun {
            Begun::Done(done) => (state, done),
            Begun::Pending(request) => self.finish(state, request, patience)?,
        };
        let result = match done {
            Completion::Failed(status) => Err(status),
            done => end(&mut state.core, done),
        };
        self.settle(&mut state);
        result
    }

    /// Looks until something has come; `false` when that was long enough, or nothing can come meanwhile.
    #[inline]
    fn look<'a>(
        &'a self,
        mut state: Held<'a>,
        patience: &mut Patience,
        looks: &mut u32,
    ) -> (Held<'a>, bool) {
        loop {
            let alone = !self.looks || state.closed || state.wire.transport.is_none();
            if alone || patience.timeout == Some(Duration::ZERO) {
                return (state, false);
            }
            *looks = looks.wrapping_add(1);
            if looks.is_multiple_of(LOOKS) || patience.must_look() {
                state.drain_rest();
                let now = Instant::now();
                let over = patience.until(now).is_some_and(|until| now >= until);
                if over || now - patience.begun(now) >= state.look {
                    return (state, false);
                }
            }
            if state.pump() > 0 {
                patience.took_time();
                return (state, true);
            }
            core::hint::spin_loop();
            if self.wanted.load(Ordering::Relaxed) > 0 {
                patience.took_time();
                return (self.lend(state), true);
            }
        }
    }

    /// Sends something, and waits for the request that `begin` gives, as long as `timeout` says in microseconds; there is
    /// none if it has gone.
    ///
    /// Once a frame is out, nothing is copied that was written in smaller parts: a processor would wait for the frame
    /// to be in its receiver's cache.
    #[inline]
    pub(crate) fn send(
        &self,
        begin: impl FnOnce(&mut Mcapi, &mut dyn Road) -> Result<Option<Request>, Status>,
        timeout: impl FnOnce(&Mcapi) -> u32,
    ) -> Result<(), Status> {
        let mut state = self.enter();
        let State { core, wire, .. } = &mut *state;
        let begun = begin(core, wire);
        self.settle(&mut state);
        match begun? {
            None => Ok(()),
            Some(request) => {
                let timeout = timeout(&state.core);
                self.finish_send(state, request, timeout)
            }
        }
    }

    #[inline(never)]
    fn finish_send(&self, state: Held<'_>, request: Request, timeout: u32) -> Result<(), Status> {
        let patience = Patience::new(duration(timeout));
        let (mut state, done) = self.finish(state, request, patience)?;
        self.settle(&mut state);
        match done {
            Completion::Failed(status) => Err(status),
            _ => Ok(()),
        }
    }

    /// Waits for a request, or takes it back.
    fn finish<'a>(
        &'a self,
        state: Held<'a>,
        request: Request,
        patience: Patience,
    ) -> Result<(Held<'a>, Completion), Status> {
        let (mut state, found) = self.wait(state, 1, &|_| Ok(request), patience);
        let done = match found {
            Ok((_, done)) => done,
            Err(Status::Timeout) => match state.core.cancel(request) {
                Ok(()) => Completion::Failed(Status::Timeout),
                // It was done at the last moment.
                Err(_) => state.core.test(request)?.ok_or(Status::Timeout)?,
            },
            Err(status) => Completion::Failed(status),
        };
        Ok((state, done))
    }

    /// Whether a request is done with nothing to be told but that; then it is no more.
    #[inline]
    pub(crate) fn take_plain(&self, request: Request) -> bool {
        let mut state = self.lock();
        self.count_call();
        state.core.take_plain(request)
    }

    /// The first of some requests that is done, which `end` gets. [`Status::Timeout`] leaves them as they are.
    pub(crate) fn wait_any<R>(
        &self,
        number: usize,
        request: &dyn Fn(usize) -> Result<Request, Status>,
        timeout: Option<Duration>,
        end: impl FnOnce(&mut Mcapi, usize, Completion) -> R,
    ) -> Result<R, Status> {
        let mut state = self.lock();
        self.count_call();
        if number == 1
            && let Ok(request) = request(0)
            && let Some(completion) = state.core.take_done(request)
        {
            let result = end(&mut state.core, 0, completion);
            self.settle(&mut state);
            return Ok(result);
        }
        state.pump();
        let patience = Patience::new(timeout);
        let (mut state, found) = self.wait(state, number, request, patience);
        let result = found.map(|(at, completion)| end(&mut state.core, at, completion));
        self.settle(&mut state);
        result
    }

    /// Sends what is to be sent, and wakes who is to be woken.
    #[inline]
    fn settle(&self, state: &mut State) {
        state.drain();
        if core::mem::take(&mut state.bell_due) || state.wire.is_stuck() {
            (self.bell)();
        }
    }

    /// What was lent for a packet that the core gave out. May be asked with the core in one's hands.
    #[inline]
    pub(crate) fn loan(&self, packet: &mut Packet) -> Option<Loan> {
        packet.take_lent().and_then(|lent| self.loans.take(lent))
    }

    /// Whether this process is a fork of the one that started the node: then nobody else is here.
    fn is_inherited(&self) -> bool {
        std::process::id() != self.pid
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
        if state.closed {
            return;
        }
        // Whose messages were taken is told so.
        state.drain_rest();
        state.closed = true;
        state.sleepers.iter().filter_map(|s| s.thread.as_ref()).for_each(Thread::unpark);
        state.wake_all_tasks();
        let until = Instant::now() + LINGER;
        let transport = loop {
            state.pump();
            let transport = state.wire.transport.take();
            let last = !state.wire.is_stuck() || Instant::now() >= until;
            drop(state);
            match transport {
                Some(transport) if last => break transport,
                Some(transport) => {
                    // What was sent and found no room is on its way still.
                    transport.wait(Some(until));
                    state = self.lock();
                    state.wire.transport = Some(transport);
                }
                // Whoever has it is in the parent.
                None if self.is_inherited() => return,
                None => state = self.call_back(),
            }
        };
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
    fn sleeper(&mut self, waiter: Waiter) -> &mut Sleeper {
        let at = self.sleepers.iter().position(|sleeper| sleeper.waiter == waiter);
        let at = at.unwrap_or_else(|| {
            self.sleepers.push(Sleeper { waiter, thread: None, woken: false });
            self.sleepers.len() - 1
        });
        &mut self.sleepers[at]
    }

    /// Nobody leads: lets one who sleeps do so.
    fn call_next(&self) {
        if let Some(thread) = self.sleepers.iter().find_map(|sleeper| sleeper.thread.as_ref()) {
            thread.unpark();
        }
    }

    /// Takes in all that has come, and sends all that is to be sent, as far as the transport is here. Says how much
    /// came.
    #[inline]
    fn pump(&mut self) -> usize {
        let events = self.wire.poll(&mut self.core);
        self.vain_pumps += u64::from(events == 0 && self.wire.transport.is_some());
        if events > 0 || self.wire.has_waiting() {
            self.drain();
        }
        events
    }

    /// What may wait does.
    fn drain(&mut self) {
        self.put_out(Mcapi::poll_urgent);
        if self.core.has_unwanted() {
            self.wire.give_back(&mut self.core);
        }
    }

    /// There is nothing else to do: sends what has waited for that, too.
    #[inline]
    fn drain_rest(&mut self) {
        if self.core.has_answers() {
            self.put_out(Mcapi::poll);
        }
    }

    fn put_out(&mut self, next: impl Fn(&mut Mcapi) -> Option<Output>) {
        loop {
            while let Some(output) = next(&mut self.core) {
                match output {
                    Output::Send { payload, .. } if self.closed => self.core.sent(payload),
                    Output::Send { to, payload } => {
                        if !self.wire.send(&mut self.core, to, payload) {
                            self.wire.give_up(&mut self.core, to);
                        }
                    }
                    Output::Wake(waiter) => self.wake(waiter),
                }
            }
            if !self.wire.has_waiting() {
                return;
            }
            let lost = self.wire.flush(&mut self.core);
            lost.into_iter().for_each(|node| self.wire.give_up(&mut self.core, node));
            if !self.core.has_outputs() {
                return;
            }
        }
    }

    fn wake(&mut self, waiter: Waiter) {
        if Tasks::has(waiter) {
            return self.wake_task(waiter);
        }
        let found = self.sleepers.iter_mut().find(|sleeper| sleeper.waiter == waiter);
        let Some(sleeper) = found else { return };
        sleeper.woken = true;
        if self.leader == Leader::Call(waiter) {
            self.bell_due = true;
        } else if let Some(thread) = &sleeper.thread {
            thread.unpark();
        }
    }
}

/// A timeout in the unit of the API, microseconds; all ones is for ever.
pub(crate) fn duration(timeout: u32) -> Option<Duration> {
    (timeout != TIMEOUT_INFINITE).then(|| Duration::from_micros(timeout.into()))
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}
