//! The control port: lines in from the harness, lines out to it (see `images_control`).
//!
//! One thread reads and hands each message to a callback; anybody may send through a cloned
//! [`Sender`]. A port that closes is the harness's death: whoever listens then ends the node.

use anyhow::{Context, Result};
use images_control::{FromNode, MAX_LINE, ToNode, from_line, to_line};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

#[cfg(test)]
mod tests;

/// What comes in.
#[expect(clippy::large_enum_variant, reason = "one at a time, and gone at once")]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// A message.
    Message(ToNode),
    /// A line that is none; says why.
    Bad(String),
    /// The other side is gone, or the port broke; nothing follows.
    Closed(String),
}

/// Both directions of the port, before its reader runs.
#[derive(Debug)]
pub(crate) struct ControlPort {
    reader: File,
    sender: Sender,
}

/// The way out; clones share one port, and lines never mix.
#[derive(Clone, Debug)]
pub(crate) struct Sender(Arc<Mutex<File>>);

impl ControlPort {
    /// Over the stream on standard input and output (process mode). Takes both away: what the
    /// program prints from now on goes to standard error, and its standard input is empty.
    pub(crate) fn from_stdio() -> Result<Self> {
        let reader = io::stdin();
        let reader = nix::unistd::dup(&reader).context("cannot duplicate standard input")?;
        let writer = nix::unistd::dup(io::stdout()).context("cannot duplicate standard output")?;
        let null = File::open("/dev/null").context("cannot open /dev/null")?;
        nix::unistd::dup2_stdin(&null).context("cannot replace standard input")?;
        nix::unistd::dup2_stdout(io::stderr()).context("cannot replace standard output")?;
        Ok(Self::new(reader.into(), writer.into()))
    }

    /// Over a virtio-serial port, opened for reading and writing (guest).
    pub(crate) fn from_virtio(port: File) -> Result<Self> {
        let writer = port.try_clone().context("cannot duplicate the control port")?;
        Ok(Self::new(port, writer))
    }

    fn new(reader: File, writer: File) -> Self {
        Self { reader, sender: Sender(Arc::new(Mutex::new(writer))) }
    }

    /// The way out.
    pub(crate) fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// Starts the reader thread, which calls `on` for everything that comes in; the last call is
    /// [`Incoming::Closed`].
    pub(crate) fn listen(
        self,
        on: impl FnMut(Incoming) + Send + 'static,
    ) -> Result<JoinHandle<()>> {
        std::thread::Builder::new()
            .name("control".into())
            .spawn(move || read_lines(BufReader::new(self.reader), on))
            .context("cannot start the control thread")
    }
}

impl Sender {
    /// Sends one message.
    ///
    /// # Errors
    /// When the port is closed.
    pub(crate) fn send(&self, message: &FromNode) -> io::Result<()> {
        let line = to_line(message);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes())
    }

    /// Sends one message unless somebody is just sending, for a panic hook: the thread that panics
    /// may hold the port itself. Says whether it was sent.
    pub(crate) fn try_send(&self, message: &FromNode) -> bool {
        let line = to_line(message);
        match self.0.try_lock() {
            Ok(mut file) => file.write_all(line.as_bytes()).is_ok(),
            Err(std::sync::TryLockError::Poisoned(e)) => {
                e.into_inner().write_all(line.as_bytes()).is_ok()
            }
            Err(std::sync::TryLockError::WouldBlock) => false,
        }
    }
}

/// From now on a panic anywhere is printed to standard error, told to the harness, and ends the
/// node through `end`, which does not return.
pub(crate) fn report_panics(sender: Sender, end: fn() -> !) {
    std::panic::set_hook(Box::new(move |info| {
        let message = info.to_string();
        // A broken console must not keep the news from the harness.
        let _ = writeln!(io::stderr(), "{message}");
        sender.try_send(&FromNode::Panic { message, backtrace: Vec::new() });
        end()
    }));
}

/// Reads lines until the end, an error, or a line that is too long to be a message.
fn read_lines(mut reader: impl BufRead, mut on: impl FnMut(Incoming)) {
    let limit = MAX_LINE as u64 + 1;
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader).take(limit).read_until(b'\n', &mut line) {
            Ok(0) => return on(Incoming::Closed("end of stream".into())),
            Ok(_) if !line.ends_with(b"\n") => {
                let what = if line.len() > MAX_LINE { "line too long" } else { "half a line" };
                return on(Incoming::Closed(format!("{what} at the end of the stream")));
            }
            Ok(_) => on(parse(&line)),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return on(Incoming::Closed(e.to_string())),
        }
    }
}

fn parse(line: &[u8]) -> Incoming {
    match std::str::from_utf8(line).map(from_line::<ToNode>) {
        Ok(Ok(message)) => Incoming::Message(message),
        Ok(Err(e)) => Incoming::Bad(e.to_string()),
        Err(e) => Incoming::Bad(format!("bad control message: {e}")),
    }
}
