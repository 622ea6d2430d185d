//! QEMU's monitor: commands out, answers in, over the socket that a guest's QEMU inherited. Whoever uses it
//! waits, so not on a thread that others need.

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, IoSlice, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// An open monitor.
#[derive(Debug)]
pub(crate) struct Qmp {
    reader: BufReader<UnixStream>,
    /// The newest word on a migration.
    migration: Option<String>,
}

impl Qmp {
    /// Waits for QEMU's greeting, and answers it. Nothing may take longer than `patience`, now and later.
    pub(crate) fn greet(monitor: &UnixStream, patience: Duration) -> Result<Self> {
        let stream = monitor.try_clone().context("cannot share a socket")?;
        stream.set_read_timeout(Some(patience)).context("cannot use a socket")?;
        let mut qmp = Self { reader: BufReader::new(stream), migration: None };
        let greeting = qmp.next()?;
        ensure!(greeting.get("QMP").is_some(), "QEMU's monitor begins with {greeting}");
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// One command; what it returns.
    pub(crate) fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        self.send(&json!({ "execute": command, "arguments": arguments }), None)?;
        self.answer(command)
    }

    /// Gives QEMU a descriptor under a name.
    pub(crate) fn give(&mut self, name: &str, fd: OwnedFd) -> Result<()> {
        let command = json!({ "execute": "getfd", "arguments": { "fdname": name } });
        self.send(&command, Some(fd.as_raw_fd()))?;
        self.answer("getfd").map(drop)
    }

    /// Waits until a migration, out or in, is complete.
    pub(crate) fn migrated(&mut self) -> Result<()> {
        loop {
            match self.migration.as_deref() {
                Some("completed") => return Ok(()),
                Some(end @ ("failed" | "cancelled")) => bail!("its state: {end}"),
                _ => {}
            }
            let message = self.next()?;
            self.heed(&message);
        }
    }

    fn send(&mut self, command: &Value, fd: Option<RawFd>) -> Result<()> {
        let line = format!("{command}\n");
        let stream = self.reader.get_mut();
        match fd {
            None => stream.write_all(line.as_bytes()),
            Some(fd) => {
                let rights = [fd];
                let pass = [ControlMessage::ScmRights(&rights)];
                let bytes = [IoSlice::new(line.as_bytes())];
                let sent =
                    sendmsg::<()>(stream.as_raw_fd(), &bytes, &pass, MsgFlags::empty(), None);
                let sent = sent.map_err(std::io::Error::from);
                sent.and_then(|sent| stream.write_all(&line.as_bytes()[sent..]))
            }
        }
        .context("QEMU's monitor is closed")
    }

    fn answer(&mut self, command: &str) -> Result<Value> {
        loop {
            let mut message = self.next()?;
            if let Some(error) = message.get("error") {
                bail!("QEMU refuses {command}: {}", error["desc"].as_str().unwrap_or("no reason"));
            }
            match message.get_mut("return") {
                Some(value) => return Ok(value.take()),
                None => self.heed(&message),
            }
        }
    }

    /// Takes note of an event.
    fn heed(&mut self, message: &Value) {
        if message["event"] == "MIGRATION" {
            self.migration = message["data"]["status"].as_str().map(str::to_owned);
        }
    }

    fn next(&mut self) -> Result<Value> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) => bail!("QEMU has ended"),
            Ok(_) => serde_json::from_str(&line)
                .with_context(|| format!("QEMU's monitor says {}", line.trim_end())),
            Err(e) => Err(e).context("QEMU's monitor is silent"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::cmsg_space;
    use std::io::Read as _;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// Says `lines` as QEMU would; returns what a client said to it.
    fn with_qemu(lines: &str, client: impl FnOnce(Result<Qmp>)) -> String {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (&theirs).write_all(lines.as_bytes()).unwrap();
        theirs.shutdown(std::net::Shutdown::Write).unwrap();
        client(Qmp::greet(&ours, PATIENCE));
        drop(ours);
        let mut heard = String::new();
        (&theirs).read_to_string(&mut heard).unwrap();
        heard
    }

    #[test]
    fn events_between_answers_are_heeded() {
        let lines = r#"{"QMP": {}}
{"return": {}}
{"event": "STOP"}
{"event": "MIGRATION", "data": {"status": "active"}}
{"return": {"status": "paused"}}
{"event": "MIGRATION", "data": {"status": "completed"}}
"#;
        let heard = with_qemu(lines, |qmp| {
            let mut qmp = qmp.unwrap();
            assert_eq!(qmp.execute("query-status", json!({})).unwrap()["status"], "paused");
            qmp.migrated().unwrap();
        });
        let commands: Vec<&str> = heard.lines().collect();
        assert_eq!(commands.len(), 2, "{heard}");
        assert!(commands[1].contains("query-status"), "{heard}");
    }

    #[test]
    fn a_refusal_names_the_command_and_qemus_reason() {
        let lines = "{\"QMP\": {}}\n{\"return\": {}}\n{\"error\": {\"desc\": \"not now\"}}\n";
        with_qemu(lines, |qmp| {
            let error = qmp.unwrap().execute("cont", json!({})).unwrap_err().to_string();
            assert_eq!(error, "QEMU refuses cont: not now");
        });
    }

    #[test]
    fn a_failed_migration_and_a_qemu_that_ends_are_told_apart() {
        let greeted = "{\"QMP\": {}}\n{\"return\": {}}\n";
        let failed = r#"{"event": "MIGRATION", "data": {"status": "failed"}}"#;
        with_qemu(&format!("{greeted}{failed}\n"), |qmp| {
            assert_eq!(qmp.unwrap().migrated().unwrap_err().to_string(), "its state: failed");
        });
        with_qemu(greeted, |qmp| {
            assert_eq!(qmp.unwrap().migrated().unwrap_err().to_string(), "QEMU has ended");
        });
    }

    #[test]
    fn a_descriptor_arrives() {
        use nix::sys::socket::{ControlMessageOwned, recvmsg};
        let (ours, theirs) = UnixStream::pair().unwrap();
        (&theirs).write_all(b"{\"QMP\": {}}\n{\"return\": {}}\n{\"return\": {}}\n").unwrap();
        let mut qmp = Qmp::greet(&ours, PATIENCE).unwrap();
        let (mut kept, given) = UnixStream::pair().unwrap();
        qmp.give("state", given.into()).unwrap();
        let mut space = cmsg_space!(RawFd);
        let mut bytes = [0; 4096];
        let mut into = [std::io::IoSliceMut::new(&mut bytes)];
        // What was said before came first, and without a descriptor.
        let fd = theirs.as_raw_fd();
        loop {
            let got = recvmsg::<()>(fd, &mut into, Some(&mut space), MsgFlags::empty()).unwrap();
            let rights = got.cmsgs().unwrap().next();
            if let Some(ControlMessageOwned::ScmRights(fds)) = rights {
                assert_eq!(fds.len(), 1);
                nix::unistd::close(fds[0]).unwrap();
                break;
            }
        }
        assert_eq!(kept.read(&mut [0]).unwrap(), 0, "the only other end was that one");
    }
}
