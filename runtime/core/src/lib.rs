//! The sans-IO heart of Understudy: every protocol decision of a node, and nothing else.
//!
//! One [`node::Node`] per machine. A driver (simulator, Linux, bare metal) feeds it with
//! [`node::Input`]s and the current time, and **drains [`node::Node::poll`] to `None` before the
//! next `handle`**. There is no I/O, clock, randomness, thread or unsafe code in this crate.
//!
//! Modules in reading order: [`id`], [`time`], [`limits`], [`wire`], [`sorted`], [`mem`], [`event`], [`link`],
//! [`mcapi`], [`sdsm`], [`checkpoint`], [`membership`], [`node`].

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod checkpoint;
pub mod event;
pub mod id;
pub mod limits;
pub mod link;
pub mod mcapi;
pub mod mem;
pub mod membership;
pub mod node;
pub mod notice;
pub mod sabotage;
pub mod sdsm;
pub mod sorted;
pub mod time;
pub mod wire;
