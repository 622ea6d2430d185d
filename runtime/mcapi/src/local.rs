//! Nodes of one process over queues, with no system under them.

use crate::transport::{Bell, Transport};
use runtime_shm::{Event, NodeName, SendError};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

enum News {
    Joined(NodeName),
    Frame(NodeName, Vec<u8>),
    Gone(NodeName),
}

#[derive(Default)]
struct Mailbox {
    news: VecDeque<News>,
    rung: bool,
}

type Mailboxes = BTreeMap<NodeName, Mailbox>;

#[derive(Default)]
struct Shared {
    mailboxes: Mutex<Mailboxes>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Mailboxes> {
        self.mailboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where nodes meet.
#[derive(Clone, Default)]
pub struct Hub(Arc<Shared>);

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}

/// A node's part of a [`Hub`].
#[derive(Debug)]
pub struct Seat {
    hub: Hub,
    me: NodeName,
}

impl Hub {
    /// A part for a node; `None` when the name is taken.
    #[must_use]
    pub fn join(&self, me: NodeName) -> Option<Seat> {
        let mut mailboxes = self.0.lock();
        if mailboxes.contains_key(&me) {
            return None;
        }
        let news = mailboxes.keys().map(|other| News::Joined(*other)).collect();
        mailboxes.values_mut().for_each(|other| other.news.push_back(News::Joined(me)));
        mailboxes.insert(me, Mailbox { news, rung: false });
        self.0.changed.notify_all();
        drop(mailboxes);
        Some(Seat { hub: self.clone(), me })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut mailboxes = self.hub.0.lock();
        mailboxes.remove(&self.me);
        mailboxes.values_mut().for_each(|other| other.news.push_back(News::Gone(self.me)));
        self.hub.0.changed.notify_all();
    }
}

impl Transport for Seat {
    fn poll(&mut self, on: &mut dyn FnMut(Event<'_>)) -> usize {
        let mut mailboxes = self.hub.0.lock();
        let mailbox = mailboxes.get_mut(&self.me);
        let news = mailbox.map(|mailbox| std::mem::take(&mut mailbox.news)).unwrap_or_default();
        drop(mailboxes);
        for event in &news {
            match event {
                News::Joined(node) => on(Event::Joined(*node)),
                News::Frame(from, bytes) => on(Event::Frame { from: *from, bytes }),
                News::Gone(node) => on(Event::Gone(*node)),
            }
        }
        news.len()
    }

    fn send(&mut self, to: NodeName, head: &[u8], data: &[u8]) -> Result<(), SendError> {
        let mut mailboxes = self.hub.0.lock();
        let mailbox = mailboxes.get_mut(&to).ok_or(SendError::Gone)?;
        mailbox.news.push_back(News::Frame(self.me, [head, data].concat()));
        self.hub.0.changed.notify_all();
        Ok(())
    }

    fn wait(&self, until: Option<Instant>) {
        let mut mailboxes = self.hub.0.lock();
        loop {
            let Some(mailbox) = mailboxes.get_mut(&self.me) else { return };
            if std::mem::take(&mut mailbox.rung) || !mailbox.news.is_empty() {
                return;
            }
            let changed = &self.hub.0.changed;
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            mailboxes = match left {
                Some(left) if left.is_zero() => return,
                Some(left) => {
                    changed.wait_timeout(mailboxes, left).unwrap_or_else(PoisonError::into_inner).0
                }
                None => changed.wait(mailboxes).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn bell(&self) -> Bell {
        let (hub, me) = (self.hub.clone(), self.me);
        Arc::new(move || {
            if let Some(mailbox) = hub.0.lock().get_mut(&me) {
                mailbox.rung = true;
            }
            hub.0.changed.notify_all();
        })
    }
}
