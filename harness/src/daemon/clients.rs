//! Connections of verbs.

use super::Inbox;
use crate::dispatcher::{ClientId, Event, OWNER};
use crate::proto::{EXIT_USAGE, Request, Response};
use anyhow::{Context as _, Result};
use images_control::{MAX_LINE, from_line, to_line};
use std::collections::BTreeMap;
use std::os::unix::net::UnixStream as StdStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// A verb that does not read its last answer for so long will not.
const FAREWELL: Duration = Duration::from_secs(2);

type Outbox = mpsc::UnboundedSender<Response>;

/// All connected verbs, and the callers in this process.
#[derive(Clone, Debug)]
pub(crate) struct Clients {
    inbox: Inbox,
    table: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    outboxes: BTreeMap<ClientId, Outbox>,
    writers: Vec<JoinHandle<()>>,
    next: ClientId,
    /// Nobody is answered any more.
    closed: bool,
}

impl Table {
    fn enter(&mut self) -> (ClientId, mpsc::UnboundedReceiver<Response>) {
        let (outbox, answers) = mpsc::unbounded_channel();
        let client = self.next;
        self.next += 1;
        if !self.closed {
            self.outboxes.insert(client, outbox);
        }
        (client, answers)
    }
}

/// A caller in this process; it speaks as a verb does, without a socket.
#[derive(Debug)]
pub(crate) struct Caller {
    client: ClientId,
    clients: Clients,
    answers: mpsc::UnboundedReceiver<Response>,
}

impl Caller {
    /// Asks, and leaves the answer for later.
    pub(crate) fn tell(&self, request: Request) {
        self.clients.inbox.put(Event::Client { client: self.client, request });
    }

    /// What the daemon says next; nothing when it has ended.
    pub(crate) async fn next(&mut self) -> Option<Response> {
        self.answers.recv().await
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.clients.lock().outboxes.remove(&self.client);
        self.clients.inbox.put(Event::ClientGone { client: self.client });
    }
}

impl Clients {
    /// Nobody yet. Whoever comes first is the owner.
    pub(crate) fn new(inbox: Inbox) -> Self {
        Self { inbox, table: Arc::default() }
    }

    /// The owner is at the other end of this socket.
    pub(super) fn add_owner(&self, stream: StdStream) -> Result<()> {
        stream.set_nonblocking(true).context("the owner's connection is no socket")?;
        let id =
            self.add(UnixStream::from_std(stream).context("the owner's connection is no socket")?);
        debug_assert_eq!(id, OWNER);
        Ok(())
    }

    /// A caller in this process. It gets no answer from a daemon that has ended.
    pub(crate) fn caller(&self) -> Caller {
        let (client, answers) = self.lock().enter();
        Caller { client, clients: self.clone(), answers }
    }

    /// Takes verbs that connect, for ever.
    pub(super) async fn accept(&self, listener: &UnixListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(self.add(stream)),
                Err(e) => {
                    tracing::warn!("cannot accept a verb: {e}");
                    // Out of descriptors, most likely: it is over as soon as a verb leaves.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn add(&self, stream: UnixStream) -> ClientId {
        let (reader, mut writer) = stream.into_split();
        let mut table = self.lock();
        let (client, mut answers) = table.enter();
        let writer = tokio::spawn(async move {
            while let Some(answer) = answers.recv().await {
                if writer.write_all(to_line(&answer).as_bytes()).await.is_err() {
                    return;
                }
            }
        });
        table.writers.retain(|w| !w.is_finished());
        table.writers.push(writer);
        drop(table);

        let (inbox, table) = (self.inbox.clone(), self.table.clone());
        tokio::spawn(async move {
            let mut reader = BufReader::new(reader);
            let mut line = Vec::new();
            loop {
                line.clear();
                let mut limited = (&mut reader).take(MAX_LINE as u64 + 1);
                match limited.read_until(b'\n', &mut line).await {
                    Ok(0) | Err(_) => break,
                    Ok(_) => match from_line::<Request>(&String::from_utf8_lossy(&line)) {
                        Ok(request) => inbox.put(Event::Client { client, request }),
                        Err(e) => {
                            let answer = Response::failed(EXIT_USAGE, e.to_string());
                            let table = table.lock().unwrap_or_else(PoisonError::into_inner);
                            if let Some(outbox) = table.outboxes.get(&client) {
                                // A verb that is gone needs no answer.
                                let _ = outbox.send(answer);
                            }
                            break;
                        }
                    },
                }
            }
            table.lock().unwrap_or_else(PoisonError::into_inner).outboxes.remove(&client);
            inbox.put(Event::ClientGone { client });
        });
        client
    }

    /// Answers a verb, if it is still there.
    pub(super) fn send(&self, client: ClientId, response: Response) {
        if let Some(outbox) = self.lock().outboxes.get(&client) {
            // Its writer ends early only when the verb is gone.
            let _ = outbox.send(response);
        }
    }

    /// Nobody is answered from now on.
    pub(crate) fn shut(&self) {
        let mut table = self.lock();
        table.closed = true;
        table.outboxes.clear();
    }

    /// Lets every verb have its last answer.
    pub(super) async fn close(&self) {
        self.shut();
        let writers = std::mem::take(&mut self.lock().writers);
        for mut writer in writers {
            if tokio::time::timeout(FAREWELL, &mut writer).await.is_err() {
                writer.abort();
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
