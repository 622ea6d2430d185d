//! The whole system, as its users meet it: the real harness and the real node program.

mod bindings;
mod bytes;
mod conformance;
mod failures;
mod faults;
mod litmus;
mod members;
mod metal;
mod process;
mod qemu;
mod robustness;
mod sim;
mod tidy;
mod validate;
