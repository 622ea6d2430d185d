//! Guests without a daemon: booted, listened to, ended.

use crate::backend::Site;
use crate::daemon::nodes::Node;
use crate::daemon::{Arrival, Inbox};
use crate::dispatcher::Event as Happening;
use crate::plan::{NodePlan, Plan, image_name};
use crate::switch::Fabric;
use crate::switch::wire::Wire;
use anyhow::{Context as _, Result, bail};
use images_control::{Configure, FromNode, ToNode};
use runtime_core::event::Event;
use runtime_core::node::Image;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

/// Who is silent for so long hangs: much more than the slowest thing takes.
const PATIENCE: Duration = Duration::from_secs(600);
/// For an orderly end.
const FAREWELL: Duration = Duration::from_secs(30);

/// Some guests on one switch.
#[derive(Debug)]
pub(super) struct Guests {
    plan: Plan,
    nodes: Vec<Node>,
    pids: Vec<u32>,
    events: UnboundedReceiver<Arrival>,
    site: Arc<Site>,
    _wire: Wire,
}

/// A topology of equal guests; their names begin with that of the topology, for their logs.
pub(super) fn topology(name: &str, image: Image, nodes: usize, mtu: u16) -> String {
    let memory = if image == Image::Linux { 128 } else { 64 };
    let mut text = format!(
        "name: bench-{name}\nseed: 1\n\
         defaults: {{ image: {image}, memory: {memory}MiB }}\n\
         switches: {{ sw0: {{}} }}\n\
         runtime: {{ binding: mcapi, heartbeat: 100ms, suspect-after: 20, shared-memory: 1MiB, heap: 1MiB }}\n",
        image = image_name(image)
    );
    let kind = if image == Image::Linux { "linux" } else { "metal" };
    let node = |n: usize| format!("{name}-{kind}-{n}");
    // Writing to a string cannot fail.
    text += "boards:\n";
    for n in 0..nodes {
        let _ = writeln!(text, "  b{n}: {{}}");
    }
    text += "nodes:\n";
    for n in 0..nodes {
        let _ = writeln!(text, "  {}: {{ board: b{n}, role: compute }}", node(n));
    }
    text += "links:\n";
    for n in 0..nodes {
        let _ = writeln!(text, "  - {{ between: [{}, sw0], mtu: {mtu} }}", node(n));
    }
    text
}

/// Is it a node's first word?
pub(super) fn hello(_node: usize, message: FromNode) -> Option<()> {
    matches!(message, FromNode::Hello { .. }).then_some(())
}

/// Says a node that the job is done?
pub(super) fn done(_node: usize, message: FromNode) -> Option<()> {
    matches!(message, FromNode::Event { event: Event::JobDone { .. }, .. }).then_some(())
}

/// Says a node that it sees all others?
pub(super) fn ready(_node: usize, message: FromNode) -> Option<()> {
    matches!(message, FromNode::Event { event: Event::Ready { .. }, .. }).then_some(())
}

impl Guests {
    /// Starts them all at once.
    pub(super) async fn boot(site: &Arc<Site>, plan: Plan) -> Result<Self> {
        let (inbox, events) = Inbox::new();
        let wire = Wire::new(Fabric::new(&plan), |_| {})?;
        let (mut nodes, mut pids) = (Vec::new(), Vec::new());
        let start = |node: &NodePlan| {
            let (ended, end) = tokio::sync::oneshot::channel();
            let on_exit = Box::new(move |status: String| drop(ended.send(status)));
            let (site, node) = (site.clone(), node.clone());
            (tokio::spawn(async move { site.start(&node, on_exit).await }), end)
        };
        let starting: Vec<_> = plan.nodes.iter().map(start).collect();
        for (n, (starting, end)) in starting.into_iter().enumerate() {
            let mut started = starting.await??;
            if let Some(remark) = &started.remark {
                bail!("{remark}");
            }
            if let Some(net) = started.net.take() {
                wire.plug(n, net);
            }
            pids.push(started.process.pid);
            nodes.push(Node::new(n, started, end, inbox.clone())?);
        }
        Ok(Self { plan, nodes, pids, events, site: site.clone(), _wire: wire })
    }

    pub(super) fn send(&self, node: usize, message: &ToNode) {
        self.nodes[node].send(message);
    }

    /// Waits until every guest has said something that `pick` takes, and returns what it took of each.
    ///
    /// # Errors
    /// When a guest fails, ends or is silent; says which, with its last words.
    pub(super) async fn gather<T>(
        &mut self,
        mut pick: impl FnMut(usize, FromNode) -> Option<T>,
    ) -> Result<Vec<T>> {
        let mut taken: Vec<Option<T>> = self.nodes.iter().map(|_| None).collect();
        while taken.iter().any(Option::is_none) {
            let arrival = timeout(PATIENCE, self.events.recv());
            let arrival = arrival.await.context("the guests hang: nothing came for 10 minutes")?;
            let (node, trouble) = match arrival.context("nobody is left")?.event {
                Happening::Node { node, message } => match message {
                    FromNode::Failed { reason } | FromNode::Panic { message: reason, .. } => {
                        (node, reason)
                    }
                    message => {
                        if let Some(found) = pick(node, message) {
                            taken[node].get_or_insert(found);
                        }
                        continue;
                    }
                },
                Happening::Garbled { node, reason } => (node, reason),
                Happening::Exited { node, status } => (node, format!("ended: {status}")),
                _ => continue,
            };
            let name = &self.plan.nodes[node].name;
            bail!("{name}: {trouble}\n{}", self.site.last_words(name).join("\n"));
        }
        Ok(taken.into_iter().flatten().collect())
    }

    /// Where their consoles go.
    pub(super) fn consoles(&self) -> Vec<PathBuf> {
        self.plan.nodes.iter().map(|node| self.site.console(&node.name)).collect()
    }

    /// Node numbers and what each is told first.
    pub(super) fn configures(&self) -> impl Iterator<Item = (usize, Configure)> {
        (0..self.plan.nodes.len()).map(|node| (node, self.plan.configure(node)))
    }

    /// Time on processors of all guests' machines so far, in [`super::summary::TICKS`] of a second.
    pub(super) fn cpu_ticks(&self) -> Result<u64> {
        let ticks = |pid: &u32| {
            let path = format!("/proc/{pid}/stat");
            let stat = std::fs::read_to_string(&path);
            let stat = stat.with_context(|| format!("cannot read {path}"))?;
            cpu_of(&stat).with_context(|| format!("{path} is not as it should be: {stat}"))
        };
        self.pids.iter().map(ticks).sum()
    }

    /// Ends them, in order where they still can.
    pub(super) async fn end(self) -> Result<()> {
        for node in &self.nodes {
            node.send(&ToNode::Shutdown);
        }
        let processes: Vec<_> = self.nodes.iter().map(|node| node.process.clone()).collect();
        let farewell = async {
            for node in self.nodes {
                node.ended().await;
            }
        };
        if timeout(FAREWELL, farewell).await.is_err() {
            processes.iter().for_each(|process| process.kill());
            bail!("guests do not end within {FAREWELL:?} when they are told to");
        }
        Ok(())
    }
}

/// User and system time of a process, from its `stat`: fields 14 and 15. The second field is its name, in
/// parentheses, and may hold anything.
fn cpu_of(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

#[cfg(test)]
mod tests {
    use super::cpu_of;

    #[test]
    fn processor_time_is_read_past_any_name() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 9 8 7 6 250 50 3 2 20 0 1 0 99 1000 2";
        assert_eq!(cpu_of(stat), Some(300));
        assert_eq!(cpu_of("7 (a) S 1"), None);
        let own = std::fs::read_to_string("/proc/self/stat").unwrap();
        assert!(cpu_of(&own).is_some());
    }
}
