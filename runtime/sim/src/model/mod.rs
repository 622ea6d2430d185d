//! Small models around real machines of the core, gone through in every order of everything that may happen.
//!
//! States are told apart by their hash, and each is gone through once. What is bounded is how often things
//! happen that nobody needs (deaths, false suspicions, ticks), never in which order.

pub mod commit;
pub mod membership;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

/// Something that can be gone through.
pub trait Model: Clone + Hash {
    /// One thing that happens.
    type Action: Clone + Debug;

    /// All that may happen next, in any order.
    fn actions(&self) -> Vec<Self::Action>;

    /// It happens.
    ///
    /// # Errors
    /// What must never be.
    fn happen(&mut self, action: &Self::Action) -> Result<(), String>;

    /// From here on nothing goes wrong any more: does everything come to a good end?
    ///
    /// # Errors
    /// What is not as it should be in the end.
    fn settles(&self) -> Result<(), String> {
        Ok(())
    }
}

/// What was gone through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Different states.
    pub states: u64,
    /// Ways from one to another.
    pub transitions: u64,
}

impl std::fmt::Display for Extent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} states, {} transitions", self.states, self.transitions)
    }
}

/// How a state came about, last first.
struct Way<A> {
    action: A,
    before: Option<Rc<Self>>,
}

type History<A> = Option<Rc<Way<A>>>;

/// Goes through all states from this one on; every `settle`-th of them must come to a good end.
///
/// # Errors
/// The first fault, and all that happened before it.
pub fn explore<M: Model>(first: M, settle: u64) -> Result<Extent, String> {
    let mut extent = Extent::default();
    let mut seen = HashSet::new();
    seen.insert(fingerprint(&first));
    let mut stack: Vec<(M, History<M::Action>)> = vec![(first, None)];
    while let Some((state, way)) = stack.pop() {
        extent.states += 1;
        if extent.states.is_multiple_of(settle.max(1)) {
            state.settles().map_err(|why| story(&why, way.clone()))?;
        }
        for action in state.actions() {
            let mut next = state.clone();
            extent.transitions += 1;
            let happened = next.happen(&action);
            let way = Some(Rc::new(Way { action, before: way.clone() }));
            happened.map_err(|why| story(&why, way.clone()))?;
            if seen.insert(fingerprint(&next)) {
                stack.push((next, way));
            }
        }
    }
    Ok(extent)
}

fn fingerprint(state: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}

fn story<A: Debug>(why: &str, mut way: History<A>) -> String {
    let mut lines = Vec::new();
    while let Some(step) = way {
        lines.push(format!("{:?}", step.action));
        way = step.before.clone();
    }
    lines.push(why.to_string());
    lines.rotate_right(1);
    lines[1..].reverse();
    lines.join("\n")
}
