//! Talking to `guest-linux sim`, and to `guest-linux reference`.

use super::spawn::{Process, Program};
use super::{Site, log, tail, tail_after};
use crate::dispatcher::Event;
use crate::plan::{Target, Workload};
use anyhow::{Context as _, Result};
use images_control::sim::{SimLine, SimPlan};
use images_control::{from_line, to_line};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::oneshot;

/// What the sequential program prints.
#[derive(serde::Deserialize)]
struct Answer {
    sha256: String,
}

/// Longest answer of the sequential program.
const MAX_ANSWER: u64 = 64 * 1024;

impl Site {
    /// Starts the node program in one of its modes; returns both directions of its standard streams.
    async fn helper(
        &self,
        words: &[&str],
        log_name: &str,
    ) -> Result<(Process, tokio::net::UnixStream, oneshot::Receiver<String>)> {
        let (ours, theirs) = UnixStream::pair().context("cannot make a socket pair")?;
        let theirs = OwnedFd::from(theirs);
        let mut command = vec!["nice".into(), "-n".into(), "5".into()];
        command.push(self.node_program.clone().into());
        command.extend(words.iter().map(Into::into));
        let program = Program {
            words: command,
            stdin: Some(theirs.try_clone().context("cannot share a socket")?),
            stdout: Some(theirs),
            log: log(&self.run_dir.join(log_name))?,
            fds: Vec::new(),
        };
        let (ended, end) = oneshot::channel();
        let on_exit = Box::new(move |status| drop(ended.send(status)));
        let process = self.spawner.start(program, on_exit).await?;
        ours.set_nonblocking(true).context("cannot use a socket")?;
        let stream = tokio::net::UnixStream::from_std(ours).context("cannot use a socket")?;
        Ok((process, stream, end))
    }

    /// Runs the sequential program to its end.
    pub(crate) async fn reference(&self, workload: &Workload) -> Result<String, String> {
        let pairs: Vec<String> = workload.args.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let mut words = vec!["reference", workload.name.as_str()];
        words.extend(pairs.iter().map(String::as_str));
        let log = self.run_dir.join("reference.log");
        // What an earlier one said is not why this one fails.
        let before = std::fs::metadata(&log).map_or(0, |about| about.len());
        let run = async {
            let (_process, stream, end) = self.helper(&words, "reference.log").await?;
            let mut text = String::new();
            let mut stream = stream.take(MAX_ANSWER);
            stream.read_to_string(&mut text).await.context("cannot read its result")?;
            anyhow::Ok((text, end.await.unwrap_or_default()))
        };
        let (text, status) = run.await.map_err(|e| format!("{e:#}"))?;
        let answer = serde_json::from_str::<Answer>(text.trim());
        answer.map(|a| a.sha256).map_err(|_| {
            let words = tail_after(&log, before, 3).join("; ");
            format!(
                "{} ({status}){}{words}",
                workload.name,
                if words.is_empty() { "" } else { ": " }
            )
        })
    }

    /// Starts a simulated world and hands every line of it to `tell`, with its virtual time.
    pub(crate) async fn simulate(
        &self,
        plan: &SimPlan,
        tell: impl Fn(Duration, Event) + Send + Sync + 'static,
    ) -> Result<Process> {
        let (process, mut stream, end) = self.helper(&["sim"], "sim.log").await?;
        let line = to_line(plan);
        let names: Vec<String> = match plan.nodes.first() {
            Some(configure) => configure.nodes.iter().map(|n| n.name.clone()).collect(),
            None => Vec::new(),
        };
        let cables: Vec<String> = plan.cables.iter().map(|cable| cable.name.clone()).collect();
        let errors = self.run_dir.join("sim.log");
        tokio::spawn(async move {
            let mut at = Duration::ZERO;
            let result = async {
                stream.write_all(line.as_bytes()).await.map_err(|e| e.to_string())?;
                stream.shutdown().await.map_err(|e| e.to_string())?;
                let mut lines = BufReader::new(stream).lines();
                while let Some(line) = lines.next_line().await.map_err(|e| e.to_string())? {
                    let line: SimLine = from_line(&line).map_err(|e| e.to_string())?;
                    at = Duration::from_micros(line.at_us);
                    let node = names.iter().position(|n| *n == line.node);
                    let cable = cables.iter().position(|n| *n == line.node).map(Target::Cable);
                    let target = node.map(Target::Node).or(cable);
                    let event = match (line.message, line.struck, target) {
                        (Some(message), _, Some(Target::Node(node))) => {
                            Event::Node { node, message }
                        }
                        (None, Some(strike), Some(target)) => Event::SimStruck { target, strike },
                        (None, None, _) => return Err("it said nothing in a line".to_owned()),
                        _ => return Err(format!("it has no node {}", line.node)),
                    };
                    tell(at, event);
                }
                Ok::<_, String>(())
            };
            let mut result = result.await;
            let status = end.await.unwrap_or_default();
            if !status.ends_with(": 0") {
                let words = tail(&errors, 4).join("; ");
                let first = result.err().map_or_else(String::new, |e| format!("{e}; "));
                result = Err(format!("{first}{status}: {words}"));
            }
            tell(at, Event::SimEnded(result));
        });
        Ok(process)
    }
}
