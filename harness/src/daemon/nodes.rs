//! The control ports of the nodes.

use super::Inbox;
use crate::backend::Started;
use crate::backend::spawn::Process;
use crate::dispatcher::Event;
use anyhow::{Context as _, Result};
use images_control::{MAX_LINE, ToNode, from_line, to_line};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// A node's process and the way to talk to it.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) process: Process,
    outbox: mpsc::UnboundedSender<String>,
    reader: JoinHandle<()>,
    started: Started,
    /// Tells its seat how its machine ended, after it was told here.
    seat_end: Option<oneshot::Receiver<String>>,
}

impl Node {
    /// Listens to a node that was just started. Its end is told after its last line.
    pub(crate) fn new(
        node: usize,
        started: Started,
        end: oneshot::Receiver<String>,
        inbox: Inbox,
    ) -> Result<Self> {
        let control = started.control.try_clone().context("cannot share a socket")?;
        control.set_nonblocking(true).context("cannot use a socket")?;
        let control = UnixStream::from_std(control).context("cannot use a socket")?;
        let (reader, mut writer) = control.into_split();
        let (outbox, mut lines) = mpsc::unbounded_channel::<String>();
        tokio::spawn(async move {
            while let Some(line) = lines.recv().await {
                // A node that does not read any more is about to be noticed by its reader.
                if writer.write_all(line.as_bytes()).await.is_err() {
                    return;
                }
            }
        });
        let (seat_ended, seat_end) = oneshot::channel();
        let seat_end = started.seat.is_some().then_some(seat_end);
        let reader = tokio::spawn(async move {
            read(node, reader, &inbox).await;
            let status = end.await.unwrap_or_default();
            inbox.put(Event::Exited { node, status: status.clone() });
            // It has no seat, or the seat never came to life.
            drop(seat_ended.send(status));
        });
        Ok(Self { process: started.process.clone(), outbox, reader, started, seat_end })
    }

    /// The second node of this one's guest, once: it lives as long as the guest, and its end is told after
    /// that of this node.
    pub(crate) fn seat(&mut self) -> Option<(Started, oneshot::Receiver<String>)> {
        let (control, end) = (self.started.seat.take()?, self.seat_end.take()?);
        let process = self.process.clone();
        Some((
            Started { process, control, net: None, seat: None, remark: None, _monitor: None },
            end,
        ))
    }

    /// Tells the node something, as soon as it can take it.
    pub(crate) fn send(&self, message: &ToNode) {
        // A node whose writer is gone is gone itself.
        let _ = self.outbox.send(to_line(message));
    }

    /// Returns when its process has ended.
    pub(crate) async fn ended(self) {
        // A panic of the reader would have ended the daemon.
        let _ = self.reader.await;
    }
}

/// Hands every message on until the port closes, or until it makes no sense any more.
async fn read(node: usize, reader: OwnedReadHalf, inbox: &Inbox) {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    let mut sane = true;
    loop {
        line.clear();
        let mut limited = (&mut reader).take(MAX_LINE as u64 + 1);
        match limited.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) if !sane => {}
            Ok(_) => {
                let text = String::from_utf8_lossy(&line);
                match from_line(&text) {
                    Ok(message) => inbox.put(Event::Node { node, message }),
                    Err(e) => {
                        sane = false;
                        let reason = format!("sent a {e}");
                        inbox.put(Event::Garbled { node, reason });
                    }
                }
            }
        }
    }
}
