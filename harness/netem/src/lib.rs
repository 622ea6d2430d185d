//! Emulates links and switches, sans-IO: says what happens to a packet and when, and nothing else.
//!
//! A [`Direction`] is one way of a link: [`Direction::send`] gives the [`Fate`] of a packet under a
//! [`Profile`]. A [`Switch`] says on which ports a frame leaves. Who moves the bytes keeps the clock.
//!
//! The same seed gives the same fates: what is drawn for packet `i` of one way of a link depends on the seed,
//! the link's name, the way and `i` alone, not on timing, on the profile or on what happened to other packets.
//! A [`Change`] names some values of a profile and leaves the others alone.

#![forbid(unsafe_code)]

mod change;
mod direction;
mod profile;
mod rng;
mod switch;
mod tree;
mod vlan;

pub use change::Change;
pub use direction::{Delivery, Direction, DropReason, Fate, Way};
pub use profile::{
    Distribution, DropRule, Filter, Flap, InvalidProfile, Loss, Profile, Queue, Which,
};
pub use rng::draw;
pub use switch::{Passage, Port, Refused, Switch, SwitchCounters};
pub use tree::{Edge, spares};
pub use vlan::{DEFAULT_VLAN, MAX_VLAN, Vlan, tagged, untagged, vlan_of};
