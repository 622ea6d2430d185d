//! Emulates links and switches, sans-IO: says what happens to a packet and when, and nothing else.
//!
//! A [`Direction`] is one way of a link: [`Direction::send`] gives the [`Fate`] of a packet under a
//! [`Profile`]. A [`Switch`] says on which ports a frame leaves. Who moves the bytes keeps the clock.
//!
//! The same seed gives the same fates: what is drawn for packet `i` depends on `(seed, i)` alone, not on
//! timing, on the profile or on what happened to other packets.

#![forbid(unsafe_code)]

mod direction;
mod profile;
mod rng;
mod switch;

pub use direction::{Delivery, Direction, DropReason, Fate};
pub use profile::{InvalidProfile, Loss, Profile};
pub use rng::draw;
pub use switch::{Switch, SwitchCounters};
