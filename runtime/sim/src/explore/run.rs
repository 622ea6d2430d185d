//! A run in the making: a world, what crashes in it, and the promise that watches it.

use super::fault::{Deed, Fault};
use super::promise::Promise;
use super::{Scenario, Verdict, When};
use crate::script::ScriptMachine;
use crate::world::{End, Told, World};
use runtime_core::event::Event;
use runtime_core::id::NodeId;
use std::collections::VecDeque;

/// A run that can be stopped anywhere, cloned, and taken on in other ways.
#[derive(Clone, Debug)]
pub struct Run {
    pub(super) world: World<ScriptMachine>,
    pub(super) promise: Promise,
    /// What faults still have to do, and when.
    pub(super) deeds: Vec<(u64, Deed)>,
    faults: VecDeque<(u64, Fault)>,
    crashes: VecDeque<(NodeId, When)>,
    crashed: Vec<(NodeId, u64)>,
    /// Step at which ranks last resumed after a crash.
    resumed: Option<u64>,
    takeovers: u64,
    epochs: u64,
}

impl Run {
    /// At its beginning.
    #[must_use]
    pub fn new(scenario: &Scenario) -> Self {
        let world = scenario.world();
        Self {
            promise: Promise::new(&scenario.node(NodeId(0), 0)),
            world,
            deeds: Vec::new(),
            faults: scenario.faults.iter().copied().collect(),
            crashes: scenario.crashes.iter().copied().collect(),
            crashed: Vec::new(),
            resumed: None,
            takeovers: 0,
            epochs: 0,
        }
    }

    /// Steps taken.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.world.steps()
    }

    /// Is this node there?
    #[must_use]
    pub fn is_alive(&self, node: NodeId) -> bool {
        self.world.is_alive(node)
    }

    /// The world as it is now.
    pub const fn world(&mut self) -> &mut World<ScriptMachine> {
        &mut self.world
    }

    /// Who crashed so far, and before which step.
    #[must_use]
    pub fn crashed(&self) -> &[(NodeId, u64)] {
        &self.crashed
    }

    /// A node dies now.
    pub fn crash(&mut self, node: NodeId) {
        self.world.kill(node);
        self.promise.died(node);
        self.crashed.push((node, self.world.steps()));
        self.resumed = None;
    }

    fn crash_what_is_due(&mut self) {
        while let Some((node, when)) = self.crashes.front().copied() {
            let due = match when {
                When::Step(step) => self.world.steps() >= step,
                When::AfterRecovery(steps) => {
                    self.resumed.is_some_and(|at| self.world.steps() >= at + steps)
                }
            };
            if !due {
                return;
            }
            self.crashes.pop_front();
            self.crash(node);
        }
    }

    /// One step; the verdict if it was the last.
    pub fn step(&mut self) -> Option<Verdict> {
        self.step_telling(&mut |_, _, _| {})
    }

    /// The same; what nodes tell is also given to `story`, with its time in nanoseconds.
    pub fn step_telling(&mut self, story: &mut dyn FnMut(u64, NodeId, &Told)) -> Option<Verdict> {
        self.crash_what_is_due();
        let steps = self.world.steps();
        while let Some((step, fault)) = self.faults.front().copied()
            && step <= steps
        {
            self.faults.pop_front();
            self.befall(fault);
        }
        let mut end = self.world_step();
        for (at, node, told) in self.world.take_told() {
            story(at, node, &told);
            let Told::Event(event) = told else { continue };
            if let Some(wrong) = self.promise.observe(node, &event) {
                end = Some(End::Wrong(wrong));
            }
            match event {
                Event::Resumed { .. } if !self.crashed.is_empty() => {
                    self.resumed.get_or_insert(self.world.steps());
                }
                Event::RolledBack { taken_over: true, .. } => self.takeovers += 1,
                Event::CheckpointCommitted { epoch, .. } => self.epochs = self.epochs.max(epoch.0),
                _ => {}
            }
        }
        end.map(|end| self.verdict(end))
    }

    /// One step of the world, with what is to be done before it.
    fn world_step(&mut self) -> Option<End> {
        loop {
            let steps = self.world.steps();
            while self.deeds_are_due() {
                self.do_what_is_due();
            }
            let next = self.deeds.iter().map(|(at, _)| *at).min();
            let end = self.world.step_before(next.unwrap_or(u64::MAX));
            if end.is_some() || self.world.steps() > steps || self.deeds.is_empty() {
                return end;
            }
        }
    }

    /// All steps that are left.
    #[must_use]
    pub fn finish(mut self) -> Verdict {
        loop {
            if let Some(verdict) = self.step() {
                return verdict;
            }
        }
    }

    fn verdict(&self, end: End) -> Verdict {
        Verdict {
            broken: self.promise.judge(&end).err(),
            copies_lived: matches!(&end, End::Lost(why) if why.starts_with("epoch"))
                && !self.promise.holders_are_gone(),
            end,
            steps: self.world.steps(),
            trace: self.world.trace(),
            takeovers: self.takeovers,
            epochs: self.epochs,
            crashed: self.crashed.iter().map(|(node, _)| *node).collect(),
        }
    }
}
