//! Connections of verbs.

use super::Inbox;
use crate::dispatcher::{ClientId, Event, OWNER};
use crate::proto::{EXIT_USAGE, Request, Response};
use anyhow::{Context as _, Result};
use images_control::{MAX_LINE, from_line, to_line};
use std::collections::BTreeMap;
use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// A verb that does not read its last answer for so long will not.
const FAREWELL: Duration = Duration::from_secs(2);

type Outbox = mpsc::UnboundedSender<String>;

/// All connected verbs.
#[derive(Debug)]
pub(super) struct Clients {
    inbox: Inbox,
    table: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    outboxes: BTreeMap<ClientId, Outbox>,
    writers: Vec<JoinHandle<()>>,
    next: ClientId,
}

impl Clients {
    /// With the owner, who is on standard input.
    pub(super) fn new(inbox: Inbox) -> Result<Self> {
        let owner = std::io::stdin().as_fd().try_clone_to_owned();
        let owner = std::os::unix::net::UnixStream::from(owner.context("no standard input")?);
        owner.set_nonblocking(true).context("standard input is no socket")?;
        let owner = UnixStream::from_std(owner).context("standard input is no socket")?;
        let clients = Self { inbox, table: Arc::default() };
        let id = clients.add(owner);
        debug_assert_eq!(id, OWNER);
        Ok(clients)
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
        let (outbox, mut lines) = mpsc::unbounded_channel::<String>();
        let writer = tokio::spawn(async move {
            while let Some(line) = lines.recv().await {
                if writer.write_all(line.as_bytes()).await.is_err() {
                    return;
                }
            }
        });
        let mut table = self.lock();
        let client = table.next;
        table.next += 1;
        table.outboxes.insert(client, outbox);
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
                                let _ = outbox.send(to_line(&answer));
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
            let _ = outbox.send(to_line(&response));
        }
    }

    /// Lets every verb have its last answer.
    pub(super) async fn close(&mut self) {
        let writers = {
            let mut table = self.lock();
            table.outboxes.clear();
            std::mem::take(&mut table.writers)
        };
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
