//! The whole system, as its users meet it: the real harness and the real node program.

mod aarch64;
mod abuse;
mod bindings;
mod bytes;
mod conformance;
mod double_up;
mod expectations;
mod failures;
mod faults;
mod interrupted;
mod library;
mod litmus;
mod machines;
mod mcapi;
mod members;
mod metal;
mod process;
mod qemu;
mod report;
mod robustness;
mod sim;
mod tidy;
mod validate;
mod watching;
mod wireshark;
