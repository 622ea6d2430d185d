//! MCAPI 2.x for C: names, signatures and codes of `include/mcapi.h` over the crate `mcapi`.
//!
//! Handles are 32-bit numbers. What a C program may hand in, and what it gets for that, is said in `README.md`.

mod channel;
mod endpoint;
mod extra;
mod handle;
mod message;
mod node;
mod pointer;
mod registry;
mod request;
mod scalar;

use mcapi::Status;
use pointer::Out;

/// What MCAPI returns where there is nothing to return.
const INVALID: u32 = u32::MAX;

/// Says in `status` what came of a call. Without a place for that nothing is done at all.
fn render<T>(status: Out<u32>, nothing: T, call: impl FnOnce() -> Result<T, Status>) -> T {
    if status.is_null() {
        return nothing;
    }
    let (code, value) = match call() {
        Ok(value) => (Status::Success, value),
        Err(code) => (code, nothing),
    };
    status.set(code.number());
    value
}
