//! From nothing to a cluster whose nodes are all linked.

use super::{Action, BOOT_TIMEOUT, Dispatcher, Life, OWNER, Phase};
use crate::plan::Backend;
use crate::proto::Response;
use images_control::{ToNode, VERSION};
use runtime_core::node::Image;
use std::time::Duration;

impl Dispatcher {
    pub(super) fn begin(&mut self, now: Duration, detach: bool) {
        self.detach = detach;
        let text = self.machine.clone();
        self.note(text);
        for remark in self.plan.remarks() {
            self.note(remark);
        }
        if self.plan.backend == Backend::Sim {
            self.note("the nodes of a simulated cluster are made anew for each run".to_owned());
            self.up();
            return;
        }
        for node in 0..self.nodes.len() {
            self.nodes[node].spawned = now;
            self.actions.push(Action::Spawn { node });
        }
        self.deadline = Some(now + self.boot_timeout());
        self.progress(0, self.nodes.len(), "started");
    }

    /// All nodes share the cores of one machine, so a big cluster may take longer.
    fn boot_timeout(&self) -> Duration {
        let nodes = u32::try_from(self.nodes.len()).unwrap_or(1);
        self.plan.scaled(BOOT_TIMEOUT) + self.plan.scaled(Duration::from_secs(2)) * nodes
    }

    pub(super) fn hello(&mut self, now: Duration, node: usize, version: u32, image: String) {
        if version != VERSION {
            let reason = other_version(version, self.plan.runs(node));
            return self.fail_node(node, &reason);
        }
        // Addresses need to mean the same only where a rank can move.
        let kind = self.plan.runs(node);
        match self.images.iter().find(|(first, _)| *first == kind) {
            None => self.images.push((kind, image)),
            Some((_, first)) if *first == image => {}
            Some((_, first)) => {
                let reason = format!(
                    "runs image {}, another node runs {}: addresses would not mean the same; \
                     take the cluster down and up again",
                    short(&image),
                    short(first)
                );
                return self.fail_node(node, &reason);
            }
        }
        if self.nodes[node].life != Life::Booting {
            return self.fail_node(node, "started twice");
        }
        let boot = now.saturating_sub(self.nodes[node].spawned);
        self.nodes[node].boot = Some(boot);
        self.nodes[node].life = Life::Joining;
        if self.plan.backend != Backend::Sim {
            let mut configure = self.plan.configure(node);
            if self.nodes[node].generation > 1 {
                // What was to happen to it has happened.
                configure.generation = self.nodes[node].generation;
                configure.holds.retain(|hold| !hold.still);
            }
            let message = ToNode::Configure(configure);
            self.actions.push(Action::Send { node, message });
            let text = format!("{} runs after {:.1} s", self.name(node), boot.as_secs_f64());
            self.progress(self.ready(), self.nodes.len(), &text);
        }
    }

    pub(super) fn node_ready(&mut self, now: Duration, node: usize) {
        self.nodes[node].life = Life::Ready;
        if self.plan.program.is_some() {
            self.program_again(node);
        }
        self.is_back(node);
        let ready = self.ready();
        if self.plan.backend == Backend::Sim {
            if ready == self.nodes.len() {
                self.sim_ready(now);
            }
        } else if self.phase == Phase::Booting {
            let text = format!("{} is ready", self.name(node));
            self.progress(ready, self.nodes.len(), &text);
            if ready == self.nodes.len() {
                self.up();
            }
        }
    }

    pub(super) fn boot_timed_out(&mut self) {
        let allowed = self.boot_timeout().as_secs();
        let silent = self.nodes.iter().position(|n| n.life == Life::Booting);
        let stuck = self.nodes.iter().position(|n| n.life == Life::Joining);
        match (silent, stuck) {
            (Some(n), _) => {
                self.fail_node(n, &format!("did not boot: it said nothing in {allowed} s"));
            }
            (None, Some(n)) => {
                self.fail_node(n, &format!("found not all of its peers in {allowed} s"));
            }
            (None, None) => {}
        }
    }

    fn up(&mut self) {
        self.deadline = None;
        self.phase = Phase::Up;
        let status = self.status();
        self.reply(OWNER, Response::Up { status });
    }

    fn ready(&self) -> usize {
        self.nodes.iter().filter(|n| n.life == Life::Ready).count()
    }

    pub(super) fn name(&self, node: usize) -> &str {
        &self.plan.nodes[node].name
    }
}

/// Which side is older, and how it becomes as new as the other.
fn other_version(version: u32, image: Image) -> String {
    let (older, remedy) = match (version < VERSION, image) {
        (true, Image::LinuxAarch64) => ("its program is older", "make node-aarch64"),
        (true, _) => ("its program is older", "make node"),
        (false, _) => ("this command is older", "make harness"),
    };
    format!(
        "speaks control protocol {version}, this harness {VERSION}: {older}: run `{remedy}`, in the \
         sources that the other is built from"
    )
}

fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}
