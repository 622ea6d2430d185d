//! What is promised of a run, and whether it was kept.
//!
//! A crash at any instant never gives a wrong answer, a fork or a standstill. The answer comes while, of the
//! nodes of the view in which ranks last ran, no more die than each rank has copies, a majority is left and a
//! node for each rank. Beyond that the run may be refused, in words that the facts bear out; or it begins again, if with
//! the dead went all that knew of a first commit: the answer is right then as well, only late.

use crate::world::End;
use runtime_core::checkpoint::Placement;
use runtime_core::event::Event;
use runtime_core::id::{Epoch, Generation, Job, NodeId, Rank, ViewId};
use runtime_core::membership::View;
use runtime_core::node::{Config, machine_of};
use std::collections::{BTreeMap, BTreeSet};

/// Watches a run.
#[derive(Clone, Debug)]
pub(super) struct Promise {
    replicas: usize,
    /// By node: boards and roles.
    config: Config,
    /// All that anybody installed.
    views: BTreeMap<ViewId, View>,
    /// In which ranks last ran, with all copies in their places.
    running: View,
    dead: BTreeSet<NodeId>,
    /// Nodes that live, but were out of reach for others.
    troubled: BTreeSet<NodeId>,
    /// Copies that went bad, on which node and of which rank.
    damaged: BTreeSet<(NodeId, Rank)>,
    /// No recovery may go back behind what a node that is there knew to bind; or, while no more died than each rank has
    /// copies, any node.
    bound: BTreeMap<NodeId, (Job, Epoch)>,
    /// Which one each node is at.
    jobs: BTreeMap<NodeId, Job>,
    /// In which view each node's ranks last ran on, and which ranks ended in it.
    ran: BTreeMap<NodeId, ViewId>,
    exited: BTreeMap<ViewId, BTreeSet<Rank>>,
    done: Option<Job>,
}

impl Promise {
    /// Of nodes that are told this.
    pub(super) fn new(config: &Config) -> Self {
        let first = View::first(config);
        Self {
            replicas: config.redundancy.losses(),
            config: config.clone(),
            views: BTreeMap::from([(first.id, first.clone())]),
            running: first,
            dead: BTreeSet::new(),
            troubled: BTreeSet::new(),
            damaged: BTreeSet::new(),
            bound: BTreeMap::new(),
            jobs: BTreeMap::new(),
            ran: BTreeMap::new(),
            exited: BTreeMap::new(),
            done: None,
        }
    }

    /// A node died, and its seat with it.
    pub(super) fn died(&mut self, node: NodeId) {
        let members = &self.config.members;
        let nodes = (0u16..).map(NodeId).take(members.len());
        self.dead.extend(nodes.filter(|n| *n == node || machine_of(members, *n) == node));
    }

    fn machine(&self, node: NodeId) -> NodeId {
        machine_of(&self.config.members, node)
    }

    /// A node may be taken for dead, for a while or for good.
    pub(super) fn trouble(&mut self, node: NodeId) {
        self.troubled.insert(node);
    }

    /// What this node keeps of this rank went bad.
    pub(super) fn damage(&mut self, node: NodeId, rank: Rank) {
        self.trouble(node);
        self.damaged.insert((node, rank));
    }

    /// Takes what a node told; `Some` if that must never be.
    pub(super) fn observe(&mut self, node: NodeId, event: &Event) -> Option<String> {
        match event {
            Event::View { view, members, ranks, .. } => {
                let members = members.iter().map(|member| (*member, Generation(1))).collect();
                let new = View { id: *view, members, ranks: ranks.clone() };
                let known = self.views.entry(*view).or_insert_with(|| new.clone());
                if *known != new {
                    return Some(format!("{node} installs another {view} than others did"));
                }
            }
            // Whoever slept may hear late of a view that is over; nothing comes of that.
            Event::Recovering { view, .. } if self.views.keys().any(|newest| newest > view) => {}
            Event::Recovering { job, epoch, .. } => {
                self.jobs.insert(node, *job);
                let bound = self.bound();
                if (*job, *epoch) < bound {
                    return Some(format!("{node} goes back to {epoch} from {}", bound.1));
                }
            }
            Event::CheckpointCommitted { epoch, .. } => {
                // A rank returned from it, and perhaps told the world. Whoever slept may say so when the others are at the next job.
                let job = self.jobs.get(&node).copied().unwrap_or_default();
                self.binds(node, job, *epoch);
            }
            Event::Resumed { view, job, epoch } => {
                // An epoch that a recovery chose may still be given up by the next one, as long as no rank went on from it.
                self.jobs.insert(node, *job);
                self.ran.insert(node, *view);
                self.binds(node, *job, *epoch);
                if *view > self.running.id
                    && let Some(view) = self.views.get(view)
                {
                    self.running = view.clone();
                }
            }
            Event::RankExited { rank } => {
                let view = self.ran.get(&node).copied().unwrap_or_default();
                self.exited.entry(view).or_default().insert(*rank);
            }
            Event::JobDone { job, .. } => {
                // In one view, be it one that is over: whoever slept may say it late.
                let ranks = usize::from(self.running.rank_count());
                let all = self.exited.values().any(|exited| exited.len() >= ranks);
                if self.done.is_none_or(|done| done < *job) && !all {
                    return Some(format!("{node} takes {job} for done, but ranks are not"));
                }
                if self.done < Some(*job) {
                    self.done = Some(*job);
                    self.exited.clear();
                }
            }
            Event::Fenced { view } => {
                if self.troubled.is_empty() && !self.gone(&node) {
                    return Some(format!(
                        "{view} is without {node}, which lives and was never out of reach"
                    ));
                }
                self.died(node);
            }
            _ => {}
        }
        None
    }

    fn binds(&mut self, node: NodeId, job: Job, epoch: Epoch) {
        let known = self.bound.entry(node).or_default();
        *known = (*known).max((job, epoch));
    }

    fn bound(&self) -> (Job, Epoch) {
        let kept = self.died_at_a_time() <= self.replicas;
        let counts = self.bound.iter().filter(|(node, _)| kept || !self.gone(node));
        counts.map(|(_, known)| *known).max().unwrap_or_default()
    }

    /// Machines of the view in which ranks last ran.
    fn died_at_a_time(&self) -> usize {
        let died = self.running.members.keys().filter(|node| self.gone(node));
        died.map(|node| self.machine(*node)).collect::<BTreeSet<_>>().len()
    }

    /// Is this end of the run as promised? Otherwise: why not.
    ///
    /// # Errors
    /// In words.
    pub(super) fn judge(&self, end: &End) -> Result<(), String> {
        match end {
            End::Done => Ok(()),
            End::Wrong(why) => Err(why.clone()),
            End::Stalled => Err("nothing ends it, and nobody says why".into()),
            End::NoMajority if self.majority_is_gone() => Ok(()),
            End::NoMajority => Err("a majority is left, but none is seen".into()),
            End::Lost(reason) if reason.contains("standby") => {
                let left = self.left(&self.running).count();
                let needed = usize::from(self.running.rank_count());
                if left < needed {
                    Ok(())
                } else {
                    Err(format!("{left} nodes are left for {needed} ranks, but: {reason}"))
                }
            }
            End::Lost(reason) => self.judge_lost(reason),
        }
    }

    fn gone(&self, node: &NodeId) -> bool {
        self.dead.contains(node) || self.troubled.contains(node)
    }

    fn left<'a>(&'a self, view: &'a View) -> impl Iterator<Item = NodeId> + 'a {
        view.members.keys().copied().filter(|node| !self.gone(node))
    }

    /// Of some view from the one in which ranks ran on.
    fn majority_is_gone(&self) -> bool {
        let views = self.views.range(self.running.id..).map(|(_, view)| view);
        let votes = |node: &NodeId| self.machine(*node) == *node;
        views.into_iter().any(|view| {
            let left = self.left(view).filter(votes).count();
            left < self.config.quorum.needed(view.voters(&self.config.members), left)
        })
    }

    /// More died at a time than there are copies; it says which epoch, rank and copies are lost.
    fn judge_lost(&self, reason: &str) -> Result<(), String> {
        let died = self.died_at_a_time();
        if died <= self.replicas {
            let replicas = self.replicas;
            return Err(format!(
                "{died} died at a time, and replicas is {replicas}, but: {reason}"
            ));
        }
        let copies = |rank| self.holders(rank).into_iter().skip(1).filter(|node| self.gone(node));
        let hosts = (0u16..).map(Rank).zip(&self.running.ranks);
        let stated = reason.starts_with("epoch ")
            && hosts.into_iter().filter(|(_, host)| self.gone(host)).any(|(rank, host)| {
                let says = |node, what| reason.contains(&format!("(the copy on {node} is {what})"));
                let bad = |node| self.damaged.contains(&(node, rank)) && says(node, "damaged");
                reason.contains(&format!("{rank} of {host}"))
                    && copies(rank).all(|node| says(node, "gone") || bad(node))
            });
        if stated { Ok(()) } else { Err(format!("it does not say what is lost: {reason}")) }
    }

    /// Who hosts this rank or keeps copies of it, where ranks last ran.
    pub(super) fn holders(&self, rank: Rank) -> Vec<NodeId> {
        let Config { members, redundancy, .. } = &self.config;
        let placement = Placement { view: &self.running, members, redundancy: *redundancy };
        let host = self.running.ranks.get(rank.index()).copied();
        host.into_iter().chain(placement.guardians(rank)).collect()
    }

    /// Some rank's host and all its copies are gone.
    pub(super) fn holders_are_gone(&self) -> bool {
        (0..self.running.rank_count())
            .any(|rank| self.holders(Rank(rank)).iter().all(|node| self.gone(node)))
    }
}
