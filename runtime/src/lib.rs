//! What a program imports: shared memory, synchronisation and checkpoints, through its [`Rank`].
//!
//! A program is one function that every rank runs. It is `no_std` with `alloc`: `Vec`, `Box`, `String` and
//! the maps of `alloc` live in the rank's own heap, and are there again when the rank was taken over by
//! another node. It contains no recovery code.
//!
//! ```
//! use runtime::{Args, Distribution, Rank};
//!
//! fn main(rank: &mut Rank, args: &Args) {
//!     let n = args.number("size", 64_usize).unwrap_or(64);
//!     let Ok(mut sum) = rank.alloc::<u64>(n, Distribution::Block) else {
//!         return rank.print(format_args!("no room for {n} words"));
//!     };
//!     let me = usize::from(rank.rank());
//!     sum.set(rank, me, 1);
//!     rank.barrier();
//!     let all: u64 = sum.read(rank, 0..usize::from(rank.ranks())).iter().sum();
//!     rank.checkpoint();
//!     rank.report(&all.to_le_bytes(), format_args!("sum {all}"));
//! }
//! # let report = runtime::sequential::run(main, &Args::default(), Default::default()).unwrap();
//! # assert_eq!(report.text, "sum 1");
//! ```
//!
//! # What ranks see of each other
//!
//! Release consistency. What a rank wrote before [`Rank::barrier`] every rank sees after it; what it
//! wrote before [`Rank::unlock`] the next one to [`Rank::lock`] the same lock sees. In between two ranks may
//! write different elements, even of one page, but when one writes an element that another one reads
//! or writes, one of these calls must lie between them. Slices borrow the rank, so none can be held over a call.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod args;
mod rank;
#[cfg(all(target_os = "linux", not(bare_metal)))]
pub mod sequential;

pub use args::{Args, BadArg};
pub use bytemuck;
pub use rank::{Program, Rank, Shared, image};
pub use runtime_core::id::Rank as RankId;
pub use runtime_core::node::{CallError, Distribution};

#[cfg(test)]
mod tests;
